"""Test accuracy by epoch, as the answer draws it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

from rich.cells import cell_len

from tui_attn.compare.summary import ModelSummary
from tui_attn.ui.comparison.parts import Page, Span, round_step, with_marker
from tui_attn.ui.comparison.source import Overview
from tui_attn.ui.drawing import Piece, Row, fit

_BRAILLE = ((0x01, 0x08), (0x02, 0x10), (0x04, 0x20), (0x40, 0x80))
"""The bit of each of the 4 x 2 dots of a braille character."""
WARM_UPS = (0.15, 0.35, 0.6)
"""Shares of the epochs whose accuracies the y axis may leave out: as many as let the lines end in rows of their own."""


# ---- test accuracy by epoch


def accuracy_chart(overview: Overview, page: Page, width: int, height: int) -> list[Row]:
    """Mean test accuracy of each model by epoch, its value at the line's end."""
    found = [(entry, curve) for entry in overview.summary.models if (curve := _curve(overview, entry))]
    seeds = max((len(entry.counted) for entry, _ in found), default=0)
    what = f"  mean of {seeds} seeds" if seeds > 1 else ""
    title = Row((("test accuracy by epoch, %", "title"), (what, "muted")))
    if not found or width < 30 or height < 5:
        return [title, Row((("no epoch is done yet", "muted"),))] if not found else []
    last = max(curve[-1][0] for _, curve in found)
    ends = [(with_marker(entry.model, page)[0], f"model:{entry.model}", curve[-1][1]) for entry, curve in found]
    labels = max(cell_len(name) for name, _, _ in ends) + 7
    rows, columns = height - 2, max(width - labels - 8, 10)
    span, step = _accuracy_span([curve for _, curve in found], last, rows)
    if any(value < span[0] for _, curve in found for _, value in curve):
        title = Row((*title.pieces, (f"  {'v' if page.mode.ascii else '↓'} below", "muted")))
    cells: list[list[Piece]] = [[(" ", "normal")] * columns for _ in range(rows)]
    drawn: dict[tuple[int, int], list[Piece]] = {}
    for entry, curve in found:
        for place, piece in _line(curve, last, span, (rows, columns), entry.model, page).items():
            drawn.setdefault(place, []).append(piece)
    for (row, column), pieces in drawn.items():  # where lines meet, each is seen, by turns
        cells[row][column] = pieces[column // 2 % len(pieces)]
    digits = max(-math.floor(math.log10(step)), 0)
    ticks = {}
    for number in range(math.ceil(span[0] * 100 / step), math.floor(span[1] * 100 / step) + 1):
        ticks[_row(number * step / 100, span, rows)] = f"{number * step:.{digits}f}"
    labelled = _labels(ends, span, rows)
    made = [title]
    for at, line in enumerate(cells):
        label = ticks.get(at, "")
        made.append(
            Row(((f"{label:>5} ", "muted"), ("┤" if label else "│", "rule"), *line, (" ", "normal"), *labelled[at]))
        )
    return [*made, Row(((" " * 7 + _epoch_axis(last, columns), "muted"),))]


def _epoch_axis(last: int, columns: int) -> str:
    """The epochs below the columns in which their values are drawn, where they have room."""
    axis = [" "] * columns
    for epoch in dict.fromkeys((1, last, *range(2, last))):
        mark = str(epoch)
        at = min(round((epoch - 1) / max(last - 1, 1) * (columns - 1)), columns - len(mark))
        if all(cell == " " for cell in axis[max(at - 2, 0) : at + len(mark) + 2]):
            axis[at : at + len(mark)] = mark
    return "".join(axis)


def _accuracy_span(curves: Sequence[Sequence[tuple[int, float]]], last: int, rows: int) -> tuple[Span, float]:
    """The ends of the y axis and the step of its labels in points; values of the first epochs may lie below."""
    spans = []
    for share in WARM_UPS:
        fitted = [value for curve in curves for epoch, value in curve if epoch > share * last or epoch == last]
        pad = max((max(fitted) - min(fitted)) * 0.05, 0.0005)
        span, step = _aligned(min(fitted) - pad, max(fitted) + pad, rows)
        if len({_row(curve[-1][1], span, rows) for curve in curves}) == len(curves):
            return span, step
        spans.append((span, step))
    return spans[1]


def _aligned(low: float, high: float, rows: int) -> tuple[Span, float]:
    """A span around `low` and `high` with its labels in the middle of their rows, and their step in points."""
    step = round_step((high - low) * 100 / max(rows / 2, 1))
    row = step / 100 / max(int((rows - 1) * step / 100 / (high - low)), 1)
    label = math.floor(high * 100 / step) * step / 100
    top = label + (math.ceil((high - label) / row - 0.5) + 0.5) * row
    return (top - rows * row, top), step


def _row(value: float, span: Span, rows: int) -> int:
    """The row of cells in which a value lies, from the top."""
    return min(max(int((span[1] - value) / (span[1] - span[0]) * rows), 0), rows - 1)


def _curve(overview: Overview, entry: ModelSummary) -> list[tuple[int, float]]:
    """Epoch and mean test accuracy over the runs that count, or while there are none, over all."""
    runs = [overview.runs[run.run] for run in (entry.counted or entry.runs) if run.run in overview.runs]
    by_epoch: dict[int, list[float]] = {}
    for run in runs:
        for result in run.epochs:
            if math.isfinite(result.test_accuracy):
                by_epoch.setdefault(result.epoch, []).append(result.test_accuracy)
    most = max(map(len, by_epoch.values()), default=0)
    return [(epoch, sum(found) / len(found)) for epoch, found in sorted(by_epoch.items()) if len(found) == most]


def _line(
    curve: Sequence[tuple[int, float]], last: int, span: Span, size: tuple[int, int], model: str, page: Page
) -> dict[tuple[int, int], Piece]:
    """The line of one model by row and column: in braille dots, or in its ASCII marker a cell.

    An arrow stands in the last column before the line comes into sight from below.
    """
    ink = f"model:{model}"
    fine_x, fine_y = (1, 1) if page.mode.ascii else (2, 4)
    rows, wide = size[0], size[1] * fine_x
    dots: dict[tuple[int, int], int] = {}
    below = None
    for x in range(wide):
        epoch = 1 + (last - 1) * x / max(wide - 1, 1)
        value = _between(curve, epoch)
        if value is None:
            continue
        if value < span[0]:
            below = x // fine_x
            continue
        y = _row(value, span, rows * fine_y)
        bit = _BRAILLE[y % 4][x % 2] if fine_y == 4 else 1
        place = (y // fine_y, x // fine_x)
        dots[place] = dots.get(place, 0) | bit
    found: dict[tuple[int, int], Piece] = {
        place: (page.marker(model) if page.mode.ascii else chr(0x2800 + bits), ink) for place, bits in dots.items()
    }
    return found if below is None else found | {(rows - 1, below): ("v" if page.mode.ascii else "↓", ink)}


def _between(curve: Sequence[tuple[int, float]], epoch: float) -> float | None:
    """The value at `epoch`, between its neighbours; None beyond the curve's ends."""
    if len(curve) == 1:
        return curve[0][1] if abs(curve[0][0] - epoch) < 0.5 else None
    for (first, one), (second, two) in pairwise(curve):
        if first - 1e-9 <= epoch <= second + 1e-9:
            return one + (two - one) * (epoch - first) / (second - first)
    return None


def _labels(ends: Sequence[tuple[str, str, float]], span: Span, rows: int) -> list[list[Piece]]:
    """For each row the label of at most one line, near its end, the best on top."""
    ordered = sorted(ends, key=lambda end: -end[2])
    ordered = ordered[:rows]
    places: list[int] = []
    for number, (_, _, value) in enumerate(ordered):
        wanted = _row(value, span, rows)
        least = places[-1] + 1 if places else 0
        places.append(min(max(wanted, least), rows - len(ordered) + number))
    found: list[list[Piece]] = [[] for _ in range(rows)]
    label = max(cell_len(name) for name, _, _ in ends)
    for at, (name, style, value) in zip(places, ordered, strict=True):
        found[at] = [(f"{fit(name, label)} {100 * value:5.2f}", style)]
    return found
