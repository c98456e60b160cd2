"""The mailbox of a worker that no pipe can hold: a folder `workers/<token>/` of the experiment.

| file | written by |
| --- | --- |
| `inbox.jsonl` | the supervisor: commands, as a pipe has them. A file that is gone is the end of the pipe. |
| `job.json` | the supervisor: which job it is |
| `job.sh` | the supervisor: what the scheduler was given |
| `begun`, `exit` | the worker: which start of the job it is, and on which host; how that start ended |
| `out.log` | what the worker printed before it opened a run |

A job that is queued again reads its inbox from the start, so it goes on by itself.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from tui_attn.experiment.folders import ExperimentDir
from tui_attn.system.files import read_json, write_atomically
from tui_attn.system.plain_file import open_to_write, read_part

FOLDER = "workers"
_NAME = re.compile(r"[0-9a-f]{12}")
_MOST = 1 << 20
"""Bytes of an inbox that are read."""
_ABOUT_A_RUN = frozenset({"train", "stop", "skip", "suspend", "forget"})


class JobNote(NamedTuple):
    """Which job a worker is."""

    job: str
    """Its id in the scheduler."""
    name: str
    device: str


class Mailbox:
    """The files of one mailbox."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.inbox, self.script, self.output = path / "inbox.jsonl", path / "job.sh", path / "out.log"

    @property
    def token(self) -> int:
        """The worker's token."""
        return int(self.path.name, 16)

    # ---- the supervisor's side

    @classmethod
    def make(cls, folder: ExperimentDir, token: int) -> Mailbox:
        """Create an empty mailbox. Raises `OSError`."""
        path = folder.path / FOLDER
        path.mkdir(mode=0o700, exist_ok=True)
        if path.is_symlink():
            raise OSError(f"{FOLDER} is a symbolic link, which is not followed")
        found = cls(path / f"{token:012x}")
        found.path.mkdir(mode=0o700)
        os.close(open_to_write(found.inbox))
        return found

    def send(self, do: str, run: str | None) -> None:
        """Append a command. Raises `OSError`."""
        with os.fdopen(open_to_write(self.inbox, os.O_APPEND, create=False), "wb", buffering=0) as file:
            file.write(json.dumps({"do": do, "run": run}).encode() + b"\n")  # closing it shows it to other hosts

    def note_job(self, note: JobNote) -> None:
        """Keep which job it is, for another supervisor. Raises `OSError`."""
        self._note("job.json", {"engine": "slurm", **note._asdict()}, sync=False)

    def job(self) -> JobNote | None:
        """What `note_job` kept; None where that can't be read."""
        told = read_json(self.path / "job.json") or {}
        job, name, device = (told.get(key) for key in JobNote._fields)
        if not isinstance(job, str) or not isinstance(name, str) or not job.replace("_", "").isdecimal():
            return None
        return JobNote(job, name, str(device))

    def begun(self) -> tuple[int, str] | None:
        """Which start of its job the worker is, from 0, and on which host; None before the first."""
        found = read_json(self.path / "begun") or {}
        start, host = found.get("start"), found.get("host")
        return (start, host) if type(start) is int and isinstance(host, str) else None

    def ended(self) -> tuple[int, int] | None:
        """The exit code of the worker that ended last, and which start it was."""
        found = read_json(self.path / "exit") or {}
        code, start = found.get("code"), found.get("start")
        return (code, start) if type(code) is int and type(start) is int else None

    def close(self) -> None:
        """Let go of the worker: it checkpoints what it holds and ends."""
        with contextlib.suppress(OSError):
            self.inbox.unlink()

    # ---- the worker's side

    def note_begin(self, start: int, host: str) -> None:
        """Say which start of the job this process is. Raises `OSError`."""
        with contextlib.suppress(FileNotFoundError):
            (self.path / "exit").unlink()
        self._note("begun", {"start": start, "host": host})

    def note_end(self, start: int, code: int) -> None:
        """Say how this process ends, unless a later start of its job has begun. Raises `OSError`."""
        begun = self.begun()
        if begun is None or begun[0] <= start:
            self._note("exit", {"start": start, "code": code})

    def _note(self, name: str, what: dict[str, Any], *, sync: bool = True) -> None:
        write_atomically(self.path / name, json.dumps(what).encode() + b"\n", sync=sync)

    def read(self, offset: int) -> bytes:
        """What was appended to the inbox since `offset`. Raises `OSError`, `FileNotFoundError` when let go of."""
        return read_part(self.inbox, _MOST, offset)


def mailboxes(folder: ExperimentDir) -> Iterator[Mailbox]:
    """The mailboxes of workers that were not let go of; links are not followed."""
    base = folder.path / FOLDER
    if base.is_symlink() or not base.is_dir():
        return
    for path in sorted(base.iterdir()):
        if _NAME.fullmatch(path.name) and not path.is_symlink() and Mailbox(path).inbox.is_file():
            yield Mailbox(path)


def open_runs(inbox: bytes) -> list[str]:
    """The runs that the commands of an inbox leave in a worker's hands, in their order."""
    last: dict[str, str] = {}
    for line in inbox.splitlines():
        try:
            data = json.loads(line)
            do, run = data["do"], data["run"]
        except (ValueError, KeyError, TypeError):
            continue
        if isinstance(run, str) and do in _ABOUT_A_RUN:
            last.pop(run, None)
            last[run] = do
    return [run for run, do in last.items() if do == "train"]
