"""Extracts named files of known sizes from .gz and .tar archives."""

from __future__ import annotations

import gzip
import hashlib
import io
import tarfile
import zlib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import IO, cast

from tui_attn.data.base import DataFile, Progress, silent
from tui_attn.data.files import CHUNK, DamagedError, write_verified

_BROKEN = (EOFError, gzip.BadGzipFile, zlib.error, tarfile.TarError)


class _Capped:
    """A stream limited to `limit` bytes, whatever an archive's headers say."""

    def __init__(self, stream: IO[bytes], limit: int) -> None:
        self._stream = stream
        self._left = limit

    def read(self, n: int = -1) -> bytes:
        if self._left <= 0:
            raise DamagedError("holds more than it should")
        block = self._stream.read(min(n, self._left) if n >= 0 else self._left)
        self._left -= len(block)
        return block


def _blocks(stream: IO[bytes], limit: int, tick: Callable[[int], None]) -> Iterator[bytes]:
    """The blocks of `stream`, up to one byte more than `limit`; `tick` gets the length of each block."""
    left = limit + 1
    while left > 0 and (block := stream.read(min(CHUNK, left))):
        left -= len(block)
        tick(len(block))
        yield block


def unpack_gz(
    source: Path | IO[bytes],
    target: Path,
    file: DataFile,
    progress: Progress = silent,
) -> None:
    """Decompress the gzip `source` to `target` and verify it as `file`. Raises `DamagedError` and `OSError`."""
    done = 0

    def tick(n: int) -> None:
        nonlocal done
        done += n
        progress(f"unpacking {file.name}", done, file.size)

    if not file.sha256 and isinstance(source, Path):
        source = _pinned_gz(source, file)
    try:
        with gzip.open(source, "rb") as stream:
            write_verified(
                target, _blocks(cast("IO[bytes]", stream), file.size, tick), file, check_digest=bool(file.sha256)
            )
    except _BROKEN as error:
        raise DamagedError(_why(error)) from None


def _pinned_gz(source: Path, file: DataFile) -> IO[bytes]:
    """The pinned bytes of NAME.gz. Raises `DamagedError` and `OSError`."""
    with source.open("rb") as stream:
        content = stream.read(file.gz_size + 1)
    if hashlib.sha256(content).hexdigest() != file.gz_sha256:
        raise DamagedError("has the wrong SHA-256")
    return io.BytesIO(content)


def check_gz(source: Path, file: DataFile) -> None:
    """Verify that the gzip `source` holds `file`, without writing anything. Raises `DamagedError` and `OSError`."""
    if not file.sha256:
        _pinned_gz(source, file)
        return
    digest = hashlib.sha256()
    try:
        with gzip.open(source, "rb") as stream:
            for block in _blocks(cast("IO[bytes]", stream), file.size, lambda _: None):
                digest.update(block)
    except _BROKEN as error:
        raise DamagedError(_why(error)) from None
    if digest.hexdigest() != file.sha256:
        raise DamagedError(f"holds a {file.name} with the wrong SHA-256")


def unpack_tar(
    stream: IO[bytes],
    wanted: Mapping[str, Callable[[IO[bytes], int], None]],
    limit: int,
) -> None:
    """Call `wanted[name]` with the content and the size of each of these regular files in the tar `stream`.

    Other members are ignored; at most `limit` bytes are read. Raises `DamagedError` where a file is missing or occurs
    twice, or the archive is broken.
    """
    left = dict(wanted)
    try:
        with tarfile.open(fileobj=cast("IO[bytes]", _Capped(stream, limit)), mode="r|") as archive:
            for member in archive:
                name = member.name.removeprefix("./")
                if name not in wanted:
                    continue
                if name not in left:
                    raise DamagedError(f"holds {name} twice")
                content = archive.extractfile(member) if member.isreg() else None
                if content is None:
                    raise DamagedError(f"holds {name} as something that is not a file")
                left.pop(name)(content, member.size)
    except _BROKEN as error:
        raise DamagedError(_why(error)) from None
    if left:
        raise DamagedError(f"lacks {min(left)}")


def unpack_archive(
    source: Path,
    folder: Path,
    *,
    member_folder: str,
    files: tuple[DataFile, ...],
    sha256: str,
    progress: Progress = silent,
) -> None:
    """Verify the .tar.gz `source`, then unpack `files`, which lie in its `member_folder`, into `folder`.

    The digest is checked first, so that decoders only see pinned bytes. Raises `DamagedError`, `OSError`.
    """
    progress(f"verifying {source.name}", 0, None)
    total, done = sum(file.size for file in files), 0

    def take(file: DataFile) -> Callable[[IO[bytes], int], None]:
        def taker(content: IO[bytes], length: int) -> None:
            if length != file.size:
                raise DamagedError(f"holds a {file.name} of {length:,} bytes, not {file.size:,}")
            write_verified(folder / file.name, _blocks(content, file.size, tick), file)

        return taker

    def tick(n: int) -> None:
        nonlocal done
        done += n
        progress(f"unpacking {source.name}", done, total)

    with source.open("rb") as packed, gzip.open(packed) as stream:
        if hashlib.file_digest(packed, "sha256").hexdigest() != sha256:
            raise DamagedError("has the wrong SHA-256")
        packed.seek(0)
        wanted = {f"{member_folder}/{file.name}": take(file) for file in files}
        unpack_tar(cast("IO[bytes]", stream), wanted, limit=2 * total + (64 << 20))


def _why(error: BaseException) -> str:
    if isinstance(error, EOFError):
        return "is cut off"
    return f"is broken ({error})" if str(error) else "is broken"
