"""Shared by the campaigns on SLURM and Ray: an experiment with repeated faults, and its invariants."""

from __future__ import annotations

import argparse
import itertools
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Generic, TypeVar

import psutil

from tests.ray_cluster import Cluster as RayCluster
from tests.reliability.invariants import reference, violations
from tests.slurm_cluster import Cluster as SlurmCluster
from tests.ui.terminal import Terminal
from tui_attn.experiment.finding import experiments
from tui_attn.experiment.folders import ExperimentDir
from tui_attn.experiment.follower import read_state
from tui_attn.experiment.ownership import supervisor_alive
from tui_attn.system import liveness

WHAT = ["--models", "base,se", "--seeds", "1", "--dataset", "synthetic", "--train-limit", "1000", "--test-limit", "100"]
WORKER = "tui_attn.train.worker"
SECONDS = 3000.0
"""For an experiment after its last kill."""
HELP = "type a word to find a key"
C = TypeVar("C", SlurmCluster, RayCluster)


def until_over(folder: ExperimentDir, seconds: float = SECONDS) -> None:
    """Wait until no supervisor has the experiment, at most so long."""
    deadline = time.monotonic() + seconds
    while supervisor_alive(folder) and time.monotonic() < deadline:
        time.sleep(0.2)


def victims(mark: str, folder: ExperimentDir) -> list[psutil.Process]:
    """The processes of `folder` whose command line has `mark` in it; Ray's actors don't name their experiment."""
    found = []
    for process in psutil.process_iter(["cmdline"]):
        words = " ".join(process.info["cmdline"] or ())
        if mark in words and (mark.startswith("ray::") or folder.id in words):
            found.append(process)
    return found


def key_seconds(dashboard: Terminal) -> Iterator[float]:
    """How long it takes the dashboard to open its help, to close it, and so on."""
    for opens in itertools.cycle([True, False]):
        pressed = time.monotonic()
        dashboard.press("?" if opens else "\x1b")
        dashboard.until(lambda text, opens=opens: (HELP in text) == opens)  # type: ignore[misc]
        yield time.monotonic() - pressed


class Lab(Generic[C]):
    """Starts and watches experiments on a cluster."""

    def __init__(self, cluster: C, on: str, scratch: Path, epochs: int) -> None:
        self.cluster: C = cluster
        self.on, self.runs, self.epochs = on, scratch / "runs", epochs
        self.environment = {
            **cluster.environment,
            "TUI_ATTN_SQUEUE_EVERY": "1",
            "XDG_STATE_HOME": str(scratch / "state"),
            "XDG_CACHE_HOME": str(scratch / "cache"),
            "OMP_NUM_THREADS": "1",
        }

    def tui_attn(self, *words: str) -> str:
        done = subprocess.run(
            [*(["taskset", "-c", "0"] if "local" in words else []), sys.executable, "-P", "-m", "tui_attn", *words],
            env=self.environment,
            cwd="/",
            capture_output=True,
            text=True,
            check=False,
            timeout=900,
        )
        if done.returncode not in {0, 3}:
            print(f"  {words[0]}: exit {done.returncode}: {done.stderr.strip()[-300:]}", flush=True)
        return done.stdout

    def start(self, on: str | None = None) -> ExperimentDir:
        before = {folder.id for folder in experiments(self.runs)} if self.runs.is_dir() else set()
        what = [*WHAT, "--epochs", str(self.epochs), "--detach", "--runs-dir", str(self.runs)]
        self.tui_attn("--on", on or self.on, "--name", self.runs.parent.name, *what)
        return next(folder for folder in experiments(self.runs) if folder.id not in before)

    def stop(self, folder: ExperimentDir) -> None:
        self.tui_attn("stop", folder.id, "--runs-dir", str(self.runs))

    def resume(self, folder: ExperimentDir) -> None:
        self.tui_attn("resume", folder.id, "--detach", "--runs-dir", str(self.runs))

    def get_on(self, folder: ExperimentDir) -> bool:
        """Wait until every open run has trained and saved more; False when all are over."""
        before = {run.id: run.epoch for run in read_state(folder).state.runs.values() if not run.ended}
        deadline = time.monotonic() + SECONDS
        while time.monotonic() < deadline:
            runs = [run for run in read_state(folder).state.runs.values() if not run.ended]
            if not runs:
                return False
            if all(run.epoch > before.get(run.id, -1) and run.state == "running" for run in runs):
                return True
            time.sleep(0.5)
        found = [(run.id, run.state, run.job, run.waits) for run in read_state(folder).state.runs.values()]
        alive = "lives" if supervisor_alive(folder) else "is dead"
        raise AssertionError(f"no progress, the supervisor {alive}: {found}\n{self.cluster.condition()}")


def kill_supervisor(lab: Lab[C], folder: ExperimentDir) -> None:
    pid = liveness.holder(folder.supervisor_lock)
    assert pid
    os.kill(pid, signal.SIGKILL)
    while supervisor_alive(folder):
        time.sleep(0.1)
    lab.resume(folder)


Kinds = Mapping[str, Callable[[Lab[C], ExperimentDir], None]]


def torment(
    lab: Lab[C], kinds: Kinds[C], given: argparse.Namespace, note: str = "", jobs: Callable[[], list[str]] = list
) -> bool:
    """Hit an experiment for each kind that is `given`, and print what was lost; whether nothing was."""
    undisturbed = lab.start("local")
    until_over(undisturbed)
    expected, good = reference(undisturbed), True
    for kind in given.kinds.split(","):
        began, done, folder = time.monotonic(), 0, lab.start()
        while done < given.kills and lab.get_on(folder):
            try:
                kinds[kind](lab, folder)
            except (IndexError, psutil.NoSuchProcess):  # its workers ended in this moment
                continue
            done += 1
        until_over(folder)
        deadline = time.monotonic() + 90
        while (jobs() or victims("tui_attn.", folder)) and time.monotonic() < deadline:
            time.sleep(0.5)
        wrong = violations(folder, expected)
        wrong += [f"left in the queue: {left}"] if (left := jobs()) else []
        wrong += [f"processes left: {' '.join(each.cmdline())}" for each in victims("tui_attn.", folder)]
        good = good and not wrong
        took = time.monotonic() - began
        print(f"| {kind}{note} | {done} | {'; '.join(wrong) or 'nothing'} | {took:.0f} s", flush=True)
    return good


def parser(description: str | None, kinds: Kinds[C], kills: int) -> argparse.ArgumentParser:
    """The options that both campaigns have."""
    found = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    found.add_argument("--kinds", default=",".join(kinds))
    found.add_argument("--kills", type=int, default=kills)
    found.add_argument("--scratch", type=Path)
    return found


@contextmanager
def scratch_folder(prefix: str, inside: Path | None) -> Iterator[Path]:
    """A folder that is removed at the end, but kept after an exception, `SystemExit` among them."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that the cluster ends as well
    made = Path(tempfile.mkdtemp(prefix=prefix, dir=inside))
    yield made
    shutil.rmtree(made, ignore_errors=True)
