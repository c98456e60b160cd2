"""An event file that grows with its run's log, and is never written twice.

What belongs into the file follows from the log alone, so the file itself tells how far it got: when it is taken up
again, what is there is compared with what should be, and the rest is appended. A record that a full disk or a killed
process cut in half is completed that way too.
"""

from __future__ import annotations

import os
from pathlib import Path

from tui_attn.system.files import write_atomically
from tui_attn.system.plain_file import open_to_read, open_to_write

NAME = "events.out.tfevents.tui-attn"
"""One for each run; TensorBoard knows its files by the word in the middle."""


class EventFile:
    """Appends to the file at `path`, with mode 0600. Raises `OSError`; what could not be written comes later."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._size: int | None = None
        """Of the file as it was left; None before it was looked at."""
        self._pending = bytearray()

    @property
    def behind(self) -> bool:
        """Whether something waits to be written."""
        return bool(self._pending)

    def add(self, data: bytes) -> None:
        """Let `data` be written next. Before the first `flush` that has to be all that belongs into the file."""
        self._pending += data

    def flush(self) -> bool:
        """Write what waits; False, with nothing written, when the file isn't as it was left: then begin anew."""
        if self._size is None:
            self._take_up()
        elif self._size != _size(self._path):
            return False
        if self._pending:
            self._append()
        return True

    def _take_up(self) -> None:
        """Find out what is missing of a file that may be there; one that holds anything else is replaced."""
        there = _content(self._path)
        if self._pending.startswith(there):
            self._size = len(there)
            del self._pending[: len(there)]
        else:
            write_atomically(self._path, bytes(self._pending), sync=False)
            self._size = len(self._pending)
            self._pending.clear()

    def _append(self) -> None:
        fd = open_to_write(self._path, os.O_APPEND)
        try:
            while self._pending:
                written = os.write(fd, self._pending)
                self._size = (self._size or 0) + written
                del self._pending[:written]
        finally:
            os.close(fd)


def _size(path: Path) -> int:
    try:
        return path.stat(follow_symlinks=False).st_size
    except FileNotFoundError:
        return 0


def _content(path: Path) -> bytes:
    """What is in the file, nothing where there is none. Raises `OSError`, also for a link and for what is no file."""
    try:
        fd = open_to_read(path)
    except FileNotFoundError:
        return b""
    with os.fdopen(fd, "rb") as file:
        return file.read()
