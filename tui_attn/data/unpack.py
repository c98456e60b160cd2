"""Extracts named files of known sizes from .gz and .tar archives."""

from __future__ import annotations

import gzip
import hashlib
import io
import tarfile
import zlib
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, cast

from tui_attn.data.base import DataFile, DatasetInfo, Progress, silent
from tui_attn.data.files import CHUNK, DamagedError, write_verified


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


def unpack_gz(source: Path | IO[bytes], target: Path | None, file: DataFile, progress: Progress = silent) -> None:
    """Decompress the gzip `source` to `target` and verify it as `file`; a `target` of None only verifies it.

    Raises `DamagedError` and `OSError`.
    """
    tick = _ticker(progress, f"unpacking {file.name}", file.size)
    if not file.sha256 and isinstance(source, Path):
        source = _pinned_gz(source, file)
    with _decoding(), gzip.open(source, "rb") as stream:
        blocks = _blocks(cast("IO[bytes]", stream), file.size, tick)
        write_verified(target, blocks, file, check_digest=bool(file.sha256))


def _pinned_gz(source: Path, file: DataFile) -> IO[bytes]:
    """The pinned bytes of NAME.gz. Raises `DamagedError` and `OSError`."""
    with source.open("rb") as stream:
        content = stream.read(file.gz_size + 1)
    if hashlib.sha256(content).hexdigest() != file.gz_sha256:
        raise DamagedError("has the wrong SHA-256")
    return io.BytesIO(content)


def members(stream: IO[bytes], names: Collection[str], limit: int) -> Iterator[tuple[str, IO[bytes], int]]:
    """The name, the content and the size of each of the regular files `names` in the tar `stream`.

    Other members are ignored; at most `limit` bytes are read. Raises `DamagedError` where a file is missing or occurs
    twice, or the archive is broken.
    """
    left = set(names)
    with _decoding(), tarfile.open(fileobj=cast("IO[bytes]", _Capped(stream, limit)), mode="r|") as archive:
        for member in archive:
            name = member.name.removeprefix("./")
            if name not in names:
                continue
            if name not in left:
                raise DamagedError(f"holds {name} twice")
            content = archive.extractfile(member) if member.isreg() else None
            if content is None:
                raise DamagedError(f"holds {name} as something that is not a file")
            left.remove(name)
            yield name, content, member.size
    if left:
        raise DamagedError(f"lacks {min(left)}")


def unpack_archive(source: Path, folder: Path | None, info: DatasetInfo, progress: Progress = silent) -> None:
    """Verify the .tar.gz `source` as the archive of `info`, then unpack its files into `folder`, unless that is None.

    The digest is checked first, so that decoders only see pinned bytes. Raises `DamagedError`, `OSError`.
    """
    progress(f"verifying {source.name}", 0, None)
    tick = _ticker(progress, f"unpacking {source.name}", info.bytes_on_disk)
    files = {f"{info.folder}/{file.name}": file for file in info.files}
    with source.open("rb") as packed, gzip.open(packed) as stream, _decoding():
        if info.archive is None or hashlib.file_digest(packed, "sha256").hexdigest() != info.archive.sha256:
            raise DamagedError("has the wrong SHA-256")
        if folder is None:
            return
        packed.seek(0)
        limit = 2 * info.bytes_on_disk + (64 << 20)
        for name, content, length in members(cast("IO[bytes]", stream), files, limit):
            file = files[name]
            if length != file.size:
                raise DamagedError(f"holds a {file.name} of {length:,} bytes, not {file.size:,}")
            write_verified(folder / file.name, _blocks(content, file.size, tick), file)


def _ticker(progress: Progress, phase: str, total: int) -> Callable[[int], None]:
    """A function that adds to the bytes done in `phase`, and reports them."""
    done = 0

    def tick(n: int) -> None:
        nonlocal done
        done += n
        progress(phase, done, total)

    return tick


@contextmanager
def _decoding() -> Iterator[None]:
    """Turn errors of decoders into `DamagedError`."""
    try:
        yield
    except EOFError:
        raise DamagedError("is cut off") from None
    except (gzip.BadGzipFile, zlib.error, tarfile.TarError) as error:
        raise DamagedError(f"is broken ({error})" if str(error) else "is broken") from None
