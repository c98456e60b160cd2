"""Files of arrays, checked before use: no pickles, no links, no array above a gigabyte."""

from __future__ import annotations

import contextlib
import hashlib
import math
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, BinaryIO

from tui_attn.experiment.folders import RunDir
from tui_attn.system.plain_file import NotAFileError, open_to_read
from tui_attn.system.text import safe_text

if TYPE_CHECKING:
    import zipfile

    from numpy.typing import NDArray


MOST_BYTES = 1 << 30
"""Of an array; larger ones are not read."""
MOST_ARRAYS = 256
_MOST_SHOWN = 60
"""Characters of an array's name in a message."""


class ArchiveError(ValueError):
    """The file can't be used; the message says why in a few words, such as "is missing"."""


def read_archive(path: Path, names: Sequence[str] | None = None, *, folders: int = 1) -> dict[str, NDArray[Any]]:
    """The arrays in `path` by name, or those called `names`, all of which must be there.

    `folders`: as for `open_to_read`, 2 for a probe. Raises `ArchiveError`.
    """
    import zipfile

    with _reading(path, folders) as file:
        try:
            with zipfile.ZipFile(file) as archive:
                wanted = _arrays_in(archive) if names is None else names
                return {name: _array(archive, name) for name in wanted}
        except ArchiveError:
            raise
        except Exception:  # the readers of zip and npy raise a dozen kinds on foreign bytes: all mean the same
            raise ArchiveError("is damaged") from None


@contextlib.contextmanager
def _reading(path: Path, folders: int) -> Iterator[BinaryIO]:
    try:
        with os.fdopen(open_to_read(path, folders=folders), "rb") as file:
            yield file
    except FileNotFoundError:
        raise ArchiveError("is missing") from None
    except NotAFileError:
        raise ArchiveError("is not a file") from None
    except OSError as error:
        raise ArchiveError(f"can't be read ({error.strerror})") from None


def _arrays_in(archive: zipfile.ZipFile) -> list[str]:
    found = [name.removesuffix(".npy") for name in archive.namelist() if name.endswith(".npy")]
    if len(found) > MOST_ARRAYS:
        raise ArchiveError("holds too many arrays")
    return found


def _array(archive: zipfile.ZipFile, name: str) -> NDArray[Any]:
    import numpy as np

    info = archive.getinfo(f"{name}.npy")
    shown = safe_text(name, one_line=True)[:_MOST_SHOWN]
    if info.file_size > MOST_BYTES:
        raise ArchiveError(f"holds {shown} of more than a gigabyte")
    with archive.open(info) as member:
        expected = _declared_bytes(member)
        if expected != info.file_size:
            raise ArchiveError(f"holds {shown} of another size than it says")
        member.seek(0)
        found: NDArray[Any] = np.lib.format.read_array(member, allow_pickle=False)
    return found


def _declared_bytes(member: IO[bytes]) -> int:
    """How long the npy file is by its own header, so that no array is made that the file can't fill."""
    from numpy.lib import format as npy

    first = npy.read_magic(member) == (1, 0)
    shape, _, dtype = (npy.read_array_header_1_0 if first else npy.read_array_header_2_0)(member)
    return member.tell() + math.prod(shape) * dtype.itemsize


def weights_digest(arrays: Mapping[str, NDArray[Any]]) -> str:
    """SHA-256 over the arrays as contiguous little-endian float32 bytes, names sorted."""
    return hashlib.sha256(b"".join(arrays[name].astype("<f4").tobytes() for name in sorted(arrays))).hexdigest()


def read_weights(folder: RunDir, sha256: str | None) -> bytes:
    """The bytes of weights.safetensors. Raises `ArchiveError` where they are not those with the digest `sha256`."""
    with _reading(folder.weights, folders=1) as file:
        content = file.read(MOST_BYTES)
    try:
        from safetensors.numpy import load

        found = weights_digest(load(content))
    except Exception:  # safetensors raises many kinds on foreign bytes: all mean the same
        raise ArchiveError("is damaged") from None
    if found != sha256:
        raise ArchiveError("is damaged: it is not what the run's log recorded")
    return content
