"""The only place that talks to plotext: polylines in, characters out.

plotext 6 has one global figure and a compiled kernel; here the figure is reset for every drawing and serves as a
rasteriser. Frame, ticks, legend and colours are ours, so that no text from data ever goes through it. Coordinates
are whole pixels on the canvas: the kernel ends the process when it is asked to draw a line to far outside.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import plotext

from tui_attn.ui.charts.frame import dots

if TYPE_CHECKING:
    from tui_attn.ui.charts.clip import Pixels


@dataclass(frozen=True, slots=True)
class Layer:
    """Polylines (n x 2 pixels each, from the bottom left) that are drawn together, apart from other layers."""

    pieces: Sequence[Pixels]
    marker: str = ""
    """The character of an ASCII drawing, one pixel a cell; braille, 2 x 4 pixels a cell, when empty."""


def draw(layers: Sequence[Layer], width: int, height: int) -> list[list[str]]:
    """Draw each layer on `width` x `height` cells, both positive; return its lines, from the top.

    Raises ValueError for a pixel outside the canvas.
    """
    points = [_points(layer, width, height) for layer in layers]
    blank = [" " * width] * height
    if not any(xs for xs, _, _ in points):
        return [blank for _ in layers]
    figure = _figure(width, height)
    try:
        return [
            _drawn(figure, layer, xs, ys, starts, blank) if xs else blank
            for layer, (xs, ys, starts) in zip(layers, points, strict=True)
        ]
    finally:
        figure.clear()


def _points(layer: Layer, width: int, height: int) -> tuple[list[float], list[float], list[int]]:
    """The middles of all pixels of a layer, and where each of its pieces starts."""
    xs: list[float] = []
    ys: list[float] = []
    starts: list[int] = []
    size_x, size_y = dots(bool(layer.marker))
    for piece in layer.pieces:
        starts.append(len(xs))
        xs += ((piece[:, 0] + 0.5) / size_x).tolist()
        ys += ((piece[:, 1] + 0.5) / size_y).tolist()
    if xs and (min(xs) < 0 or max(xs) > width or min(ys) < 0 or max(ys) > height):
        raise ValueError("a line leaves the canvas")
    return xs, ys, starts


def _figure(width: int, height: int) -> plotext.figure:
    """The global figure, emptied: nothing but a canvas on which cell n spans [n, n + 1]."""
    plotext.terminal.limit(False, False)
    figure = plotext.figure
    figure.clear()
    figure.plot_size(width, height)
    figure.axes(False)
    figure.legend(False)
    figure.canvas("default")
    for axis, end in (("x", width), ("y", height)):
        for ruler in (figure.ruler(axis, side) for side in (0, 1)):
            ruler.ticks([])
            ruler.alignment(lim="edge")
            ruler.lim(0, end)
    return figure


def _drawn(
    figure: plotext.figure, layer: Layer, xs: list[float], ys: list[float], starts: list[int], blank: list[str]
) -> list[str]:
    """Draw one layer alone and return its lines, as many and as wide as `blank`."""
    figure.clear.data()
    signal = figure.signal(xs, ys, marker=plotext.marker(layer.marker or "braille"))
    signal.lines(True)
    for start in starts:
        signal.line(start, False)
    # The figure would look at every point for the colours it may still give to others, a third of all the time;
    # here are no others. A version without this name just takes longer.
    signal._get_unique_pixels = list
    figure.draw(signal)
    lines = figure.build().string(colorless=True).split("\n")[: len(blank)]
    width = len(blank[0])
    return [line.ljust(width)[:width] for line in lines + [""] * (len(blank) - len(lines))]
