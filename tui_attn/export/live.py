"""The process that keeps event files up to date while an experiment trains: `python -m tui_attn.export.live FOLDER ID`.

The supervisor starts it. When its stdin is closed, it writes what is left and exits. It only reads the logs, so it
never affects training; if it dies, another one continues.
"""

from __future__ import annotations

import contextlib
import os
import select
import sys
from pathlib import Path

from tui_attn.experiment.folders import ExperimentDir
from tui_attn.experiment.manifest import RunsError
from tui_attn.export.tensorboard import LOCK, TensorBoardExport, require_tensorboard
from tui_attn.supervision.exporter import BUSY, CANNOT_WORK
from tui_attn.system.liveness import Lock

INTERVAL = 1.0
"""Seconds between two reads of the logs; TensorBoard itself reloads every few seconds."""
NICE = 10
"""Its nice value: workers have 5."""


def main(arguments: list[str]) -> int:
    """Follow the logs until stdin ends; see `tui_attn.supervision.exporter` for the exit codes."""
    os.umask(0o077)
    with contextlib.suppress(OSError):
        os.nice(NICE)
    try:
        require_tensorboard()
        folder = ExperimentDir(Path(arguments[0]), name=arguments[1])
        lock = Lock(folder.path / LOCK)
        return _follow(TensorBoardExport(folder), lock)
    except BlockingIOError:
        return BUSY
    except (OSError, RunsError) as error:
        print(error, file=sys.stderr)  # noqa: T201
        return CANNOT_WORK


def _follow(export: TensorBoardExport, lock: Lock) -> int:
    over = False
    while not over:
        over = bool(select.select([sys.stdin], [], [], INTERVAL)[0])
        export.catch_up()
    for run, error in export.problems.items():
        print(f"{run}: {error}", file=sys.stderr)  # noqa: T201
    lock.release()
    return CANNOT_WORK if export.problems else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
