"""The canvas between the axes: lines drawn by plotext, and what is written over them.

Only this module uses plotext. plotext 6 has one global figure and a compiled kernel; here the figure is reset for every
drawing and serves as a rasteriser. Frame, ticks, legend and colours are our own, so that no text from data goes through
it. Coordinates are whole pixels on the canvas: the kernel ends the process when a line leaves it by far.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

import numpy as np
import plotext
from rich.segment import Segment
from rich.style import Style
from textual.strip import Strip

from tui_attn.ui.charts.geometry import Floats, Frame, Pixels, dots
from tui_attn.ui.charts.legend import index_at
from tui_attn.ui.charts.series import Curve
from tui_attn.ui.styles import Styles

BAND, BAND_DIMMED = 0.25, 0.12
"""How much of its colour the band of a group has."""
FAINT = (0.4, 0.55)
"""How much of its colour a faint curve has: dimmed, and not."""
DIMMED = 0.7
"""How much of its colour a strong curve has where another one is selected."""
RAW = 0.22


def line_style(line: Curve, styles: Styles, *, bold: bool = False) -> Style:
    """Return the style that `line` is drawn in."""
    share = FAINT[not line.dimmed] if line.faint else DIMMED if line.dimmed else 1.0
    return styles.curve(line.color, bold=bold, share=share)


class Grid:
    """Single-width characters with their styles, from the top left."""

    def __init__(self, width: int, height: int, styles: Styles) -> None:
        self.width, self.height = width, height
        self._styles = styles
        self.glyphs = [[" "] * width for _ in range(height)]
        self.styles = [[styles("normal")] * width for _ in range(height)]

    def put(self, column: int, row: int, text: str, style: str | Style) -> None:
        """Write single-width `text` from (column, row) on; what lies outside is left out."""
        if not 0 <= row < self.height:
            return
        style = self._styles(style)
        for offset, glyph in enumerate(text):
            if 0 <= column + offset < self.width:
                self.glyphs[row][column + offset] = glyph
                self.styles[row][column + offset] = style

    def strips(self) -> list[Strip]:
        """Return the grid as strips, equal neighbours in one segment."""
        return [self._strip(glyphs, styles) for glyphs, styles in zip(self.glyphs, self.styles, strict=True)]

    def _strip(self, glyphs: list[str], styles: list[Style]) -> Strip:
        segments = []
        at = 0
        for style, run in groupby(styles):
            n = sum(1 for _ in run)
            segments.append(Segment("".join(glyphs[at : at + n]), style))
            at += n
        return Strip(segments, self.width)


@dataclass(frozen=True, slots=True)
class Layer:
    """Polylines (n x 2 pixels each, from the bottom left) that are drawn together, apart from other layers."""

    pieces: Sequence[Pixels]
    marker: str = ""
    """The character of an ASCII drawing, one pixel a cell; braille, 2 x 4 pixels a cell, when empty."""


Drawings = dict[tuple[object, ...], list[str]]
"""Layers that were drawn before, by what is on them."""


def draw(layers: Sequence[Layer], width: int, height: int, kept: Drawings | None = None) -> list[list[str]]:
    """Draw each layer on `width` x `height` cells, both positive; return its lines, from the top.

    Layers in `kept` aren't drawn again; it is left with the layers of this drawing. Raises ValueError for a pixel
    outside the canvas.
    """
    blank = [" " * width] * height
    before = kept or {}
    keys = [(width, height, layer.marker, *(piece.tobytes() for piece in layer.pieces)) for layer in layers]
    found = {key: before.get(key, blank) for key in keys}
    fresh = {key: layer for key, layer in zip(keys, layers, strict=True) if key not in before and layer.pieces}
    figure = _figure(width, height) if fresh else None
    try:
        for key, layer in fresh.items():
            found[key] = _drawn(figure, layer, blank)
    finally:
        if figure:
            figure.clear()
    if kept is not None:
        kept.clear()
        kept.update(found)
    return [found[key] for key in keys]


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


class _Marker(plotext.marker):  # type: ignore[misc]
    """A marker that all points share: plotext copies it for each of them, a third of the time."""

    def __copy__(self) -> _Marker:
        return self


def _drawn(figure: plotext.figure, layer: Layer, blank: list[str]) -> list[str]:
    """Draw one layer alone and return its lines, as many and as wide as `blank`."""
    width = len(blank[0])
    points = (np.concatenate(layer.pieces) + 0.5) / dots(bool(layer.marker))  # the middles of the pixels
    if (points < 0).any() or (points > (width, len(blank))).any():
        raise ValueError("a line leaves the canvas")
    figure.clear.data()
    x, y = points.T.tolist()
    signal = figure.signal(x, y, marker=_Marker(layer.marker or "braille"))
    if len(points) > len(layer.pieces):
        signal.lines(True)
        for end in np.cumsum([len(piece) for piece in layer.pieces[:-1]]).tolist():
            signal.line(end, False)
    # Skips a search for free colours, a third of the time. A version of plotext without this name is only slower.
    signal._get_unique_pixels = list
    figure.draw(signal)
    lines = figure.build().string(colorless=True).split("\n")[: len(blank)]
    return [line.ljust(width)[:width] for line in lines + blank[len(lines) :]]


_EMPTY = " \u2800┈░:"
"""What a line may be drawn over: nothing, the grid, a band."""
_DRAWN = re.compile(f"[^{_EMPTY}]")


def bands(grid: Grid, frame: Frame, lines: list[Curve], styles: Styles) -> None:
    """Fill what lies between the lowest and the highest of a group. Where bands overlap, the upper one hides others."""
    for line in lines:
        if line.low is None or line.high is None:
            continue
        share = BAND_DIMMED if line.dimmed else BAND
        tinted = styles.style(None, styles.tint(line.color, share))
        for column, (top, bottom) in enumerate(_band_rows(frame, line.x, line.low, line.high)):
            for row in range(max(top, 0), min(bottom, frame.height - 1) + 1):
                if styles.mode.colors == "true":
                    grid.styles[row][column] = tinted
                else:
                    glyph = ":" if styles.mode.ascii else "░"
                    grid.put(column, row, glyph, styles.curve(line.color, share=FAINT[not line.dimmed]))


def _band_rows(frame: Frame, places: Floats, low: Floats, high: Floats) -> list[tuple[int, int]]:
    """The first and last row of the band in every column; (0, -1) where there is none."""
    low, high = frame.scaled(low), frame.scaled(high)
    good = np.isfinite(low) & np.isfinite(high)
    x, low, high = places[good], low[good], high[good]
    if not len(x):
        return [(0, -1)] * frame.width
    middle = np.array([frame.x_at(column) for column in range(frame.width)])
    lowest, highest = np.interp(middle, x, low), np.interp(middle, x, high)
    inside = frame.inside(x)
    at = frame.columns(x[inside])
    np.minimum.at(lowest, at, low[inside])
    np.maximum.at(highest, at, high[inside])
    covered = (middle >= x[0]) & (middle <= x[-1])
    covered[at] = True
    rows = []
    for column in range(frame.width):
        seen = covered[column] and lowest[column] <= frame.y.upper and highest[column] >= frame.y.lower
        rows.append((frame.row(highest[column]), frame.row(lowest[column])) if seen else (0, -1))
    return rows


def inlay(grid: Grid, layers: list[tuple[list[str], Style]], *, by_turns: bool = False) -> None:
    """Put drawn layers, the uppermost first, into what is still empty.

    `by_turns`: where they meet, each has every so many columns.
    """
    for depth, (drawn, style) in enumerate(layers, 1):
        for row, line in enumerate(drawn):
            if line.isspace():
                continue
            glyphs, styles = grid.glyphs[row], grid.styles[row]
            for found in _DRAWN.finditer(line):
                column = found.start()
                if glyphs[column] in _EMPTY or (by_turns and column // 2 % depth == depth - 1):
                    under = styles[column]
                    glyphs[column], styles[column] = found[0], under + style if under.bgcolor else style


def grid_lines(grid: Grid, frame: Frame, ticks: list[float], styles: Styles) -> None:
    """Faint dots at the height of every tick, where nothing else is."""
    if styles.mode.ascii or styles.mode.colors == "none":
        return
    for row in {frame.row(at) for at in ticks}:
        if 0 <= row < frame.height:
            for column, glyph in enumerate(grid.glyphs[row]):
                if glyph == " ":
                    grid.glyphs[row][column] = "┈"
                    grid.styles[row][column] = grid.styles[row][column] + styles("grid")


def _put_marker(grid: Grid, line: Curve, column: int, row: int, styles: Styles) -> None:
    if 0 <= row < grid.height:
        style = grid.styles[row][column] + line_style(line, styles, bold=True)
        grid.put(column, row, styles.marker(line.color), style)


def end_markers(grid: Grid, frame: Frame, lines: list[Curve], styles: Styles) -> None:
    """The marker of each strong line at its last visible point: lines differ without colour too."""
    for line in lines:
        end = None if line.faint else last_point(line, frame)
        if end is not None:
            _put_marker(grid, line, frame.column(end[0]), frame.row(end[1]), styles)


def last_point(line: Curve, frame: Frame) -> tuple[float, float] | None:
    """Return place and height of the last finite point of `line` in the picture; None where there is none."""
    heights = frame.scaled(line.y)
    good = np.flatnonzero(np.isfinite(heights) & frame.inside(line.x))
    return (float(line.x[good[-1]]), float(heights[good[-1]])) if len(good) else None


def outside_marks(grid: Grid, frame: Frame, lines: list[Curve], styles: Styles) -> None:
    """An arrow at the edge for each stretch of a line that lies above or below the range shown."""
    for line in sorted(lines, key=lambda line: -line.rank):
        heights = frame.scaled(line.y)
        inside = frame.inside(line.x)
        style = line_style(line, styles, bold=True)
        for beyond, row, glyph in (
            (heights > frame.y.upper, 0, "^" if styles.mode.ascii else "↑"),
            (heights < frame.y.lower, frame.height - 1, "v" if styles.mode.ascii else "↓"),
        ):
            out = beyond & inside
            # The last point of each stretch: where the line comes back, or ends.
            ends = np.flatnonzero(np.diff(out.astype(int), append=0) < 0)
            for column in dict.fromkeys(frame.columns(line.x[ends]).tolist()):
                taken = grid.glyphs[row][column] in "↑↓^v" and grid.glyphs[row][column] != " "
                at = column + 1 if taken and column + 1 < grid.width else column
                if not taken or at != column:
                    grid.put(at, row, glyph, grid.styles[row][at] + style)


def nan_marks(grid: Grid, frame: Frame, lines: list[Curve], styles: Styles) -> None:
    """A cross where a value wasn't a number, at the height of the last that was."""
    glyph = "!" if styles.mode.ascii else "✗"
    for line in lines:
        where = np.flatnonzero(~np.isfinite(line.y) & frame.inside(line.x))
        if not len(where):
            continue
        heights = frame.scaled(line.y)
        good = np.flatnonzero(np.isfinite(heights))
        columns = frame.columns(line.x[where])
        first = np.diff(columns, prepend=-1) > 0
        previous = -2
        for column, index in zip(columns[first].tolist(), where[first].tolist(), strict=True):
            before = int(np.searchsorted(good, index)) - 1
            anchor = heights[good[max(before, 0)]] if len(good) else frame.y.lower
            row = min(max(frame.row(float(anchor)), 0), frame.height - 1)
            # The first of a row of them stands out, the others hide no other curve.
            if column != previous + 1:
                grid.put(column, row, glyph, styles.curve(line.color, bold=True))
            elif grid.glyphs[row][column] in _EMPTY:
                grid.put(column, row, glyph, styles.curve(line.color, share=FAINT[0]))
            previous = column


def cursor_line(grid: Grid, frame: Frame, lines: list[Curve], cursor: float, styles: Styles) -> None:
    """A line through the canvas at the cursor, and every curve's marker on it."""
    column = frame.column(cursor)
    if not 0 <= column < frame.width:
        return
    for row in range(frame.height):
        if grid.glyphs[row][column] in _EMPTY:
            grid.glyphs[row][column] = "|" if styles.mode.ascii else "│"
            grid.styles[row][column] = grid.styles[row][column] + styles("cursor")
    reach = frame.x.width / frame.width
    for line in lines:
        index = None if line.faint else index_at(line.x, cursor, reach)
        height = frame.scaled(line.y[index : index + 1])[0] if index is not None else np.nan
        if np.isfinite(height):
            _put_marker(grid, line, column, frame.row(float(height)), styles)
