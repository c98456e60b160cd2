"""Panels made of lines of styled text, of which only those that changed are drawn again."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple, cast

from rich.cells import cell_len, set_cell_size
from rich.segment import Segment
from textual.geometry import Region, Size
from textual.strip import Strip
from textual.widget import Widget

if TYPE_CHECKING:
    from tui_attn.ui.styles import Inks

Piece = tuple[str, str]
"""Text, made safe where it entered, and the name of its ink."""


class Row(NamedTuple):
    """One line."""

    pieces: tuple[Piece, ...]
    selected: bool = False


EMPTY = Row(())


def row(*pieces: Piece, selected: bool = False) -> Row:
    """A row of `pieces`."""
    return Row(pieces, selected)


def fit(text: str, width: int, *, right: bool = False) -> str:
    """`text` in exactly `width` cells: padded, or cut with an ellipsis."""
    length = cell_len(text)
    if length > width:
        return set_cell_size(text, width - 1) + "…" if width > 0 else ""
    padding = " " * (width - length)
    return padding + text if right else text + padding


def rule(title: str, width: int, *, right: str = "", focused: bool = False) -> Row:
    """A thin line across the panel with its title, and something on its right end."""
    shown = fit(title, min(cell_len(title), max(width - 4, 0)))
    pieces: list[Piece] = [("─ ", "rule"), (shown, "focused" if focused else "title"), (" ", "rule")] if title else []
    used = sum(cell_len(text) for text, _ in pieces)
    tail: list[Piece] = [(f" {right} ", "muted"), ("─", "rule")] if right else []
    length = sum(cell_len(text) for text, _ in tail)
    if used + length > width:
        tail, length = [], 0
    return Row((*pieces, ("─" * max(width - used - length, 0), "rule"), *tail))


class Lines(Widget):
    """A panel of lines. Subclasses give them in `lines`, and call `redraw` when these may have changed."""

    DEFAULT_CSS = "Lines { width: 1fr; height: 1; }"

    def __init__(self, *, id: str | None = None, classes: str | None = None) -> None:
        super().__init__(id=id, classes=classes)
        self._rows: Sequence[Row] = ()
        self._drawn_for = Size(0, 0)

    @property
    def inks(self) -> Inks:
        """The styles of the theme in use."""
        return cast("Inks", self.app.inks)  # type: ignore[attr-defined]

    def lines(self, width: int, height: int) -> Sequence[Row]:
        """The rows to show in `width` x `height` cells; missing ones stay blank."""
        raise NotImplementedError

    def redraw(self) -> None:
        """Draw the lines that differ from those shown."""
        size = self.size
        if not size:
            return
        before, self._rows = self._rows, self.lines(size.width, size.height)
        if self._drawn_for != size:
            self._drawn_for = size
            self.refresh()
            return
        for y in range(size.height):
            if _at(before, y) != _at(self._rows, y):
                self.refresh(Region(0, y, size.width, 1))

    def render_line(self, y: int) -> Strip:
        """The strip of line `y`."""
        size = self.size
        if self._drawn_for != size:
            self._drawn_for = size
            self._rows = self.lines(size.width, size.height)
        inks = self.inks
        found = _at(self._rows, y)
        segments = [Segment(text, inks(ink, found.selected)) for text, ink in found.pieces]
        return Strip(segments).adjust_cell_length(size.width, inks("normal", found.selected))

    def watch_has_focus(self, has_focus: bool) -> None:
        """Show it, in the title or where the cursor is."""
        super().watch_has_focus(has_focus)
        self.redraw()


def _at(rows: Sequence[Row], y: int) -> Row:
    return rows[y] if y < len(rows) else EMPTY
