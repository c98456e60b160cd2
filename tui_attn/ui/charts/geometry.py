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


Place = tuple[float, float]


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
    points = points[np.r_[True, (np.diff(points, axis=0) != 0).any(axis=1)]]
    way = np.diff(points, axis=0)
    before, after = way[:-1], way[1:]
    straight = before[:, 0] * after[:, 1] == before[:, 1] * after[:, 0]
    onward = (before * after).sum(axis=1) > 0
    return points[np.r_[True, ~(straight & onward), True]] if len(points) > 2 else points


def clipped(places: Floats, right: float, top: float) -> list[Floats]:
    """Return the pieces of the polyline through `places` (n x 2) that lie within [0, right] x [0, top]."""
    low, high = places < 0, places > np.array([right, top])
    outside = np.any(low | high, axis=1)
    on_one_side = np.any((low[:-1] & low[1:]) | (high[:-1] & high[1:]), axis=1)
    pieces: list[Floats] = []
    piece: list[Floats] = []
    start = 0  # points from here to the next crossing are inside, unless this one is outside
    for at in np.flatnonzero((outside[:-1] | outside[1:]) & ~on_one_side).tolist():
        if not outside[start]:
            piece.append(places[start : at + 1])
        part = clip_segment(tuple(places[at].tolist()), tuple(places[at + 1].tolist()), right, top)
        if part is not None and outside[at]:
            piece.append(np.array(part[:1]))
        if part is not None and outside[at + 1]:
            piece.append(np.array(part[1:]))
        if piece and outside[at + 1]:
            pieces.append(np.concatenate(piece))
            piece = []
        start = at + 1
    if len(places) and not outside[start]:
        piece.append(places[start:])
    return [*pieces, np.concatenate(piece)] if piece else pieces


def clip_segment(start: Place, end: Place, right: float, top: float) -> tuple[Place, Place] | None:
    """Return the part of a segment within [0, right] x [0, top], or None (Liang and Barsky, 1984)."""
    (x0, y0), (x1, y1) = start, end
    dx, dy = x1 - x0, y1 - y0
    enter, leave = 0.0, 1.0
    for delta, room in ((-dx, x0), (dx, right - x0), (-dy, y0), (dy, top - y0)):
        if delta == 0:
            if room < 0:
                return None
            continue
        at = room / delta
        if delta < 0:
            enter = max(enter, at)
        else:
            leave = min(leave, at)
    if enter > leave:
        return None
    first = start if enter == 0 else (x0 + enter * dx, y0 + enter * dy)
    last = end if leave == 1 else (x0 + leave * dx, y0 + leave * dy)
    return first, last
