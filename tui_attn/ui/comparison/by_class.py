"""Class by class: how often each model is right, and what it mistakes for what."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from rich.cells import cell_len

from tui_attn.compare.pairs import BASE
from tui_attn.compare.wording import points
from tui_attn.ui.charts.palette import ramp_color
from tui_attn.ui.charts.ramp import cell, text_style
from tui_attn.ui.comparison.parts import MARGIN, Page, beside, heading, remarks, text
from tui_attn.ui.comparison.source import Details
from tui_attn.ui.drawing import EMPTY, Piece, Row, cut, fit

if TYPE_CHECKING:
    from tui_attn.compare.predictions import ClassResults

NONE = "No finished run has predictions yet: they are written at the end of a run."
MOST_MISTAKES = 12
WHAT = "% of a true class (rows) taken for a class (columns)"
_BAR = 24
_PAINTED = 0.05
"""The share of the most frequent mistake from which on one stands on a colour."""


def class_rows(details: Details, page: Page) -> list[Row]:
    """A line for each class: the share that each model gets right, and how far that is from base's."""
    found = list(details.classes)
    if not found:
        return [EMPTY, *text(page, NONE, "muted"), *remarks(page, details.no_classes)]
    compared = len(found) > 1 and any(item.model == BASE for item in found)
    over = ", ".join(part for part in (_over(found), "bold: above base" if compared else "") if part)
    rows = [EMPTY, heading("right, % of each class's test images", over), EMPTY, *class_bars(found, page)]
    if _bar_width(found, page):
        rows += [EMPTY, *text(page, f"bars from {100 * floor_of(found):.0f} to 100 %", "faint")]
    if compared:
        rows += [EMPTY, *_differences(found, page)]
    return [*rows, *remarks(page, details.no_classes)]


def class_bars(found: Sequence[ClassResults], page: Page) -> list[Row]:
    """The models' names, and a line for each class with a number and, where there is room, a bar for each model."""
    means = {item.model: means_of(item) for item in found}
    column, width, floor = _columns(found, page)[1], _bar_width(found, page), floor_of(found)

    def cell(model: str, at: int) -> list[Piece]:
        value, base = (values[at] if at < len(values) else math.nan for values in (means[model], means.get(BASE, [])))
        shown = "–" if math.isnan(value) else f"{100 * value:.1f}"
        number = (fit(shown, column, right=True), "bold" if model != BASE and value > base else "normal")
        if not width:
            return [number]
        full = 0 if math.isnan(value) else min(max(round((value - floor) / (1 - floor) * width), 0), width)
        return [number, (" " + "━" * full, f"model:{model}"), ("─" * (width - full) + " ", "rule")]

    return _by_class(found, found, page, width + 2 if width else 0, cell)


def _by_class(
    found: Sequence[ClassResults],
    shown: Sequence[ClassResults],
    page: Page,
    bar: int,
    cell: Callable[[str, int], list[Piece]],
) -> list[Row]:
    """The names of the models `shown`, each with room for a bar, and a line of their cells for each class."""
    label, column = _columns(found, page)
    head: list[Piece] = [(MARGIN + " " * label, "muted")]
    for item in shown:
        name = cut(item.model, column - 1)
        head.append((fit(name, column, right=True) + " " * bar, f"model:{item.model}"))
    rows = [Row(tuple(head))]
    names = max((item.names for item in found), key=len)
    for index, name in enumerate(names):
        pieces = [piece for item in shown for piece in cell(item.model, index)]
        rows.append(Row(((MARGIN + fit(name, label), "normal"), *pieces)))
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


def floor_of(found: Sequence[ClassResults]) -> float:
    """The share of right answers at which bars begin."""
    lowest = min((value for item in found for value in means_of(item) if math.isfinite(value)), default=0.0)
    return min(math.floor(lowest * 10) / 10, 0.9)


def means_of(item: ClassResults) -> list[float]:
    """Mean over the runs of what is known of each class; NaN where nothing is."""
    found: list[float] = np.ma.masked_invalid(item.accuracy).mean(axis=0).filled(math.nan).tolist()
    return found


def _over(found: Sequence[ClassResults]) -> str:
    counts = {len(item.runs) for item in found}
    return f"mean of {counts.pop()} runs each" if len(counts) == 1 and max(counts) > 1 else ""


