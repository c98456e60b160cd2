"""What several pages are made of: wrapped text, tables, bars with an interval, and painted cells."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from rich.cells import cell_len

from tui_attn.compare.headline import name_of
from tui_attn.compare.textfit import wrap
from tui_attn.experiment.model_info import RGB
from tui_attn.ui.charts.palette import text_on
from tui_attn.ui.drawing import EMPTY, Piece, Row, fit, row_width
from tui_attn.ui.styles import DrawingMode

MARGIN = " "
LONGEST = 16
"""Cells of a model's name where room is scarce."""


@dataclass(frozen=True, slots=True)
class Page:
    """What a page may use: its size in cells, what the terminal shows, and whether the theme is dark."""

    width: int
    mode: DrawingMode
    dark: bool = True
    height: int = 1000
    """Rows in sight."""
    marker: Callable[[str], str] = lambda _: "◆"
    """Returns the character that tells a model apart without colour."""

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
    for number in range(max(len(left), len(right))):
        one = left[number].pieces if number < len(left) else ()
        two = right[number].pieces if number < len(right) else ()
        found.append(Row((*one, (" " * max(at - row_width(one), 0), "normal"), *two) if two else one))
    return found


def with_marker(model: str, page: Page) -> Piece:
    """A model's name with the sign that tells it apart without colour, in its colour."""
    return f"{page.marker(model)} {name_of(model)}", f"model:{model}"


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


def table(
    rows: Sequence[Sequence[str]],
    *,
    inks: Sequence[str] = (),
    strong: Sequence[int] = (),
    gap: int = 2,
    pads: Sequence[int] = (),
) -> list[Row]:
    """A table whose first row is its title: the first column to the left, the others to the right.

    `inks`: of each column's title; `strong`: the rows that stand out; `pads`: least widths of the columns.
    """
    if not rows:
        return []
    least = [*pads, *[0] * len(rows[0])]
    widths = [max(least[at], *map(cell_len, column)) for at, column in enumerate(zip(*rows, strict=True))]
    found = []
    for number, cells in enumerate(rows):
        pieces: list[Piece] = [(MARGIN, "normal")]
        for at, (cell, width) in enumerate(zip(cells, widths, strict=True)):
            ink = "muted" if at == 0 else "bold" if number in strong else "normal"
            ink = (inks[at] if at < len(inks) else "muted") if number == 0 else ink
            pieces.append((" " * gap if at else "", "normal"))
            pieces.append((fit(cell, width, right=at > 0), ink))
        found.append(Row(tuple(pieces)))
    return found


def table_width(rows: Sequence[Sequence[str]], gap: int = 2) -> int:
    """Cells that `table` takes, its margin included."""
    return 1 + sum(max(map(cell_len, column)) for column in zip(*rows, strict=True)) + gap * (len(rows[0]) - 1)


# ---- a difference and its interval along a common scale


def reach(values: Sequence[float]) -> float:
    """A round number that no value's size exceeds, as the end of a scale around 0."""
    largest = max((abs(value) for value in values if math.isfinite(value)), default=0.0)
    if largest <= 0:
        return 0.01
    step = 10.0 ** math.floor(math.log10(largest))
    return float(next(step * factor for factor in (1, 1.5, 2, 3, 5, 7.5, 10, 15) if step * factor >= largest * 1.02))


def interval_bar(middle: float, ends: Sequence[float] | None, end: float, width: int, ink: str) -> list[Piece]:
    """`width` cells from -`end` to +`end`: a thin line for 0, the interval as a bar, its middle as a point."""
    last = max(width - 1, 1)

    def place(value: float) -> int:
        return min(max(round((value + end) / (2 * end) * last), 0), last)

    cells: list[Piece] = [(" ", "normal")] * width
    cells[place(0)] = ("┊", "muted")
    if ends is not None:
        low, high = place(ends[0]), place(ends[1])
        for at in range(low, high + 1):
            cells[at] = ("┿" if at == place(0) else "━", ink)
        if high > low:
            cells[low], cells[high] = ("┣", ink), ("┫", ink)
    cells[place(middle)] = ("●", ink)
    return cells


def scale_row(end: float, width: int, indent: int) -> Row:
    """The ends and the middle of the scale of `interval_bar`, in points."""
    left, right = f"-{100 * end:g}", f"+{100 * end:g} points"
    middle = (width - 1) // 2
    line = left + " " * max(middle - len(left), 1) + "0"
    spare = width - len(line) - len(right)
    line += " " * spare + right if spare > 1 else ""
    return Row(((" " * indent + line, "muted"),))


# ---- colours of values


def paint(under: RGB, over: RGB | None = None) -> str:
    """The name of an ink with a background of its own; black or white upon it, or `over`."""
    front = text_on(under) if over is None else over
    return f"paint:{bytes(front).hex()}:{bytes(under).hex()}"
