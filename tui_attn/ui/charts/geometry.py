"""Geometry of charts: ranges of an axis, places on a canvas, and curves reduced and cut to what is seen.

The kernel that draws lines must only be given places on the canvas: it walks every cell of a line, so that one end far
outside takes all memory.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Indices = NDArray[np.intp]
Pixels = NDArray[np.int64]

HUGE = 1e300
"""Beyond this, values are drawn at the edge, so that differences stay finite."""
TINY = 1e-280
"""Less than this is nothing, so that quotients stay finite."""


@dataclass(frozen=True, slots=True)
class Span:
    """A range of an axis, `lower` < `upper`, both finite."""

    lower: float
    upper: float

    @property
    def width(self) -> float:
        """Length of the range."""
        return self.upper - self.lower

    def share(self, value: float) -> float:
        """Where `value` lies: 0 at `lower`, 1 at `upper`."""
        return (value - self.lower) / self.width

    def at(self, share: float) -> float:
        """The inverse of `share`."""
        return self.lower + share * self.width

    def zoomed(self, factor: float, anchor: float) -> Span:
        """Return the range `factor` times as wide in which `anchor` keeps its place on the screen."""
        return _span(anchor - (anchor - self.lower) * factor, anchor + (self.upper - anchor) * factor, self)

    def panned(self, share: float) -> Span:
        """Return the range moved by `share` of its width."""
        return _span(self.lower + share * self.width, self.upper + share * self.width, self)

    def within(self, bounds: Span) -> Span:
        """Return the range moved, and cut where it must be, to lie in `bounds`."""
        if self.width >= bounds.width:
            return bounds
        if self.lower < bounds.lower:
            return _span(bounds.lower, bounds.lower + self.width, bounds)
        if self.upper > bounds.upper:
            return _span(bounds.upper - self.width, bounds.upper, bounds)
        return self


def _span(lower: float, upper: float, otherwise: Span) -> Span:
    """A span, or `otherwise` where floats can't tell its ends apart or it would leave them."""
    middle = max(abs(lower), abs(upper))
    apart = math.isfinite(lower) and math.isfinite(upper) and upper - lower > middle * 1e-12 and upper > lower
    return Span(lower, upper) if apart and middle <= 2 * HUGE else otherwise


def padded(lower: float, upper: float, share: float = 0.04) -> Span:
    """Return a span around [lower, upper] with some room that doesn't cross zero; a single value gets more of it."""
    lower, upper = max(lower, -HUGE), min(upper, HUGE)
    room = (upper - lower) * share
    if room <= max(abs(lower), abs(upper)) * 1e-9:
        room = max(abs(lower), abs(upper)) * 0.05 or 0.5
    room = max(room, TINY)
    start, end = lower - room, upper + room
    if start < 0 <= lower:
        start = 0.0
    if end > 0 >= upper:
        end = 0.0
    return Span(start, end) if end > start else Span(-room, room)


def history(lower: float, upper: float) -> Span:
    """Return a span that holds [lower, upper] and ends a little later, at a round place.

    While points arrive the axis then stands still most of the time, and with it what is already drawn.
    """
    if not upper > lower:
        return padded(lower, upper, 0.0)
    grain = nice(max((upper - lower) / 24, 1e-300))
    end = math.ceil(upper / grain - 1e-9) * grain
    return _span(lower, end, padded(lower, upper, 0.0))


def nice(step: float) -> float:
    """Return the smallest of 1, 2, 5 times a power of ten that is at least `step` (positive)."""
    power = 10.0 ** math.floor(math.log10(step))
    for times in (1, 2, 5):
        if times * power >= step * (1 - 1e-9):
            return times * power
    return 10 * power


def dots(ascii_only: bool) -> tuple[int, int]:
    """Return how many pixels a cell has, across and up: those of a braille sign, or one."""
    return (1, 1) if ascii_only else (2, 4)


def scaled(values: Floats, log: bool) -> Floats:
    """Return `values` as heights along an axis; NaN where a logarithm doesn't exist."""
    if log:
        with np.errstate(all="ignore"):
            return np.where(values > 0, np.log10(values), np.nan)
    return np.where(np.isfinite(values), np.clip(values, -HUGE, HUGE), values)


