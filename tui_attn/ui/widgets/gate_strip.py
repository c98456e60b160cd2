"""The mean gate of every channel of a run, one strip of cells a layer."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from rich.cells import cell_len
from textual.geometry import Size
from textual.strip import Strip

from tui_attn.ui.charts.ramp import cell, scale_bar
from tui_attn.ui.drawing import Lines, Pieces, row_width, shown, spread, strips_of, trimmed
from tui_attn.ui.styles import Styles

_WIDEST_CELL = 6
_SCALE = 10


class GateStrip(Lines):
    """Mean gates, 0 to 1, of each layer with gates; channels are grouped when the width asks for it, and it says so."""

    DEFAULT_CSS = "GateStrip { height: auto; }"

    def __init__(self, *, empty: str = "no gates yet", id: str | None = None) -> None:
        """`empty` is shown where there are no gates."""
        super().__init__(id=id)
        self.empty = empty
        self._gates: dict[str, list[float]] = {}
        self._caption = ""

    def set_gates(self, gates: Mapping[str, Sequence[float]], caption: str, *, empty: str = "no gates yet") -> None:
        """Show `gates`, by layer; `caption` says whose they are (run and epoch), `empty` why there are none."""
        fresh = {layer: [float(value) for value in values] for layer, values in gates.items()}
        if (repr(fresh), caption, empty) == (repr(self._gates), self._caption, self.empty):
            return
        taller = max(len(fresh), 1) != max(len(self._gates), 1)
        self._gates, self._caption, self.empty = fresh, caption, empty
        if taller:
            self.refresh(layout=True)
        self.redraw()

    def lines(self, width: int, height: int) -> Sequence[Strip]:
        """Draw the strips."""
        return compose_gates(self._gates, self._caption, self.empty, width, height, self.drawing)

    def get_content_height(self, container: Size, viewport: Size, width: int) -> int:
        """A line for each layer and one above."""
        return 1 + max(len(self._gates), 1)


def grouped(values: Sequence[float], most: int) -> tuple[list[float], int]:
    """Return `values`, or the means of equal neighbourhoods of them, at most `most`, and how many each stands for."""
    size = max(math.ceil(len(values) / max(most, 1)), 1)
    if size == 1:
        return list(values), 1
    parts = [values[start : start + size] for start in range(0, len(values), size)]
    return [sum(part) / len(part) for part in parts], size


def compose_gates(
    gates: Mapping[str, Sequence[float]], caption: str, empty: str, width: int, height: int, styles: Styles
) -> list[Strip]:
    """Draw one line for each layer under a line with `caption` and the scale, which spreads over all gates."""
    ascii_only = styles.mode.ascii
    layers = [(shown(layer, ascii_only), values) for layer, values in gates.items() if len(values)]
    title: Pieces = [("gates", "title")]
    if caption:
        title.append(("  " + shown(caption, ascii_only), "muted"))
    if not layers:
        return strips_of([title, [(trimmed(empty, width, styles), "muted")]], width, height, styles)
    margin = min(max(cell_len(layer) for layer, _ in layers), max(width // 5, 3))
    most = max(len(values) for _, values in layers)
    room = width - margin - 1
    with_numbers = room - 24 >= most
    room -= 24 if with_numbers else 0
    lines = layers if len(layers) < height else layers[: max(height - 1, 1)]
    finite = [value for _, values in layers for value in values if math.isfinite(value)]
    lower, upper = min(finite, default=0.0), max(finite, default=1.0)
    lower, upper = (lower, upper) if upper - lower >= 0.01 else (0.0, 1.0)
    rows: list[Pieces] = []
    largest = 1
    for layer, values in lines:
        cells, size = grouped([(value - lower) / (upper - lower) for value in values], room)
        largest = max(largest, size)
        name = trimmed(layer, margin, styles)
        row: Pieces = [(" " * (margin - cell_len(name)) + name + " ", "muted")]
        wide = min(max(room // len(cells), 1), _WIDEST_CELL)
        row += [(glyph * wide, style) for glyph, style in (cell(value, styles) for value in cells)]
        if with_numbers:
            row.append((" " * (width - row_width(row) - 22), "normal"))
            row.append((_numbers(values, ascii_only), "muted"))
        rows.append(row)
    scale = scale_bar(f"{lower:.2f}", f"{upper:.2f}", _SCALE, styles)
    return strips_of([_heading(title, largest, len(layers) - len(lines), width, scale), *rows], width, height, styles)


def _heading(title: Pieces, grouped_by: int, left_out: int, width: int, scale: Pieces) -> Pieces:
    """The caption, what a cell stands for, and the scale."""
    notes = [f"{grouped_by} channels a cell"] if grouped_by > 1 else []
    notes += [f"+{left_out} layers"] if left_out else []
    right: Pieces = [("  ".join(notes) + "  ", "warning"), *scale] if notes else scale
    if row_width(title) + row_width(right) + 1 > width:
        title = title[:1]
    return spread(title, right, width)


def _numbers(values: Sequence[float], ascii_only: bool) -> str:
    """Mean and range, 22 cells wide."""
    finite = [value for value in values if math.isfinite(value)]
    if not finite:
        return "mean nan".rjust(22)
    dash = "-" if ascii_only else "–"
    return f"mean {sum(finite) / len(finite):.2f}  {min(finite):.2f}{dash}{max(finite):.2f}".rjust(22)
