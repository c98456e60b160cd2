"""A matrix as cells of colour and glyphs, with a scale, a value cursor, sorting and a difference view."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

from textual.message import Message
from textual.reactive import reactive
from textual.scroll_view import ScrollView

from tui_attn.ui.charts.mode import DrawingMode

SortKey = Literal["index", "mean", "spread"]


class Heatmap(ScrollView, can_focus=True):
    """Rows (classes) by columns (channels)."""

    sort_by: reactive[SortKey] = reactive[SortKey]("index")
    """Order of the columns: by index, by mean over the rows, or by spread (max - min) between the rows."""
    difference: reactive[bool] = reactive(False)
    """Whether each cell shows its difference from the mean of its column over all rows."""
    mode: reactive[DrawingMode | None] = reactive[DrawingMode | None](None)
    """How to draw; None asks the app's `drawing_mode`."""

    class CursorMoved(Message):
        """The value cursor moved to (row, column) of the data."""

        def __init__(self, heatmap: Heatmap, row: int, column: int) -> None:
            super().__init__()
            self.heatmap = heatmap
            self.row = row
            self.column = column

        @property
        def control(self) -> Heatmap:
            """The heatmap it happened in."""
            return self.heatmap

    def __init__(
        self,
        title: str = "",
        *,
        row_title: str = "class",
        column_title: str = "channel",
        name: str | None = None,
        id: str | None = None,
        classes: str | None = None,
        disabled: bool = False,
    ) -> None:
        super().__init__(name=name, id=id, classes=classes, disabled=disabled)
        self.title = title
        self.row_title = row_title
        self.column_title = column_title

    def set_matrix(
        self,
        values: Sequence[Sequence[float]] | Any,
        row_labels: Sequence[str],
        column_labels: Sequence[str] | None = None,
        *,
        lower: float | None = None,
        upper: float | None = None,
        title: str | None = None,
    ) -> None:
        """Show `values` (rows x columns; lists or a numpy array). `lower` and `upper` fix the scale, else the data does.

        Raises ValueError when rows differ in length or labels don't fit.
        """
