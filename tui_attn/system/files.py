"""Atomic writes, locks for critical sections, and a reserve of disk space."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import json
import math
import os
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any

from tui_attn.system.plain_file import NotAFileError, open_to_read, open_to_write

FULL = frozenset({errno.ENOSPC, errno.EDQUOT})
"""Error numbers of a full disk or an exceeded quota."""
_TURN = 0.1
"""Seconds between two calls of `on_wait`."""


_FOLDERS = {"config": ".config", "cache": ".cache", "state": ".local/state"}


def user_folder(kind: str) -> Path | None:
    """The program's folder for `kind`, one of config, cache and state, by the XDG standard; None without a home.

    platformdirs does the same, but its import takes too long for commands such as `ls`.
    """
    base = os.environ.get(f"XDG_{kind.upper()}_HOME", "")
    if base.startswith("/") and "\x00" not in base:  # the standard ignores a relative path
        return Path(base) / "tui-attn"
    try:
        return Path.home() / _FOLDERS[kind] / "tui-attn"
    except RuntimeError:
        return None


def read_json(path: Path, *, limit: int = 1 << 24, folders: int = 0) -> dict[str, Any] | None:
    """The JSON object in `path`, or None where it can't be read; `folders` as for `open_to_read`."""
    try:
        with os.fdopen(open_to_read(path, folders=folders), "rb") as file:
            data = json.loads(file.read(limit))
    except (OSError, ValueError, RecursionError):
        return None
    return data if isinstance(data, dict) else None


@contextlib.contextmanager
def atomic_file(
    path: Path,
    *,
    sync: bool = True,
    mode: int = 0o600,
    after_write: Callable[[], object] | None = None,
) -> Iterator[IO[bytes]]:
    """A file that replaces `path` at the end of the `with` block: a crash leaves the old or the new content.

    Without `sync` that holds for a crash of the process, not for a power loss. `mode`: the permissions of the file,
    before the umask. Raises `OSError`.
    """
    beside = path.with_name(f".{path.name}.{os.urandom(8).hex()}.tmp")  # unique to this call
    try:
        fd = open_to_write(beside, os.O_EXCL, mode=mode)
        with os.fdopen(fd, "wb") as file:
            yield file
            file.flush()
            if sync:
                os.fsync(file.fileno())
        if after_write is not None:
            after_write()
        try:
            beside.replace(path)
        except IsADirectoryError as error:
            raise NotAFileError(error.errno, "it is a folder", str(path)) from None
    except BaseException:
        with contextlib.suppress(OSError):
            beside.unlink()
        raise
    if sync:
        sync_folder(path.parent)


def write_atomically(path: Path, data: bytes, **options: Any) -> None:
    """Put `data` at `path` by `atomic_file`, whose options these are. Raises `OSError`."""
    with atomic_file(path, **options) as file:
        file.write(data)


_thread_locks: dict[tuple[int, int, str], threading.Lock] = {}
"""By device and inode of the folder, and the file's name: `lockf` doesn't exclude threads of one process."""
os.register_at_fork(after_in_child=_thread_locks.clear)  # the child would wait forever for a lock of another thread


@contextlib.contextmanager
def exclusive(
    path: Path, flags: int = 0, *, within: float | None = 5.0, on_wait: Callable[[], object] = lambda: None
) -> Iterator[int]:
    """Hold a lock on the file `path` that excludes processes and threads; yields its descriptor. Raises `OSError`.

    `flags`: additional flags for opening it, such as `O_APPEND`. After `within` seconds the attempt fails, so that a
    frozen process can't block others; None waits forever. `on_wait` is called ten times a second while waiting, and may
    raise to give up. Not re-entrant. Don't open `path` elsewhere while it is held: closing any descriptor of it in this
    process releases the lock. The kernel releases the lock of a process that ends. filelock would not do: its flock
    doesn't exclude version 0.1.0, which uses lockf.
    """
    folder = path.parent.stat()
    lock = _thread_locks.setdefault((folder.st_dev, folder.st_ino, path.name), threading.Lock())
    deadline = math.inf if within is None else time.monotonic() + within

    def wait_for(attempt: Callable[[float], bool]) -> None:
        while not attempt(max(0.0, min(_TURN, deadline - time.monotonic()))):
            if time.monotonic() >= deadline:
                raise OSError(errno.EAGAIN, "another program is changing it", str(path))
            on_wait()

    wait_for(lambda seconds: lock.acquire(timeout=seconds))
    try:
        fd = open_to_write(path, flags)
        try:
            wait_for(lambda seconds: _locked(fd, seconds))
            yield fd
        finally:
            os.close(fd)
    finally:
        lock.release()


