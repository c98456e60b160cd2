"""What several pages are made of: wrapped text, tables, and bars with an interval."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Container, Iterable, Sequence
from dataclasses import dataclass
from itertools import zip_longest

from rich.cells import cell_len
from rich.style import Style

from tui_attn.compare.headline import name_of
from tui_attn.system.textfit import wrap
from tui_attn.ui.charts.geometry import nice
from tui_attn.ui.drawing import EMPTY, Piece, Row, fit, row_width
from tui_attn.ui.styles import DrawingMode, Styles

Span = tuple[float, float]
MARGIN = " "
LONGEST = 16
"""Cells of a model's name where room is scarce."""


@dataclass(frozen=True, slots=True)
class Page:
    """What a page may use: its size in cells, and the styles."""

    width: int
    styles: Styles
    height: int = 1000
    """Rows in sight."""

    @property
    def mode(self) -> DrawingMode:
        """What the terminal can show."""
        return self.styles.mode

    @property
    def room(self) -> int:
        """Cells between the margins."""
        return max(self.width - 2, 20)


def text(page: Page, sentence: str, ink: str = "normal", *, hanging: str = "", first: str = "") -> list[Row]:
    """A sentence, wrapped at words; its first line begins with `first`, the others with `hanging`."""
    lines = wrap(sentence, min(page.room, 110), first=first, rest=hanging)
    return [Row(((MARGIN + line, ink),)) for line in lines]


def remarks(page: Page, sentences: Sequence[str], ink: str = "muted") -> list[Row]:
    """Sentences as a list; blank above where there are any."""
    rows = [row for sentence in sentences for row in text(page, sentence, ink, first="- ", hanging="  ")]
    return [EMPTY, *rows] if rows else []


def heading(title: str, after: str = "") -> Row:
    """A title within a page, and something muted after it."""
    return Row(((MARGIN + title, "title"), (f"  {after}" if after else "", "muted")))


def rule_row(title: str, width: int, after: str = "") -> Row:
    """A thin line across `width` cells with a title in it, and something muted after the title."""
    shown = after if cell_len(title) + cell_len(after) + 8 <= width else ""
    pieces: list[Piece] = [(" ─ ", "rule"), (title, "title"), (f"  {shown} " if shown else " ", "muted")]
    return Row((*pieces, ("─" * max(width - row_width(pieces) - 1, 0), "rule")))


def beside(left: Sequence[Row], right: Sequence[Row], at: int) -> list[Row]:
    """The rows of `left` with those of `right` from column `at` on."""
    found = []
    for (one, _), (two, _) in zip_longest(left, right, fillvalue=EMPTY):
        found.append(Row((*one, (" " * max(at - row_width(one), 0), "normal"), *two) if two else one))
    return found


def with_marker(model: str, page: Page) -> Piece:
    """A model's name with the sign that tells it apart without colour, in its colour."""
    return f"{page.styles.marker(model)} {name_of(model)}", f"model:{model}"


def coloured(row: Row, models: Sequence[str], *, bold: bool = False) -> Row:
    """`row` with the names of `models` in their colours."""
    by_name = {name_of(model): f"model:{model}" for model in models}
    pattern = "|".join(re.escape(name) for name in sorted(by_name, key=len, reverse=True))
    pieces: list[Piece] = []
    for text_, style in row.pieces:
        for part in re.split(rf"(?<![\w-])({pattern})(?![\w-])", text_) if by_name else [text_]:
            if part:
                pieces.append((part, by_name.get(part, style)))
    return Row(tuple(pieces))


def clipped(pieces: Sequence[Piece], width: int) -> list[Piece]:
    """`pieces` in at most `width` cells."""
    found: list[Piece] = []
    for piece, style in pieces:
        left = width - row_width(found)
        found.append((piece if cell_len(piece) <= left else fit(piece, max(left, 0)), style))
    return found


def aligned(
    rows: Sequence[Sequence[Piece]], *, left: Container[int] = (0,), gap: int = 2, pads: Sequence[int] = ()
) -> list[list[Piece]]:
    """The cells of a table with their columns in line: those of `left` begin alike, the others end alike.

    `pads`: least widths of the columns.
    """
    columns = list(zip(*rows, strict=True))
    least = [*pads, *[0] * len(columns)]
    widths = [max(least[at], *(cell_len(cell) for cell, _ in column)) for at, column in enumerate(columns)]
    found = []
    for cells in rows:
        fitted = [(fit(cell, widths[at], right=at not in left), ink) for at, (cell, ink) in enumerate(cells)]
        found.append([piece for cell in fitted for piece in ((" " * gap, "normal"), cell)][1:])
    return found


