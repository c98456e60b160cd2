"""The state of an experiment from its small files and the ends of its runs' logs, for lists of many experiments.

The follower reads every line of every log, which takes too long for a thousand experiments. Here the same reducer gets
only the first event of each run, and the events from the last evaluated epoch on.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from pathlib import Path

from tui_attn.experiment import events
from tui_attn.experiment.event_log import MISSING
from tui_attn.experiment.events import Event
from tui_attn.experiment.folders import ExperimentDir
from tui_attn.experiment.reducer import ExperimentState
from tui_attn.system.plain_file import open_to_read
from tui_attn.system.text import safe_text

_CANT_READ = "can't be read: "
_HEAD = 1 << 13
_TAIL = 1 << 13
_MOST = 1 << 20
"""Maximum bytes read from the end of a run's log."""
_MOST_OWN = 1 << 26
"""Maximum bytes read of an experiment's own log."""
_EPOCH = b'"type":"epoch"'
_STARTED = re.compile(rb'"type":"started"')
_LAST = re.compile(rb'"type":"(?:epoch|started|resumed|ended)"')
_FINISHED = b'"type":"experiment_finished"'
_OF_THE_ENDED = re.compile(rb'"type":"(?:experiment_started|run_queued|run_ended|extended|experiment_finished)"')
"""The relevant events in the log of an ended experiment."""
_ANY = re.compile(rb'"type":"')


def summarise_tail(folder: ExperimentDir) -> tuple[ExperimentState, tuple[str, ...]]:
    """The state of an experiment with only the last epochs of its runs, and problems of its logs, safe to show.

    Never raises, whatever the logs contain.
    """
    found = ExperimentState(folder.id)
    own, _, _, why = _read(folder.events, _MOST_OWN, 0)
    problems = {folder.events.name: why if why != _CANT_READ + MISSING or folder.supervisor.exists() else ""}
    lines = own.split(b"\n")[:-1]
    problems[folder.events.name] = problems[folder.events.name] or _damage(lines)
    ended = bool(lines) and _FINISHED in lines[-1]
    log = _decoded(lines, _OF_THE_ENDED if ended else _ANY)
    last = [log.pop()] if log and log[-1].type == "experiment_finished" else []
    for event in log:
        found.apply(event)
    for id_, run in found.runs.items():
        place = folder.run(id_)
        if place.path.is_symlink():
            problems[f"{id_}/{place.events.name}"] = "its folder is a symbolic link, which is not followed"
            continue
        events_, why = _ends(place.events)
        begun = run.attempt > 0 and run.state != "queued"
        problems[f"{id_}/{place.events.name}"] = why if why != _CANT_READ + MISSING or begun else ""
        for event in events_:
            found.apply_run(id_, event)
    for event in last:
        found.apply(event)
    described = [safe_text(f"{name} {why}", one_line=True) for name, why in problems.items() if why]
    return found, tuple(described)


def _ends(path: Path) -> tuple[list[Event], str]:
    """The first and last relevant events of a run's log, and why it can't be read, if so."""
    size = _TAIL
    head, tail, whole, why = _read(path, _HEAD, size)
    first = _decoded(head.split(b"\n", 8)[:-1], _STARTED)[:1]
    while True:
        start = _line_of_last(tail, _EPOCH)
        lines = tail[start:].split(b"\n")[0 if whole or start else 1 : -1]  # a tail begins in the middle of a line
        last = _decoded(lines, _LAST)
        if whole or size >= _MOST or any(event.type == "epoch" for event in last):
            break
        size *= 8
        _, tail, whole, why = _read(path, _HEAD, size)
    begun = first[0].seq if first else -1
    return first + [event for event in last if event.seq != begun], why or _damage([*head.split(b"\n", 8)[:-1], *lines])


def _damage(lines: Iterable[bytes]) -> str:
    return "" if all(map(events.is_intact, lines)) else "has damaged lines, which were passed over"


def _line_of_last(data: bytes, mark: bytes) -> int:
    """The index at which the last line with `mark` begins; 0 without one."""
    return data.rfind(b"\n", 0, max(data.rfind(mark), 0)) + 1


def _decoded(lines: Iterable[bytes], kinds: re.Pattern[bytes]) -> list[Event]:
    """The events of these kinds; damaged lines are skipped."""
    return [event for event in map(events.decode, filter(kinds.search, lines)) if event is not None]


def _read(path: Path, head: int, tail: int) -> tuple[bytes, bytes, bool, str]:
    """The first `head` and last `tail` bytes of a file, whether these are the whole file, and why it can't be read.

    For a file that is not longer than both, each is the whole file; for an unreadable one, both are empty.
    """
    try:
        with os.fdopen(fd := open_to_read(path), "rb", buffering=0):
            size = os.fstat(fd).st_size
            if size <= head + tail:  # most logs: opening a file takes longer than reading it
                found = os.pread(fd, size, 0)
                return found, found, True, ""
            return os.pread(fd, head, 0), os.pread(fd, tail, size - tail), False, ""
    except OSError as error:
        why = MISSING if isinstance(error, FileNotFoundError) else error.strerror or type(error).__name__
        return b"", b"", True, _CANT_READ + why
