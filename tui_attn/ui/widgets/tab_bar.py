"""The names of a screen's pages on one line, the current one marked; each can be clicked.

Textual's Tabs take twice as long to turn a page: docs/performance.md has the figures.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rich.cells import cell_len
from textual import events
from textual.message import Message

from tui_attn.ui.drawing import Lines, Piece, Row


class TabBar(Lines):
    """Shows `1 overview  2 runs  ...`; shorter names where these don't fit."""

    @dataclass
    class Chosen(Message):
        """The page with this index was clicked."""

        index: int

    def __init__(self, names: Sequence[str], *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._names = list(names)
        self._at = 0
        self._spans: list[tuple[int, int]] = []

    def show(self, index: int) -> None:
        """Mark this page."""
        self._at = index
        self.redraw()

    def lines(self, width: int, height: int) -> Sequence[Row]:
        """One row."""
        whole = sum(cell_len(name) + 4 for name in self._names) + 1
        names = self._names if whole <= width else [name[:5] for name in self._names]
        pieces: list[Piece] = [(" ", "normal")]
        self._spans, used = [], 1
        for at, name in enumerate(names):
            here = at == self._at
            pieces += [(f"{at + 1} ", "key" if here else "faint"), (name, "focused" if here else "muted")]
            pieces.append(("  ", "normal"))
            self._spans.append((used, used + 2 + cell_len(name)))
            used += 4 + cell_len(name)
        return [Row(tuple(pieces))]

    def on_click(self, event: events.Click) -> None:
        """Post the page that was clicked."""
        for index, (start, end) in enumerate(self._spans):
            if start <= event.x < end:
                self.post_message(self.Chosen(index))
