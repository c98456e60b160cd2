"""Kills processes of an experiment at random while it trains.

    python -m benchmarks.chaos --kills 200

It waits until a new step is logged and a random moment longer, and sends SIGKILL to a worker, the supervisor, the front
end, or several of them. Then `tui-attn resume` continues the experiment, sometimes two of them at the same moment.
Every experiment must end like an undisturbed one: each step once, the same losses, the same weights, no process and no
temporary file left. `--images 20000` trains on a folder of that many image files.
"""

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from PIL import Image

from benchmarks.campaign import wait
from tests.reliability.invariants import Reference, leftovers, processes, reference, steps_lost, violations
from tui_attn.experiment.event_log import LogReader, last_event
from tui_attn.experiment.finding import experiments
from tui_attn.experiment.folders import ExperimentDir
from tui_attn.experiment.follower import read_state
from tui_attn.system import liveness

TARGETS = {
    "worker": 5,
    "supervisor": 4,
    "front": 2,
    "worker and supervisor": 3,
    "supervisor and front": 2,
    "everything": 3,
}
"""How often each is chosen, in proportion."""


class Chaos:
    """Runs experiments and kills their processes."""

    def __init__(self, folder: Path, seed: int, options: list[str]) -> None:
        self.folder = folder
        self.random = random.Random(seed)
        self.options = options
        self.kills: Counter[str] = Counter()
        self.struck_after: Counter[str] = Counter()
        """What the run in training had logged last when it was struck."""
        self.results: Counter[str] = Counter()
        self.violations: list[str] = []
        self._environment = os.environ | {"XDG_STATE_HOME": str(folder / "state"), "OMP_NUM_THREADS": "1"}
        self._fronts: list[subprocess.Popen[bytes]] = []

    # ---- the program

    def call(self, *arguments: str) -> subprocess.Popen[bytes]:
        """Start `tui-attn` in a session of its own."""
        with (self.folder / "fronts.log").open("ab") as log:
            return subprocess.Popen(
                [sys.executable, "-P", "-m", "tui_attn", *arguments, "--runs-dir", str(self.folder / "runs")],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=self._environment,
                start_new_session=True,
            )

    def start(self) -> ExperimentDir:
        """Start an experiment, and wait until it has a supervisor."""
        known = {folder.id for folder in self._experiments()}
        self._fronts.append(self.call("--no-ui", *self.options))
        new = wait(lambda: [folder for folder in self._experiments() if folder.id not in known], "an experiment")
        folder: ExperimentDir = new[0]
        wait(folder.supervisor.exists, "its supervisor")
        return folder

    def _experiments(self) -> Iterator[ExperimentDir]:
        return experiments(self.folder / "runs")

    def resume(self, folder: ExperimentDir) -> None:
        """Resume it; sometimes twice at the same moment, where one must be refused."""
        twice = self.random.random() < 0.2
        fronts = [self.call("resume", "--no-ui", folder.id) for _ in range(2 if twice else 1)]
        self._fronts += fronts
        self.results["resumes"] += 1
        self.results["resumed by two at once"] += twice

    # ---- striking

    def go(self, folder: ExperimentDir, most: int) -> None:
        """Kill and resume until `folder` has finished; after `most` kills only resume."""
        while True:
            before = _sizes(folder)
            struck = False
            while not (_over(folder) or (self.kills.total() < most and _trained(folder, before))):
                if liveness.holder(folder.supervisor_lock) is None and not processes(folder.path):
                    self.resume(folder)
                    wait(lambda: processes(folder.path) or _over(folder), "a supervisor")
                time.sleep(0.02)
            if not _over(folder):
                time.sleep(self.random.random() ** 2)
                struck = self._strike(folder)
            if _over(folder) and not struck:
                wait(lambda: not processes(folder.path), "the end of its processes")
                if read_state(folder).state.state == "finished":
                    return
                self.results["given up and taken up again"] += 1
                self.resume(folder)
                wait(lambda: not _over(folder), "another start")

    def _strike(self, folder: ExperimentDir) -> bool:
        """Kill something if it still trains; whether anything was killed."""
        supervisor = liveness.holder(folder.supervisor_lock)
        workers = [pid for pid in processes(folder.path) if pid != supervisor]
        training = [run for run in read_state(folder).state.runs.values() if run.state == "running"]
        if not (workers and training):
            return False
        target = self.random.choices(list(TARGETS), list(TARGETS.values()))[0]
        victims = workers if _hits(target, "worker") else []
        if supervisor and _hits(target, "supervisor"):
            victims.append(supervisor)
        if _hits(target, "front"):
            victims += [front.pid for front in self._fronts if front.poll() is None]
        self.random.shuffle(victims)
        for pid in victims:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
            self.kills[target] += 1
        self.results["strikes"] += bool(victims)
        last = last_event(folder.run(max(training, key=lambda run: run.last_t).id).events)
        self.struck_after["nothing" if last is None else last.type] += bool(victims)
        wait(lambda: all(liveness.process_start_time(pid) is None for pid in victims), "the death of the victims")
        self._fronts = [front for front in self._fronts if front.poll() is None]
        if supervisor in victims and self.random.random() < 0.5:
            wait(lambda: not processes(folder.path), "the end of its worker")  # else it is taken up while it ends
        return bool(victims)

    def judge(self, folder: ExperimentDir, expected: dict[str, Reference]) -> None:
        """Check the invariants at the end."""
        found = violations(folder, expected)
        state = read_state(folder).state
        self.results["experiments"] += 1
        self.results["steps lost"] += steps_lost(folder, expected)
        self.results["weights that differ"] += sum(
            run.weights_sha256 != expected[run.id].weights_sha256 for run in state.runs.values()
        )
        for run in state.runs:
            events = LogReader(folder.run(run).events).read()
            length = next(event["steps_per_epoch"] for event in events if event.type == "started")
            steps = [event["from_step"] for event in events if event.type == "resumed"]
            self.results["resumed within an epoch"] += sum(step % length != 0 for step in steps)
        left = leftovers(folder)
        self.results["processes left"] += sum("lives" in item or "held" in item for item in left)
        self.results["temporary files left"] += sum("is left" in item for item in left)
        self.violations += [f"{folder.id}: {item}" for item in found]


