"""Append-only logs: one writer, any number of readers, whole lines only."""

from __future__ import annotations

import errno
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from tui_attn.experiment import events
from tui_attn.experiment.events import Event
from tui_attn.system.files import exclusive
from tui_attn.system.plain_file import open_to_read, open_to_write

_CHUNK = 1 << 20
MISSING = "it is missing"
"""The problem of a `LogReader` whose log doesn't exist."""
_FARTHEST = 64 * events.MAX_LINE
"""The last line of a log must begin within this many bytes from its end."""
_TRACE = 32
"""Bytes before a reader's position that identify the file; they include a line's checksum."""


class LogWriter:
    """Appends events to a log that this process alone writes.

    Opening it removes a torn last line; numbering continues after the last good event. Raises `OSError`.
    """

    def __init__(self, path: Path, *, clock: Callable[[], float] = time.time) -> None:
        self.path = path
        self._clock = clock
        self._fd = open_to_write(path, os.O_APPEND)
        try:
            self._seq = _cut_torn_line(self._fd) + 1
        except BaseException:
            os.close(self._fd)
            raise

    def append(self, type_: str, /, **payload: Any) -> None:
        """Write one event as one line. On a full disk nothing of it is left, and `OSError` is raised."""
        line = events.encode(type_, payload, seq=self._seq, t=self._clock())
        _write_whole(self._fd, line)
        self._seq += 1

    def in_place(self, path: Path | None = None) -> bool:
        """Whether the file at `path`, by default that of the log, is still the open one."""
        try:
            there = (path or self.path).stat(follow_symlinks=False)
        except OSError:
            return False
        written = os.fstat(self._fd)
        return (there.st_dev, there.st_ino) == (written.st_dev, written.st_ino)

    def sync(self) -> None:
        """Make what was appended survive a power loss."""
        os.fsync(self._fd)

    def close(self) -> None:
        """Close the file."""
        os.close(self._fd)


