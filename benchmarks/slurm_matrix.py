"""Kills parts of a SLURM cluster, and the program on it, while it trains; says whether anything was lost.

    python -m benchmarks.slurm_matrix [--kinds worker,node,...] [--kills 6] [--unlocked] [--scratch DIR]

A cluster of three nodes comes up on this machine (see tests/slurm_cluster.py). For each kind of kill one experiment
trains while it is hit again and again, each time after every run that is open got on. Its weights, losses and
accuracies must be those of an undisturbed local run, each step in the log once, no job left, no process left.
"""

from __future__ import annotations

import argparse
import contextlib
import itertools
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil

from tests.ray_cluster import Cluster as RayCluster
from tests.reliability.invariants import Reference, reference, violations
from tests.slurm_cluster import Cluster, cluster, missing
from tests.ui.terminal import Terminal, opened
from tui_attn.experiment.finding import experiments
from tui_attn.experiment.folders import ExperimentDir
from tui_attn.experiment.follower import read_state
from tui_attn.experiment.ownership import supervisor_alive
from tui_attn.system import liveness

WHAT = ["--models", "base,se", "--seeds", "1", "--dataset", "synthetic", "--train-limit", "1000", "--test-limit", "100"]
WORKER = "tui_attn.train.worker"
SECONDS = 3000.0
"""For an experiment after its last kill."""


def until_over(folder: ExperimentDir, seconds: float) -> None:
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


