"""Kills parts of a SLURM cluster and of the program while it trains, and checks that nothing is lost.

    python -m benchmarks.slurm_matrix [--kinds worker,node,...] [--kills 6] [--unlocked] [--scratch DIR]

A cluster of three nodes comes up on this machine (see tests/slurm_cluster.py). For each kind of kill one experiment
trains through repeated kills, each after all open runs have made progress. Its weights, losses and
accuracies must be those of an undisturbed local run, each step in the log once, no job left, no process left.
"""

from __future__ import annotations

import contextlib
import os
import random
import signal
import sys
import threading
import time
from pathlib import Path

from benchmarks.engine_lab import (
    WORKER,
    Kinds,
    Lab,
    key_seconds,
    kill_supervisor,
    parser,
    scratch_folder,
    torment,
    until_over,
    victims,
)
from tests.slurm_cluster import Cluster, cluster, missing
from tests.ui.terminal import opened
from tui_attn.experiment.folders import ExperimentDir
from tui_attn.experiment.follower import read_state
from tui_attn.experiment.ownership import supervisor_alive
from tui_attn.system import liveness

Slurm = Lab[Cluster]


def kill_worker(lab: Slurm, folder: ExperimentDir) -> None:
    random.choice(victims(WORKER, folder)).kill()


def node_of(lab: Slurm) -> str:
    nodes = lab.cluster.run("squeue", "--noheader", "-t", "R", "-o", "%N").split()
    return random.choice(nodes)


def kill_node(lab: Slurm, folder: ExperimentDir) -> None:
    node = node_of(lab)
    lab.cluster.kill_node(node, jobs=True)
    time.sleep(8)
    lab.cluster.start(node)


def kill_slurmd(lab: Slurm, folder: ExperimentDir) -> None:
    node = node_of(lab)
    lab.cluster.kill_node(node, jobs=False)
    time.sleep(10)  # the node counts as down, its job is queued again and the old process trains on
    lab.cluster.start(node)


def kill_slurmctld(lab: Slurm, folder: ExperimentDir) -> None:
    lab.cluster.daemons["slurmctld"].kill()
    lab.cluster.daemons["slurmctld"].wait()
    time.sleep(20)
    lab.cluster.start("slurmctld")
    time.sleep(2)


def freeze_slurmctld(lab: Slurm, folder: ExperimentDir) -> None:
    """For 20 s, or until all runs are over. The supervisor must go on beating, and the dashboard answering keys."""
    slurmctld, answers = lab.cluster.daemons["slurmctld"], []
    with opened(folder, environment=lab.environment) as dashboard, Pulse(folder) as pulse:
        dashboard.until("base-s0")
        slurmctld.send_signal(signal.SIGSTOP)
        began = time.monotonic()
        try:
            for seconds in key_seconds(dashboard):
                answers.append(seconds)
                if time.monotonic() - began > 20 or not supervisor_alive(folder):
                    break
                dashboard.settle(0.3)
        finally:
            slurmctld.send_signal(signal.SIGCONT)
    told = f"  {len(answers)} keys answered within {max(answers):.1f} s, supervisor silent {pulse.silence:.1f} s"
    print(f"{told} at most, in {time.monotonic() - began:.0f} s", flush=True)
    assert pulse.silence < 5, f"the supervisor froze with slurmctld, in {pulse.where}"


class Pulse:
    """Watches a supervisor's heartbeat, in a thread of its own."""

    def __init__(self, folder: ExperimentDir) -> None:
        self.silence = 0.0
        """The longest, in seconds."""
        self.where = ""
        """Where the kernel had the supervisor when it was silent longest."""
        self._folder, self._over = folder, threading.Event()
        self._thread = threading.Thread(target=self._watch)

    def __enter__(self) -> Pulse:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _watch(self) -> None:
        beat, seen = b"", time.monotonic()
        while not self._over.wait(0.1) and (pid := liveness.holder(self._folder.supervisor_lock)):
            now = self._folder.supervisor_lock.read_bytes()
            if now != beat:
                beat, seen = now, time.monotonic()
            silence = time.monotonic() - seen
            if silence > max(self.silence, 2.0):
                with contextlib.suppress(OSError):
                    self.where = " ".join(Path(f"/proc/{pid}/{name}").read_text() for name in ("syscall", "stack"))
            self.silence = max(self.silence, silence)


