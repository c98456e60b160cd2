"""Opens regular files only: somebody else may have put links, pipes or devices in their place."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

_SAFE = os.O_CLOEXEC | os.O_NONBLOCK


_LINK = "it is a symbolic link"
_PROBLEMS = {errno.ELOOP: _LINK, errno.EMLINK: _LINK, errno.EISDIR: "it is a folder", errno.ENXIO: "it is no file"}
"""Errors of `open` for anything but regular files; BSD reports EMLINK for a link."""


class NotAFileError(OSError):
    """The path is not a plain regular file: a link, a pipe, or a file with several names."""

    def __str__(self) -> str:
        return f"{Path(os.fsdecode(self.filename)).name}: {self.strerror}"


def open_to_read(path: Path, *, follow_links: bool = False, folders: int = 0) -> int:
    """A descriptor of the regular file at `path`, to be closed by the caller.

    `folders`: how many of its parent folders must not be links either. Raises `OSError`: `NotAFileError` for a folder,
    a pipe, a device, or a link that isn't to be followed.
    """
    flags = os.O_RDONLY | (0 if follow_links else os.O_NOFOLLOW)
    folder: int | None = None
    try:
        for above in reversed(path.parents[:folders]):
            outer, folder = folder, _open_folder(above if folder is None else Path(above.name), folder)
            if outer is not None:
                os.close(outer)
        return _checked(path if folder is None else Path(path.name), flags, folder=folder)
    finally:
        if folder is not None:
            os.close(folder)


def _open_folder(path: Path, above: int | None) -> int:
    try:
        return os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=above)
    except OSError as error:
        if error.errno in {errno.ELOOP, errno.EMLINK, errno.ENOTDIR}:
            raise NotAFileError(error.errno, "it is no folder, or a symbolic link", str(path)) from None
        raise


def open_to_write(path: Path, flags: int = 0, *, mode: int = 0o600, create: bool = True, linked: bool = False) -> int:
    """A descriptor for reading and writing the regular file at `path`, by default created if need be.

    `linked`: whether it may have several hard links, which may lie outside the experiment. `flags`: such as `O_APPEND`,
    `O_EXCL` or `O_TRUNC`. Raises `OSError`: `NotAFileError` for a folder, a pipe, a device, and a hard link that is not
    allowed.
    """
    truncate, flags = flags & os.O_TRUNC, flags & ~os.O_TRUNC | (os.O_CREAT if create else 0)
    fd = _checked(path, os.O_RDWR | os.O_NOFOLLOW | flags, mode, only_name=not linked)
    if truncate:
        try:
            os.ftruncate(fd, 0)
        except BaseException:
            os.close(fd)
            raise
    return fd


def read_own(path: Path, size: int) -> bytes | None:
    """At most `size` bytes of a regular file of this user that only this user may write; None where there is none."""
    try:
        fd = open_to_read(path)
    except OSError:
        return None
    with os.fdopen(fd, "rb") as file:
        about = os.fstat(fd)
        return None if about.st_uid != os.getuid() or about.st_mode & 0o022 else file.read(size)


def read_part(path: Path, size: int, offset: int = 0) -> bytes:
    """At most `size` bytes of the regular file at `path` from `offset`, counted from its end if negative.

    Raises `OSError`.
    """
    with os.fdopen(open_to_read(path), "rb", buffering=0) as file:
        begin = offset if offset >= 0 else max(0, os.fstat(file.fileno()).st_size + offset)
        return os.pread(file.fileno(), size, begin)


def _checked(path: Path, flags: int, mode: int = 0, *, only_name: bool = False, folder: int | None = None) -> int:
    try:
        fd = os.open(path, flags | _SAFE, mode, dir_fd=folder)
    except OSError as error:
        if error.errno in _PROBLEMS:
            raise NotAFileError(error.errno, _PROBLEMS[error.errno], str(path)) from None
        raise
    status = os.fstat(fd)
    problem = ""
    if not stat.S_ISREG(status.st_mode):
        problem = "it is no file"
    elif only_name and status.st_nlink > 1:
        problem = "it is a hard link to a file that has other names: replace it by a copy"
    if problem:
        os.close(fd)
        raise NotAFileError(errno.EINVAL, problem, str(path))
    return fd