def _locked(fd: int, within: float) -> bool:
    deadline = time.monotonic() + within
    while True:
        try:
            fcntl.lockf(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno not in {errno.EACCES, errno.EAGAIN}:
                raise
        else:
            return True
        if time.monotonic() >= deadline:
            return False
        time.sleep(0.01)


def sync_file(path: Path) -> None:
    """Make the content of the file `path` survive a power loss. Raises `OSError`."""
    with os.fdopen(open_to_read(path), "rb") as file:
        os.fsync(file.fileno())


def make_folders(path: Path) -> None:
    """Make the folder `path` and those above it, mode 0700, so that they survive a power loss. Raises `OSError`."""
    missing = []
    while not path.is_dir():
        missing.append(path)
        path = path.parent
    for folder in reversed(missing):
        folder.mkdir(mode=0o700, exist_ok=True)
        sync_folder(folder.parent)


def sync_folder(path: Path) -> None:
    """Make renames in the folder `path` survive a power loss, where the file system supports it.

    Raises `OSError` where the disk fails: file systems that can't sync folders report other errors than EIO.
    """
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    except OSError as error:
        if error.errno in FULL | {errno.EIO}:
            raise
    finally:
        os.close(fd)


def remove_stale_files(folder: Path, *, in_use: Callable[[Path], bool] = lambda _: False) -> None:
    """Remove temporary files of dead writers in `folder` and its subfolders; links are not followed.

    The caller must know that others write only in folders that are `in_use`.
    """
    try:
        entries = list(os.scandir(folder))
    except OSError:
        return
    for entry in entries:
        with contextlib.suppress(OSError):
            if entry.is_dir(follow_symlinks=False):
                if not in_use(Path(entry.path)):
                    remove_stale_files(Path(entry.path))
            elif entry.name.startswith(".") and entry.name.endswith(".tmp"):
                Path(entry.path).unlink()


class Reserve:
    """Disk space reserved in a folder, and freed when the disk is full so that this can be logged."""

    SIZE = 1 << 16
    """Bytes."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / ".reserve"

    def room(self) -> bool:
        """Whether there is room to continue. Allocates the reserve if needed, which takes four times its size.

        The room is found by allocating it, because the disk's free space doesn't reflect quotas.
        """
        try:
            fd = open_to_write(self._path)
        except OSError as error:
            return error.errno not in FULL
        try:
            kept = os.fstat(fd).st_size >= self.SIZE
            _allocate(fd, self.SIZE * 2 if kept else self.SIZE * 4)
            os.ftruncate(fd, self.SIZE)
            self._make_a_file()
        except OSError as error:
            if error.errno in FULL:
                kept = os.fstat(fd).st_size >= self.SIZE
                with contextlib.suppress(OSError):
                    os.ftruncate(fd, self.SIZE if kept else 0)
                if not kept:
                    self.free()
                return False
        finally:
            os.close(fd)
        return True

    def _make_a_file(self) -> None:
        """Check for a free inode, which free blocks don't imply."""
        path = self._path.with_name(f".room.{os.urandom(8).hex()}.tmp")
        os.close(open_to_write(path, os.O_EXCL))
        path.unlink()

    def free(self) -> None:
        """Free the reserve."""
        with contextlib.suppress(OSError):
            self._path.unlink(missing_ok=True)


def _allocate(fd: int, size: int) -> None:
    """Make the file `size` bytes long with allocated blocks. Raises `OSError`."""
    if hasattr(os, "posix_fallocate"):
        os.posix_fallocate(fd, 0, size)
    else:
        os.pwrite(fd, bytes(size), 0)