class LogReader:
    """Reads a log from its start, and at each call what is new.

    It never raises. `damaged` counts skipped lines; `restarts` counts how often the file was truncated or replaced,
    after which it is read from the start again.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.restarts = 0
        self.more = False
        """Whether the last `read` stopped at its limit before the end of the file."""
        self.problem: str | None = None
        """Why the log could not be read the last time; None when it could."""
        self._begin()

    def _begin(self) -> None:
        self.damaged = 0
        self._offset = 0
        self._trace = b""
        """The bytes just before the offset, which identify the file."""
        self._skipping = False
        """In the middle of a line that is too long."""

    @property
    def position(self) -> int:
        """Bytes of the file that were read."""
        return self._offset

    def read(self, limit: int | None = None) -> list[Event]:
        """The events since the last call, at most about `limit` bytes of them; empty when there are none.

        After a restart the first events returned are the file's first: see `restarts`.
        """
        self.more, self.problem = False, None
        try:
            fd = open_to_read(self.path)
            try:
                return self._read(fd, limit)
            finally:
                os.close(fd)
        except FileNotFoundError:
            self.problem = MISSING
        except OSError as error:
            self.problem = error.strerror or type(error).__name__
        return []

    def _read(self, fd: int, limit: int | None) -> list[Event]:
        status = os.fstat(fd)
        if self._offset and not self._is_the_same(fd):
            self.restarts += 1
            self._begin()
        found: list[Event] = []
        start = self._offset
        while self._offset < status.st_size and (limit is None or self._offset - start < limit):
            chunk = os.pread(fd, _CHUNK if limit is None else min(_CHUNK, limit), self._offset)
            end = chunk.rfind(b"\n")
            while end < 0 and len(chunk) < events.MAX_LINE and self._offset + len(chunk) < status.st_size:
                more = os.pread(fd, _CHUNK, self._offset + len(chunk))
                if not more:
                    break
                chunk += more
                end = chunk.rfind(b"\n")
            if end < 0:
                if len(chunk) < events.MAX_LINE:
                    break
                self._skipping = True
                self._advance(chunk)
                self._skip_hole(fd, status.st_size)
                continue
            self._advance(chunk[: end + 1])
            for line in chunk[:end].split(b"\n"):
                self._take(line, found)
        self.more = limit is not None and self._offset - start >= limit and self._offset < status.st_size
        return found

    def _is_the_same(self, fd: int) -> bool:
        """Whether the file is the one that was read, or a copy, by its content: inode numbers are reused."""
        return os.pread(fd, len(self._trace), self._offset - len(self._trace)) == self._trace

    def _advance(self, passed: bytes) -> None:
        self._offset += len(passed)
        self._trace = (self._trace + passed[-_TRACE:])[-_TRACE:]

    def _skip_hole(self, fd: int, size: int) -> None:
        """Skip a hole in the file."""
        try:
            data = os.lseek(fd, self._offset, os.SEEK_DATA)
        except OSError as error:  # ENXIO: no data follows; otherwise the file system has no holes
            data = size if error.errno == errno.ENXIO else self._offset
        if data > self._offset:
            self._offset = data
            self._trace = os.pread(fd, _TRACE, data - _TRACE)

    def _take(self, line: bytes, found: list[Event]) -> None:
        event = None if self._skipping else events.decode(line)
        self._skipping = False
        if event is None:
            self.damaged += 1
        else:
            found.append(event)


def last_event(path: Path) -> Event | None:
    """The last good event of the log at `path`, near its end; None when there is none. Never raises."""
    try:
        with os.fdopen(open_to_read(path), "rb", buffering=0) as file:
            return _last_good(file.fileno(), os.fstat(file.fileno()).st_size)
    except OSError:
        return None


def append_shared(path: Path, type_: str, payload: dict[str, Any], *, t: float) -> None:
    """Append one event to a log that several processes write, the control log. Raises `OSError`.

    Writers exclude each other by a lock. A torn line is ended first, so that the new one stays intact.
    """
    with exclusive(path, os.O_APPEND) as fd:
        length = os.fstat(fd).st_size
        torn = length > 0 and os.pread(fd, 1, length - 1) != b"\n"
        line = events.encode(type_, payload, seq=0, t=t)
        _write_whole(fd, b"\n" + line if torn else line)
        os.fsync(fd)


def _write_whole(fd: int, line: bytes) -> None:
    """Write all of `line` or nothing: a partial write on a full disk is undone."""
    before = os.fstat(fd).st_size
    written = os.write(fd, line)
    if written != len(line):
        os.ftruncate(fd, before)
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def _cut_torn_line(fd: int) -> int:
    """Cut what follows the last newline, and return the sequence number of the last good event, -1 without any."""
    length = _length_of_whole_lines(fd)
    if length < os.fstat(fd).st_size:
        os.ftruncate(fd, length)
    last = _last_good(fd, length)
    return -1 if last is None else last.seq


def _last_good(fd: int, length: int) -> Event | None:
    """The last good event in the first `length` bytes, near their end."""
    return next((event for event in map(events.decode, _lines_backwards(fd, length)) if event is not None), None)


def _length_of_whole_lines(fd: int) -> int:
    position = size = os.fstat(fd).st_size
    while position > 0:
        if size - position > _FARTHEST:
            raise OSError(errno.EFBIG, "its end holds no line")
        step = min(_CHUNK, position)
        position -= step
        end = os.pread(fd, step, position).rfind(b"\n")
        if end >= 0:
            return position + end + 1
    return 0


def _lines_backwards(fd: int, length: int) -> Iterator[bytes]:
    """The lines in the first `length` bytes, last one first; a line that is too long is replaced by an invalid one."""
    position, rest = length, b""
    while position > max(0, length - _FARTHEST):
        step = min(_CHUNK, position)
        position -= step
        first, *others = (os.pread(fd, step, position) + rest).split(b"\n")
        yield from reversed(others)
        rest = first if len(first) <= events.MAX_LINE else b"?"
    yield rest
