"""What the nodes of a Ray cluster see: `python -m tui_attn.engines.ray_check ADDRESS COMMAND...`, a JSON line a node.

COMMAND is the one of `node_check`; an empty ADDRESS is the usual cluster.
"""

from __future__ import annotations

import importlib
import json
import os
import sys
from collections.abc import Sequence
from typing import Any

from tui_attn.engines import node_check
from tui_attn.engines.ray_relay import ClusterError, join

_WITHIN = 60.0
"""Seconds for the nodes to answer."""


def main(arguments: Sequence[str]) -> int:
    """Ask every node that has CPUs, and print what each sees; on failure say why as the last line."""
    answers = os.dup(1)
    os.dup2(2, 1)  # nothing that a library prints gets between the answers
    try:
        join(arguments[0] or None)
    except ClusterError as error:
        print(error, file=sys.stderr)  # noqa: T201
        return 1
    ray: Any = importlib.import_module("ray")
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    remote: Any = ray.remote
    look = remote(num_cpus=0, max_retries=0)(node_check.look)
    words = list(arguments[arguments.index(node_check.__name__) + 1 :])
    nodes = [node for node in ray.nodes() if node["Alive"] and node["Resources"].get("CPU")]
    asked = {}
    for node in nodes:
        strategy = NodeAffinitySchedulingStrategy(node_id=node["NodeID"], soft=False)
        asked[look.options(scheduling_strategy=strategy).remote(words)] = node["NodeManagerHostname"]
    ray.wait(list(asked), num_returns=len(asked), timeout=_WITHIN) if asked else None
    for answer, host in asked.items():
        try:
            told = ray.get(answer, timeout=0.1)
        except Exception as error:  # what happened there, such as a missing package
            why = (str(error).strip().splitlines() or ["it did not answer"])[-1]
            told = {"host": host, "problem": why[:200]}
        os.write(answers, json.dumps(told).encode() + b"\n")
    if not asked:
        print("no node of the cluster has CPUs", file=sys.stderr)  # noqa: T201
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
