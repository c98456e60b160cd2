"""A sweep that is killed twice against one that is left alone: `python -m benchmarks.killed_sweep`.

3 learning rates x 3 models x 5 seeds on 2,000 images of Fashion-MNIST, one epoch each, tested on 1,000. At a random
moment in the first half, and at another in the second, SIGKILL goes to everything: the study's process, the supervisor
and the workers. `tui-attn resume` takes it up. The tables must be equal, and so must the weights of all 45 runs.
"""

import argparse
import json
import os
import platform
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from tui_attn.experiment.follower import read_state
from tui_attn.experiment.manifest import RunsError
from tui_attn.experiment.study import StudyDir, studies
from tui_attn.study.analysis import read_results
from tui_attn.system import liveness

RATES, MODELS, SEEDS = "lr=0.0003,0.001,0.003", "base,se,self-attention", 5
OPTIONS = ("--models", MODELS, "--seeds", str(SEEDS), "--epochs", "1", "--device", "cpu", "--jobs", "1")


def program(*arguments: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-m", "tui_attn", *arguments], stdin=subprocess.DEVNULL)


def sweep(runs_dir: Path, *options: str) -> StudyDir:
    begun = program("sweep", RATES, *OPTIONS, "--runs-dir", str(runs_dir), *options)
    if begun.wait():
        raise SystemExit(f"the sweep ended with {begun.returncode}")
    return next(studies(runs_dir))


def kill_everything(study: StudyDir) -> int:
    """SIGKILL to the study's process, all supervisors and workers; how many died."""
    victims: set[int] = set()
    locks = [study.lock, *study.path.glob("*/supervisor.lock"), *study.path.glob("*/*/lock")]
    for lock in locks:
        pid = liveness.holder(lock)
        if pid and pid not in victims and liveness.signal_holder(lock, signal.SIGKILL):
            victims.add(pid)
    while any(liveness.holder(lock) is not None for lock in locks):
        time.sleep(0.05)
    return len(victims)


def wait_for(study: StudyDir, runs: int, rng: random.Random) -> int:
    """Wait until so many runs have ended and a random moment more; how many had ended then."""
    while read_results(study).ended < runs:
        if not study.running:
            raise SystemExit(f"it ended too early: {study.log.read_text()}")
        time.sleep(0.3)
    time.sleep(rng.uniform(0, 4))
    return read_results(study).ended


def table(study: StudyDir) -> dict[str, Any]:
    """What `compare --json` prints, without the study's own name."""
    found = subprocess.run(
        [sys.executable, "-m", "tui_attn", "compare", str(study.path), "--json"], stdout=subprocess.PIPE, check=True
    )
    data: dict[str, Any] = json.loads(found.stdout)
    return {key: value for key, value in data.items() if key != "study"}


def digests(study: StudyDir) -> dict[str, str | None]:
    found: dict[str, str | None] = {}
    for member in study.members():
        try:
            runs = read_state(member).state.runs
        except RunsError as error:
            raise SystemExit(str(error)) from None
        found |= {f"{member.id}/{id_}": run.weights_sha256 for id_, run in runs.items()}
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=2000)
    parser.add_argument("--dataset", default="fashion-mnist")
    parser.add_argument("--seed", type=int, default=0, help="draws the moments of the kills")
    parser.add_argument("--folder", type=Path)
    arguments = parser.parse_args()
    folder = arguments.folder or Path(tempfile.mkdtemp(prefix="killed-sweep-"))
    rng = random.Random(arguments.seed)
    options = ("--dataset", arguments.dataset, "--train-limit", str(arguments.images), "--test-limit", "1000")

    begun = time.monotonic()
    alone = sweep(folder / "alone", *options, "--no-ui")
    took = time.monotonic() - begun
    killed = sweep(folder / "killed", *options, "--detach")
    total = read_results(killed).total
    for first, last in ((total // 6, total // 2 - 3), (total // 2 + 3, total - total // 6)):
        ended = wait_for(killed, rng.randint(first, last), rng)
        victims = kill_everything(killed)
        print(f"SIGKILL to {victims} processes after {ended} of {total} runs", flush=True)
        if program("resume", str(killed.path), "--detach").wait():
            raise SystemExit("it could not be resumed")
    if program("wait", str(killed.path)).wait():
        raise SystemExit("the resumed sweep failed")
    same_table, same_weights = table(alone) == table(killed), digests(alone) == digests(killed)
    subprocess.run([sys.executable, "-m", "tui_attn", "compare", str(killed.path)], check=True)
    print(f"{os.cpu_count()} cores, {platform.processor() or platform.machine()}; alone {took:.0f} s")
    print(f"{len(digests(killed))} runs: tables equal {same_table}, weights equal {same_weights}")
    return 0 if same_table and same_weights else 1


if __name__ == "__main__":
    sys.exit(main())
