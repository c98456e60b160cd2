"""The idx format of MNIST and its kin: a big-endian header of magic number and dimensions, then the bytes."""

from __future__ import annotations

import math
import struct
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from tui_attn.data.files import DamagedError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_UNSIGNED_BYTE = 8
"""The type code: the third byte of the magic number; the fourth is the number of dimensions."""


def read_images(path: Path, count: int, side: int, limit: int | None) -> NDArray[np.uint8]:
    """The first `limit` (default: all `count`) images of the file, (N, 1, side, side). Raises `DamagedError`."""
    wanted = count if limit is None else min(limit, count)
    flat = _read(path, (count, side, side), wanted * side * side)
    return flat.reshape(wanted, 1, side, side)


def read_labels(path: Path, count: int, classes: int, limit: int | None) -> NDArray[np.int64]:
    """The first `limit` (default: all `count`) labels of the file, (N,). Raises `DamagedError`."""
    import numpy as np

    wanted = count if limit is None else min(limit, count)
    labels = _read(path, (count,), wanted)
    if wanted and int(labels.max()) >= classes:
        raise DamagedError(f"holds the label {int(labels.max())}, and there are {classes} classes")
    return labels.astype(np.int64)


def _read(path: Path, shape: tuple[int, ...], wanted: int) -> NDArray[np.uint8]:
    """The first `wanted` bytes of the array in the file, which must have `shape`."""
    import numpy as np

    with path.open("rb") as stream:
        _check_header(stream, shape)
        flat = np.fromfile(stream, dtype=np.uint8, count=wanted)
    if flat.size != wanted:
        raise DamagedError("is cut off")
    return flat


def _check_header(stream: BinaryIO, shape: tuple[int, ...]) -> None:
    header = stream.read(4 + 4 * len(shape))
    expected = struct.pack(f">HBB{len(shape)}I", 0, _UNSIGNED_BYTE, len(shape), *shape)
    if header != expected:
        raise DamagedError(f"is not an idx file of {' x '.join(map(str, shape))} bytes")
    size = len(header) + math.prod(shape)
    if stream.seek(0, 2) != size:
        raise DamagedError(f"is {stream.tell():,} bytes long, not {size:,}")
    stream.seek(len(header))
