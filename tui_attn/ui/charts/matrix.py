"""A matrix as a heatmap: what its cells show, in which order, and how that looks in a given size."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Literal, cast

from rich.cells import cell_len
from textual.strip import Strip

from tui_attn.ui.charts.palette import text_on
from tui_attn.ui.charts.ramp import cell, cell_color, cursor_style, scale_bar
from tui_attn.ui.drawing import Pieces, centred, fit, row_width, shown, spread, strips_of, trimmed
from tui_attn.ui.styles import DrawingMode, Styles

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

    from tui_attn.ui.charts.geometry import Floats

SortKey = Literal["index", "mean", "spread"]
SORT_KEYS: tuple[SortKey, ...] = ("index", "mean", "spread")

MIN_WIDTH, MIN_HEIGHT = 24, 5
_WIDEST_CELL, _TALLEST_CELL = 6, 6


@dataclass(frozen=True, eq=False)
class Matrix:
    """Values of rows (classes) by columns (channels), with their labels and the ends of the scale."""

    values: Floats
    row_labels: Sequence[str]
    column_labels: Sequence[str]
    lower: float
    upper: float
    expected: Floats
    """What differences are from, cell by cell."""
    ordered_like: Matrix | None = None
    """The matrix whose order of columns this one takes, to stand beside it."""
    difference_end: float | None = None
    """The end of the scale of differences; None: the largest difference."""

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns."""
        return len(self.row_labels), len(self.column_labels)

    @cached_property
    def spreads(self) -> Floats:
        """Highest minus lowest of what is finite in every column."""
        import numpy as np

        finite = np.ma.masked_invalid(self.values)
        found: Floats = (finite.max(axis=0) - finite.min(axis=0)).filled(math.nan)
        return found

    @cached_property
    def differences(self) -> Floats:
        """The values less what they are expected to be."""
        return self.values - self.expected

    @property
    def difference_scale(self) -> float:
        """Where the scale of differences ends on both sides of 0; 0 when all are equal."""
        if self.difference_end is not None:
            return self.difference_end
        import numpy as np

        return float(abs(self.differences).max(where=np.isfinite(self.differences), initial=0.0))

    def order(self, key: SortKey) -> list[int]:
        """The columns in the order of `key`: by index upwards, by mean or by spread downwards."""
        if self.ordered_like is not None and self.ordered_like.shape[1] == self.shape[1]:
            return self.ordered_like.order(key)
        if key == "index":
            return list(range(self.shape[1]))
        by = _means(self.values) if key == "mean" else self.spreads
        found: list[int] = (-by).argsort(kind="stable").tolist()
        return found

    def shares(self, difference: bool) -> Floats:
        """Where on the scale the cells lie: in [0, 1], or, for differences, in [-1, 1]. NaN stays NaN."""
        if difference:
            end = self.difference_scale
            return (self.differences / end).clip(-1, 1) if end else self.differences.clip(0, 0)
        width = self.upper - self.lower
        return ((self.values - self.lower) / width).clip(0, 1) if width > 0 else self.values.clip(0.5, 0.5)


NO_MATRIX = Matrix(cast("Floats", ()), [], [], 0.0, 1.0, cast("Floats", ()))
"""What stands before there is a matrix, and before numpy is loaded: no cells."""


def matrix(
    values: ArrayLike,
    row_labels: Sequence[object],
    column_labels: Sequence[object] | None = None,
    lower: float | None = None,
    upper: float | None = None,
    *,
    reference: ArrayLike | None = None,
    ordered_like: Matrix | None = None,
    difference_end: float | None = None,
) -> Matrix:
    """Make a `Matrix` of lists or a numpy array, on a scale from `lower` to `upper` or its own.

    Columns are numbered from 0 without labels. `reference`: of the same shape, what differences are from; without it
    the means of the columns. Raises ValueError when rows differ in length or labels don't fit.
    """
    import numpy as np

    array = np.array(values, dtype=np.float64, ndmin=2)
    array = array if array.size else np.zeros((0, 0))
    rows, columns = array.shape
    labels = range(columns) if column_labels is None else column_labels
    if (len(row_labels), len(labels)) != array.shape:
        raise ValueError(f"{len(row_labels)} x {len(labels)} labels for {rows} x {columns} values")
    known = np.broadcast_to(_means(array), array.shape) if reference is None else np.array(reference, dtype=np.float64)
    if known.shape != array.shape:
        raise ValueError("a reference must have the shape of the values")
    finite = array[np.isfinite(array)]
    low, high = (float(finite.min()), float(finite.max())) if finite.size else (0.0, 1.0)
    return Matrix(
        array,
        [str(label) for label in row_labels],
        [str(label) for label in labels],
        low if lower is None else lower,
        high if upper is None else upper,
        known,
        ordered_like,
        difference_end,
    )


