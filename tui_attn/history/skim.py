"""What an experiment came to, from its small files and the ends of its runs' logs: for lists of many experiments.

`follow` reads every line of every log; a list of a thousand experiments can't wait for that. The state that comes out
here is the same fold over fewer events: of each run the first, which says what it is, and those from its last
evaluated epoch on.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable
from pathlib import Path

from tui_attn import events
from tui_attn.events import Event
from tui_attn.runs import ExperimentDir
from tui_attn.state import ExperimentState

_HEAD = 1 << 13
_TAIL = 1 << 13
_MOST = 1 << 20
"""Bytes: more of the end of a run's log isn't read."""
_MOST_OWN = 1 << 26
"""Bytes of an experiment's own log."""
_EPOCH = b'"type":"epoch"'
_STARTED = b'"type":"started"'
_LAST = (_EPOCH, _STARTED, b'"type":"resumed"', b'"type":"ended"')
_FINISHED = b'"type":"experiment_finished"'
_OF_THE_ENDED = (b'"type":"experiment_started"', b'"type":"run_queued"', b'"type":"run_ended"', _FINISHED)
"""What counts in the log of an experiment that has ended."""


def skim(folder: ExperimentDir) -> ExperimentState:
    """The state of the experiment in `folder`; its runs know of their last epochs only, and nothing of their curves.

    Never raises on what it reads.
    """
    found = ExperimentState(folder.id)
    lines = _read(folder.events, 0, _MOST_OWN).split(b"\n")[:-1]
    ended = bool(lines) and _FINISHED in lines[-1]
    log = _decoded(lines, _OF_THE_ENDED if ended else (b'"type":"',))
    last = [log.pop()] if log and log[-1].type == "experiment_finished" else []
    for event in log:
        found.apply(event)
    for id_ in found.runs:
        run = folder.run(id_)
        for event in [] if run.path.is_symlink() else _ends(run.events):
            found.apply_run(id_, event)
    for event in last:
        found.apply(event)
    return found


def _ends(path: Path) -> list[Event]:
    """The first and the last events of the log of a run that matter here."""
    head = _read(path, 0, _HEAD)
    first = _decoded(head.split(b"\n", 8)[:-1], (_STARTED,))[:1]
    size = _TAIL
    while True:
        tail, whole = (head, True) if len(head) < _HEAD else (_read(path, -size, size), False)
        last = _decoded(tail[_line_of_last(tail, _EPOCH) :].split(b"\n")[:-1], _LAST)
        if whole or len(tail) < size or size >= _MOST or any(event.type == "epoch" for event in last):
            break
        size *= 8
    begun = first[0].seq if first else -1
    return first + [event for event in last if event.seq != begun]


def _line_of_last(data: bytes, mark: bytes) -> int:
    """Where the last line with `mark` begins; 0 without one."""
    return data.rfind(b"\n", 0, max(data.rfind(mark), 0)) + 1


def _decoded(lines: Iterable[bytes], marks: tuple[bytes, ...]) -> list[Event]:
    """The events of the lines that hold one of `marks`, damaged ones passed over."""
    wanted = (line for line in lines if any(mark in line for mark in marks))
    return [event for event in map(events.decode, wanted) if event is not None]


def _read(path: Path, start: int, size: int) -> bytes:
    """`size` bytes of the file at `path` from `start`, negative: from its end; none where it can't be read."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOFOLLOW)
    except OSError:
        return b""
    try:
        status = os.fstat(fd)
        if not stat.S_ISREG(status.st_mode):
            return b""
        return os.pread(fd, size, start if start >= 0 else max(status.st_size + start, 0))
    except OSError:
        return b""
    finally:
        os.close(fd)
