"""A generated data set: ten kinds of shape on a noisy background, 28 x 28 pixels, one channel.

It is for first tries and for tests without a network: learnt within a few epochs, but not perfectly, so that models can
differ. All numbers come from the raw 64-bit output of PCG64, whose stream NumPy guarantees (unlike those of its
distributions), by integer arithmetic. So the bytes are the same on every machine and in every version, and image k of a
split doesn't depend on how many are generated.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

SIDE = 28
CLASSES = 10
LARGEST = {"train": 60_000, "test": 10_000}
"""Images in each split."""

_NOISE = 60
_BLOCK = 500
"""Images generated at a time, each block from its own seed."""
_RAMP = np.arange(SIDE, dtype=np.int32)
_SEEDS = {"train": 20_260_101, "test": 20_260_102}


def make(split: str, count: int) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """The first `count` (at most `LARGEST`) images (N, 1, 28, 28) and labels (N,) of "train" or "test"."""
    count = min(count, LARGEST[split])
    images = np.empty((count, 1, SIDE, SIDE), dtype=np.uint8)
    labels = np.empty(count, dtype=np.int64)
    for start in range(0, count, _BLOCK):
        some_images, some_labels = _block(_SEEDS[split], start // _BLOCK)
        stop = min(start + _BLOCK, count)
        images[start:stop, 0] = some_images[: stop - start]
        labels[start:stop] = some_labels[: stop - start]
    return images, labels


def _block(seed: int, index: int) -> tuple[NDArray[np.uint8], NDArray[np.int32]]:
    """Block `index`: images (_BLOCK, 28, 28) and labels (_BLOCK,)."""
    draw = _Draw(seed, index)
    n = _BLOCK
    labels = draw.whole(n, 0, CLASSES)
    image = _ground(draw, n)
    for _ in range(2):  # strokes that belong to no shape
        image += _stroke(draw, n)
    radius = draw.whole(n, 5, 10)
    x = _RAMP[None, None, :] - draw.whole(n, 9, 19)[:, None, None]
    y = _RAMP[None, :, None] - draw.whole(n, 9, 19)[:, None, None]
    inside = np.zeros((n, SIDE, SIDE), dtype=bool)
    for label, mask in enumerate(_shapes(x, y, radius[:, None, None])):
        chosen = labels == label
        inside[chosen] = mask[chosen]
    strength = draw.whole(n, 45, 110)[:, None, None]
    image += np.where(inside, strength, 0)
    image += draw.noise(n * SIDE * SIDE).reshape(n, SIDE, SIDE)
    return np.clip(image, 0, 255).astype(np.uint8), labels


def _shapes(x: NDArray[np.int32], y: NDArray[np.int32], r: NDArray[np.int32]) -> Iterator[NDArray[np.bool_]]:
    """The mask of each class's shape, in the order of the labels; x and y are relative to its centre, r its radius."""
    ax, ay = np.abs(x), np.abs(y)
    square = np.maximum(ax, ay)
    box = square <= r - 1
    round_ = x * x + y * y
    yield round_ <= r * r  # disc
    yield (round_ <= r * r) & (round_ > (r - 3) * (r - 3))  # ring
    yield box  # square
    yield box & (square > r - 4)  # frame
    yield ax + ay <= r + 1  # diamond
    yield (np.minimum(ax, ay) <= 1) & (square <= r)  # plus
    yield (np.abs(ax - ay) <= 1) & (square <= r)  # cross
    yield box & (y % 4 < 2)  # rows
    yield box & (x % 4 < 2)  # columns
    yield box & ((x // 2 + y // 2) % 2 == 0)  # checks


def _ground(draw: _Draw, n: int) -> NDArray[np.int32]:
    """A background with a linear gradient: (n, 28, 28)."""
    level = draw.whole(n, 40, 120)[:, None, None]
    across = draw.whole(n, -24, 25)[:, None, None] * (_RAMP[None, None, :] - 14)
    down = draw.whole(n, -24, 25)[:, None, None] * (_RAMP[None, :, None] - 14)
    ground: NDArray[np.int32] = level + (across + down) // 16
    return ground


def _stroke(draw: _Draw, n: int) -> NDArray[np.int32]:
    """A horizontal or vertical stroke, two pixels wide, brighter or darker than the background: (n, 28, 28)."""
    standing = draw.whole(n, 0, 2)[:, None, None] == 1
    u = np.where(standing, _RAMP[None, None, :], _RAMP[None, :, None])
    v = np.where(standing, _RAMP[None, :, None], _RAMP[None, None, :])
    at = draw.whole(n, 0, SIDE - 1)[:, None, None]
    start = draw.whole(n, 0, 18)[:, None, None]
    length = draw.whole(n, 6, 16)[:, None, None]
    strength = draw.whole(n, -60, 91)[:, None, None]
    on = (u >= at) & (u <= at + 1) & (v >= start) & (v < start + length)
    return np.where(on, strength, 0)


class _Draw:
    """Whole numbers from the raw output of PCG64."""

    def __init__(self, seed: int, index: int) -> None:
        self._bits = np.random.PCG64(np.random.SeedSequence([seed, index]))

    def whole(self, n: int, low: int, high: int) -> NDArray[np.int32]:
        """`n` integers from low to high - 1, (n,), by scaling the top 32 bits, whose bias is negligible."""
        top = (self._bits.random_raw(n) >> np.uint64(32)).astype(np.int64)
        return (low + ((top * (high - low)) >> 32)).astype(np.int32)

    def noise(self, n: int) -> NDArray[np.int16]:
        """`n` (a multiple of 4) integers from -_NOISE to _NOISE, (n,), of triangular distribution."""
        pairs = self._bits.random_raw(n // 4).astype("<u8").view(np.uint8).reshape(n, 2)
        both = pairs[:, 0].astype(np.int16) + pairs[:, 1]  # 0 ... 510
        return both * _NOISE // 255 - _NOISE