def _differences(found: Sequence[ClassResults], page: Page) -> list[Row]:
    """How far each model is from base in each class, as numbers and bars, and its highest and lowest difference."""
    base = next(item for item in found if item.model == BASE)
    others = [item for item in found if item is not base and item.accuracy.shape[1] == base.accuracy.shape[1]]
    if not others:
        return []
    deltas = {item.model: np.subtract(means_of(item), means_of(base)).round(9) for item in others}
    largest = max(np.nanmax(np.abs(values), initial=0.0) for values in deltas.values()) or 1.0
    compared = [base, *others]
    label, column = _columns(compared, page)
    half = min((page.room - label - column * len(others)) // (2 * len(others)) - 2, _BAR // 2)

    def cell(model: str, at: int) -> list[Piece]:
        delta = float(deltas[model][at])
        known = math.isfinite(delta)
        number = (f"{points(delta, 1) if known else '–':>{column}}", "normal")
        size = round(abs(delta) / largest * half) if known else 0
        left, right = ("━" * size, "") if delta < 0 else ("", "━" * size)
        drawn = (f" {left:>{half}}│{right:<{half}} ", f"model:{model}") if half >= 4 else ("", "normal")
        return [number, drawn]

    bar = 2 * half + 3 if half >= 4 else 0
    rows = [heading(f"less {BASE}, points"), *_by_class(compared, others, page, bar, cell), EMPTY]
    for model, values in deltas.items():
        known = sorted(pair for pair in zip(values.tolist(), base.names, strict=True) if math.isfinite(pair[0]))
        if known:
            (least, worst), (most, best) = known[0], known[-1]
            sentence = f"{model} against base: the highest difference is in {best} ({points(most)} points), "
            sentence += f"the lowest in {worst} ({points(least)}); no verdict rests on single classes"
            rows += text(page, sentence, "muted", hanging="  ")
    return rows


# ---- what is mistaken for what


def confusion_rows(details: Details, which: int, page: Page) -> list[Row]:
    """What each model takes for what: as many matrices as fit, what is other than in base, frequent mistakes.

    `which`: counts the models, for that whose matrix and mistakes are shown where not all fit.
    """
    found = list(details.classes)
    if not found:
        return [EMPTY, *text(page, NONE, "muted"), *remarks(page, details.no_classes)]
    item = found[which % len(found)]
    base = next((other for other in found if other.model == BASE and other.names == item.names), None)
    if 1 < len(found) <= page.width // _least_width(found):
        return [EMPTY, *_side_by_side(found, item, base, page), *remarks(page, details.no_classes)]
    runs = f"{len(item.runs)} runs together" if len(item.runs) > 1 else item.runs[0]
    what = f"  {runs}: {WHAT}"
    name = (f" {item.model}", f"model:{item.model}")
    rows = [EMPTY, Row((name, (what, "muted")))]
    if cell_len(name[0] + what) > page.width:
        rows = [EMPTY, Row((name,)), *text(page, what.strip(), "muted", hanging="  ")]
    label = min(max(map(cell_len, item.names)) + 3, 16)
    room = page.room - label - 2
    count = len(item.names)
    side = page.room >= 100 + label and room - 40 >= count * 5
    width = min((room - (44 if side else 0)) // count, 14)
    matrix = _numbers(item, label, width, page) if width >= 4 else _cells(item, label, room, page)
    listing = _listing(_mistakes(item), page)
    if side:
        rows += [EMPTY, *beside(matrix, listing, label + 4 + width * count)]
    else:
        rows += [EMPTY, *matrix, EMPTY, *listing]
    other = item if item is not base else next((each for each in found if each is not base), item)
    if base is not None and other is not base and other.names == base.names and width >= 5:
        rows += [EMPTY, heading(f"{other.model} less {BASE}, points"), *_less_base(other, base, label, width)]
    return [*rows, *remarks(page, details.no_classes)]


def _least_width(found: Sequence[ClassResults]) -> int:
    """Cells that each of the matrices side by side needs."""
    return max(min(max(map(cell_len, item.names)) + 3, 14) + 5 * len(item.names) for item in found) + 2


def _side_by_side(
    found: Sequence[ClassResults], chosen: ClassResults, base: ClassResults | None, page: Page
) -> list[Row]:
    """All matrices; below each the differences from base's, and below base's the mistakes of the chosen model."""
    width = page.width // len(found)
    part = replace(page, width=width)
    matrices: list[Row] = []
    below: list[Row] = []
    for at, item in enumerate(found):
        runs = f"  {len(item.runs)} runs together" if len(item.runs) > 1 else f"  {item.runs[0]}"
        rows = [Row(((f" {item.model}", f"model:{item.model}"), (runs, "muted"))), *matrix_rows(item, part)]
        matrices = beside(matrices, rows, at * width)
        if base is None or item is base or item.names != base.names:
            mistakes = [Row(((f" {chosen.model}", f"model:{chosen.model}"), ("  m: the next model", "muted")))]
            rows = [*mistakes, *_listing(_mistakes(chosen), part)] if item in (base, found[0]) else []
        else:
            head = ((f" {item.model}", f"model:{item.model}"), (f" less {BASE}, points", "muted"))
            rows = [Row(head), *_less_base(item, base, *_label_and_cell(item, part))]
        below = beside(below, rows, at * width)
    return [heading(WHAT), EMPTY, *matrices, EMPTY, *below]


def matrix_rows(item: ClassResults, page: Page) -> list[Row]:
    """The matrix alone, as wide as `page`."""
    label, width = _label_and_cell(item, page)
    return _numbers(item, label, width, page) if width >= 4 else _cells(item, label, page.room - label, page)


def _label_and_cell(item: ClassResults, page: Page) -> tuple[int, int]:
    """Cells of the classes' names and of each number."""
    label = min(max(map(cell_len, item.names)) + 3, 14)
    return label, min((page.room - label) // len(item.names), 8)


def _shares(item: ClassResults) -> NDArray[np.float64]:
    """[K, K], the confusions as shares of their true class."""
    found: NDArray[np.float64] = item.confusion / np.maximum(item.confusion.sum(axis=1, keepdims=True), 1)
    return found


def _most(shares: NDArray[np.float64]) -> float:
    """The share of the most frequent mistake; 1 where there is none."""
    return float(shares[~np.eye(len(shares), dtype=bool)].max(initial=0.0)) or 1.0


def _numbers(item: ClassResults, label: int, width: int, page: Page) -> list[Row]:
    """A matrix of numbers, on colours where there are enough: mistakes by one scale, what is right in bold."""
    shares = _shares(item)
    most = _most(shares)

    def number(row: int, column: int) -> Piece:
        value = float(shares[row, column])
        shown = "·" if value < 0.0005 else f"{100 * value:.1f}" if width >= 5 else f"{100 * value:.0f}"
        if column == row:
            return f"{shown} ", "title"
        if page.mode.shades and value >= _PAINTED * most:
            color = ramp_color(0.15 + 0.85 * value / most, page.mode.colors)
            return f"{shown} ", text_style(color, page.styles)
        return f"{shown} ", "warning" if value >= 0.5 * most else "muted"

    return _table(item.names, label, width, number)


def _less_base(item: ClassResults, base: ClassResults, label: int, width: int) -> list[Row]:
    """What is other than in base's matrix, in points: what is better and worse by half a point stands out."""
    deltas = 100 * (_shares(item) - _shares(base))

    def number(row: int, column: int) -> Piece:
        delta = float(deltas[row, column])
        shown = "·" if abs(delta) < 0.05 else f"{delta:+.1f}"
        better = (delta > 0) == (row == column)
        return f"{shown} ", "muted" if abs(delta) < 0.5 else "running" if better else "failed"

    return _table(item.names, label, width, number)


def _table(classes: Sequence[str], label: int, width: int, cell: Callable[[int, int], Piece]) -> list[Row]:
    """A row and a column for each class; columns are numbered where names don't fit."""
    numbered = any(cell_len(name) > width - 2 for name in classes)
    names = [f"{number} {name}" if numbered else name for number, name in enumerate(classes, 1)]
    heads = "".join(
        fit(f"{number if numbered else name} ", width, right=True) for number, name in enumerate(classes, 1)
    )
    rows = [Row(((MARGIN + " " * label, "muted"), (heads, "muted")))]
    for row, name in enumerate(names):
        cells = (cell(row, column) for column in range(len(names)))
        pieces = [(fit(shown, width, right=True), style) for shown, style in cells]
        rows.append(Row(((MARGIN + fit(name, label), "normal"), *pieces)))
    return rows


def _cells(item: ClassResults, label: int, room: int, page: Page) -> list[Row]:
    """A matrix of many classes, a cell each, as far as it fits; mistakes only, by colour or by ink."""
    shares = _shares(item)
    scaled = (shares / _most(shares)).tolist()
    rows: list[Row] = []
    for index, (name, line) in enumerate(zip(item.names, scaled, strict=True)):
        cells = [cell(value, page.styles) for value in line[:room]]
        cells[index : index + 1] = [("\\", "muted")] if index < room else []
        rows.append(Row(((MARGIN + fit(name, label) + " ", "muted"), *cells)))
    if room < len(scaled):
        rows += text(page, f"the first {room} of {len(scaled)} columns", "muted")
    return rows


def _mistakes(item: ClassResults) -> list[tuple[int, float, str, str]]:
    """The most frequent mistakes: number of images, their share of the class, its name, the predicted class."""
    shares = _shares(item)
    found = [
        (int(item.confusion[row, column]), float(shares[row, column]), item.names[row], item.names[column])
        for row, column in np.argwhere(item.confusion)
        if row != column
    ]
    return sorted(found, key=lambda mistake: (-mistake[0], *mistake[2:]))[:MOST_MISTAKES]


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