class Lab:
    """Starts and watches experiments on a cluster."""

    def __init__(self, on: Cluster | RayCluster, scratch: Path, epochs: int) -> None:
        self.runs, self.epochs = scratch / "runs", epochs
        self.environment = {
            **on.environment,
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

    def start(self, on: str) -> ExperimentDir:
        before = {folder.id for folder in experiments(self.runs)} if self.runs.is_dir() else set()
        what = [*WHAT, "--epochs", str(self.epochs), "--detach", "--runs-dir", str(self.runs)]
        self.tui_attn("--on", on, "--name", self.runs.parent.name, *what)
        return next(folder for folder in experiments(self.runs) if folder.id not in before)

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
        raise AssertionError(f"no progress: {read_state(folder).state.runs}")


def kill_worker(lab: Lab, slurm: Cluster, folder: ExperimentDir) -> None:
    random.choice(victims(WORKER, folder)).kill()


def node_of(slurm: Cluster) -> str:
    nodes = slurm.run("squeue", "--noheader", "-t", "R", "-o", "%N").split()
    return random.choice(nodes)


def kill_node(lab: Lab, slurm: Cluster, folder: ExperimentDir) -> None:
    node = node_of(slurm)
    slurm.kill_node(node, jobs=True)
    time.sleep(8)
    slurm.start(node)


def kill_slurmd(lab: Lab, slurm: Cluster, folder: ExperimentDir) -> None:
    node = node_of(slurm)
    slurm.kill_node(node, jobs=False)
    time.sleep(10)  # the node counts as down, its job is queued again and the old process trains on
    slurm.start(node)


def kill_supervisor(lab: Lab, slurm: Cluster, folder: ExperimentDir) -> None:
    pid = liveness.holder(folder.supervisor_lock)
    assert pid
    os.kill(pid, signal.SIGKILL)
    while supervisor_alive(folder):
        time.sleep(0.1)
    lab.resume(folder)


def kill_slurmctld(lab: Lab, slurm: Cluster, folder: ExperimentDir) -> None:
    slurm.daemons["slurmctld"].kill()
    slurm.daemons["slurmctld"].wait()
    time.sleep(20)
    slurm.start("slurmctld")
    time.sleep(2)


HELP = "type a word to find a key"


def key_seconds(dashboard: Terminal) -> Iterator[float]:
    """How long it takes the dashboard to open its help, to close it, and so on."""
    for opens in itertools.cycle([True, False]):
        pressed = time.monotonic()
        dashboard.press("?" if opens else "\x1b")
        dashboard.until(lambda text, opens=opens: (HELP in text) == opens)  # type: ignore[misc]
        yield time.monotonic() - pressed
        dashboard.settle(0.3)


def freeze_slurmctld(lab: Lab, slurm: Cluster, folder: ExperimentDir) -> None:
    """For 20 s, or until all runs are over. The supervisor must go on beating, and the dashboard answering keys."""
    with opened(folder, environment=lab.environment) as dashboard:
        dashboard.until("base-s0")
        slurm.daemons["slurmctld"].send_signal(signal.SIGSTOP)
        began, beat, seen, answers, silences = time.monotonic(), b"", time.monotonic(), [0.0], [0.0]
        try:
            for seconds in key_seconds(dashboard):
                answers.append(seconds)
                if (now := folder.supervisor_lock.read_bytes()) != beat:
                    beat, seen = now, time.monotonic()
                silences.append(time.monotonic() - seen)
                if time.monotonic() - began > 20 or not supervisor_alive(folder):
                    break
        finally:
            slurm.daemons["slurmctld"].send_signal(signal.SIGCONT)
    told = f"  {len(answers) - 1} keys answered within {max(answers):.1f} s, supervisor silent {max(silences):.1f} s"
    print(f"{told} at most, in {time.monotonic() - began:.0f} s", flush=True)
    assert max(silences) < 5, "the supervisor froze with slurmctld"


def kill_everything(lab: Lab, slurm: Cluster, folder: ExperimentDir) -> None:
    pid = liveness.holder(folder.supervisor_lock)
    for victim in [pid, *(worker.pid for worker in victims(WORKER, folder))]:
        if victim:
            with contextlib.suppress(ProcessLookupError):
                os.kill(victim, signal.SIGKILL)
    for name in list(slurm.daemons):
        if name != "munged":
            slurm.kill_node(name, jobs=name.startswith("n"))
    time.sleep(2)
    for name in list(slurm.daemons):
        if name != "munged":
            slurm.start(name)
    time.sleep(3)
    lab.resume(folder)


def a_job(slurm: Cluster) -> str:
    return random.choice(slurm.run("squeue", "--noheader", "--array", "-t", "R", "-o", "%i").split())


def requeue(lab: Lab, slurm: Cluster, folder: ExperimentDir) -> None:
    slurm.run("scontrol", "requeue", a_job(slurm))


def preempt(lab: Lab, slurm: Cluster, folder: ExperimentDir) -> None:
    wrap = ["sbatch", "--partition=urgent", "--nodes=3", "--exclusive", "--chdir=/", "--output=/dev/null"]
    slurm.run(*wrap, "--wrap=sleep 2")


def time_limit(lab: Lab, slurm: Cluster, folder: ExperimentDir) -> None:
    """As SLURM does some seconds before a job's limit."""
    slurm.run("scancel", "--batch", f"--signal={random.choice(['TERM', 'USR1', 'USR2'])}", a_job(slurm))


def scancel(lab: Lab, slurm: Cluster, folder: ExperimentDir) -> None:
    job = a_job(slurm)
    slurm.run("scancel", job)
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        runs = read_state(folder).state.runs.values()
        stopped = [run for run in runs if run.state == "stopped" and "cancelled in SLURM" in (run.reason or "")]
        if stopped:
            break
        time.sleep(0.2)
    else:
        raise AssertionError(f"scancel of {job} stopped no run")
    # The other runs go on; `resume` is for an experiment that nobody runs.
    lab.tui_attn("stop", folder.id, "--runs-dir", str(lab.runs))
    while supervisor_alive(folder):
        time.sleep(0.2)
    lab.resume(folder)


KINDS: dict[str, Callable[[Lab, Cluster, ExperimentDir], None]] = {
    "worker": kill_worker,
    "requeue": requeue,
    "supervisor": kill_supervisor,
    "node": kill_node,
    "slurmd": kill_slurmd,
    "time-limit": time_limit,
    "scancel": scancel,
    "preemption": preempt,
    "slurmctld": kill_slurmctld,
    "frozen": freeze_slurmctld,
    "everything": kill_everything,
}


def torment(lab: Lab, slurm: Cluster, kind: str, kills: int, expected: dict[str, Reference]) -> tuple[int, list[str]]:
    """How often one experiment was hit, and what was wrong with it afterwards."""
    folder = lab.start("slurm:cpus=1")
    done = 0
    while done < kills and lab.get_on(folder):
        try:
            KINDS[kind](lab, slurm, folder)
        except IndexError:  # its jobs ended in this moment
            continue
        done += 1
    until_over(folder, SECONDS)
    deadline = time.monotonic() + 60
    while ((left := slurm.jobs()) or victims("tui_attn.", folder)) and time.monotonic() < deadline:
        time.sleep(0.5)
    wrong = violations(folder, expected)
    wrong += [f"left in squeue: {left}"] if left else []
    wrong += [f"processes left: {found}"] if (found := victims("tui_attn.", folder)) else []
    return done, wrong


def main() -> int:
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that the cluster ends as well
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kinds", default=",".join(KINDS))
    parser.add_argument("--kills", type=int, default=6)
    parser.add_argument("--epochs", type=int, default=0, help="By default enough for the kills.")
    parser.add_argument("--unlocked", action="store_true", help="File locks don't reach from host to host.")
    parser.add_argument("--scratch", type=Path)
    given = parser.parse_args()
    if missing():
        print(f"SLURM is needed, and missing here: {', '.join(missing())}", file=sys.stderr)
        return 2
    scratch = Path(tempfile.mkdtemp(prefix="slurm-", dir=given.scratch))
    failed, over = False, False
    try:
        with cluster(scratch / "slurm", unlocked=scratch / "runs" if given.unlocked else None) as slurm:
            lab = Lab(slurm, scratch, given.epochs or 3 * given.kills + 2)
            undisturbed = lab.start("local")
            until_over(undisturbed, SECONDS)
            expected = reference(undisturbed)
            print("| kill | times | lost |\n| --- | --- | --- |", flush=True)
            for kind in given.kinds.split(","):
                began = time.monotonic()
                done, wrong = torment(lab, slurm, kind, given.kills, expected)
                failed = failed or bool(wrong)
                took = time.monotonic() - began
                print(f"| {kind} | {done} | {'; '.join(wrong) or 'nothing'} | {took:.0f} s", flush=True)
        over = True
    finally:
        if over and not failed:
            shutil.rmtree(scratch, ignore_errors=True)
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
