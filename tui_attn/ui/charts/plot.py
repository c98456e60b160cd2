"""A whole chart: title, legend, canvas, axes and cursor, as strips of a given size."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from rich.cells import cell_len
from rich.style import Style
from textual.strip import Strip

from tui_attn.ui.charts.canvas import (
    RAW,
    Drawings,
    Grid,
    Layer,
    bands,
    cursor_line,
    draw,
    end_markers,
    grid_lines,
    inlay,
    last_point,
    line_style,
    nan_marks,
    outside_marks,
)
from tui_attn.ui.charts.geometry import HUGE, Floats, Frame, Pixels, Span, decimate, history, padded, polylines, scaled
from tui_attn.ui.charts.legend import GAP, Entry, entries, key_of, legend_rows, place_text, value_text, whole_legend
from tui_attn.ui.charts.series import Curve, XAxis
from tui_attn.ui.charts.ticks import Ticks, linear_ticks, log_ticks, time_ticks
from tui_attn.ui.drawing import Pieces, centred, row_width, spread, strip_of, trimmed
from tui_attn.ui.styles import Styles

MIN_WIDTH, MIN_HEIGHT = 30, 6
WARM_UP, WARM_UP_FAINT = 0.1, 0.3
"""The share of the x axis whose values a fitted y axis leaves out, of strong and of faint lines."""
_LABELLED = 52
"""Cells of width from which on values stand at the ends of lines."""
_LONGEST_NAME = 20
_POINTS = 6000
"""Roughly how many points the kernel is given for one drawing; beyond that columns are made wider."""


@dataclass(slots=True)
class View:
    """What to show. Spans of None follow the data; `y` is in powers of ten on a logarithmic axis."""

    lines: list[Curve]
    title: str = ""
    percent: bool = False
    axis: XAxis = "step"
    log_x: bool = False
    """Whether `x`, `cursor` and the lines' places are powers of ten."""
    log: bool = False
    x: Span | None = None
    y: Span | None = None
    cursor: float | None = None
    smoothing: float = 0.0
    focused: bool = False
    fit: bool = True
    """Whether the y axis leaves out what only the warm-up of the curves reaches."""
    empty: str = "waiting for the first points"
    names: bool = False
    """Whether names stand at the ends of lines, not in the legend, and lines that meet are seen by turns."""
    notes: list[str] = field(default_factory=list)
    kept: Drawings = field(default_factory=dict)
    """The drawn layers of the chart's last picture."""


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
        labelled = width >= _LABELLED
        named = [] if view.names and labelled else view.lines
        found = entries(named, view.cursor, x.width / width, view.percent, styles, values=not labelled)
        outside = _reaches_outside(view.lines, x, y, log)
        head = _head(view, found, outside, notes, width, height, styles)
        axis_line = height >= 8
        rows = height - len(head) - 1 - axis_line
        y_ticks = _y_ticks(view, y, log, rows)
        margin = max((len(label) for _, label in y_ticks), default=0) + 1
        ends = [_end_label(line, view, styles) for line in view.lines if not line.faint] if labelled else []
        room = max(map(cell_len, ends), default=0)
        frame = Frame(margin + 1, len(head), width - margin - 1 - room, rows, x, y, log, styles.mode.ascii)
        body = _canvas(view, frame, [at for at, _ in y_ticks], styles)
        labels = _end_labels(view, frame, room, styles)
        strips = [strip_of(row, width, styles) for row in head]
        strips += _with_axis(body, labels, frame, y_ticks, width, styles)
        strips += _x_axis(view, frame, width, axis_line, styles)
    return Picture(strips, frame, full)


# ---- the visible part


def _prepare(view: View) -> tuple[Span, Span, Span, bool, list[str]] | None:
    """Return the whole history, the spans shown, whether the y axis is logarithmic, and notes. None: no points."""
    ends = [(line.x[0], line.x[-1]) for line in view.lines if len(line.x)]
    ends += [(x[0], x[-1]) for line in view.lines for x, _ in line.tails if len(x)]
    if not ends:
        return None
    full = history(float(min(a for a, _ in ends)), float(max(b for _, b in ends)))
    x = full if view.x is None else view.x.within(full)
    notes: list[str] = []
    values = _values(view, x, fit=view.fit)
    positive = values[values > 0]
    log = view.log and len(positive) > 0
    if view.log and not log:
        notes.append("log: nothing positive")
    elif log and (hidden := int((_values(view, x, fit=False) <= 0).sum())):
        notes.append(f"{hidden} not positive")
    shown_values = np.log10(positive) if log else np.clip(values, -HUGE, HUGE)
    y = view.y or (padded(float(shown_values.min()), float(shown_values.max())) if len(shown_values) else Span(0, 1))
    return full, x, y, log, notes