def _means(values: Floats) -> Floats:
    """The mean of every column over the rows, of what is finite; NaN where nothing is."""
    import numpy as np

    found: Floats = np.ma.masked_invalid(values).mean(axis=0).filled(math.nan)
    return found


@dataclass(slots=True)
class MatrixView:
    """What to show of a matrix. `cursor` is a row and a column of the data; the offset counts shown columns."""

    matrix: Matrix
    title: str = ""
    row_title: str = "row"
    column_title: str = "column"
    sort_by: SortKey = "index"
    difference: bool = False
    cursor: tuple[int, int] = (0, 0)
    first_row: int = 0
    first_column: int = 0
    columns: list[int] = field(default_factory=list)
    """The columns in sight and, next, of all cells where they lie on the scale: set when it is drawn."""
    shares: list[list[float]] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Layout:
    """Where the cells of a heatmap lie, and how many are in sight.

    Packed, each line of the screen holds two rows, as the halves of half blocks.
    """

    left: int
    top: int
    cell_width: int
    cell_height: int
    rows: int
    columns: int
    packed: bool = False

    @classmethod
    def of(cls, shape: tuple[int, int], label_width: int, width: int, height: int, *, pack: bool) -> Layout | None:
        """Return the layout for a matrix of `shape` in `width` x `height` cells; None when there is no room."""
        if width < MIN_WIDTH or height < MIN_HEIGHT or 0 in shape:
            return None
        # Title, readout, labels of the columns and scale; the scale goes first.
        around = 4 if height - 4 >= min(shape[0], 3) else 3
        left = min(label_width, max(width // 4, 6)) + 2
        room, lines = width - left, max(height - around, 1)
        cell_width = min(max(room // shape[1], 1), _WIDEST_CELL)
        cell_height = min(max(lines // shape[0], 1), _TALLEST_CELL)
        packed = pack and lines < shape[0]
        rows = lines * 2 if packed else lines // cell_height
        return cls(left, 2, cell_width, cell_height, min(shape[0], rows), min(shape[1], room // cell_width), packed)

    @property
    def legibility(self) -> tuple[int, int, int]:
        """How well it shows the matrix, by weight: cells in sight, the shorter side of one, its area.

        Sides are in half lines, which are as long as a column of the screen is wide.
        """
        tall = 1 if self.packed else 2 * self.cell_height
        return self.rows * self.columns, min(self.cell_width, tall), self.cell_width * tall

    def following(self, first: int, cursor: int, shown_cells: int, count: int) -> int:
        """Return the first cell to show so that `cursor` is in sight, moving as little as possible."""
        first = min(max(first, cursor - shown_cells + 1), cursor)
        return min(max(first, 0), max(count - shown_cells, 0))

    def row_at(self, line: int) -> int:
        """Return the shown row at a line below `top`; of two in one line the upper."""
        return line * 2 if self.packed else line // self.cell_height


def number(value: float) -> str:
    """A value of a heatmap in words: decimals as long as eight of them show three digits."""
    size = abs(value)
    if 0 < size < 1e-6 or not math.isfinite(value):
        return "0.000000" if size < 1 else str(value)
    if size >= 1000:
        return f"{value:,.1f}"
    return f"{value:.4f}" if size >= 1e-3 or size == 0 else f"{value:.{2 - math.floor(math.log10(size))}f}"


def signed(value: float) -> str:
    """A difference in words."""
    return number(value) if value < 0 or not math.isfinite(value) else f"+{number(value)}"


def lay_out(data: Matrix, column_title: str, width: int, height: int, mode: DrawingMode) -> Layout | None:
    """Where the cells of a heatmap of `data` lie in `width` x `height`; None when there is no room."""
    labels = [column_title, *data.row_labels]
    label_width = max(cell_len(shown(label, mode.ascii)) for label in labels)
    return Layout.of(data.shape, label_width, width, height, pack=mode.shades and not mode.ascii)


def compose_matrix(view: MatrixView, width: int, height: int, styles: Styles) -> tuple[list[Strip], Layout | None]:
    """Draw a heatmap; `first_row` and `first_column` of `view` are moved so that the cursor is in sight."""
    shape = view.matrix.shape
    labels = [shown(label, styles.mode.ascii) for label in view.matrix.row_labels]
    layout = lay_out(view.matrix, view.column_title, width, height, styles.mode)
    if layout is None:
        text = f"too small: needs {MIN_WIDTH}x{MIN_HEIGHT}" if 0 not in shape else "reading …"
        return centred(text, width, height, styles), None
    order = view.matrix.order(view.sort_by)
    at = order.index(view.cursor[1])
    view.first_column = layout.following(view.first_column, at, layout.columns, shape[1])
    view.first_row = layout.following(view.first_row, view.cursor[0], layout.rows, shape[0])
    view.columns = order[view.first_column : view.first_column + layout.columns]
    view.shares = view.matrix.shares(view.difference).tolist()
    rows = [_title(view, layout, width, styles), _readout(view, width, styles)]
    for row in range(view.first_row, view.first_row + layout.rows, 2 if layout.packed else 1):
        if layout.packed:
            rows.append(_packed(view, layout, row, labels, styles))
        else:
            rows += _body(view, layout, row, labels[row], styles)
    rows.append(_column_labels(view, layout, styles))
    if height > len(rows):
        rows.append(_scale(view, layout, styles))
    return strips_of(rows, width, height, styles), layout


def _title(view: MatrixView, layout: Layout, width: int, styles: Styles) -> Pieces:
    ascii_only = styles.mode.ascii
    rows, columns = view.matrix.shape
    notes = [f"ordered by {view.sort_by}"]
    if view.difference:
        notes.append("difference from the mean of all")
    if layout.columns < columns:
        notes.append(f"columns {view.first_column + 1}-{view.first_column + layout.columns} of {columns}")
    if layout.rows < rows:
        notes.append(f"rows {view.first_row + 1}-{view.first_row + layout.rows} of {rows}")
    left: Pieces = [(trimmed(view.title, width, styles), "title")]
    between = " . " if ascii_only else " · "
    while len(notes) > 1 and row_width(left) + len(between.join(notes)) >= width:
        notes.pop(0)  # the order is seen from the labels of the columns, too
    return spread(left, [(between.join(notes), "muted")], width)


def _readout(view: MatrixView, width: int, styles: Styles) -> Pieces:
    """Everything about the cell under the cursor."""
    row, column = view.cursor
    data, ascii_only = view.matrix, styles.mode.ascii
    label, at = shown(data.row_labels[row], ascii_only), shown(data.column_labels[column], ascii_only)
    label = f"{shown(view.row_title, ascii_only)} {label}".strip()
    where = f", {shown(view.column_title, ascii_only)} {at}"
    said: Pieces = [(trimmed(label, max(width - cell_len(where) - 10, 4), styles) + where + "  ", "cursor")]
    said.append((number(float(data.values[row, column])), "title"))
    further = [
        f"  {signed(float(data.differences[row, column]))} from the mean {number(float(data.expected[row, column]))}",
        f"  spread {number(float(data.spreads[column]))}",
    ]
    for text in further:
        if row_width(said) + len(text) <= width:
            said.append((text, "muted"))
    return said


def _margin(text: str, mark: str, layout: Layout, style: str, styles: Styles) -> Pieces:
    """What stands on the left of a line: a label, and a mark between it and the cells."""
    label = fit(trimmed(text, layout.left - 2, styles), layout.left - 2, right=True)
    return [(label, style), (mark + " ", "cursor")]


def _body(view: MatrixView, layout: Layout, row: int, label: str, styles: Styles) -> list[Pieces]:
    """The lines of one row of the matrix."""
    ascii_only, chosen = styles.mode.ascii, row == view.cursor[0]
    style = "normal" if chosen else "muted"
    shares = [view.shares[row][column] for column in view.columns]
    cells = [cell(share, styles, difference=view.difference) for share in shares]
    cells = [(glyph * layout.cell_width, painted) for glyph, painted in cells]
    lines = [[*_margin("", " ", layout, style, styles), *cells]] * layout.cell_height
    if chosen:
        at = view.columns.index(view.cursor[1])
        cells[at] = _marked(cells[at][0], ascii_only), cursor_style(shares[at], view.difference, styles)
    pointer = (">" if ascii_only else "▸") if chosen else " "
    lines[(layout.cell_height - 1) // 2] = [*_margin(label, pointer, layout, style, styles), *cells]
    return lines


def _packed(view: MatrixView, layout: Layout, row: int, labels: list[str], styles: Styles) -> Pieces:
    """One line with `row` in the upper halves and the next row in the lower ones."""
    rows, last = [row, row + 1], view.first_row + layout.rows
    chosen = view.cursor[0] if view.cursor[0] in rows else None
    mark, ink = (" ", "muted") if chosen is None else ("▸", "normal")
    cells = _margin(labels[row if chosen is None else chosen], mark, layout, ink, styles)
    for column in view.columns:
        colors = [cell_color(view.shares[at][column], view.difference, styles) if at < last else None for at in rows]
        if chosen is not None and column == view.cursor[1]:
            under = colors[chosen - row]
            colors[chosen - row] = text_on(under) if under else None
        upper, lower = colors
        glyph = "▀" if upper else "▄" if lower else " "
        style = styles.style(upper, lower) if upper else styles.style(lower)
        cells.append((glyph * layout.cell_width, style))
    return cells


def _marked(cell: str, ascii_only: bool) -> str:
    """The cell under the cursor."""
    if len(cell) == 1:
        return "X" if ascii_only else "╳"
    return "[" + cell[1:-1] + "]"


def _column_labels(view: MatrixView, layout: Layout, styles: Styles) -> Pieces:
    """Labels of as many columns as fit, that of the cursor always, and marks where more columns are."""
    ascii_only = styles.mode.ascii
    total = layout.cell_width * len(view.columns)
    glyphs: list[tuple[str, bool]] = [(" ", False)] * total
    taken = [False] * total

    def put(index: int, *, chosen: bool) -> None:
        label = shown(view.matrix.column_labels[view.columns[index]], ascii_only)
        label = ("^" if ascii_only else "▴") + label if chosen else label
        if cell_len(label) != len(label) or len(label) > total:
            return
        start = index * layout.cell_width + (layout.cell_width - 1) // 2
        start = min(start, total - len(label))
        if any(taken[max(start - 1, 0) : start + len(label) + 1]):
            return
        for offset, glyph in enumerate(label):
            glyphs[start + offset] = (glyph, chosen)
            taken[start + offset] = True

    if view.cursor[1] in view.columns:
        put(view.columns.index(view.cursor[1]), chosen=True)
    step = 1
    while step < len(view.columns) and step * layout.cell_width < 5:
        step = {1: 2, 2: 4, 4: 5}.get(step, step + 5)
    for index in range(0, len(view.columns), step):
        put(index, chosen=False)
    before, after = view.first_column > 0, view.first_column + layout.columns < view.matrix.shape[1]
    marks = ("<", ">") if ascii_only else ("◂", "▸")
    row = _margin(view.column_title, marks[0] if before else " ", layout, "muted", styles)
    row += [(glyph, "cursor" if chosen else "muted") for glyph, chosen in glyphs]
    if after:
        row.append((marks[1], "cursor"))
    return row


def _scale(view: MatrixView, layout: Layout, styles: Styles) -> Pieces:
    data = view.matrix
    blank = (" " * layout.left, "normal")
    if view.difference:
        end = data.difference_scale
        return [blank, *scale_bar(f"-{_short(end)}", f"+{_short(end)}", 19, styles, difference=True)]
    return [blank, *scale_bar(_short(data.lower), _short(data.upper), 20, styles)]


def _short(value: float) -> str:
    return number(value) if "e" in f"{value:.3g}" else f"{value:.3g}"
