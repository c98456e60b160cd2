"""Where data lies on a canvas: places in pixels and in cells, and back."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from tui_attn.ui.charts.view import HUGE, Span

if TYPE_CHECKING:
    from tui_attn.ui.charts.decimate import Floats, Indices


def dots(ascii_only: bool) -> tuple[int, int]:
    """Return how many pixels a cell has, across and up: those of a braille sign, or one."""
    return (1, 1) if ascii_only else (2, 4)


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
        if self.log:
            with np.errstate(all="ignore"):
                return np.where(values > 0, np.log10(values), np.nan)
        return np.where(np.isfinite(values), np.clip(values, -HUGE, HUGE), values)

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