def _values(view: View, x: Span, *, fit: bool) -> Floats:
    """All finite values within `x`, or with `fit` those that the range of values should hold."""
    drawn = [part for line in view.lines for part in _drawn(line, _fitted(line, x) if fit else x)]
    finite = [part[np.isfinite(part)] for part in drawn]
    return np.concatenate(finite) if finite else np.zeros(0)


def _fitted(line: Curve, x: Span) -> Span:
    """The part of the x axis where the values of `line` should be in sight: after the warm-up, and its last value."""
    start = x.at(WARM_UP_FAINT if line.faint else WARM_UP)
    return Span(min(start, max(float(line.x[-1]), x.lower)) if len(line.x) else start, x.upper)


def _drawn(line: Curve, x: Span) -> list[Floats]:
    """The values of `line` that are seen within `x`, all kinds together but for the raw ones."""
    first, last = np.searchsorted(line.x, [x.lower, x.upper])
    window = slice(int(first), int(last) + 1)
    parts = [part[window] for part in (line.y, line.low, line.high) if part is not None]
    for place, values in line.tails:
        parts.append(values[(place >= x.lower) & (place <= x.upper)])
    return parts


def _reaches_outside(lines: list[Curve], x: Span, y: Span, log: bool) -> bool:
    """Whether any of `lines` leaves the range of values shown."""
    for line in lines:
        heights = scaled(line.y[(line.x >= x.lower) & (line.x <= x.upper)], log)
        if ((heights < y.lower) | (heights > y.upper)).any():
            return True
    return False


