"""Liveness: locks that the kernel releases with their owner, heartbeats, and the identity of a process.

POSIX record locks (lockf) are used, not flock: children inherit a flock, so it may outlive its owner. A lock is probed
with F_GETLK, never by acquiring it. Closing any descriptor of a locked file releases the process's lock, so an owner
opens its lock file once and keeps it open.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import functools
import math
import os
import signal
import socket
import struct
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from tui_attn.system.plain_file import open_to_read, open_to_write

# struct flock: Linux has type, whence, start, length, pid; macOS and BSD start, length, pid, type, whence.
_LINUX = sys.platform.startswith("linux")
_FLOCK = "hhqqi4x" if _LINUX else "qqihh"

_held: set[tuple[int, int]] = set()
"""Device and inode of the lock files that this process holds and must not open again."""
os.register_at_fork(after_in_child=_held.clear)  # locks stay with the parent


class Lock:
    """A lock held for the life of this process; its file is also a heartbeat.

    Raises `BlockingIOError` when another process holds it, `OSError` when the file can't be opened or locked.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        if _place(path) in _held:
            raise BlockingIOError(errno.EAGAIN, "held by this process", str(path))
        self._fd = open_to_write(path)
        try:
            fcntl.lockf(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            os.close(self._fd)
            if error.errno not in {errno.EACCES, errno.EAGAIN}:  # a file system without locks
                raise
            raise BlockingIOError(errno.EAGAIN, "held by another process", str(path)) from None
        status = os.fstat(self._fd)
        self._place = status.st_dev, status.st_ino
        _held.add(self._place)

    def write(self, text: str) -> None:
        """Write a note into the lock file for processes that find it locked."""
        data = text.encode()
        os.ftruncate(self._fd, 0)
        os.pwrite(self._fd, data, 0)

    def beat(self) -> None:
        """Write a heartbeat; on a full disk only its time stamp is updated."""
        _leave_pulse(self._fd)

    def release(self) -> None:
        """Release the lock before the process ends."""
        _held.discard(self._place)
        os.close(self._fd)


class Heartbeat:
    """A heartbeat file, written at most once a second. Does nothing where the file can't be written."""

    def __init__(self, path: Path, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._next = -math.inf
        self._fd: int | None = None
        with contextlib.suppress(OSError):
            self._fd = open_to_write(path)

    def beat(self, *, now: bool = False) -> bool:
        """Write a heartbeat if the last one is a second old, or `now`; whether one was written."""
        time_ = self._clock()
        if time_ < self._next and not now:
            return False
        self._next = time_ + 1.0
        if self._fd is not None:
            with contextlib.suppress(OSError):
                _leave_pulse(self._fd)
        return True

    def sync(self) -> None:
        """Sync the file, so that hosts that share the file system see it."""
        if self._fd is not None:
            with contextlib.suppress(OSError):
                os.fsync(self._fd)

    def close(self) -> None:
        """Close the file."""
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None


def _leave_pulse(fd: int) -> None:
    """Write the boot id and the seconds since boot, always equally many bytes; unaffected by changes of the clock."""
    try:
        os.pwrite(fd, f"{boot_id()} {time.monotonic():020.3f}\n".encode(), 0)
    except OSError:
        os.utime(fd)


def _place(path: Path) -> tuple[int, int] | None:
    try:
        status = path.stat()
    except (OSError, ValueError):
        return None
    return status.st_dev, status.st_ino


def holder(path: Path) -> int | None:
    """The pid of the process that holds the lock at `path`, 0 for one on another host, None when nobody does."""
    if _place(path) in _held:
        return os.getpid()
    try:
        try:
            fd, kind = open_to_write(path, create=False, linked=True), fcntl.F_WRLCK
        except OSError as error:
            # Without write permission, or on a read-only file system, probe with a read lock.
            if error.errno not in {errno.EACCES, errno.EPERM, errno.EROFS}:
                raise
            fd, kind = open_to_read(path), fcntl.F_RDLCK
        try:
            return _probe(fd, kind)
        finally:
            os.close(fd)
    except OSError:
        return None


def _probe(fd: int, kind: int) -> int | None:
    question = struct.pack(_FLOCK, *((kind, 0, 0, 0, 0) if _LINUX else (0, 0, 0, kind, 0)))
    answer = struct.unpack(_FLOCK, fcntl.fcntl(fd, fcntl.F_GETLK, question))
    lock_type, pid = (answer[0], answer[4]) if _LINUX else (answer[3], answer[2])
    return None if lock_type == fcntl.F_UNLCK else max(pid, 0)


def signal_holder(path: Path, signum: int, heart: Path | None = None) -> bool:
    """Send `signum` to the process on this host that holds the lock at `path`; whether there was one.

    Nothing is signalled where the heartbeat in `heart` is another host's: some network file systems report the pid that
    the holder has on its own host. A process that has meanwhile got the pid of a dead holder can't be hit either: the
    signal goes through a pidfd, and the lock is checked again after that was opened. A file with several hard links is
    ignored, since its lock may belong to another of them.
    """
    pid = holder(path)
    if heart is not None and beats_elsewhere(heart):
        return False
    if not pid or pid == os.getpid() or path.stat(follow_symlinks=False).st_nlink > 1:
        return False
    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:
        return False
    except (AttributeError, OSError):  # a system without pidfds
        try:
            os.kill(pid, signum)
        except OSError:
            return False
        return True
    try:
        if holder(path) != pid:
            return False
        signal.pidfd_send_signal(descriptor, signum)
    except OSError:
        return False
    finally:
        os.close(descriptor)
    return True


class Identity(NamedTuple):
    """Identifies a process. Unlike a pid, it is never reused."""

    host: str
    boot_id: str
    pid: int
    start_time: str
    """In clock ticks since boot, as in /proc; empty where unknown."""
    uid: int

    def to_json(self) -> dict[str, Any]:
        """Plain JSON types."""
        return self._asdict()

    @classmethod
    def from_json(cls, data: Any) -> Identity | None:
        """The inverse of `to_json`; None for anything that isn't one."""
        kinds = {"host": str, "boot_id": str, "pid": int, "start_time": str, "uid": int}
        values: dict[str, Any] = {name: data.get(name) for name in kinds} if isinstance(data, dict) else {}
        if not values or any(type(values[name]) is not kind for name, kind in kinds.items()) or values["pid"] <= 0:
            return None
        return cls(**values)

    def here(self) -> bool:
        """Whether it is or was a process of this host since the last boot."""
        return self.host == socket.gethostname() and self.boot_id == boot_id()

    def runs(self) -> bool:
        """Whether this very process still runs here (a zombie does not)."""
        if not self.here():
            return False
        if self.start_time:
            return process_start_time(self.pid) == self.start_time
        try:  # without /proc only the pid is known
            os.kill(self.pid, 0)
        except (OSError, OverflowError):  # a log may hold any number
            return False
        return True


def identity(pid: int | None = None) -> Identity:
    """The identity of process `pid`, by default this one."""
    pid = os.getpid() if pid is None else pid
    return Identity(socket.gethostname(), boot_id(), pid, process_start_time(pid) or "", os.getuid())


@functools.cache
def boot_id() -> str:
    """The id of this machine's present boot; empty where the system has none."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return ""


def boot_time() -> float:
    """When this machine booted, in unix seconds."""
    clock = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)
    return time.time() - time.clock_gettime(clock)


def process_start_time(pid: int) -> str | None:
    """The start time of process `pid` in clock ticks since boot; None where no such process is alive."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_bytes()
    except OSError:
        return _start_time_elsewhere(pid) if not _LINUX else None
    fields = stat.rpartition(b")")[2].split()  # a process may choose any bytes as its name
    return None if len(fields) < 20 or fields[0] in {b"Z", b"X"} else fields[19].decode("ascii")


def process_age(pid: int) -> float | None:
    """Seconds since process `pid` started, wherever the clock was set meanwhile; None where the system can't tell."""
    ticks = process_start_time(pid) if _LINUX else None
    return None if ticks is None else time.clock_gettime(time.CLOCK_BOOTTIME) - int(ticks) / os.sysconf("SC_CLK_TCK")


def _start_time_elsewhere(pid: int) -> str | None:
    import psutil

    try:
        process = psutil.Process(pid)
        return None if process.status() == psutil.STATUS_ZOMBIE else str(process.create_time())
    except psutil.Error:
        return None


def age(path: Path, *, now: float | None = None) -> float | None:
    """Seconds since the last heartbeat in `path`, None when there is no such file.

    A heartbeat of this boot of this machine is measured by the monotonic clock, which can't be set and which stands
    still while the machine sleeps. Another host's isn't compared with a clock of this one: its age is the time since
    this process saw it change, and on the first call its age by the clock of the file system. With `now`, in unix
    seconds, the file's time stamp is compared with that.
    """
    pulse = _pulse(path)
    if pulse is not None:
        return max(0.0, time.monotonic() - pulse)
    try:
        touched = path.stat(follow_symlinks=False).st_mtime
    except (OSError, ValueError):
        return None
    if now is not None:
        return max(0.0, now - touched)
    before, seen = _seen.get(path, (touched, None))
    if seen is None or touched < before:  # of another file, or set by hand
        seen = time.monotonic() - max(0.0, _clock_of(path.parent) - touched)
    elif touched > before:
        seen = time.monotonic()
    _seen[path] = touched, seen
    return max(0.0, time.monotonic() - seen)


_seen: dict[Path, tuple[float, float]] = {}
"""Heartbeats of other hosts: the time stamp, and when it changed by this process's clock."""


def _clock_of(folder: Path) -> float:
    """The current time by the clock of `folder`'s file system, unix seconds."""
    try:
        with tempfile.TemporaryFile(dir=folder) as file:
            return os.fstat(file.fileno()).st_mtime
    except OSError:
        return time.time()


def beats_elsewhere(path: Path) -> bool:
    """Whether the heartbeat in `path` is of another boot or host."""
    found = _read_pulse(path)
    return found is not None and found[0] != boot_id()


def _pulse(path: Path) -> float | None:
    """The time of the heartbeat in `path`, in seconds since this boot; None without one and for another machine's."""
    boot, seconds = _read_pulse(path) or ("", -1.0)
    return seconds if boot == boot_id() and 0 <= seconds <= time.monotonic() + 1 else None


def _read_pulse(path: Path) -> tuple[str, float] | None:
    """The boot id and the seconds since boot in a heartbeat file."""
    if not boot_id() or _place(path) in _held:
        return None
    try:
        with os.fdopen(open_to_read(path), "rb", buffering=0) as file:
            boot, _, seconds = os.read(file.fileno(), 128).decode("ascii", "replace").strip().partition(" ")
        return boot, float(seconds)
    except (OSError, ValueError):
        return None
