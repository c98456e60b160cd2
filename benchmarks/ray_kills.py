"""Kills parts of a real Ray cluster under an experiment, and compares the result with one that was left alone.

    python -m benchmarks.ray_kills [--kinds node,worker,...] [--kills 3] [--nodes shared,hidden] [--scratch DIR]

Needs the extras `test` and `ray`. A cluster with a head and a node comes up on this machine (see tests/ray_cluster.py).
For each kind of kill one experiment trains while it is hit again and again, each time after every run that is open got
on. With `hidden`, as root, the node doesn't see the experiment's folder. Its weights, losses and accuracies must be
those of an undisturbed local run, each step in the log once, no process left.
"""

from __future__ import annotations

import os
import random
import sys
import time
from collections.abc import Callable

from benchmarks.engine_lab import WORKER, Kinds, Lab, kill_supervisor, parser, scratch_folder, torment, victims
from tests.ray_cluster import Cluster, cluster
from tui_attn.experiment.folders import ExperimentDir

Ray = Lab[Cluster]


def kill_one(mark: str) -> Callable[[Ray, ExperimentDir], None]:
    def kill(lab: Ray, folder: ExperimentDir) -> None:
        random.choice(victims(mark, folder)).kill()

    return kill


def kill_node(lab: Ray, folder: ExperimentDir) -> None:
    lab.cluster.kill("n1")
    lab.cluster.start("n1")


def kill_head(lab: Ray, folder: ExperimentDir) -> None:
    """The nodes of a dead head are lost: all is started again, and nothing is done with the experiment."""
    lab.cluster.kill("head")
    time.sleep(random.uniform(0, 20))
    lab.cluster.kill("n1")
    lab.cluster.start("head")
    lab.cluster.start("n1")


KINDS: Kinds[Cluster] = {
    "worker": kill_one(WORKER),
    "node": kill_node,
    "supervisor": kill_supervisor,
    "head": kill_head,
    "actor": kill_one("ray::Runner"),
    "relay": kill_one("tui_attn.engines.ray_relay"),
}


def main() -> int:
    arguments = parser(__doc__, KINDS, kills=3)
    arguments.add_argument("--nodes", default="shared,hidden" if os.getuid() == 0 else "shared")
    given = arguments.parse_args()
    good = True
    with scratch_folder("ray-", given.scratch) as scratch:
        (scratch / "runs").mkdir()
        print("| killed | times | lost |\n| --- | --- | --- |", flush=True)
        for nodes in given.nodes.split(","):
            with cluster(scratch / nodes[0], hidden=scratch / "runs" if nodes == "hidden" else None) as ray:
                lab = Lab(ray, f"ray:{ray.address}", scratch, 20 * given.kills)
                good = torment(lab, KINDS, given, note=f", folder {nodes}") and good
        if not good:
            raise SystemExit(1)
    return 0


if __name__ == "__main__":
    sys.exit(main())
