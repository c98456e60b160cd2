"""Class by class: how often each model is right, and what it mistakes for what."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich.cells import cell_len

from tui_attn.compare.pairs import BASE
from tui_attn.compare.wording import points
from tui_attn.ui.charts.palette import ramp_color, ramp_glyph
from tui_attn.ui.comparison.parts import MARGIN, Page, beside, heading, paint, remarks, text
from tui_attn.ui.comparison.source import Details
from tui_attn.ui.drawing import EMPTY, Piece, Row, fit

if TYPE_CHECKING:
    from tui_attn.compare.predictions import ClassResults

NONE = "No finished run has predictions yet: they are written at the end of a run."
MOST_MISTAKES = 12
_BAR = 24


def class_rows(details: Details, page: Page) -> list[Row]:
    """A line for each class: the share that each model gets right, and how far that is from base's."""
    found = list(details.classes)
    if not found:
        return [EMPTY, *text(page, NONE, "muted"), *remarks(page, details.no_classes)]
    means = {item.model: means_of(item) for item in found}
    compared = len(found) > 1 and BASE in means
    over = ", ".join(part for part in (_over(found), "bold: above base" if compared else "") if part)
    rows = [EMPTY, heading("right, % of each class's test images", over), EMPTY, *class_bars(found, page)]
    if _bar_width(found, page):
        rows += [EMPTY, *text(page, f"bars from {100 * _floor(means):.0f} to 100 %", "faint")]
    if compared:
        rows += [EMPTY, *_differences(found, means, page)]
    return [*rows, *remarks(page, details.no_classes)]


def class_bars(found: Sequence[ClassResults], page: Page) -> list[Row]:
    """The models' names, and a line for each class with a number and, where there is room, a bar for each model."""
    names = max((item.names for item in found), key=len)
    means = {item.model: means_of(item) for item in found}
    label, column = _columns(found, page)
    bars, floor = _bar_width(found, page), _floor(means)
    head: list[Piece] = [(MARGIN + " " * label, "muted")]
    for item in found:
        name = item.model if cell_len(item.model) < column else fit(item.model, column - 1)
        head.append((fit(name, column, right=True) + " " * (bars + 2 if bars else 0), f"model:{item.model}"))
    rows = [Row(tuple(head))]
    for index, name in enumerate(names):
        pieces: list[Piece] = [(MARGIN + fit(name, label), "normal")]
        for item in found:
            value = means[item.model][index] if index < len(means[item.model]) else math.nan
            base = means.get(BASE, [])
            pieces += _cell(value, base[index] if index < len(base) else math.nan, item.model, column)
            pieces += _bar(value, floor, bars, item.model) if bars else []
        rows.append(Row(tuple(pieces)))
    return rows


