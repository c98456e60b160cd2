"""Opening files that somebody else may have put there: no link is followed, no pipe waited for, no device touched."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

_SAFE = os.O_CLOEXEC | os.O_NONBLOCK


class NotAFileError(OSError):
    """The path names something that is not a regular file, or a file that has other names too."""


def open_to_read(path: Path, *, follow_links: bool = False) -> int:
    """A descriptor of the regular file at `path`, to be closed by the caller.

    Raises `OSError`: `NotAFileError` for a folder, a pipe or a device, another for a link that isn't to be followed.
    """
    fd = os.open(path, os.O_RDONLY | _SAFE | (0 if follow_links else os.O_NOFOLLOW))
    return _checked(fd, path, writing=False)


def open_to_write(path: Path, flags: int = 0, *, mode: int = 0o600) -> int:
    """A descriptor for reading and writing the regular file at `path`, which is created if need be.

    `flags`: further ones such as `O_APPEND`, `O_EXCL` or `O_TRUNC`. Raises `OSError`: `NotAFileError` for a folder, a
    pipe, a device, and a file with several hard links, of which another may lie outside the experiment.
    """
    truncate, flags = flags & os.O_TRUNC, flags & ~os.O_TRUNC
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | _SAFE | flags, mode)
    _checked(fd, path, writing=True)
    if truncate:
        try:
            os.ftruncate(fd, 0)
        except BaseException:
            os.close(fd)
            raise
    return fd


def _checked(fd: int, path: Path, *, writing: bool) -> int:
    status = os.fstat(fd)
    problem = ""
    if not stat.S_ISREG(status.st_mode):
        problem = "it is no file"
    elif writing and status.st_nlink > 1:
        problem = "it is a hard link to a file that has other names: replace it by a copy"
    if problem:
        os.close(fd)
        raise NotAFileError(errno.EINVAL, problem, str(path))
    return fd
