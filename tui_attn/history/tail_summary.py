"""What an experiment came to, from its small files and the ends of its runs' logs: for lists of many experiments.

`follow` reads every line of every log; a list of a thousand experiments can't wait for that. The state that comes out
here is the same fold over fewer events: of each run the first, which says what it is, and those from its last
evaluated epoch on.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from pathlib import Path

from tui_attn.experiment import events
from tui_attn.experiment.events import Event
from tui_attn.experiment.folders import ExperimentDir
from tui_attn.experiment.reducer import ExperimentState
from tui_attn.system.plain_file import open_to_read

_HEAD = 1 << 13
_TAIL = 1 << 13
_MOST = 1 << 20
"""Bytes: more of the end of a run's log isn't read."""
_MOST_OWN = 1 << 26
"""Bytes of an experiment's own log."""
_EPOCH = b'"type":"epoch"'
_STARTED = re.compile(rb'"type":"started"')
_LAST = re.compile(rb'"type":"(?:epoch|started|resumed|ended)"')
_FINISHED = b'"type":"experiment_finished"'
_OF_THE_ENDED = re.compile(rb'"type":"(?:experiment_started|run_queued|run_ended|experiment_finished)"')
"""What counts in the log of an experiment that has ended."""
_ANY = re.compile(rb'"type":"')


def skim(folder: ExperimentDir) -> ExperimentState:
    """The state of the experiment in `folder`; its runs know of their last epochs only, and nothing of their curves.

    Never raises on what it reads.
    """
    found = ExperimentState(folder.id)
    lines = _read(folder.events, _MOST_OWN, 0)[0].split(b"\n")[:-1]
    ended = bool(lines) and _FINISHED in lines[-1]
    log = _decoded(lines, _OF_THE_ENDED if ended else _ANY)
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
    size = _TAIL
    head, tail, whole = _read(path, _HEAD, size)
    first = _decoded(head.split(b"\n", 8)[:-1], _STARTED)[:1]
    while True:
        last = _decoded(tail[_line_of_last(tail, _EPOCH) :].split(b"\n")[:-1], _LAST)
        if whole or size >= _MOST or any(event.type == "epoch" for event in last):
            break
        size *= 8
        _, tail, whole = _read(path, _HEAD, size)
    begun = first[0].seq if first else -1
    return first + [event for event in last if event.seq != begun]


def _line_of_last(data: bytes, mark: bytes) -> int:
    """Where the last line with `mark` begins; 0 without one."""
    return data.rfind(b"\n", 0, max(data.rfind(mark), 0)) + 1


def _decoded(lines: Iterable[bytes], kinds: re.Pattern[bytes]) -> list[Event]:
    """The events of the lines that are of these kinds, damaged ones passed over."""
    return [event for event in map(events.decode, filter(kinds.search, lines)) if event is not None]


def _read(path: Path, head: int, tail: int) -> tuple[bytes, bytes, bool]:
    """So many bytes of the beginning and of the end of the file at `path`, and whether both are the whole file.

    They are where they would meet; and they are empty where it can't be read.
    """
    try:
        fd = open_to_read(path)
    except OSError:
        return b"", b"", True
    try:
        status = os.fstat(fd)
        if status.st_size <= head + tail:  # with most logs: opening a file takes longer than reading it
            found = os.pread(fd, status.st_size, 0)
            return found, found, True
        return os.pread(fd, head, 0), os.pread(fd, tail, status.st_size - tail), False
    except OSError:
        return b"", b"", True
    finally:
        os.close(fd)
