"""The lines of text of a chart: its title, what is switched on, and the legend that doubles as a readout."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from rich.style import Style

from tui_attn.ui.charts.geometry import Floats, Frame
from tui_attn.ui.charts.series import Curve, XAxis
from tui_attn.ui.charts.ticks import clock, short
from tui_attn.ui.drawing import Pieces, row_width, shown, trimmed
from tui_attn.ui.styles import Styles

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


def place_text(x: float, axis: XAxis, *, log: bool = False) -> str:
    """Return a place on the x axis in words: `step 1,200`, `epoch 2.50`, `5m12s`. `log`: `x` is a power of ten."""
    x = 10**x if log else x
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
    lines: list[Curve], cursor: float | None, reach: float, percent: bool, styles: Styles, *, values: bool = True
) -> list[Entry]:
    """Return what the legend says of each strong line: its value at the cursor, or else its last one.

    Without `values` only at a cursor: they stand at the lines' ends.
    """
    found = []
    for line in lines:
        if line.faint:
            continue
        label = shown(line.label, styles.mode.ascii)
        if line.members > 1:
            label += f" {'x' if styles.mode.ascii else '×'}{line.members}"
        told = values or cursor is not None
        value, detail = _read(line, cursor, reach, percent, styles) if told else ("", "")
        found.append(Entry(styles.marker(line.color), label, value, detail, styles.curve(line.color, bold=True)))
    return found


def key_of(lines: list[Curve], smoothing: float, outside: bool, styles: Styles, width: int) -> Pieces:
    """Return what the signs of the chart mean, as far as it holds them and there is room, the important ones first."""
    ascii_only = styles.mode.ascii
    stroke = "-" if ascii_only else "━"
    smoothed = f", smoothed {smoothing:g}" if smoothing and any(line.smooth for line in lines) else ""
    parts: list[Pieces] = []
    strong = [line for line in lines if not line.faint]
    if any(not line.smooth for line in strong):
        parts.append([(f"{stroke} test", "title")])
    if any(line.smooth for line in strong):
        parts.append([(f"{stroke} train", "title"), (smoothed, "muted")])
    if len(strong) < len(lines):
        parts.append([(f"{'.' if ascii_only else stroke} train", "faint"), (smoothed, "muted")])
    if outside:
        parts.append([("^v outside" if ascii_only else "↑↓ outside", "muted")])
    if any(line.low is not None for line in strong):
        parts.append([(f"{':' if ascii_only else '░'} all seeds", "muted")])
    if any(not np.isfinite(line.y).all() for line in lines):
        parts.append([("! not finite" if ascii_only else "✗ not finite", "muted")])
    if row_width(_joined(parts, styles)) > width:
        parts = [part[:1] for part in parts]
    while parts and row_width(_joined(parts, styles)) > width:
        parts.pop()
    return _joined(parts, styles)


def _read(line: Curve, cursor: float | None, reach: float, percent: bool, styles: Styles) -> tuple[str, str]:
    """The value of `line` at the cursor, or its last one, and what belongs to it."""
    index = (len(line.x) - 1 if len(line.x) else None) if cursor is None else index_at(line.x, cursor, reach)
    if index is not None:
        return value_text(float(line.y[index]), percent), _detail(line, index, percent, styles)
    if cursor is not None:
        beyond = [(y, index_at(x, cursor, reach)) for x, y in line.tails]
        values = [float(y[at]) for y, at in beyond if at is not None]
        if values:
            return value_text(sum(values) / len(values), percent), f"{len(values)} of {line.members} seeds"
    return "-" if styles.mode.ascii else "–", ""


def _detail(line: Curve, index: int, percent: bool, styles: Styles) -> str:
    """The band, or the raw value under a smoothed one."""
    if line.low is not None and line.high is not None:
        low, high = value_text(float(line.low[index]), percent), value_text(float(line.high[index]), percent)
        return f"{low} to {high}" if styles.mode.ascii else f"{low} – {high}"
    if line.raw is None or not math.isfinite(line.raw[index]):
        return ""
    return f"raw {value_text(float(line.raw[index]), percent)}"


_FORMS = ((True, 40), (False, 40), (False, 14), (False, 8), (False, 0))
"""With or without details, and how long a label may be: from all there is to the marker alone."""


def whole_legend(found: list[Entry], width: int, styles: Styles) -> Pieces | None:
    """Return the legend in one line of at most `width` cells; None when that would cut too much."""
    for detail, limit in _FORMS[:3]:
        row = _joined([_piece(entry, detail, limit, styles) for entry in found], styles)
        if row_width(row) <= width:
            return row
    return None


def legend_rows(found: list[Entry], width: int, most: int, styles: Styles) -> list[Pieces]:
    """Return the legend in at most `most` lines: first details go, then labels, then the rest is counted."""
    rows: list[list[Pieces]] = []
    for detail, limit in _FORMS:
        rows = _wrapped([_piece(entry, detail, limit, styles) for entry in found], width)
        if len(rows) <= most:
            return [_joined(row, styles) for row in rows]
    kept = rows[:most]
    left_out = len(found) - sum(len(row) for row in kept)
    more: Pieces = [(f"+{left_out}", "muted")]
    while kept and kept[-1] and row_width(_joined([*kept[-1], more], styles)) > width:
        kept[-1].pop()
        left_out += 1
        more = [(f"+{left_out}", "muted")]
    if kept:
        kept[-1].append(more)
    return [_joined(row, styles) for row in kept]


def _piece(entry: Entry, detail: bool, limit: int, styles: Styles) -> Pieces:
    row: Pieces = [
        (entry.marker, entry.style),
        (f" {trimmed(entry.label, limit, styles)}" if limit else "", "normal"),
        (f" {entry.value}" if entry.value else "", "title"),
    ]
    if detail and entry.detail:
        row.append((f" ({entry.detail})", "muted"))
    return row


def _wrapped(pieces: list[Pieces], width: int) -> list[list[Pieces]]:
    """Put as many pieces on each line as fit."""
    rows: list[list[Pieces]] = []
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


def _joined(pieces: list[Pieces], styles: Styles) -> Pieces:
    joined: Pieces = []
    for piece in pieces:
        joined += [(" " * GAP, "normal"), *piece] if joined else piece
    return joined


# ---- the value cursor


def places(lines: Sequence[Curve]) -> Floats:
    """Return every x at which any of `lines` has a point, ascending."""
    parts = [line.x for line in lines] + [x for line in lines for x, _ in line.tails]
    found = np.concatenate(parts) if parts else np.zeros(0)
    return np.unique(found[np.isfinite(found)])


def moved(lines: Sequence[Curve], frame: Frame, cursor: float | None, columns: int) -> float | None:
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
