"""What shows instead of the dashboard on a terminal that is too small for it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich.cells import cell_len

from tui_attn.ui import formatting
from tui_attn.ui.drawing import Lines, Row, fit

if TYPE_CHECKING:
    from tui_attn.ui.feed import Snapshot

SMALLEST = (80, 24)
"""Columns and rows that the dashboard needs."""


class TooSmall(Lines):
    """Says how large the terminal must be, and in a line how the training stands."""

    def __init__(self, *, id: str) -> None:
        super().__init__(id=id)
        self._counts = ""

    def show(self, snapshot: Snapshot) -> None:
        """Show this picture."""
        self._counts = formatting.counts_text(snapshot.runs)
        self.redraw()

    def lines(self, width: int, height: int) -> Sequence[Row]:
        """A few words in the middle."""
        columns, rows = SMALLEST
        size = self.app.size
        texts = [
            f"this terminal has {size.width} x {size.height} cells",
            f"the dashboard needs {columns} x {rows}",
            "",
            self._counts,
            "q leaves; the training goes on",
        ]
        above = max((height - len(texts)) // 2, 0)
        middle = [fit(text, min(cell_len(text), width)) for text in texts]
        return [Row(())] * above + [Row(((" " * ((width - cell_len(text)) // 2) + text, "normal"),)) for text in middle]