def make_images(folder: Path, count: int) -> None:
    """`count` images of 28 x 28 pixels to train on and a tenth to test on, in ten classes that can be told apart."""
    draw = np.random.default_rng(0)
    for split, number in (("train", count), ("test", count // 10)):
        for label in range(10):
            place = folder / split / f"class-{label}"
            place.mkdir(parents=True)
            for index in range(number // 10):
                pixels = draw.integers(0, 128, (28, 28), dtype=np.uint8)
                pixels[2 * label : 2 * label + 5] += 100
                Image.fromarray(pixels).save(place / f"{index:05}.png", compress_level=1)


def _hits(target: str, who: str) -> bool:
    return target == "everything" or who in target


def _sizes(folder: ExperimentDir) -> dict[Path, int]:
    """Bytes of each run's log."""
    return {path: path.stat().st_size for path in folder.path.glob("*/events.jsonl")}


def _trained(folder: ExperimentDir, before: dict[Path, int]) -> bool:
    """Whether a run has logged a step since its log had the size in `before`."""
    grown = [path for path, size in _sizes(folder).items() if size > before.get(path, 0)]
    return any(last is not None and last.type == "metrics" for last in map(last_event, grown))


def _over(folder: ExperimentDir) -> bool:
    last = last_event(folder.events)
    return last is not None and last.type == "experiment_finished"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=200, help="how many processes to kill in all")
    parser.add_argument("--per-experiment", type=int, default=10, help="how many of them in one experiment")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--epochs", type=int, default=6)
    parser.add_argument("--train-limit", type=int, default=1500)
    parser.add_argument("--images", type=int, default=None, help="train on so many image files in a folder instead")
    parser.add_argument("--cpu", type=int, default=None, help="keep to this processor")
    parser.add_argument("--json", type=Path, default=None, help="write the figures here as well")
    given = parser.parse_args()
    if given.cpu is not None:
        os.sched_setaffinity(0, {given.cpu})
    options = ["--models", "base,se", "--device", "cpu", "--epochs", str(given.epochs)]
    if given.images is None:
        options += ["--dataset", "synthetic", "--test-limit", "200", "--train-limit", str(given.train_limit)]
    begun = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="chaos-") as name:
        if given.images is not None:
            make_images(Path(name) / "images", given.images)
            options += ["--dataset", f"folder:{name}/images"]
        chaos = Chaos(Path(name), given.seed, options)
        first = chaos.start()
        wait(lambda: _over(first) and not processes(first.path), "the undisturbed experiment")
        expected = reference(first)
        while chaos.kills.total() < given.kills:
            folder = chaos.start()
            chaos.go(folder, min(given.kills, chaos.kills.total() + given.per_experiment))
            chaos.judge(folder, expected)
            print(f"{chaos.kills.total()} kills, {chaos.results['experiments']} experiments", file=sys.stderr)
    figures = {
        "kills": chaos.kills.total(),
        "strikes": chaos.results["strikes"],
        "killed": dict(chaos.kills),
        "struck after": dict(chaos.struck_after),
        **{key: chaos.results[key] for key in ("experiments", "resumes", "resumed by two at once")},
        "resumed within an epoch": chaos.results["resumed within an epoch"],
        "given up and taken up again": chaos.results["given up and taken up again"],
        **{key: chaos.results[key] for key in ("steps lost", "weights that differ", "processes left")},
        "temporary files left": chaos.results["temporary files left"],
        "violations": chaos.violations,
        "minutes": round((time.monotonic() - begun) / 60, 1),
        "seed": given.seed,
    }
    for key, value in figures.items():
        print(f"{key}: {value}")
    if given.json is not None:
        given.json.write_text(json.dumps(figures, indent=1) + "\n")
    return 1 if chaos.violations else 0


if __name__ == "__main__":
    sys.exit(main())