@dataclass(frozen=True, slots=True)
class Frame:
    """A canvas of `width` x `height` cells at (left, top) of its chart. `y` is in powers of ten when `log`."""

    left: int
    top: int
    width: int
    height: int
    x: Span
    y: Span
    log: bool = False
    ascii: bool = False

    @property
    def across(self) -> int:
        """Pixels from left to right. The ends of `x` are the middles of the first and the last."""
        return self.width * dots(self.ascii)[0]

    @property
    def up(self) -> int:
        """Pixels from bottom to top. The ends of `y` are the middles of the first and the last."""
        return self.height * dots(self.ascii)[1]

    def scaled(self, values: Floats) -> Floats:
        """Return `values` as heights along `y`; NaN where a logarithm doesn't exist."""
        return scaled(values, self.log)

    def column(self, x: float) -> int:
        """Return the canvas column of `x`, 0 at the left; outside the canvas where `x` is."""
        return _pixel(self.x.share(x), self.across) // dots(self.ascii)[0]

    def inside(self, x: Floats) -> NDArray[np.bool_]:
        """Return which of many places are in the picture."""
        return (x >= self.x.lower) & (x <= self.x.upper + self.x.width * 1e-9)

    def row(self, y: float) -> int:
        """Return the canvas row of a height along `y`, 0 at the top; outside the canvas where `y` is."""
        return self.height - 1 - _pixel(self.y.share(y), self.up) // dots(self.ascii)[1]

    def x_at(self, column: int) -> float:
        """Return the place in the middle of a canvas column."""
        size = dots(self.ascii)[0]
        return self.x.at((column * size + (size - 1) / 2) / max(self.across - 1, 1))

    def columns(self, x: Floats) -> Indices:
        """Return the canvas columns of many places; those outside count as at the edge."""
        shares = (x - self.x.lower) / self.x.width
        return np.rint(np.clip(shares, 0, 1) * (self.across - 1)).astype(np.intp) // dots(self.ascii)[0]

    def places(self, x: Floats, heights: Floats) -> Floats:
        """Return where points lie in pixels from the bottom left (n x 2), not yet rounded or cut."""
        across = (x - self.x.lower) / self.x.width * (self.across - 1)
        up = (heights - self.y.lower) / self.y.width * (self.up - 1)
        return np.column_stack([across, up])


def _pixel(share: float, count: int) -> int:
    """The pixel at `share` of `count`, at most a screen's width outside."""
    share = min(max(share, -1.0), 2.0) if not math.isnan(share) else -1.0
    return round(share * (count - 1))


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
    starts = np.flatnonzero(np.diff(columns, prepend=columns[0] - 1))
    which = np.repeat(np.arange(len(starts)), np.diff(starts, append=len(y)))
    kept = []
    for reduce in (np.minimum, np.maximum):
        extreme = reduce.reduceat(y, starts)
        hits = np.flatnonzero(y == extreme[which])
        kept.append(hits[np.diff(which[hits], prepend=-1) > 0])
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


_FAR = 1e9
"""Pixels beyond which a place is taken to be nearer, so that crossings are exact."""
_ROUNDING = 1e-6


def polylines(places: Floats, breaks: Sequence[int], right: int, top: int) -> list[Pixels]:
    """Return what lies within [0, right] x [0, top] of the line through `places` (n x 2), in pieces on whole pixels.

    `breaks` are the indices at which a new line begins.
    """
    if not len(places):
        return []
    lines = np.split(places, list(breaks))
    if places.min() >= 0 and places[:, 0].max() <= right and places[:, 1].max() <= top:
        return [compact(np.rint(line).astype(np.int64)) for line in lines]
    ends = np.array([right, top])
    found = []
    for line in lines:
        for piece in clipped(line, right, top):
            found.append(compact(np.clip(np.rint(piece), 0, ends).astype(np.int64)))
    return found


def compact(points: Pixels) -> Pixels:
    """Return `points` (n x 2) without repeated ones and without those in the middle of a straight stretch."""
    if len(points) < 2:
        return points
    points = points[np.diff(points, axis=0, prepend=points[:1] - 1).any(axis=1)]
    way = np.diff(points, axis=0)
    before, after = way[:-1], way[1:]
    straight = before[:, 0] * after[:, 1] == before[:, 1] * after[:, 0]
    onward = (before * after).sum(axis=1) > 0
    kept = np.ones(len(points), dtype=bool)
    kept[1:-1] = ~(straight & onward)
    return points[kept]


def clipped(places: Floats, right: float, top: float) -> list[Floats]:
    """Return the pieces of the polyline through `places` (n x 2) that lie within [0, right] x [0, top]."""
    places = np.clip(places, -_FAR, _FAR)
    corner = np.array([right, top])
    outside = np.any((places < 0) | (places > corner), axis=1)
    segments = np.flatnonzero(outside[:-1] | outside[1:])
    start, way = places[segments], places[segments + 1] - places[segments]
    with np.errstate(all="ignore"):
        shares = np.concatenate([-start / way, (corner - start) / way], axis=1)  # where each crosses each edge
    which, edge = np.nonzero((shares > 0) & (shares < 1))
    order = np.lexsort((shares[which, edge], which))
    which, share = which[order], shares[which, edge][order]
    knots = np.insert(places, segments[which] + 1, start[which] + share[:, None] * way[which], axis=0)
    # Between two knots the line crosses no edge: its middle tells whether it is inside.
    middles = (knots[:-1] + knots[1:]) / 2 if len(knots) > 1 else knots
    inside = ((middles >= -_ROUNDING) & (middles <= corner + _ROUNDING)).all(axis=1)
    ends = np.flatnonzero(np.diff(inside, prepend=False, append=False))
    return [knots[first : last + 1] for first, last in zip(ends[::2], ends[1::2], strict=True)]
