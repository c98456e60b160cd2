"""The mean gates of a run as strips of cells."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from rich.cells import cell_len
from textual.strip import Strip

from tui_attn.ui.charts.cells import Row, fit, row_strip, row_width, shown, spread
from tui_attn.ui.charts.chart_style import Look
from tui_attn.ui.charts.ramp import scale_bar, value_cell

_WIDEST_CELL = 6
_SCALE = 10


def grouped(values: Sequence[float], most: int) -> tuple[list[float], int]:
    """Return `values`, or the means of equal neighbourhoods of them, at most `most`, and how many each stands for."""
    size = max(math.ceil(len(values) / max(most, 1)), 1)
    if size == 1:
        return list(values), 1
    parts = [values[start : start + size] for start in range(0, len(values), size)]
    return [sum(part) / len(part) for part in parts], size


def compose_gates(
    gates: Mapping[str, Sequence[float]], caption: str, empty: str, width: int, height: int, look: Look
) -> list[Strip]:
    """Draw one line for each layer under a line with `caption` and the scale, 0 to 1."""
    ascii_only = look.mode.ascii
    layers = [(shown(layer, ascii_only), values) for layer, values in gates.items() if len(values)]
    title: Row = [("gates", look.title)]
    if caption:
        title.append(("  " + shown(caption, ascii_only), look.muted))
    if not layers:
        rows = [title, [(fit(shown(empty, ascii_only), width, ascii_only), look.muted)]]
        return _strips(rows, width, height, look)
    margin = min(max(cell_len(label) for label, _ in layers), max(width // 5, 3))
    most = max(len(values) for _, values in layers)
    room = width - margin - 1
    with_numbers = room - 24 >= most
    room -= 24 if with_numbers else 0
    lines = layers if len(layers) < height else layers[: max(height - 1, 1)]
    rows, largest = [], 1
    for label, values in lines:
        cells, size = grouped(values, room)
        largest = max(largest, size)
        name = fit(label, margin, ascii_only)
        row: Row = [(" " * (margin - cell_len(name)) + name + " ", look.muted)]
        row += _cells(cells, min(max(room // len(cells), 1), _WIDEST_CELL), look)
        if with_numbers:
            row.append((" " * (width - row_width(row) - 22), look.text))
            row.append((_numbers(values, ascii_only), look.muted))
        rows.append(row)
    return _strips([_heading(title, largest, len(layers) - len(lines), width, look), *rows], width, height, look)


def _heading(title: Row, grouped_by: int, left_out: int, width: int, look: Look) -> Row:
    """The caption, what a cell stands for, and the scale."""
    scale = scale_bar("0", "1", _SCALE, look)
    notes = [f"{grouped_by} channels a cell"] if grouped_by > 1 else []
    notes += [f"+{left_out} layers"] if left_out else []
    right: Row = [("  ".join(notes) + "  ", look.warning), *scale] if notes else scale
    if row_width(title) + row_width(right) + 1 > width:
        title = title[:1]
    return spread(title, right, width, look.text)


def _cells(values: Sequence[float], size: int, look: Look) -> Row:
    return [(glyph * size, style) for glyph, style in (value_cell(value, look) for value in values)]


def _numbers(values: Sequence[float], ascii_only: bool) -> str:
    """Mean and range, 22 cells wide."""
    finite = [value for value in values if math.isfinite(value)]
    if not finite:
        return "mean nan".rjust(22)
    dash = "-" if ascii_only else "–"
    return f"mean {sum(finite) / len(finite):.2f}  {min(finite):.2f}{dash}{max(finite):.2f}".rjust(22)


def _strips(rows: list[Row], width: int, height: int, look: Look) -> list[Strip]:
    padded = [*rows, *([] for _ in range(height))][:height]
    return [row_strip(row, width, look.text) for row in padded]
