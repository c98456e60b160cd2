"""Text and cells on their way to Textual: styled rows, grids of single cells, and which of them changed."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import groupby
from typing import TypeAlias

from rich.cells import cell_len, set_cell_size
from rich.segment import Segment
from rich.style import Style
from textual.strip import Strip

from tui_attn.system.text import safe_text

Row: TypeAlias = list[tuple[str, Style]]
"""Pieces of one line: text and style. Never markup."""


def shown(text: object, ascii_only: bool) -> str:
    """Return `text` from data on one line, harmless, and where asked in ASCII with nothing lost."""
    safe = safe_text(text, one_line=True)
    return safe.encode("ascii", "backslashreplace").decode("ascii") if ascii_only else safe


def fit(text: str, width: int, ascii_only: bool) -> str:
    """Return `text` cut to `width` cells, with an ellipsis where something is missing."""
    if cell_len(text) <= width:
        return text
    dots = "~" if ascii_only else "…"
    return set_cell_size(text, width - 1).rstrip() + dots if width > 0 else ""


def row_width(row: Row) -> int:
    """Number of cells that `row` takes."""
    return sum(cell_len(text) for text, _ in row)


def row_strip(row: Row, width: int, blank: Style) -> Strip:
    """Return `row` as a strip of exactly `width` cells."""
    segments = [Segment(text, style) for text, style in row if text]
    return Strip(segments).adjust_cell_length(width, blank)


def spread(left: Row, right: Row, width: int, blank: Style) -> Row:
    """Return `left` and `right` at the two ends of a line; what is right goes when both don't fit."""
    gap = width - row_width(left) - row_width(right)
    return [*left, (" " * gap, blank), *right] if right and gap >= 1 else left


def told(text: str, width: int, height: int, style: Style, ascii_only: bool) -> list[Strip]:
    """Return `text` from data in the middle of `width` x `height` cells."""
    text = fit(shown(text, ascii_only), width, ascii_only)
    rows: list[Row] = [[] for _ in range(height)]
    if height > 0:
        rows[height // 2] = [(" " * ((width - cell_len(text)) // 2) + text, style)]
    return [row_strip(row, width, style) for row in rows]


class Grid:
    """Single-width characters with their styles, from the top left."""

    def __init__(self, width: int, height: int, blank: Style) -> None:
        self.width, self.height = width, height
        self.glyphs = [[" "] * width for _ in range(height)]
        self.styles = [[blank] * width for _ in range(height)]

    def put(self, column: int, row: int, text: str, style: Style) -> None:
        """Write single-width `text` from (column, row) on; what lies outside is left out."""
        if not 0 <= row < self.height:
            return
        for offset, glyph in enumerate(text):
            if 0 <= column + offset < self.width:
                self.glyphs[row][column + offset] = glyph
                self.styles[row][column + offset] = style

    def strips(self) -> list[Strip]:
        """Return the grid as strips, equal neighbours in one segment."""
        return [self._strip(glyphs, styles) for glyphs, styles in zip(self.glyphs, self.styles, strict=True)]

    def _strip(self, glyphs: list[str], styles: list[Style]) -> Strip:
        segments = []
        at = 0
        for style, run in groupby(styles):
            n = sum(1 for _ in run)
            segments.append(Segment("".join(glyphs[at : at + n]), style))
            at += n
        return Strip(segments, self.width)


def changes(old: Sequence[Strip], new: Sequence[Strip]) -> Iterable[tuple[int, int, int]]:
    """Yield (line, first column, number of columns) of what differs; both must have the same size."""
    for y, (before, after) in enumerate(zip(old, new, strict=True)):
        if before == after:
            continue
        one, other = _cells(before), _cells(after)
        if one is None or other is None or len(one) != len(other):
            yield y, 0, after.cell_length
            continue
        different = [x for x, (a, b) in enumerate(zip(one, other, strict=True)) if a != b]
        if different:
            yield y, different[0], different[-1] - different[0] + 1


def _cells(strip: Strip) -> list[tuple[str, Style | None]] | None:
    """The cells of a strip, or None when some character isn't one cell wide."""
    cells = [(glyph, segment.style) for segment in strip for glyph in segment.text]
    return cells if len(cells) == strip.cell_length else None
