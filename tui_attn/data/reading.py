"""Reads a data set into memory."""

from __future__ import annotations

import math
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tui_attn.data import cifar, synthetic
from tui_attn.data.base import Arrays, DataError, DatasetInfo, Located, check_limits
from tui_attn.data.files import DamagedError, os_error_text, read_verified

Split = tuple[NDArray[np.uint8], NDArray[np.int64]]
"""Images (N, C, H, W) and labels (N,)."""


def load_info(info: DatasetInfo, where: Located, train_limit: int | None, test_limit: int | None) -> Arrays:
    """Read `info` from `where`: the first `train_limit` training and `test_limit` test images, or all.

    With a `test_limit` of 0 the test set isn't read. Everything is verified by its pinned SHA-256. Raises `DataError`.
    """
    check_limits(train_limit, test_limit or None)
    train = _split(info, where, "train", train_limit)
    test = _split(info, where, "test", test_limit) if test_limit != 0 else (train[0][:0], train[1][:0])
    return Arrays(*train, *test, info.class_names)


def _split(info: DatasetInfo, where: Located, split: str, limit: int | None) -> Split:
    """The first `limit` images of "train" or "test", or all."""
    size = info.train_size if split == "train" else info.test_size
    match info.layout:
        case "synthetic":
            return synthetic.make(split, limit or size)
        case "idx":
            return _idx_split(info, where, split, min(limit or size, size))
        case "cifar":
            return _cifar_split(info, where, split, min(limit or size, size))
    raise DataError(f"{info.title} is no data set that is known by name")


def _idx_split(info: DatasetInfo, where: Located, split: str, wanted: int) -> Split:
    first, count = (0, info.train_size) if split == "train" else (2, info.test_size)
    paths, files, side = where.files[first:], info.files[first:], info.image_size
    with _blaming(paths[0]):
        images = read_idx(read_verified(paths[0], files[0]), (count, side, side), wanted)
    with _blaming(paths[1]):
        labels = read_idx(read_verified(paths[1], files[1]), (count,), wanted)
        if wanted and int(labels.max()) >= len(info.class_names):
            raise DamagedError(f"holds the label {int(labels.max())}, and there are {len(info.class_names)} classes")
    return images.reshape(wanted, 1, side, side), labels.astype("int64")


def read_idx(content: bytes, shape: tuple[int, ...], wanted: int) -> NDArray[np.uint8]:
    """The first `wanted` entries of the array of `shape` in a file in the idx format of MNIST. Raises `DamagedError`.

    The format: a big-endian header of magic number (two zeros, the type 8 for unsigned bytes, the number of
    dimensions) and dimensions, then the bytes.
    """
    header = struct.pack(f">HBB{len(shape)}I", 0, 8, len(shape), *shape)
    if content[: len(header)] != header:
        raise DamagedError(f"is not an idx file of {' x '.join(map(str, shape))} bytes")
    if len(content) != len(header) + math.prod(shape):
        raise DamagedError(f"is {len(content):,} bytes long, not {len(header) + math.prod(shape):,}")
    taken = (wanted, *shape[1:])
    return np.frombuffer(content, np.uint8, math.prod(taken), len(header)).reshape(taken).copy()


def _cifar_split(info: DatasetInfo, where: Located, split: str, wanted: int) -> Split:
    beginnings = ("data_batch", "train") if split == "train" else ("test",)
    images = np.empty((wanted, info.channels, info.image_size, info.image_size), dtype=np.uint8)
    labels = np.empty(wanted, dtype=np.int64)
    have = 0
    for path, file in zip(where.files, info.files, strict=True):
        if not file.name.startswith(beginnings) or have == wanted:
            continue
        with _blaming(path):
            some_images, some_labels = cifar.decode_batch(cifar.loads(read_verified(path, file)), info)
        n = min(len(some_labels), wanted - have)
        images[have : have + n] = some_images[:n]
        labels[have : have + n] = some_labels[:n]
        have += n
    if have < wanted:
        raise DataError(f"{where.root} holds {have:,} of the {wanted:,} images wanted of {info.title}")
    return images, labels


@contextmanager
def _blaming(path: Path) -> Iterator[None]:
    """Turn problems with `path` into errors for the user."""
    way_out = "run `tui-attn data` to fetch it again, or replace it"
    try:
        yield
    except DamagedError as error:
        raise DataError(f"{path} {error}\n{way_out}") from None
    except OSError as error:
        raise DataError(f"{path} cannot be read: {os_error_text(error)}\n{way_out}") from None
