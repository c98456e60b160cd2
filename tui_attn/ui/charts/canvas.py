"""The only place that talks to plotext: polylines in, cells out.

plotext 6 has one global figure and a compiled kernel; here the figure is reset for every drawing and serves as a
rasteriser. Frame, ticks and legend are ours, so no text from data ever goes through it, and colours stay numbers
(an ink for each style) until a theme gives them meaning. Coordinates are whole pixels on the canvas: the kernel
ends the process when it is asked to draw a line to far outside.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import plotext

from tui_attn.ui.charts.clip import Point, compact
from tui_attn.ui.charts.frame import dots

MAX_INKS = 240
_FIRST = 16  # plotext's palette integers below 16 are named colours
_INK = re.compile(r"\x1b\[([0-9;]*)m")


@dataclass(frozen=True, slots=True)
class Stroke:
    """One polyline in pieces, drawn with one ink (0 .. MAX_INKS - 1). Pixels count from the bottom left."""

    pieces: Sequence[Sequence[Point]]
    ink: int
    marker: str = ""
    """The character of an ASCII drawing; braille otherwise."""


@dataclass(frozen=True, slots=True)
class Cells:
    """What was drawn: a character and an ink (-1: none) for every cell, from the top left."""

    glyphs: list[list[str]]
    inks: list[list[int]]


def draw(strokes: Sequence[Stroke], width: int, height: int, *, ascii_only: bool = False) -> Cells:
    """Draw `strokes`, later ones above earlier ones, on `width` x `height` cells, both positive.

    Raises ValueError for a pixel outside the canvas.
    """
    dots_across, dots_up = dots(ascii_only)
    across, up = width * dots_across, height * dots_up
    figure = plotext.figure
    plotext.terminal.limit(False, False)
    figure.clear()
    figure.plot_size(width, height)
    figure.axes(False)
    figure.legend(False)
    figure.canvas("default")
    for axis, end in (("x", across), ("y", up)):
        for ruler in (figure.ruler(axis, side) for side in (0, 1)):
            ruler.ticks([])
            ruler.alignment(lim="edge")
            ruler.lim(0, end)
    drawn = [_signal(figure, stroke, across, up, ascii_only) for stroke in strokes]
    if not any(drawn):
        return Cells([[" "] * width for _ in range(height)], [[-1] * width for _ in range(height)])
    try:
        return _cells(figure.build().string(), width, height)
    finally:
        figure.clear()


def _signal(figure: plotext.figure, stroke: Stroke, across: int, up: int, ascii_only: bool) -> bool:
    """Give one stroke to the figure; return whether there was anything in it."""
    xs: list[float] = []
    ys: list[float] = []
    starts: list[int] = []
    for piece in stroke.pieces:
        points = compact(piece)
        starts.append(len(xs))
        xs.extend(x + 0.5 for x, _ in points)
        ys.extend(y + 0.5 for _, y in points)
    if not xs:
        return False
    if not (min(xs) > 0 and max(xs) < across and min(ys) > 0 and max(ys) < up):
        raise ValueError("a stroke leaves the canvas")
    color = _FIRST + stroke.ink % MAX_INKS
    signal = figure.signal(xs, ys, marker=plotext.marker(stroke.marker if ascii_only else "braille", color))
    signal.lines(True)
    for start in starts:
        signal.line(start, False)
    # The figure would look at every point for the colours it may still give to others, a third of all the time;
    # every stroke here brings its own. A version without this name just takes longer.
    signal._get_unique_pixels = list
    figure.draw(signal)
    return True


def _cells(text: str, width: int, height: int) -> Cells:
    """Take plotext's own escape codes apart: `38;5;N` is ink N - 16, anything else none."""
    glyphs, inks = [], []
    for line in text.split("\n")[:height]:
        row: list[str] = []
        colors: list[int] = []
        ink = -1
        for index, part in enumerate(_INK.split(line)):
            if index % 2:
                ink = int(part[5:]) - _FIRST if part.startswith("38;5;") else -1
            else:
                row.extend(part)
                colors.extend([ink] * len(part))
        glyphs.append((row + [" "] * width)[:width])
        inks.append((colors + [-1] * width)[:width])
    while len(glyphs) < height:
        glyphs.append([" "] * width)
        inks.append([-1] * width)
    return Cells(glyphs, inks)
