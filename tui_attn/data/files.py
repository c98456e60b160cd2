"""Verifies files of data sets against pinned digests, and writes them."""

from __future__ import annotations

import hashlib
import io
import os
import stat
from collections.abc import Iterable
from contextlib import nullcontext, suppress
from pathlib import Path

from tui_attn.data.base import DataError, DataFile
from tui_attn.system.files import FULL, atomic_file, make_folders, user_folder
from tui_attn.system.text import size as shown_size

CHUNK = 1 << 20
"""Bytes read at a time."""
WRONG = "has the wrong SHA-256 (damaged, or not this data set's)"


class DamagedError(Exception):
    """A file is damaged; the message follows its name, as in "is 12 bytes long, not 47,040,016"."""


def cache_dir() -> Path:
    """`$XDG_CACHE_HOME/tui-attn/data`: a root in torchvision's layout. Raises `DataError` without a home."""
    folder = user_folder("cache")
    if folder is None:
        raise DataError("no home folder to keep data in: set XDG_CACHE_HOME, or pass --data-dir")
    return folder / "data"


def is_file(path: Path) -> bool:
    """Whether `path` is a regular file (symbolic links are followed); False where it cannot be seen."""
    try:
        return stat.S_ISREG(path.stat().st_mode)
    except (OSError, ValueError):
        return False


def length_of(path: Path) -> int | None:
    """The file's length in bytes; None where it cannot be seen."""
    try:
        return path.stat().st_size
    except OSError:
        return None


def absolute(path: Path) -> Path:
    """`path` made absolute, a leading ~ expanded. Raises `DataError` for an unknown user."""
    try:
        return path.expanduser().absolute()
    except RuntimeError:
        raise DataError(f"{path}: there is no such home folder, write the path out") from None


def check_file(path: Path, file: DataFile) -> str | None:
    """What is wrong with `path` as the decompressed `file`, in words that follow its name; None if nothing is."""
    try:
        with path.open("rb") as stream:
            length = os.fstat(stream.fileno()).st_size
            if length != file.size:
                return f"is {length:,} bytes long, not {file.size:,} (cut off, or not this data set's)"
            digest = hashlib.file_digest(stream, "sha256").hexdigest()
        return None if digest == _pinned(path, file) else WRONG
    except DamagedError as error:
        return str(error)
    except OSError as error:
        return f"cannot be read: {os_error_text(error)}"


def read_verified(path: Path, file: DataFile) -> bytes:
    """The bytes of `path`, verified to be the decompressed `file`. Raises `DamagedError` and `OSError`."""
    with path.open("rb") as stream:
        content = stream.read(file.size + 1)
    if len(content) != file.size or hashlib.sha256(content).hexdigest() != _pinned(path, file):
        raise DamagedError(check_file(path, file) or WRONG)
    return content


def _pinned(path: Path, file: DataFile) -> str:
    """The SHA-256 of the decompressed `file`; where it was never published, of the content of the pinned NAME.gz.

    Raises `DamagedError` where NAME.gz is missing beside it, and `OSError`.
    """
    if file.sha256:
        return file.sha256
    packed = packed_path(path)
    if not is_file(packed):
        raise DamagedError(f"cannot be verified: the original {packed.name} is not beside it")
    with packed.open("rb") as stream:
        content = stream.read(file.gz_size + 1)
    if hashlib.sha256(content).hexdigest() != file.gz_sha256:
        raise DamagedError(f"cannot be verified: the original {packed.name} beside it has the wrong SHA-256")
    import gzip  # costs start-up time

    with gzip.open(io.BytesIO(content)) as stream:
        return hashlib.sha256(stream.read(file.size + 1)).hexdigest()


def packed_path(path: Path) -> Path:
    """NAME.gz beside NAME."""
    return path.with_name(path.name + ".gz")


def os_error_text(error: OSError | ValueError) -> str:
    """The system's words for `error`, without number and path; ValueError is for a path with a zero byte."""
    return (getattr(error, "strerror", None) or str(error)).lower()


def write_verified(target: Path | None, blocks: Iterable[bytes], file: DataFile, check_digest: bool = True) -> None:
    """Write `blocks` to `target` as the decompressed `file`; a `target` of None only verifies them.

    Stops at the first byte beyond `file.size`, so that a decompression bomb can't fill the disk, and keeps only the
    pinned content. Raises `DamagedError`, and `OSError` from reading or writing.
    """
    digest, length = hashlib.sha256(), 0
    with nullcontext(None) if target is None else atomic_file(target) as stream:
        for block in blocks:
            length += len(block)
            if length > file.size:
                raise DamagedError(f"holds more than the {shown_size(file.size)} of {file.name}")
            digest.update(block)
            if stream is not None:
                stream.write(block)
        if length != file.size:
            raise DamagedError(f"ends after {length:,} of the {file.size:,} bytes of {file.name} (cut off)")
        if check_digest and digest.hexdigest() != file.sha256:
            raise DamagedError(f"holds a {file.name} with the wrong SHA-256")


def make_folder(folder: Path) -> None:
    """Create `folder` and its missing parents with mode 0700. Raises `DataError`, and `OSError` on a full disk."""
    try:
        make_folders(folder)
    except OSError as error:
        if error.errno in FULL:
            raise
        raise DataError(
            f"cannot create the data cache {folder}: {os_error_text(error)}\n"
            "set XDG_CACHE_HOME to a folder that you can write to, or pass --data-dir with the data set in it"
        ) from None


def remove_leftovers(folder: Path, pattern: str) -> None:
    """Remove temporary files of killed processes in `folder`. The caller must hold the data set's lock."""
    import shutil

    for path in folder.glob(pattern):
        with suppress(OSError):
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path, ignore_errors=True)
            else:
                path.unlink()