def shut_slurm_down(lab: Slurm, folder: ExperimentDir) -> None:
    """The supervisor must wait, and `stop` end it. Then SLURM is started again, and `resume` called."""
    bring_down(lab)
    time.sleep(5)
    assert supervisor_alive(folder), "the supervisor ended with SLURM"
    lab.stop(folder)
    until_over(folder, 120)
    assert not supervisor_alive(folder), "stop did not end the supervisor"
    bring_up(lab)
    lab.resume(folder)


def bring_down(lab: Slurm) -> None:
    for name in lab.cluster.parts:
        lab.cluster.kill_node(name, jobs=name.startswith("n"))


def bring_up(lab: Slurm) -> None:
    for name in lab.cluster.parts:
        lab.cluster.start(name)
    time.sleep(3)


def kill_everything(lab: Slurm, folder: ExperimentDir) -> None:
    pid = liveness.holder(folder.supervisor_lock)
    for victim in [pid, *(worker.pid for worker in victims(WORKER, folder))]:
        if victim:
            with contextlib.suppress(ProcessLookupError):
                os.kill(victim, signal.SIGKILL)
    bring_down(lab)
    time.sleep(2)
    bring_up(lab)
    lab.resume(folder)


def a_job(lab: Slurm) -> str:
    return random.choice(lab.cluster.run("squeue", "--noheader", "--array", "-t", "R", "-o", "%i").split())


def requeue(lab: Slurm, folder: ExperimentDir) -> None:
    lab.cluster.run("scontrol", "requeue", a_job(lab))


def preempt(lab: Slurm, folder: ExperimentDir) -> None:
    wrap = ["sbatch", "--partition=urgent", "--nodes=3", "--exclusive", "--chdir=/", "--output=/dev/null"]
    lab.cluster.run(*wrap, "--wrap=sleep 2")


def time_limit(lab: Slurm, folder: ExperimentDir) -> None:
    """As SLURM does some seconds before a job's limit."""
    lab.cluster.run("scancel", "--batch", f"--signal={random.choice(['TERM', 'USR1', 'USR2'])}", a_job(lab))


def scancel(lab: Slurm, folder: ExperimentDir) -> None:
    job = a_job(lab)
    lab.cluster.run("scancel", job)
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
    lab.stop(folder)
    until_over(folder)
    lab.resume(folder)


KINDS: Kinds[Cluster] = {
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
    "shutdown": shut_slurm_down,
}


def main() -> int:
    arguments = parser(__doc__, KINDS, kills=6)
    arguments.add_argument("--epochs", type=int, default=0, help="By default enough for the kills.")
    arguments.add_argument("--unlocked", action="store_true", help="File locks don't reach from host to host.")
    given = arguments.parse_args()
    if missing():
        print(f"SLURM is needed, and missing here: {', '.join(missing())}", file=sys.stderr)
        return 2
    with scratch_folder("slurm-", given.scratch) as scratch:
        with cluster(scratch / "slurm", down_after=5, unlocked=scratch / "runs" if given.unlocked else None) as slurm:
            print("| kill | times | lost |\n| --- | --- | --- |", flush=True)
            lab = Lab(slurm, "slurm:cpus=1", scratch, given.epochs or 3 * given.kills + 2)
            good = torment(lab, KINDS, given, jobs=slurm.jobs)
        if not good:
            raise SystemExit(1)
    return 0


if __name__ == "__main__":
    sys.exit(main())
