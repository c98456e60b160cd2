"""What another host sees: `python -m tui_attn.engines.node_check FOLDER WORD [DATA...]` prints it as JSON there.

The asking host has just written WORD into the file `word` in FOLDER, and holds the lock `lock` in it.
"""

from __future__ import annotations

import contextlib
import json
import os
import shlex
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from tui_attn.experiment.engine_spec import SSH, EngineSpec
from tui_attn.system import children, liveness, machine

PATIENCE = 90.0
"""Seconds for a node to answer."""
SKEW = 5.0
"""Seconds by which its clock may differ before it is told."""


@dataclass(frozen=True, slots=True)
class NodeReport:
    """What a host answered; `problem` where it didn't."""

    host: str
    problem: str | None = None
    time: float = 0.0
    """By its clock."""
    sees_folder: bool = False
    sees_lock: bool = False
    missing_data: Sequence[str] = ()
    torch: str | None = None
    skew: float = 0.0
    """Seconds by which its clock is ahead, to within the time that the answer took."""


def ask(front: Sequence[str], name: str, runs_dir: Path, data: Sequence[Path], *, shell: bool) -> Iterator[NodeReport]:
    """Have the program `front` run the check on other hosts, together `name` here. `shell`: it joins words for one."""
    with tempfile.TemporaryDirectory(prefix=".doctor-", dir=runs_dir) as made:
        folder, word = Path(made).resolve(), os.urandom(8).hex()
        (folder / "word").write_text(word)
        lock = liveness.Lock(folder / "lock")
        check = [sys.executable, "-P", "-m", __name__, str(folder), word, *map(str, data)]
        before = time.time()
        try:
            command = [*front, shlex.join(check)] if shell else [*front, *check]
            done = children.run(*command, seconds=PATIENCE)
            answers = [json.loads(line) for line in done.stdout.splitlines() if line.startswith('{"host"')]
            said = done.stderr.strip().splitlines()
        except subprocess.TimeoutExpired:
            answers, said = [], [f"no answer within {PATIENCE:.0f} s: it may be busy, try again later"]
        except (OSError, ValueError) as error:
            answers, said = [], [str(error)]
        finally:
            lock.release()
        if not answers:
            yield NodeReport(name, said[-1][:200] if said else "it said nothing")
        for told in answers:
            yield _report(told, before)


def _report(told: dict[str, Any], before: float) -> NodeReport:
    found = NodeReport(**told)
    late, early = found.time - time.time(), found.time - before
    return found if found.problem else replace(found, skew=late if late > 0 else min(early, 0.0))


def fronts(spec: EngineSpec) -> list[tuple[str, list[str], bool]]:
    """For each host to ask, or one for a scheduler: a name, the program that runs a command there, and `shell`."""
    if spec.engine == "ssh":
        return [(host, [*SSH, host], True) for host in spec.hosts]
    if spec.engine == "ray":
        check = [sys.executable, "-P", "-m", "tui_attn.engines.ray_check", spec.address or ""]
        return [(f"the cluster at {spec.address}" if spec.address else "the cluster", check, False)]
    now = [] if spec.engine == "slurm-alloc" else ["--immediate=60", "--job-name=tui-attn-doctor"]
    return [("a node", ["srun", "--quiet", "--nodes=1", "--ntasks=1", "--chdir=/", *now, *spec.slurm_options], False)]


def look(arguments: Sequence[str]) -> dict[str, Any]:
    """What is seen here."""
    folder, word = Path(arguments[0]), arguments[1]
    seen = False
    with contextlib.suppress(OSError):
        seen = (folder / "word").read_text() == word and os.access(folder, os.W_OK)
    report = NodeReport(
        socket.gethostname(),
        time=time.time(),
        sees_folder=seen,
        sees_lock=liveness.holder(folder / "lock") is not None,
        missing_data=[path for path in arguments[2:] if not Path(path).exists()],
        torch=machine.installed_version("torch"),
    )
    return asdict(report)


if __name__ == "__main__":
    print(json.dumps(look(sys.argv[1:])))  # noqa: T201
