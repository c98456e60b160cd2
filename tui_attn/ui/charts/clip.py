"""Polylines cut to the canvas and freed of points that change nothing.

The kernel that draws them must only ever be given places on the canvas: it walks every cell of a line, so that one
end far outside costs all memory there is.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

Point = tuple[int, int]
Place = tuple[float, float]


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


def clipped(places: Sequence[Place], right: int, top: int) -> list[list[Point]]:
    """Return the pieces of the polyline through `places` that lie within [0, right] x [0, top], on whole pixels."""
    if all(0 <= x <= right and 0 <= y <= top for x, y in places):
        return [[_pixel(place, right, top) for place in places]] if places else []
    if len(places) == 1:
        return []
    pieces: list[list[Point]] = []
    open_end: Place | None = None
    for start, end in pairwise(places):
        part = clip_segment(start, end, right, top)
        if part is None:
            open_end = None
            continue
        if open_end is None or part[0] != open_end:
            pieces.append([_pixel(part[0], right, top)])
        pieces[-1].append(_pixel(part[1], right, top))
        open_end = part[1]
    return pieces


def _pixel(place: Place, right: int, top: int) -> Point:
    return min(max(round(place[0]), 0), right), min(max(round(place[1]), 0), top)


def compact(points: Sequence[Point]) -> list[Point]:
    """Return `points` without repeated ones and without those in the middle of a straight stretch."""
    kept: list[Point] = []
    for x, y in points:
        if kept and kept[-1] == (x, y):
            continue
        while len(kept) >= 2 and _straight(kept[-2], kept[-1], (x, y)):
            kept.pop()
        kept.append((x, y))
    return kept


def _straight(one: Point, two: Point, three: Point) -> bool:
    """Whether the way from one over two to three goes straight on."""
    ax, ay, bx, by = two[0] - one[0], two[1] - one[1], three[0] - two[0], three[1] - two[1]
    return ax * by == ay * bx and ax * bx + ay * by > 0
