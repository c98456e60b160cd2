"""An event file that grows with its run's log, and is never written twice.

The content of the file is determined by the log alone, so an existing file tells how far it got: what it holds is
compared with what it should hold, and the rest is appended. That also completes a record that a full disk or a killed
process cut in half.
"""

from __future__ import annotations

import os
from pathlib import Path

from tui_attn.system.files import write_atomically
from tui_attn.system.plain_file import open_to_read, open_to_write

NAME = "events.out.tfevents.tui-attn"
"""One for each run; TensorBoard knows its files by the word in the middle."""


class EventFile:
    """Appends to the file at `path`, with mode 0600. After an `OSError`, the next `flush` writes what is missing."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._size: int | None = None
        """Of the file after the last write; None before the first."""
        self._pending = bytearray()

    @property
    def behind(self) -> bool:
        """Whether there is data to write."""
        return bool(self._pending)

    def add(self, data: bytes) -> None:
        """Add `data` to what the next `flush` writes; before the first one, from the start of the log."""
        self._pending += data

    def flush(self) -> bool:
        """Write pending data. False, with nothing written, if the file has changed since the last write: start over."""
        if self._size is None:
            self._take_up()
        elif self._size != _size(self._path):
            return False
        if self._pending:
            self._append()
        return True

    def _take_up(self) -> None:
        """Skip what an existing file holds already; replace a file with other content."""
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
    """The content of the file; empty if it is missing. Raises `OSError`, also for anything but a regular file."""
    try:
        fd = open_to_read(path)
    except FileNotFoundError:
        return b""
    with os.fdopen(fd, "rb") as file:
        return file.read()
