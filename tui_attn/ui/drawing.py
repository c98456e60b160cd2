"""The one base of all panels and charts: rows of styled text, and the widget that shows them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple, TypeAlias

from rich.cells import cell_len, set_cell_size
from rich.segment import Segment
from rich.style import Style
from textual.geometry import Size
from textual.strip import Strip
from textual.widget import Widget

from tui_attn.system.text import safe_text
from tui_attn.ui.protocols import app_of
from tui_attn.ui.styles import Styles

Piece: TypeAlias = tuple[str, str | Style]
"""Text, made safe where it entered, and its style or the name of it."""
Pieces: TypeAlias = list[Piece]


class Row(NamedTuple):
    """One line."""

    pieces: tuple[Piece, ...]
    selected: bool = False


EMPTY = Row(())


def cut(text: str, width: int, *, dots: str = "…") -> str:
    """`text` in at most `width` cells, with `dots` where something is missing."""
    if cell_len(text) <= width:
        return text
    return set_cell_size(text, width - 1) + dots if width > 0 else ""


def fit(text: str, width: int, *, right: bool = False) -> str:
    """`text` in exactly `width` cells: padded, or cut with an ellipsis."""
    text = cut(text, width)
    padding = " " * (width - cell_len(text))
    return padding + text if right else text + padding


def shown(text: object, ascii_only: bool) -> str:
    """`text` from data on one line, made safe, and where asked in ASCII with escapes for the rest."""
    safe = safe_text(text, one_line=True)
    return safe.encode("ascii", "backslashreplace").decode("ascii") if ascii_only else safe


def trimmed(text: object, width: int, styles: Styles) -> str:
    """`text` from data as `shown`, in at most `width` cells."""
    return cut(shown(text, styles.mode.ascii), width, dots="~" if styles.mode.ascii else "…")


def row_width(pieces: Iterable[Piece]) -> int:
    """Cells that `pieces` take."""
    return sum(cell_len(text) for text, _ in pieces)


def spread(left: Pieces, right: Pieces, width: int) -> Pieces:
    """`left` and `right` at the two ends of a line; `right` is left out when both don't fit."""
    gap = width - row_width(left) - row_width(right)
    return [*left, (" " * gap, "normal"), *right] if right and gap >= 1 else left


def rule(title: str, width: int, *, right: str = "", focused: bool = False) -> Row:
    """A thin line across the panel with its title, and `right` at its right end."""
    title = cut(title, max(width - 4, 0))
    pieces: Pieces = [("─ ", "rule"), (title, "focused" if focused else "title"), (" ", "rule")] if title else []
    tail: Pieces = [(f" {right} ", "muted"), ("─", "rule")] if right else []
    if row_width(pieces) + row_width(tail) > width:
        tail = []
    return Row((*pieces, ("─" * max(width - row_width(pieces) - row_width(tail), 0), "rule"), *tail))


def strip_of(pieces: Iterable[Piece], width: int, styles: Styles) -> Strip:
    """`pieces` as a strip of exactly `width` cells, without a background."""
    segments = [Segment(text, styles(style)) for text, style in pieces if text]
    return Strip(segments).adjust_cell_length(width, styles("normal"))


def strips_of(rows: Sequence[Iterable[Piece]], width: int, height: int, styles: Styles) -> list[Strip]:
    """`rows` as exactly `height` strips."""
    padded = [*rows, *([] for _ in range(height))][:height]
    return [strip_of(row, width, styles) for row in padded]


def centred(text: str, width: int, height: int, styles: Styles) -> list[Strip]:
    """`text` from data in the middle of `width` x `height` cells."""
    text = trimmed(text, width, styles)
    line: Pieces = [(" " * ((width - cell_len(text)) // 2) + text, "muted")]
    return strips_of([*([] for _ in range(height // 2)), line], width, height, styles)


class Lines(Widget):
    """A panel that a subclass draws in `lines`. It is drawn when Textual paints it, again after each `redraw`."""

    DEFAULT_CSS = "Lines { width: 1fr; height: 1; }"
    ALLOW_SELECT = False

    def __init__(self, *, id: str | None = None, classes: str | None = None) -> None:
        super().__init__(id=id, classes=classes)
        self._rows: Sequence[Row | Strip] | None = None
        self._drawn_for = Size(0, 0)

    @property
    def drawing(self) -> Styles:
        """The styles of the theme in use."""
        return app_of(self).drawing

    def lines(self, width: int, height: int) -> Sequence[Row | Strip]:
        """The lines to show in `width` x `height` cells; missing ones stay blank."""
        raise NotImplementedError

    def redraw(self) -> None:
        """Draw anew when Textual next paints."""
        self._rows = None
        self.refresh()

    def render_line(self, y: int) -> Strip:
        """The strip of line `y`."""
        size = self.size
        if self._rows is None or self._drawn_for != size:
            self._drawn_for = size
            self._rows = self.lines(size.width, size.height)
        styles = self.drawing
        found = self._rows[y] if y < len(self._rows) else EMPTY
        if isinstance(found, Strip):
            return found.apply_style(styles.under)
        under = styles.under_selected if found.selected else styles.under
        return strip_of(found.pieces, size.width, styles).apply_style(under)

    def notify_style_update(self) -> None:
        """Draw in the new theme."""
        super().notify_style_update()
        self.redraw()

    def watch_has_focus(self, has_focus: bool) -> None:
        """Show it, in the title or at the cursor."""
        super().watch_has_focus(has_focus)
        self.redraw()


class Drawn(Lines):
    """A panel whose rows `draw` returns for a width and a height; `height: auto` gives it room for all of them."""

    def __init__(self, draw: Callable[[int, int], Sequence[Row]], *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._draw = draw

    def lines(self, width: int, height: int) -> Sequence[Row]:
        """The rows."""
        return self._draw(width, height)

    def get_content_height(self, container: Size, viewport: Size, width: int) -> int:
        """How many rows there are."""
        return len(self._draw(width, 0))
