"""What part of the plane a chart shows: spans, and how zooming and panning change them."""

from __future__ import annotations

import math
from dataclasses import dataclass

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
