"""A matrix as cells of colour and glyphs, with a scale, a value cursor, sorting and a difference view."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from textual import events
from textual.binding import BindingType
from textual.message import Message
from textual.reactive import reactive
from textual.strip import Strip

from tui_attn.ui.bindings import bindings
from tui_attn.ui.charts.keys import HEATMAP_KEYS
from tui_attn.ui.charts.matrix import NO_MATRIX, SORT_KEYS, Layout, Matrix, MatrixView, SortKey, compose_matrix, lay_out
from tui_attn.ui.drawing import Lines
from tui_attn.ui.keys import Key


class Heatmap(Lines, can_focus=True):
    """Rows (classes) by columns (channels), scrolled so that the value cursor is always in sight."""

    BINDINGS: ClassVar[list[BindingType]] = bindings(Key(*row) for row in HEATMAP_KEYS)
    DEFAULT_CSS = "Heatmap { height: 1fr; }"

    sort_by: reactive[SortKey] = reactive[SortKey]("index", init=False, repaint=False)
    """Order of the columns: by index, by mean over the rows, or by spread (highest - lowest) between the rows."""
    difference: reactive[bool] = reactive(False, init=False, repaint=False)
    """Whether each cell shows its difference from the mean of its column over all rows."""
    cursor: reactive[tuple[int, int]] = reactive((0, 0), init=False, repaint=False)
    """The row and the column, of the data, that are read out."""

    @dataclass
    class CursorMoved(Message):
        """The value cursor moved to (row, column) of the data."""

        heatmap: Heatmap
        row: int
        column: int

        @property
        def control(self) -> Heatmap:
            """The heatmap it happened in."""
            return self.heatmap

    def __init__(
        self, title: str = "", *, row_title: str = "class", column_title: str = "channel", id: str | None = None
    ) -> None:
        """All titles are plain text."""
        super().__init__(id=id)
        self.title = title
        self.row_title = row_title
        self.column_title = column_title
        self.matrix = NO_MATRIX
        self._first = (0, 0)
        self._layout: Layout | None = None

    def set_matrix(self, shown: Matrix, title: str | None = None) -> None:
        """Show another matrix. Order, view and, where it still exists, the cursor stay as they are."""
        self.matrix = shown
        self.title = self.title if title is None else title
        rows, columns = shown.shape
        self.cursor = (min(self.cursor[0], max(rows - 1, 0)), min(self.cursor[1], max(columns - 1, 0)))
        self.redraw()

    @property
    def value(self) -> float | None:
        """The value under the cursor; None while there is no matrix."""
        row, column = self.cursor
        return float(self.matrix.values[row, column]) if 0 not in self.matrix.shape else None

    def legibility(self, width: int, height: int) -> tuple[int, int, int]:
        """How well the matrix would show in `width` x `height` cells: see `Layout.legibility`."""
        layout = lay_out(self.matrix, self.column_title, width, height, self.drawing.mode)
        return (0, 0, 0) if layout is None else layout.legibility

    def lines(self, width: int, height: int) -> Sequence[Strip]:
        """Draw the heatmap around the cursor."""
        view = MatrixView(
            self.matrix, self.title, self.row_title, self.column_title, self.sort_by, self.difference, self.cursor
        )
        view.first_row, view.first_column = self._first
        strips, self._layout = compose_matrix(view, width, height, self.drawing)
        self._first = (view.first_row, view.first_column)
        return strips

    def watch_sort_by(self) -> None:
        """Draw in the new order."""
        self.redraw()

    def watch_difference(self) -> None:
        """Draw the other view."""
        self.redraw()

    def watch_cursor(self, cursor: tuple[int, int]) -> None:
        """Show it, and tell others."""
        self.redraw()
        self.post_message(self.CursorMoved(self, *cursor))

    # ---- keys

    def action_cursor(self, rows: int, columns: int) -> None:
        """Move the cursor; it stops at the edges."""
        height, width = self.matrix.shape
        if height and width:
            order = self.matrix.order(self.sort_by)
            at = min(max(order.index(self.cursor[1]) + columns, 0), width - 1)
            self.cursor = (min(max(self.cursor[0] + rows, 0), height - 1), order[at])

    def action_cursor_end(self, last: bool) -> None:
        """Go to the first or the last column."""
        self.action_cursor(0, self.matrix.shape[1] * (1 if last else -1))

    def action_next_order(self) -> None:
        """Order the columns by the next key."""
        self.sort_by = SORT_KEYS[(SORT_KEYS.index(self.sort_by) + 1) % len(SORT_KEYS)]

    def action_toggle_difference(self) -> None:
        """Show differences from the mean of all rows, or values."""
        self.difference = not self.difference

    # ---- mouse

    def on_mouse_down(self, event: events.MouseDown) -> None:
        """Put the cursor on the cell under the mouse."""
        offset, layout = event.get_content_offset(self), self._layout
        if offset is None or layout is None:
            return
        row, column = layout.row_at(offset.y - layout.top), (offset.x - layout.left) // layout.cell_width
        if 0 <= row < layout.rows and 0 <= column < layout.columns:
            order = self.matrix.order(self.sort_by)
            self.cursor = (self._first[0] + row, order[self._first[1] + column])

    def on_mouse_scroll_down(self, event: events.MouseScrollDown) -> None:
        """Go down, or, with shift or control, on."""
        self._wheel(event, 1)

    def on_mouse_scroll_up(self, event: events.MouseScrollUp) -> None:
        """Go up, or, with shift or control, back."""
        self._wheel(event, -1)

    def _wheel(self, event: events.MouseEvent, way: int) -> None:
        event.stop()
        event.prevent_default()
        sideways = event.shift or event.ctrl
        self.action_cursor(0 if sideways else way, way * 4 if sideways else 0)
