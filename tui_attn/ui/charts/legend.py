"""The lines of text of a chart: its title, what is switched on, and the legend that doubles as a readout."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from rich.style import Style

from tui_attn.ui.charts.cells import Row, fit, row_width, shown
from tui_attn.ui.charts.chart_style import Look
from tui_attn.ui.charts.curve import XAxis
from tui_attn.ui.charts.series import Line
from tui_attn.ui.charts.ticks import clock, short

if TYPE_CHECKING:
    from tui_attn.ui.charts.decimate import Floats

GAP = 2


def value_text(value: float, percent: bool) -> str:
    """Return a value as a reader wants it: enough digits, few characters."""
    if math.isnan(value):
        return "nan"
    if math.isinf(value):
        return "inf" if value > 0 else "-inf"
    if percent:
        return f"{value * 100:.2f}%"
    size = abs(value)
    if size == 0 or 1e-3 <= size < 100:
        return f"{value:.4f}"
    return f"{value:.1f}" if 100 <= size < 1e5 else short(value)


def place_text(x: float, axis: XAxis) -> str:
    """Return a place on the x axis in words: `step 1,200`, `epoch 2.50`, `5m12s`."""
    if axis == "time":
        return f"{x:.2f}s" if 0 < x < 10 else clock(x)
    if axis == "epoch":
        return f"epoch {x:.2f}"
    return f"step {x:,.0f}"


def index_at(places: Floats, x: float, reach: float) -> int | None:
    """Return the index of the one of `places` nearest to `x`; None when even that is further away than `reach`."""
    n = len(places)
    if not n:
        return None
    right = min(int(np.searchsorted(places, x)), n - 1)
    left = max(right - 1, 0)
    nearest = left if abs(places[left] - x) <= abs(places[right] - x) else right
    spacing = (places[-1] - places[0]) / (n - 1) if n > 1 else 0.0
    inside = places[0] <= x <= places[-1]
    return nearest if inside or abs(places[nearest] - x) <= max(reach, spacing / 2) else None


@dataclass(frozen=True, slots=True)
class Entry:
    """One curve in the legend."""

    marker: str
    label: str
    value: str
    detail: str
    style: Style


def entries(
    lines: list[Line], markers: list[str], cursor: float | None, reach: float, percent: bool, look: Look
) -> list[Entry]:
    """Return what the legend says of each line: its value at the cursor, or else its last one."""
    found = []
    for line, marker in zip(lines, markers, strict=True):
        label = shown(line.label, look.mode.ascii)
        if line.members > 1:
            label += f" {'x' if look.mode.ascii else '×'}{line.members}"
        value, detail = _read(line, cursor, reach, percent, look)
        found.append(Entry(marker, label, value, detail, look.curve(line.color, bold=True)))
    return found


def _read(line: Line, cursor: float | None, reach: float, percent: bool, look: Look) -> tuple[str, str]:
    """The value of `line` at the cursor, or its last one, and what belongs to it."""
    index = (len(line.x) - 1 if len(line.x) else None) if cursor is None else index_at(line.x, cursor, reach)
    if index is not None:
        return value_text(float(line.y[index]), percent), _detail(line, index, percent, look)
    if cursor is not None:
        beyond = [(y, index_at(x, cursor, reach)) for x, y in line.tails]
        values = [float(y[at]) for y, at in beyond if at is not None]
        if values:
            return value_text(sum(values) / len(values), percent), f"{len(values)} of {line.members} seeds"
    return "-" if look.mode.ascii else "–", ""


def _detail(line: Line, index: int, percent: bool, look: Look) -> str:
    """The band, or the raw value under a smoothed one."""
    if line.low is not None and line.high is not None:
        low, high = value_text(float(line.low[index]), percent), value_text(float(line.high[index]), percent)
        return f"{low} to {high}" if look.mode.ascii else f"{low} – {high}"
    if line.raw is None or not math.isfinite(line.raw[index]):
        return ""
    return f"raw {value_text(float(line.raw[index]), percent)}"


_FORMS = ((True, 40), (False, 40), (False, 14), (False, 8), (False, 4))
"""With or without details, and how long a label may be: from all there is to hardly anything."""


def whole_legend(found: list[Entry], width: int, look: Look) -> Row | None:
    """Return the legend in one line of at most `width` cells; None when that would cut too much."""
    for detail, limit in _FORMS[:3]:
        row = _joined([_piece(entry, detail, limit, look) for entry in found], look)
        if row_width(row) <= width:
            return row
    return None


def legend_rows(found: list[Entry], width: int, most: int, look: Look) -> list[Row]:
    """Return the legend in at most `most` lines: first details go, then labels are cut, then the rest is counted."""
    rows: list[list[Row]] = []
    for detail, limit in _FORMS:
        rows = _wrapped([_piece(entry, detail, limit, look) for entry in found], width)
        if len(rows) <= most:
            return [_joined(row, look) for row in rows]
    kept = rows[:most]
    left_out = len(found) - sum(len(row) for row in kept)
    more: Row = [(f"+{left_out}", look.muted)]
    while kept and kept[-1] and row_width(_joined([*kept[-1], more], look)) > width:
        kept[-1].pop()
        left_out += 1
        more = [(f"+{left_out}", look.muted)]
    if kept:
        kept[-1].append(more)
    return [_joined(row, look) for row in kept]


def _piece(entry: Entry, detail: bool, limit: int, look: Look) -> Row:
    label = fit(entry.label, limit, look.mode.ascii)
    row: Row = [(entry.marker + " ", entry.style), (label, look.text), (" " + entry.value, look.title)]
    if detail and entry.detail:
        row.append((f" ({entry.detail})", look.muted))
    return row


def _wrapped(pieces: list[Row], width: int) -> list[list[Row]]:
    """Put as many pieces on each line as fit."""
    rows: list[list[Row]] = []
    used = 0
    for piece in pieces:
        size = row_width(piece)
        if rows and used + GAP + size <= width:
            rows[-1].append(piece)
            used += GAP + size
        else:
            rows.append([piece])
            used = size
    return rows


def _joined(pieces: list[Row], look: Look) -> Row:
    joined: Row = []
    for piece in pieces:
        joined += [(" " * GAP, look.text), *piece] if joined else piece
    return joined
