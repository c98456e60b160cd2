"""A whole chart: title, legend, canvas, axes and cursor, as strips of a given size."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from rich.cells import cell_len
from rich.style import Style
from textual.strip import Strip

from tui_attn.ui.charts.canvas import (
    Grid,
    Layer,
    bands,
    cursor_line,
    draw,
    grid_lines,
    inlay,
    line_markers,
    nan_marks,
)
from tui_attn.ui.charts.geometry import HUGE, Frame, Span, decimate, history, padded, polylines
from tui_attn.ui.charts.legend import GAP, Entry, entries, legend_rows, place_text, whole_legend
from tui_attn.ui.charts.palette import ASCII_MARKERS, MARKERS, ink, is_known
from tui_attn.ui.charts.series import Line
from tui_attn.ui.charts.ticks import Ticks, linear_ticks, log_ticks, time_ticks
from tui_attn.ui.curves import XAxis
from tui_attn.ui.drawing import Pieces, centred, row_width, shown, spread, strip_of, trimmed
from tui_attn.ui.styles import Styles

if TYPE_CHECKING:
    from tui_attn.ui.charts.geometry import Floats, Pixels

MIN_WIDTH, MIN_HEIGHT = 30, 6
WARM_UP = 0.1
"""The share of the x axis whose values a fitted y axis may leave out."""
_POINTS = 6000
"""Roughly how many points the kernel is given for one drawing; beyond that columns are made wider."""


@dataclass(slots=True)
class View:
    """What to show. Spans of None follow the data; `y` is in powers of ten on a logarithmic axis."""

    lines: list[Line]
    title: str = ""
    y_label: str = ""
    percent: bool = False
    axis: XAxis = "step"
    log: bool = False
    x: Span | None = None
    y: Span | None = None
    cursor: float | None = None
    smoothing: float = 0.0
    focused: bool = False
    fit: bool = False
    """Whether the y axis leaves out what only the first tenth of the curves reaches."""
    empty: str = "waiting for the first points"
    notes: list[str] = field(default_factory=list)


@dataclass(slots=True)
class Picture:
    """A drawn chart, and what is where in it, for the mouse and the keys."""

    strips: list[Strip]
    frame: Frame | None = None
    """None when there was nothing to draw or no room."""
    full: Span | None = None
    """All of the history along x."""


def compose(view: View, width: int, height: int, styles: Styles) -> Picture:
    """Draw `view` on `width` x `height` cells."""
    if width < MIN_WIDTH or height < MIN_HEIGHT:
        return Picture(centred(f"too small: needs {MIN_WIDTH}x{MIN_HEIGHT}", width, height, styles))
    with np.errstate(all="ignore"):
        prepared = _prepare(view)
        if prepared is None:
            title = strip_of(_header(_title(view, width, styles), [], view, width, styles), width, styles)
            return Picture([title, *centred(view.empty, width, height - 1, styles)])
        full, x, y, log, notes = prepared
        markers = [_marker(line, index, styles) for index, line in enumerate(view.lines)]
        found = entries(view.lines, markers, view.cursor, x.width / width, view.percent, styles)
        head = _head(view, found, notes, width, height, styles)
        axis_line = height >= 8
        rows = height - len(head) - 1 - axis_line
        y_ticks = _y_ticks(view, y, log, rows)
        margin = max((len(label) for _, label in y_ticks), default=0) + 1
        frame = Frame(margin + 1, len(head), width - margin - 1, rows, x, y, log, styles.mode.ascii)
        body = _canvas(view, frame, markers, [at for at, _ in y_ticks], styles)
        strips = [strip_of(row, width, styles) for row in head]
        strips += _with_axis(body, frame, y_ticks, width, styles)
        strips += _x_axis(view, frame, width, axis_line, styles)
    return Picture(strips, frame, full)


# ---- what is to be seen


def _prepare(view: View) -> tuple[Span, Span, Span, bool, list[str]] | None:
    """Return the whole history, the spans shown, whether the y axis is logarithmic, and notes. None: no points."""
    ends = [(line.x[0], line.x[-1]) for line in view.lines if len(line.x)]
    ends += [(x[0], x[-1]) for line in view.lines for x, _ in line.tails if len(x)]
    if not ends:
        return None
    full = history(float(min(a for a, _ in ends)), float(max(b for _, b in ends)))
    x = full if view.x is None else view.x.within(full)
    notes: list[str] = []
    fitted = view.fit and view.x is None and view.y is None and not view.log
    after = Span(x.at(WARM_UP), x.upper) if fitted else x
    drawn = [part for line in view.lines for part in _drawn(line, after)]
    finite = [part[np.isfinite(part)] for part in drawn]
    values = np.concatenate(finite) if finite else np.zeros(0)
    positive = values[values > 0]
    log = view.log and len(positive) > 0
    if view.log and not log:
        notes.append("log: nothing positive")
    elif log and len(positive) < len(values):
        notes.append(f"{len(values) - len(positive)} not positive")
    shown_values = np.log10(positive) if log else np.clip(values, -HUGE, HUGE)
    y = view.y or (padded(float(shown_values.min()), float(shown_values.max())) if len(shown_values) else Span(0, 1))
    return full, x, y, log, notes


def _drawn(line: Line, x: Span) -> list[Floats]:
    """The values of `line` that are seen within `x`, all kinds together."""
    first, last = np.searchsorted(line.x, [x.lower, x.upper])
    window = slice(max(int(first) - 1, 0), int(last) + 1)
    parts = [part[window] for part in (line.y, line.raw, line.low, line.high) if part is not None]
    for place, values in line.tails:
        parts.append(values[(place >= x.lower) & (place <= x.upper)])
    return parts


def _y_ticks(view: View, y: Span, log: bool, rows: int) -> Ticks:
    ticks: Ticks = []
    # One label alone gives no scale: finer ticks where there is room for them.
    for count in range(max(2, min(rows * 2 // 5, 8)), max(3, rows // 2 + 1)):
        ticks = log_ticks(y, count) if log else linear_ticks(y, count, percent=view.percent)
        if len(ticks) > 1:
            break
    return [(at, label[:12]) for at, label in ticks]


def _marker(line: Line, index: int, styles: Styles) -> str:
    """A character that tells this line apart: its own, its palette key's, or the next one free."""
    if line.marker and (line.marker.isascii() or not styles.mode.ascii):
        return shown(line.marker, styles.mode.ascii)[:1]
    if is_known(line.color):
        found = ink(line.color)
        return found.ascii_marker if styles.mode.ascii else found.marker
    series = ASCII_MARKERS if styles.mode.ascii else MARKERS
    return series[index % len(series)]