def table(
    rows: Sequence[Sequence[str]],
    *,
    inks: Sequence[str] = (),
    strong: Sequence[int] = (),
    left: Container[int] = (0,),
    gap: int = 2,
    pads: Sequence[int] = (),
) -> list[Row]:
    """A table whose first row is its title, aligned as by `aligned`.

    `inks`: of each column's title; `strong`: the rows that stand out.
    """
    if not rows:
        return []
    styled = [list(zip_longest(rows[0], inks, fillvalue="muted"))]
    for number, cells in enumerate(rows[1:], 1):
        ink = "bold" if number in strong else "normal"
        styled.append([(cell, ink if at else "muted") for at, cell in enumerate(cells)])
    return [Row(((MARGIN, "normal"), *cells)) for cells in aligned(styled, left=left, gap=gap, pads=pads)]


def table_width(rows: Sequence[Sequence[str]], gap: int = 2) -> int:
    """Cells that `table` takes, its margin included."""
    return 1 + sum(max(map(cell_len, column)) for column in zip(*rows, strict=True)) + gap * (len(rows[0]) - 1)


# ---- a difference and its interval along a common scale


def interval_span(values: Iterable[float]) -> Span:
    """The ends of a scale, so that 0 and all finite `values` lie inside."""
    known = [0.0, *(value for value in values if math.isfinite(value))]
    low, high = min(known), max(known)
    room = max((high - low) * 0.06, 0.0005)
    return low - room, high + room


def _place(value: float, span: Span, width: int) -> int:
    return min(max(round((value - span[0]) / (span[1] - span[0]) * (width - 1)), 0), width - 1)


def interval_bar(
    middle: float, ends: Sequence[float] | None, span: Span, width: int, style: str | Style
) -> list[Piece]:
    """`width` cells with a line at 0, the interval as a bar, and its middle."""
    bar: list[Piece] = [(" ", "normal")] * width
    zero = _place(0.0, span, width)
    bar[zero] = ("│", "muted")
    if ends is not None:
        low, high = (_place(end, span, width) for end in ends)
        for at in range(low, high + 1):
            bar[at] = ("┿" if at == zero else "━", style)
        if high > low:
            bar[low], bar[high] = ("┣", style), ("┫", style)
    bar[_place(middle, span, width)] = ("█", style)
    return bar


def seed_dots(deltas: Sequence[float], span: Span, width: int, style: str | Style) -> list[Piece]:
    """`width` cells with a line at 0 and a dot for each seed, or the number of seeds that share a cell."""
    dots: list[Piece] = [(" ", "normal")] * width
    dots[_place(0.0, span, width)] = ("│", "muted")
    for at, seeds in Counter(_place(value, span, width) for value in deltas).items():
        dots[at] = ("∘" if seeds == 1 else str(min(seeds, 9)), style)
    return dots


def interval_axis(span: Span, width: int, indent: int) -> list[Row]:
    """Two rows: round values in points, and which way is better."""
    step = nice((span[1] - span[0]) * 100 / max(width // 12, 1))
    first = math.ceil(span[0] * 100 / step)
    cells = [" "] * width
    for number in range(first, math.floor(span[1] * 100 / step) + 1):
        value = number * step
        label = "0" if number == 0 else f"{value:+.{max(-math.floor(math.log10(step)), 0)}f}"
        start = min(max(_place(value / 100, span, width) - len(label) // 2, 0), width - len(label))
        if all(cell == " " for cell in cells[max(start - 1, 0) : start + len(label) + 1]):
            cells[start : start + len(label)] = label
    zero = _place(0.0, span, width)
    worse, better = "← worse", "better →"
    left = worse if zero > len(worse) else ""
    right = better if width - zero > len(better) + 1 else ""
    gap = " " * max(width - len(left) - len(right), 0)
    pad = (" " * indent, "normal")
    return [Row((pad, ("".join(cells), "muted"))), Row((pad, (left, "failed"), (gap, "normal"), (right, "running")))]
