"""Kills parts of a real Ray cluster under an experiment, and compares the result with one that was left alone.

    python -m benchmarks.ray_kills [--kinds node,worker,...] [--kills 3] [--nodes shared,hidden] [--scratch DIR]

Needs the extras `test` and `ray`. A cluster with a head and a node comes up on this machine (see tests/ray_cluster.py).
For each kind of kill one experiment trains while it is hit again and again, each time after every run that is open got
on. With `hidden`, as root, the node doesn't see the experiment's folder. Its weights, losses and accuracies must be
those of an undisturbed local run, each step in the log once, no process left.
"""

from __future__ import annotations

import argparse
import os
import random
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import psutil

from benchmarks.slurm_matrix import SECONDS, WORKER, Lab, until_over, victims
from tests.ray_cluster import Cluster, cluster
from tests.reliability.invariants import Reference, reference, violations
from tui_attn.experiment.folders import ExperimentDir
from tui_attn.experiment.ownership import supervisor_alive
from tui_attn.system import liveness


def kill_one(mark: str) -> Callable[[Lab, Cluster, ExperimentDir], None]:
    def kill(lab: Lab, ray: Cluster, folder: ExperimentDir) -> None:
        random.choice(victims(mark, folder)).kill()

    return kill


def kill_node(lab: Lab, ray: Cluster, folder: ExperimentDir) -> None:
    ray.kill("n1")
    ray.start("n1")


def kill_head(lab: Lab, ray: Cluster, folder: ExperimentDir) -> None:
    """The nodes of a dead head are lost: all is started again, and nothing is done with the experiment."""
    ray.kill("head")
    time.sleep(random.uniform(0, 20))
    ray.kill("n1")
    ray.start("head")
    ray.start("n1")


def kill_supervisor(lab: Lab, ray: Cluster, folder: ExperimentDir) -> None:
    pid = liveness.holder(folder.supervisor_lock)
    assert pid
    os.kill(pid, signal.SIGKILL)
    while supervisor_alive(folder):
        time.sleep(0.1)
    lab.resume(folder)


KINDS: dict[str, Callable[[Lab, Cluster, ExperimentDir], None]] = {
    "worker": kill_one(WORKER),
    "node": kill_node,
    "supervisor": kill_supervisor,
    "head": kill_head,
    "actor": kill_one("ray::Runner"),
    "relay": kill_one("tui_attn.engines.ray_relay"),
}


def torment(lab: Lab, ray: Cluster, kind: str, kills: int, expected: dict[str, Reference]) -> tuple[int, list[str]]:
    """How often one experiment was hit, and what was wrong with it afterwards."""
    folder = lab.start(f"ray:{ray.address}")
    done = 0
    while done < kills and lab.get_on(folder):
        try:
            KINDS[kind](lab, ray, folder)
        except (IndexError, psutil.NoSuchProcess):  # its workers ended in this moment
            continue
        done += 1
    until_over(folder, SECONDS)
    deadline = time.monotonic() + 90
    while (victims("tui_attn.", folder)) and time.monotonic() < deadline:
        time.sleep(0.5)
    left = [process.pid for process in victims("tui_attn.", folder)]
    return done, violations(folder, expected) + ([f"processes left: {left}"] if left else [])


def main() -> int:
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that the cluster ends as well
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kinds", default=",".join(KINDS))
    parser.add_argument("--kills", type=int, default=3)
    parser.add_argument("--nodes", default="shared,hidden" if os.getuid() == 0 else "shared")
    parser.add_argument("--port", type=int, default=26_400)
    parser.add_argument("--scratch", type=Path)
    given = parser.parse_args()
    scratch = Path(tempfile.mkdtemp(prefix="ray-", dir=given.scratch))
    (scratch / "runs").mkdir()
    failed, over = False, False
    print("| killed | folder | times | lost |\n| --- | --- | --- | --- |", flush=True)
    try:
        for number, nodes in enumerate(given.nodes.split(",")):
            hidden = scratch / "runs" if nodes == "hidden" else None
            with cluster(scratch / str(number), port=given.port + number, hidden=hidden) as ray:
                lab = Lab(ray, scratch, 20 * given.kills)
                undisturbed = lab.start("local")
                until_over(undisturbed, SECONDS)
                expected = reference(undisturbed)
                for kind in given.kinds.split(","):
                    began = time.monotonic()
                    done, wrong = torment(lab, ray, kind, given.kills, expected)
                    failed = failed or bool(wrong)
                    took = time.monotonic() - began
                    print(f"| {kind} | {nodes} | {done} | {'; '.join(wrong) or 'nothing'} | {took:.0f} s", flush=True)
        over = True
    finally:
        if over and not failed:
            shutil.rmtree(scratch, ignore_errors=True)
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