def _y_ticks(view: View, y: Span, log: bool, rows: int) -> Ticks:
    ticks: Ticks = []
    # One label alone gives no scale: finer ticks where there is room for them.
    for count in range(max(2, min(rows * 2 // 5, 8)), max(3, rows // 2 + 1)):
        ticks = log_ticks(y, count) if log else linear_ticks(y, count, percent=view.percent)
        if len(ticks) > 1:
            break
    return [(at, label[:12]) for at, label in ticks]


def _end_label(line: Curve, view: View, styles: Styles, room: int = 0) -> str:
    finite = np.flatnonzero(np.isfinite(line.y))
    value = value_text(float(line.y[finite[-1]]), view.percent) if len(finite) else ""
    name = f" {trimmed(line.label, _LONGEST_NAME, styles)} " if view.names else ""
    left = f" {styles.marker(line.color)}{name}"
    return left + (value.rjust(room - cell_len(left)) if name else value)


def _end_labels(view: View, frame: Frame, room: int, styles: Styles) -> list[Pieces]:
    """The values of strong lines at the height of their ends, moved apart; the upper lines come first."""
    if not room:
        return []
    found: list[tuple[float, int, Pieces]] = []
    for line in sorted(view.lines, key=lambda line: -line.rank):
        end = None if line.faint else last_point(line, frame)
        if end is not None and len(found) < frame.height:
            style = styles.curve(line.color, bold=not line.dimmed)
            row = min(max(frame.row(end[1]), 0), frame.height - 1)
            found.append((-end[1], row, [(_end_label(line, view, styles, room), style)]))
    found.sort(key=lambda label: label[0])
    rows: list[Pieces] = [[] for _ in range(frame.height)]
    free = 0
    for left, (_, row, pieces) in zip(range(len(found) - 1, -1, -1), found, strict=True):
        # As low as its line, but with a row left for each label below.
        at = min(max(row, free), frame.height - 1 - left)
        rows[at] = pieces
        free = at + 1
    return rows


# ---- the canvas


def _canvas(view: View, frame: Frame, ticks: list[float], styles: Styles) -> Grid:
    """Everything between the axes."""
    grid = Grid(frame.width, frame.height, styles)
    lines = sorted(view.lines, key=lambda line: line.rank)
    bands(grid, frame, lines, styles)
    layers = _layers(view.lines, frame, styles)
    drawn = draw([layer for layer, _ in layers], frame.width, frame.height, view.kept)
    inlay(grid, list(zip(drawn, (style for _, style in layers), strict=True)), by_turns=view.names)
    grid_lines(grid, frame, ticks, styles)
    end_markers(grid, frame, lines, styles)
    nan_marks(grid, frame, lines, styles)
    outside_marks(grid, frame, view.lines, styles)
    if view.cursor is not None:
        cursor_line(grid, frame, lines, view.cursor, styles)
    return grid


def _layers(lines: list[Curve], frame: Frame, styles: Styles) -> list[tuple[Layer, Style]]:
    """All that is drawn as lines, the uppermost first, with one layer for each style and marker."""
    jobs: list[tuple[int, Floats, Floats, Style, str]] = []
    raw: list[tuple[Floats, Floats, Style]] = []
    for line in lines:
        under = styles.curve(line.color, share=RAW)
        jobs += [(-1, x, y, under, ".") for x, y in line.tails]
        raw += [(line.x, line.raw, under)] if line.raw is not None else []
        marker = "." if line.faint else styles.marker(line.color)
        jobs.append((line.rank, line.x, line.y, line_style(line, styles), marker))
    jobs.sort(key=lambda job: -job[0])
    columns = min(frame.across, max(16, _POINTS // (2 * max(len(jobs), 1))))
    found: dict[tuple[int, Style, str], list[Pixels]] = {}
    for rank, x, y, style, marker in jobs:
        pieces = polylines(*_decimated(x, y, frame, columns), frame.across - 1, frame.up - 1)
        found.setdefault((rank, style, marker if styles.mode.ascii else ""), []).extend(pieces)
    for x, y, style in raw:
        # Points without lines between them: noise hides less, and a live chart writes less.
        places = np.rint(_decimated(x, y, frame, (columns + 1) // 2)[0])
        inside = ((places >= 0) & (places < (frame.across, frame.up))).all(axis=1)
        dots = places[inside].astype(np.int64)[:, None]
        found.setdefault((-1, style, "." if styles.mode.ascii else ""), []).extend(dots)
    return [(Layer(pieces, marker), style) for (_, style, marker), pieces in found.items()]


def _decimated(x: Floats, y: Floats, frame: Frame, columns: int) -> tuple[Floats, Sequence[int]]:
    """The places of one series on the canvas, decimated, and the indices at which a new line begins."""
    heights = frame.scaled(y)
    kept, breaks = decimate(x, heights, frame.x.lower, frame.x.upper, columns)
    return frame.places(x[kept], heights[kept]), breaks


# ---- around the canvas


def _head(
    view: View, found: list[Entry], outside: bool, notes: list[str], width: int, height: int, styles: Styles
) -> list[Pieces]:
    """Title with the key to signs, and legend: in one line where lines are few and it fits, else the legend below."""
    title, state = _title(view, width, styles), _state(view, notes, styles)
    gap: Pieces = [(" " * GAP, "normal")]
    room = width - row_width(title) - GAP - (row_width(state) + GAP if state else 0)
    key = key_of(view.lines, view.smoothing, outside, styles, room)
    if key:
        title = [*title, *gap, *key]
    if height < 11:
        legend = whole_legend(found, width - row_width(title) - row_width(state) - 2 * GAP, styles)
        if legend is not None:
            return [spread([*title, *gap, *legend], state, width)]
    rows = legend_rows(found, width, max(1, min(height // 6, 4)), styles)
    return [_header(title, state, view, width, styles), *rows]


def _header(title: Pieces, state: Pieces, view: View, width: int, styles: Styles) -> Pieces:
    """The line on top; what there is no room for goes, the place of the cursor last."""
    if row_width(title) + row_width(state) + 1 > width:
        state = state[:1] if view.cursor is not None else []
    return spread(title, state, width)


def _title(view: View, width: int, styles: Styles) -> Pieces:
    return [(trimmed(view.title, width, styles), "focused" if view.focused else "title")]


def _state(view: View, notes: list[str], styles: Styles) -> Pieces:
    """Where the cursor is and what is switched on."""
    said = [*view.notes, *notes]
    if view.log_x:
        said.append("log x")
    if view.log and not any(note.startswith("log:") for note in notes):
        said.append("log y")
    if not view.fit and view.y is None:
        said.append("full range")
    if view.x is not None or view.y is not None:
        said.append("zoomed")
    state: Pieces = [((" . " if styles.mode.ascii else " · ").join(said), "muted")] if said else []
    if view.cursor is None:
        return state
    return [
        (place_text(view.cursor, view.axis, log=view.log_x), "cursor"),
        *([("  ", "muted"), *state] if state else []),
    ]


def _with_axis(body: Grid, ends: list[Pieces], frame: Frame, ticks: Ticks, width: int, styles: Styles) -> list[Strip]:
    """The canvas with the y axis on its left and the values of lines on its right."""
    line, tick = ("|", "+") if styles.mode.ascii else ("│", "┤")
    labels = {frame.row(at): label for at, label in ticks}
    margin = frame.left - 1
    strips = []
    for row, strip in enumerate(body.strips()):
        label = labels.get(row)
        axis: Pieces = [((label or "").rjust(margin - 1) + " ", "muted"), (line if label is None else tick, "rule")]
        right = strip_of(ends[row] if ends else [], width - frame.left - frame.width, styles)
        strips.append(Strip([*strip_of(axis, frame.left, styles), *strip, *right], width))
    return strips


def _x_axis(view: View, frame: Frame, width: int, with_line: bool, styles: Styles) -> list[Strip]:
    """The line under the canvas, and the labels of its ticks with what they count at the right end."""
    name = {"step": "step", "epoch": "epoch", "time": "time"}[view.axis]
    count = max(2, min(frame.width // 9, 12))
    if view.log_x:
        ticks = log_ticks(frame.x, count)
        name = f"{name} (log)"
    elif view.axis == "time":
        ticks = time_ticks(frame.x, count)
    else:
        ticks = linear_ticks(frame.x, count, whole=view.axis == "step" or not any(line.smooth for line in view.lines))
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
