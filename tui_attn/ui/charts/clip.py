"""Polylines cut to the canvas, on whole pixels, and freed of points that change nothing.

The kernel that draws them must only ever be given places on the canvas: it walks every cell of a line, so that one
end far outside costs all memory there is.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from tui_attn.ui.charts.decimate import Floats

    Pixels = NDArray[np.int64]

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
        for piece in clipped([(x, y) for x, y in line.tolist()], right, top):
            found.append(compact(np.clip(np.rint(np.array(piece)), 0, ends).astype(np.int64)))
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


def clipped(places: Sequence[Place], right: float, top: float) -> list[list[Place]]:
    """Return the pieces of the polyline through `places` that lie within [0, right] x [0, top]."""
    if len(places) == 1:
        (x, y) = places[0]
        return [[(x, y)]] if 0 <= x <= right and 0 <= y <= top else []
    pieces: list[list[Place]] = []
    open_end: Place | None = None
    for start, end in pairwise(places):
        part = clip_segment(start, end, right, top)
        if part is None:
            open_end = None
            continue
        if open_end is None or part[0] != open_end:
            pieces.append([part[0]])
        pieces[-1].append(part[1])
        open_end = part[1]
    return pieces


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