def _columns(found: Sequence[ClassResults], page: Page) -> tuple[int, int]:
    """Cells of the classes' names, and of each model's number."""
    label = min(max(cell_len(name) for item in found for name in item.names), 18)
    column = max(7, *(cell_len(item.model) for item in found)) + 2
    return label, min(column, max((page.room - label) // len(found), 7))


def _bar_width(found: Sequence[ClassResults], page: Page) -> int:
    label, column = _columns(found, page)
    bars = (page.room - label - column * len(found)) // len(found) - 2
    return min(bars, _BAR) if bars >= 8 else 0


def _floor(means: dict[str, list[float]]) -> float:
    """The share of right answers at which bars begin."""
    lowest = min((value for values in means.values() for value in values if math.isfinite(value)), default=0.0)
    return min(math.floor(lowest * 10) / 10, 0.9)


def means_of(item: ClassResults) -> list[float]:
    """Mean over the runs of what is known of each class."""
    columns = item.accuracy.T.tolist()
    finite = [[value for value in column if math.isfinite(value)] for column in columns]
    return [math.fsum(column) / len(column) if column else math.nan for column in finite]


def _over(found: Sequence[ClassResults]) -> str:
    counts = {len(item.runs) for item in found}
    return f"mean of {counts.pop()} runs each" if len(counts) == 1 and max(counts) > 1 else ""


def _cell(value: float, base: float, model: str, column: int) -> list[Piece]:
    shown = "–" if math.isnan(value) else f"{100 * value:.1f}"
    best = model != BASE and value > base
    return [(fit(shown, column, right=True), "bold" if best else "normal")]


def _bar(value: float, floor: float, width: int, model: str) -> list[Piece]:
    share = 0.0 if math.isnan(value) else (value - floor) / (1 - floor)
    full = min(max(round(share * width), 0), width)
    return [(" " + "━" * full, f"model:{model}"), ("─" * (width - full) + " ", "rule")]


def _differences(found: Sequence[ClassResults], means: dict[str, list[float]], page: Page) -> list[Row]:
    """For each model, the classes in which it gains and loses most against base."""
    rows: list[Row] = []
    base = means[BASE]
    names = found[0].names
    for item in found:
        if item.model == BASE or len(means[item.model]) != len(base):
            continue
        pairs = [(after - before, name) for after, before, name in zip(means[item.model], base, names, strict=True)]
        known = sorted((pair for pair in pairs if math.isfinite(pair[0])), reverse=True)
        if known:
            (most, best), (least, worst) = known[0], known[-1]
            sentence = f"{item.model} against base: the highest difference is in {best} ({points(most)} points), "
            sentence += f"the lowest in {worst} ({points(least)}); no verdict rests on single classes"
            rows += text(page, sentence, "muted", hanging="  ")
    return rows


# ---- what is mistaken for what


def confusion_rows(details: Details, which: int, page: Page) -> list[Row]:
    """The confusion matrix of one model, rows the true classes, and its most frequent mistakes."""
    found = list(details.classes)
    if not found:
        return [EMPTY, *text(page, NONE, "muted"), *remarks(page, details.no_classes)]
    item = found[which % len(found)]
    runs = f"{len(item.runs)} runs together" if len(item.runs) > 1 else item.runs[0]
    what = f"  {runs}: % of a true class (rows) taken for a class (columns)"
    name = (f" {item.model}", f"model:{item.model}")
    rows = [EMPTY, Row((name, (what, "muted")))]
    if cell_len(name[0] + what) > page.width:
        rows = [EMPTY, Row((name,)), *text(page, what.strip(), "muted", hanging="  ")]
    label = min(max(map(cell_len, item.names)) + 3, 16)
    room = page.room - label - 2
    count = len(item.names)
    mistakes = _mistakes(item)
    side = page.room >= 100 + label and room - 40 >= count * 5
    width = min((room - (44 if side else 0)) // count, 14)
    matrix = _numbers(item, label, width, page) if width >= 4 else _cells(item, label, room, page)
    listing = _listing(mistakes, page)
    if not side:
        return [*rows, EMPTY, *matrix, EMPTY, *listing, *remarks(page, details.no_classes)]
    left = label + 4 + width * count
    joined = beside(matrix, listing, left)
    return [*rows, EMPTY, *joined, *remarks(page, details.no_classes)]


def matrix_rows(item: ClassResults, page: Page) -> list[Row]:
    """The matrix alone, as wide as `page`."""
    label = min(max(map(cell_len, item.names)) + 3, 14)
    width = min((page.room - label) // len(item.names), 8)
    return _numbers(item, label, width, page) if width >= 4 else _cells(item, label, page.room - label, page)


def _shares(item: ClassResults) -> list[list[float]]:
    totals = [max(int(row.sum()), 1) for row in item.confusion]
    return [[float(value) / total for value in row] for row, total in zip(item.confusion, totals, strict=True)]


def _numbers(item: ClassResults, label: int, width: int, page: Page) -> list[Row]:
    """A matrix of numbers, on colours where there are enough: mistakes by one scale, what is right in bold."""
    shares = _shares(item)
    wrong = [value for row, line in enumerate(shares) for column, value in enumerate(line) if row != column]
    most = max(wrong, default=0.0) or 1.0
    numbered = any(cell_len(name) > width - 2 for name in item.names)
    names = [f"{number} {name}" if numbered else name for number, name in enumerate(item.names, 1)]
    heads = "".join(
        fit(f"{number if numbered else name} ", width, right=True) for number, name in enumerate(item.names, 1)
    )
    rows = [Row(((MARGIN + " " * label, "muted"), (heads, "muted")))]
    for index, (name, line) in enumerate(zip(names, shares, strict=True)):
        pieces: list[Piece] = [(MARGIN + fit(name, label), "normal")]
        for column, value in enumerate(line):
            shown = "·" if value < 0.0005 else f"{100 * value:.1f}" if width >= 5 else f"{100 * value:.0f}"
            if column == index:
                pieces.append((fit(f"{shown} ", width, right=True), "title"))
            elif page.mode.shades and value >= 0.0005:
                color = ramp_color(0.15 + 0.85 * value / most, page.mode.colors)
                pieces.append((fit(f"{shown} ", width, right=True), paint(color)))
            else:
                strong = value >= 0.5 * most
                pieces.append((fit(f"{shown} ", width, right=True), "warning" if strong else "muted"))
        rows.append(Row(tuple(pieces)))
    return rows


def _cells(item: ClassResults, label: int, room: int, page: Page) -> list[Row]:
    """A matrix of many classes, a cell each, as far as it fits; mistakes only, by colour or by ink."""
    shares = _shares(item)
    most = max((v for r, line in enumerate(shares) for c, v in enumerate(line) if r != c), default=0.0) or 1.0
    rows: list[Row] = []
    for index, (name, line) in enumerate(zip(item.names, shares, strict=True)):
        pieces: list[Piece] = [(MARGIN + fit(name, label) + " ", "muted")]
        for column, value in enumerate(line[:room]):
            if column == index:
                pieces.append(("\\", "muted"))
            elif page.mode.shades:
                pieces.append((" ", paint(ramp_color(value / most, page.mode.colors))))
            else:
                pieces.append((ramp_glyph(value / most, page.mode.ascii), "normal"))
        rows.append(Row(tuple(pieces)))
    if room < len(shares):
        rows += text(page, f"the first {room} of {len(shares)} columns", "muted")
    return rows


def _mistakes(item: ClassResults) -> list[tuple[int, float, str, str]]:
    """The most frequent mistakes: number of images, their share of the class, its name, the predicted class."""
    shares = _shares(item)
    found = [
        (int(item.confusion[row, column]), shares[row][column], item.names[row], item.names[column])
        for row in range(len(item.names))
        for column in range(len(item.names))
        if row != column and item.confusion[row, column]
    ]
    return sorted(found, key=lambda mistake: (-mistake[0], mistake[2], mistake[3]))[:MOST_MISTAKES]


def _listing(mistakes: Sequence[tuple[int, float, str, str]], page: Page) -> list[Row]:
    if not mistakes:
        return text(page, "no mistakes", "muted")
    rows = [heading("most frequent mistakes: images (share of the class)")]
    most = mistakes[0][0]
    for count, share, true, taken in mistakes:
        bar = "━" * max(round(6 * count / most), 1)
        cells: tuple[Piece, ...] = (
            (f" {fit(f'{count:,}', 6, right=True)} ", "bold"),
            (fit(bar, 7), "warning"),
            (f"{true} → {taken} ({100 * share:.1f} %)", "normal"),
        )
        rows.append(Row(cells))
    return rows
