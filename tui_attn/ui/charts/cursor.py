"""Where the value cursor goes when it is moved."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from tui_attn.ui.charts.frame import Frame
from tui_attn.ui.charts.series import Line

if TYPE_CHECKING:
    from tui_attn.ui.charts.decimate import Floats


def places(lines: Sequence[Line]) -> Floats:
    """Return every x at which any of `lines` has a point, ascending."""
    parts = [line.x for line in lines] + [x for line in lines for x, _ in line.tails]
    found = np.concatenate(parts) if parts else np.zeros(0)
    return np.unique(found[np.isfinite(found)])


def moved(lines: Sequence[Line], frame: Frame, cursor: float | None, columns: int) -> float | None:
    """Return the place of a point about `columns` to the right (left when negative) of `cursor`, and never none nearer.

    Without a cursor it is the last point in the picture; at the end it stays. None: there are no points.
    """
    xs = places(lines)
    if not len(xs):
        return None
    if cursor is None:
        return snapped(xs, frame.x.upper)
    width = frame.x.width / max(frame.width - 1, 1)
    if columns > 0:
        at = max(int(np.searchsorted(xs, cursor + (columns - 0.5) * width)), int(np.searchsorted(xs, cursor, "right")))
        return float(xs[min(at, len(xs) - 1)])
    at = int(np.searchsorted(xs, cursor + (columns + 0.5) * width, "right")) - 1
    at = min(at, int(np.searchsorted(xs, cursor)) - 1)
    return float(xs[max(at, 0)])


def snapped(xs: Floats, x: float) -> float:
    """Return the one of `xs` (ascending, not empty) nearest to `x`."""
    right = min(int(np.searchsorted(xs, x)), len(xs) - 1)
    left = max(right - 1, 0)
    return float(xs[left] if abs(xs[left] - x) <= abs(xs[right] - x) else xs[right])
