"""Kills parts of a real Ray cluster under an experiment, and compares the result with one that was left alone.

    python -m benchmarks.ray_kills [--kills 20] [--seed 0] [--json FILE]

Needs the extras `test` and `ray`; as root, half of the kills are with nodes that don't see the experiment's folder.
Prints a row a kill; exits 1 when weights or logged steps differ, or a process is left.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import sys
import tempfile
import time
from pathlib import Path

import psutil

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from tests.engines import test_ray as ray_tests
from tests.ray_cluster import Cluster, cluster
from tests.waiting import eventually
from tui_attn.experiment.finding import experiments
from tui_attn.experiment.folders import ExperimentDir

PARTS = ("node", "worker", "actor", "relay", "supervisor")


def victims(part: str, folder: ExperimentDir) -> list[psutil.Process]:
    """The processes of that part."""
    marks = {"worker": "tui_attn.train.worker", "actor": "ray::Runner", "relay": "tui_attn.engines.ray_relay"}
    found = []
    for process in psutil.process_iter(["cmdline"]):
        words = " ".join(process.info["cmdline"] or ())
        if marks[part] in words and (part == "actor" or folder.id in words):
            found.append(process)
    return found


def kill(part: str, folder: ExperimentDir, ray: Cluster, hidden: bool) -> None:
    """Kill one part with SIGKILL, and do what a user would do then."""
    if part == "node":
        ray.kill("n1")
        ray.start("n1")
    elif part == "supervisor":
        os.kill(json.loads(folder.supervisor.read_text())["pid"], signal.SIGKILL)
        relays = victims("relay", folder)
        eventually(lambda: not any(map(psutil.Process.is_running, relays)), "the end of the relay", seconds=180)
        done = ray_tests.program("resume", "--detach", "--runs-dir", folder.path.parent, env=ray.environment)
        assert done.returncode == 0, done.stderr
    else:
        for process in victims(part, folder)[:1]:
            process.kill()


def one(part: str, delay: float, hidden: bool, reference: Path, port: int) -> tuple[bool, float]:
    """Train an experiment in which `part` is killed `delay` seconds after the first epoch; equal?, seconds."""
    begun = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="ray", ignore_cleanup_errors=True) as name:
        runs = Path(name) / "runs"
        runs.mkdir()
        with cluster(Path(name) / "c", port=port, hidden=runs if hidden else None) as ray:
            folder = ray_tests.start(ray, runs)
            eventually(lambda: ray_tests.trained(folder, 1), "an epoch", seconds=300, interval=0.05)
            time.sleep(delay)
            kill(part, folder, ray, hidden)
            eventually(lambda: ray_tests.ended(folder), "the end", seconds=400, interval=0.2)
            equal = ray_tests.weights(runs) == ray_tests.weights(reference)
            equal &= ray_tests.steps(folder) == ray_tests.steps(next(experiments(reference)))
            eventually(lambda: not victims("worker", folder), "the end of the workers", seconds=60)
    return equal, time.monotonic() - begun


def main() -> int:
    """Kill, and count."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", type=Path)
    chosen = parser.parse_args()
    draw, rows = random.Random(chosen.seed), list[dict[str, object]]()
    with tempfile.TemporaryDirectory() as name:
        assert ray_tests.program("--no-ui", *ray_tests.CONFIG, "--runs-dir", name).returncode == 0
        for number in range(chosen.kills):
            part, hidden = PARTS[number % len(PARTS)], bool(number // len(PARTS) % 2) and os.getuid() == 0
            delay = draw.uniform(0, 3)
            equal, seconds = one(part, delay, hidden, Path(name), 26400 + number % 50)
            rows.append({"part": part, "shared": not hidden, "delay": round(delay, 2), "equal": equal})
            print(f"{number + 1:3} {part:10} {'hidden' if hidden else 'shared'} {delay:4.1f} s later  "
                  f"{'equal' if equal else 'DIFFERENT'}  {seconds:.0f} s", flush=True)  # fmt: skip
    if chosen.json:
        chosen.json.write_text(json.dumps(rows))
    different = sum(not row["equal"] for row in rows)
    print(f"{len(rows)} kills, {different} with another result")
    return 1 if different else 0


if __name__ == "__main__":
    sys.exit(main())
