"""Start-up: `--help`, `ls`, and from Enter to the first training step and the first logged point.

    python benchmarks/startup.py [--repeats 7]
    python benchmarks/startup.py --before CHECKOUT    commands of this tree against those of another checkout

Each figure is a median over interleaved repeats. A bare interpreter and `import torch`, measured in turn, are lower
bounds.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tui_attn.experiment.event_log import LogReader
from tui_attn.experiment.finding import experiments
from tui_attn.experiment.folders import ExperimentDir
from tui_attn.launch import control


def seconds_of(*command: str) -> float:
    """Wall time of a whole process."""
    begin = time.perf_counter()
    subprocess.run(command, check=True, capture_output=True)
    return time.perf_counter() - begin


def first_steps(scratch: Path, dataset: str) -> tuple[float, float, float]:
    """Seconds from starting the program to its readiness, to the start of training, and to its first point."""
    runs_dir = scratch / f"runs-{time.monotonic_ns()}"
    command = ("--detach", "--dataset", dataset, "--models", "base", "--epochs", "50", "--runs-dir", str(runs_dir))
    begin = time.time()
    subprocess.run([sys.executable, "-P", "-m", "tui_attn", *command], check=True, capture_output=True)
    ready = time.time() - begin
    folder = next(experiments(runs_dir))
    times = first_times(folder)
    control.kill(folder)
    return ready, times["started"] - begin, times["metrics"] - begin


def first_times(folder: ExperimentDir) -> dict[str, float]:
    """When the run's first `started` and `metrics` were logged, unix seconds."""
    reader, found = LogReader(folder.run("base-s0").events), dict[str, float]()
    while "metrics" not in found:
        for event in reader.read():
            found.setdefault(event.type, event.t)
        time.sleep(0.005)
    return found


COMMANDS = (("--version",), ("--help",), ("stop", "--help"), ("attach", "--no-ui"))
"""Commands that end at once; there is nothing to attach to."""


def compare_trees(before: Path, repeats: int) -> None:
    """Ratios of wall time, in turn, and with valgrind the instructions, which don't depend on the machine's load."""
    trees = {"before": before.absolute(), "now": Path(__file__).resolve().parents[1]}
    with tempfile.TemporaryDirectory() as scratch:
        for command in COMMANDS:
            whole = (sys.executable, "-P", "-m", "tui_attn", *command)
            times: dict[str, list[float]] = {name: [] for name in trees}
            for _ in range(repeats):
                for name, tree in trees.items():
                    begin = time.perf_counter()
                    _run_from(tree, scratch, whole)
                    times[name].append(time.perf_counter() - begin)
            ratio = statistics.median(now / then for then, now in zip(times["before"], times["now"], strict=True))
            text = f"{' '.join(command):<16} wall {ratio:.2f} (n={repeats})"
            if shutil.which("valgrind"):
                counts = {name: _instructions(tree, scratch, whole) for name, tree in trees.items()}
                text += f"   M instructions {counts['before']:.0f} -> {counts['now']:.0f}"
                text += f" ({counts['now'] / counts['before']:.2f})"
            print(text, flush=True)


def _run_from(tree: Path, scratch: str, command: tuple[str, ...]) -> str:
    environment = os.environ | {"PYTHONPATH": str(tree), "PYTHONHASHSEED": "0", "XDG_CONFIG_HOME": scratch}
    return subprocess.run(command, check=False, env=environment, cwd=scratch, capture_output=True, text=True).stderr


def _instructions(tree: Path, scratch: str, command: tuple[str, ...]) -> float:
    valgrind = ("valgrind", "--tool=cachegrind", "--cache-sim=no", "--cachegrind-out-file=/dev/null")
    told = _run_from(tree, scratch, (*valgrind, *command))
    found = re.search(r"I\s+refs:\s+([\d,]+)", told)
    return float(found[1].replace(",", "")) / 1e6 if found else float("nan")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--dataset", default="fashion-mnist")
    parser.add_argument("--before", type=Path, help="another checkout of the program, to compare this one with")
    arguments = parser.parse_args()
    if arguments.before is not None:
        compare_trees(arguments.before, arguments.repeats)
        return
    program = (sys.executable, "-P", "-m", "tui_attn")
    figures: dict[str, list[float]] = {}
    with tempfile.TemporaryDirectory() as name:
        scratch = Path(name)
        small = ("--no-ui", "--dataset", "synthetic", "--epochs", "1", "--models", "base", "--train-limit", "256")
        subprocess.run([*program, *small, "--runs-dir", str(scratch / "one")], check=True, capture_output=True)
        for _ in range(arguments.repeats):
            for what, command in {
                "python -c pass": (sys.executable, "-c", "pass"),
                "import torch": (sys.executable, "-c", "import torch"),
                "tui-attn --help": (*program, "--help"),
                "tui-attn ls": (*program, "ls", "--runs-dir", str(scratch / "one")),
            }.items():
                figures.setdefault(what, []).append(seconds_of(*command))
            for what, value in zip(
                ("start: supervisor ready", "start: training begins", "start: first logged point"),
                first_steps(scratch, arguments.dataset),
                strict=True,
            ):
                figures.setdefault(what, []).append(value)
    for what, values in figures.items():
        print(
            f"{what:<28} {statistics.median(values):7.3f} s   ({min(values):.3f} to {max(values):.3f}, n={len(values)})"
        )
    print(json.dumps({what: statistics.median(values) for what, values in figures.items()}))


if __name__ == "__main__":
    main()