# ---- the canvas


def _canvas(view: View, frame: Frame, markers: list[str], ticks: list[float], styles: Styles) -> Grid:
    """Everything between the axes."""
    grid = Grid(frame.width, frame.height, styles)
    bands(grid, frame, view.lines, styles)
    behind, before = _layers(view.lines, frame, markers, styles)
    drawn = draw([layer for layer, _ in behind + before], frame.width, frame.height)
    inlay(grid, list(zip(drawn[len(behind) :], (style for _, style in before), strict=True)))
    inlay(grid, list(zip(drawn, (style for _, style in behind), strict=False)))
    grid_lines(grid, frame, ticks, styles)
    line_markers(grid, frame, view.lines, markers, styles)
    nan_marks(grid, frame, view.lines, styles)
    if view.cursor is not None:
        cursor_line(grid, frame, view.lines, markers, view.cursor, styles)
    return grid


def _layers(
    lines: list[Line], frame: Frame, markers: list[str], styles: Styles
) -> tuple[list[tuple[Layer, Style]], list[tuple[Layer, Style]]]:
    """All that is drawn as lines, what is faint and what is not, with one layer for each style and marker."""
    jobs: list[tuple[Floats, Floats, Style, str, bool]] = []
    for line, marker in zip(lines, markers, strict=True):
        under = [*line.tails, *([(line.x, line.raw)] if line.raw is not None else [])]
        jobs += [(x, y, styles.behind(line.color), ".", False) for x, y in under]
        style = styles.behind(line.color) if line.faint else styles.curve(line.color)
        jobs.append((line.x, line.y, style, marker, not line.faint))
    columns = min(frame.across, max(16, _POINTS // (2 * max(len(jobs), 1))))
    found: dict[tuple[Style, str, bool], list[Pixels]] = {}
    for x, y, style, marker, front in jobs:
        key = (style, marker if styles.mode.ascii else "", front)
        # What stands behind is drawn in half the columns: still with every extreme, in half the time.
        found.setdefault(key, []).extend(_pieces(x, y, frame, columns if front else (columns + 1) // 2))
    layers = [(Layer(pieces, marker), style, front) for (style, marker, front), pieces in found.items()]
    return (
        [(layer, style) for layer, style, front in layers if not front],
        [(layer, style) for layer, style, front in layers if front],
    )


def _pieces(x: Floats, y: Floats, frame: Frame, columns: int) -> list[Pixels]:
    """The polyline of one series on the canvas, decimated and clipped."""
    heights = frame.scaled(y)
    kept, breaks = decimate(x, heights, frame.x.lower, frame.x.upper, columns)
    return polylines(frame.places(x[kept], heights[kept]), breaks, frame.across - 1, frame.up - 1)


# ---- around the canvas


def _head(view: View, found: list[Entry], notes: list[str], width: int, height: int, styles: Styles) -> list[Pieces]:
    """Title and legend: in one line where lines are few and it fits, else the legend below."""
    title, state = _title(view, width, styles), _state(view, notes, styles)
    if height < 11:
        together = [*title, ("  ", "normal")]
        legend = whole_legend(found, width - row_width(together) - row_width(state) - GAP, styles)
        if legend is not None:
            return [spread([*together, *legend], state, width)]
    rows = legend_rows(found, width, max(1, min(height // 6, 4)), styles)
    return [_header(title, state, view, width, styles), *rows]


def _header(title: Pieces, state: Pieces, view: View, width: int, styles: Styles) -> Pieces:
    """The line on top; what there is no room for goes, the place of the cursor last."""
    label = f"  {shown(view.y_label, styles.mode.ascii)}" if view.y_label else ""
    if label and row_width(title) + cell_len(label) + row_width(state) < width:
        title = [*title, (label, "muted")]
    if row_width(title) + row_width(state) + 1 > width:
        state = state[:1] if view.cursor is not None else []
    return spread(title, state, width)


def _title(view: View, width: int, styles: Styles) -> Pieces:
    return [(trimmed(view.title, width, styles), "focused" if view.focused else "title")]


def _state(view: View, notes: list[str], styles: Styles) -> Pieces:
    """Where the cursor is and what is switched on."""
    said = [*view.notes, *notes]
    if view.smoothing:
        said.append(f"smoothing {view.smoothing:.2f}")
    if view.log and not any(note.startswith("log:") for note in notes):
        said.append("log")
    if view.x is not None or view.y is not None:
        said.append("zoomed")
    state: Pieces = [((" . " if styles.mode.ascii else " · ").join(said), "muted")] if said else []
    if view.cursor is None:
        return state
    return [(place_text(view.cursor, view.axis), "cursor"), *([("  ", "muted"), *state] if state else [])]


def _with_axis(body: Grid, frame: Frame, ticks: Ticks, width: int, styles: Styles) -> list[Strip]:
    """The canvas with the y axis on its left."""
    line, tick = ("|", "+") if styles.mode.ascii else ("│", "┤")
    labels = {frame.row(at): label for at, label in ticks}
    margin = frame.left - 1
    strips = []
    for row, strip in enumerate(body.strips()):
        label = labels.get(row)
        axis: Pieces = [
            ((label or "").rjust(margin - 1) + " ", "muted"),
            (line if label is None else tick, "rule"),
        ]
        strips.append(Strip([*strip_of(axis, frame.left, styles), *strip], width))
    return strips


def _x_axis(view: View, frame: Frame, width: int, with_line: bool, styles: Styles) -> list[Strip]:
    """The line under the canvas, and the labels of its ticks with what they count at the right end."""
    name = {"step": "step", "epoch": "epoch", "time": "time"}[view.axis]
    count = max(2, min(frame.width // 9, 12))
    if view.axis == "time":
        ticks = time_ticks(frame.x, count)
    else:
        ticks = linear_ticks(frame.x, count, whole=view.axis == "step")
    corner, line, mark = ("+", "-", "+") if styles.mode.ascii else ("└", "─", "┬")
    axis, labels = Grid(width, 1, styles), Grid(width, 1, styles)
    axis.put(frame.left - 1, 0, corner + line * frame.width, "rule")
    labels.put(width - len(name), 0, name, "muted")
    taken = frame.left - 2
    for at, label in ticks:
        column = frame.left + frame.column(at)
        start = min(max(column - len(label) // 2, frame.left - 1), width - len(label))
        if start <= taken or start + len(label) >= width - len(name):
            continue
        axis.put(column, 0, mark, "rule")
        labels.put(start, 0, label, "muted")
        taken = start + len(label)
    if view.cursor is not None and frame.x.lower <= view.cursor <= frame.x.upper:
        axis.put(frame.left + frame.column(view.cursor), 0, "^" if styles.mode.ascii else "▲", "cursor")
    return [*(axis.strips() if with_line else []), *labels.strips()]
