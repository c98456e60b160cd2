"""Fewer points for drawing: the lowest and the highest of each column, so that no spike is ever lost."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Indices = NDArray[np.intp]


def columns_of(x: Floats, lower: float, upper: float, columns: int) -> Indices:
    """Return the column (0 .. columns - 1) of each of `x` where [lower, upper] is split into equal ones."""
    scaled = (x - lower) * (columns / (upper - lower))
    return np.clip(scaled, 0, columns - 1).astype(np.intp)


def min_max(columns: Indices, y: Floats) -> Indices:
    """Return the indices, ascending, of the first lowest and the first highest value of every column.

    `columns` must not decrease; `y`, as long, must be finite. At most two indices a column; every column that has
    points keeps some.
    """
    if not len(y):
        return np.zeros(0, dtype=np.intp)
    starts = np.flatnonzero(np.r_[True, np.diff(columns) > 0])
    which = np.repeat(np.arange(len(starts)), np.diff(np.r_[starts, len(y)]))
    kept = []
    for reduce in (np.minimum, np.maximum):
        extreme = reduce.reduceat(y, starts)
        hits = np.flatnonzero(y == extreme[which])
        first = np.r_[True, np.diff(which[hits]) > 0]
        kept.append(hits[first])
    return np.unique(np.concatenate(kept))


def decimate(x: Floats, y: Floats, lower: float, upper: float, columns: int) -> tuple[Indices, list[int]]:
    """Return what to draw of a curve within [lower, upper], and where its line is interrupted.

    The indices of the kept points ascend: at most two of each of the `columns`, and the nearest point on either side
    of the range, so that the line enters and leaves the picture at the right angle. `x` must not decrease. The second
    result lists positions in the first at which a new piece begins, because a value between wasn't finite.
    """
    finite = np.isfinite(y)
    good = np.flatnonzero(finite)
    if not len(good) or columns < 1 or not upper > lower:
        return np.zeros(0, dtype=np.intp), []
    inside = x[good]
    first, last = int(np.searchsorted(inside, lower, "left")), int(np.searchsorted(inside, upper, "right"))
    window = good[first:last]
    kept = window[min_max(columns_of(x[window], lower, upper, columns), y[window])]
    around = [good[first - 1 : first] if first > 0 else good[:0], kept, good[last : last + 1]]
    shown = np.concatenate(around)
    holes = np.cumsum(~finite)
    breaks = (np.flatnonzero(np.diff(holes[shown]) > 0) + 1).tolist() if len(shown) else []
    return shown, breaks
