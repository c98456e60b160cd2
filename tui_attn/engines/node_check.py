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
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tui_attn.experiment.engine_spec import SLURM_KEYS, EngineSpec
from tui_attn.system import liveness, machine
from tui_attn.system.children import clean_environment

PATIENCE = 90.0
"""Seconds for a node to answer."""
SKEW = 5.0
"""Seconds by which its clock may differ before it is told."""


@dataclass(frozen=True, slots=True)
class NodeReport:
    """What a host answered; `problem` where it didn't."""

    host: str
    problem: str | None = None
    sees_folder: bool = False
    sees_lock: bool = False
    missing_data: tuple[str, ...] = ()
    skew: float = 0.0
    """Seconds by which its clock is ahead, to within the time that the answer took."""
    torch: str | None = None


def ask(front: Sequence[str], name: str, runs_dir: Path, data: Sequence[Path], *, shell: bool) -> NodeReport:
    """Have the program `front` run the check on another host, which is `name` here. `shell`: it joins words for one."""
    with tempfile.TemporaryDirectory(prefix=".doctor-", dir=runs_dir) as made:
        folder, word = Path(made).resolve(), os.urandom(8).hex()
        (folder / "word").write_text(word)
        lock = liveness.Lock(folder / "lock")
        check = [sys.executable, "-P", "-m", __name__, str(folder), word, *map(str, data)]
        before = time.time()
        try:
            done = subprocess.run(
                [*front, shlex.join(check)] if shell else [*front, *check],
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                timeout=PATIENCE,
                env=clean_environment(),
                cwd="/",
                check=False,
            )
            told = json.loads((done.stdout.strip().splitlines() or [""])[-1])
        except subprocess.TimeoutExpired:
            return NodeReport(name, f"no answer within {PATIENCE:.0f} s: it may be busy, try again later")
        except (OSError, ValueError) as error:
            said = done.stderr.strip().splitlines() if isinstance(error, ValueError) else [str(error)]
            return NodeReport(name, said[-1][:200] if said else "it said nothing")
        finally:
            lock.release()
        late, early = told["time"] - time.time(), told["time"] - before
        skew = late if late > 0 else min(early, 0.0)
        return NodeReport(told["host"], None, told["folder"], told["lock"], tuple(told["missing"]), skew, told["torch"])


def fronts(spec: EngineSpec) -> list[tuple[str, list[str], bool]]:
    """For each host to ask, or one for a scheduler: a name, the program that runs a command there, and `shell`."""
    if spec.engine == "ssh":
        ssh = ["ssh", "-T", "-o", "BatchMode=yes", "-o", "ConnectTimeout=10"]
        return [(host, [*ssh, host], True) for host in spec.hosts]
    options = [f"--{SLURM_KEYS[key][0]}={value}" for key, value in spec.slurm.items() if SLURM_KEYS[key][0]]
    now = [] if spec.engine == "slurm-alloc" else ["--immediate=60", "--job-name=tui-attn-doctor"]
    return [("a node", ["srun", "--quiet", "--nodes=1", "--ntasks=1", "--chdir=/", *now, *options], False)]


def main(arguments: Sequence[str]) -> int:
    """Look, and print what is seen."""
    folder, word = Path(arguments[0]), arguments[1]
    seen = False
    with contextlib.suppress(OSError):
        seen = (folder / "word").read_text() == word and os.access(folder, os.W_OK)
    found = {
        "host": socket.gethostname(),
        "time": time.time(),
        "folder": seen,
        "lock": liveness.holder(folder / "lock") is not None,
        "missing": [path for path in arguments[2:] if not Path(path).exists()],
        "torch": machine.installed_version("torch"),
    }
    print(json.dumps(found))  # noqa: T201
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
