"""Opening files that somebody else may have put there: no link is followed, no pipe waited for, no device read."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path


class NotAFileError(OSError):
    """There is something, but it is no regular file."""


def open_to_read(path: Path, *, follow_links: bool = False) -> int:
    """A descriptor of the regular file at `path`, to be closed by the caller.

    Raises `OSError`: `NotAFileError` for a folder, a pipe or a device, another for a link that isn't to be followed.
    """
    flags = os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | (0 if follow_links else os.O_NOFOLLOW)
    fd = os.open(path, flags)
    if not stat.S_ISREG(os.fstat(fd).st_mode):
        os.close(fd)
        raise NotAFileError(errno.EINVAL, "it is no file", str(path))
    return fd
