"""A study as plain text: its table, a plot of its intervals, and what they mean."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from tui_attn.compare.pairs import BASE
from tui_attn.compare.wording import UNKNOWN, counted, interval_percent, interval_points, p_value, points
from tui_attn.experiment.study import CURVE
from tui_attn.study.analysis import CellResult, Slope, StudyResults, Versus
from tui_attn.system.text import percent, plain, safe_text
from tui_attn.system.textfit import cells, cut, left, right, wrap

_SHORT = {"no difference above margin": "no diff. > margin"}
LEAST_PLOT = 16
"""Columns of a plot's axis."""


def study_lines(found: StudyResults, width: int, *, ascii: bool = False) -> list[str]:
    """Everything about a study, in lines of at most `width` cells (60 at least). `ascii`: nothing but ASCII."""
    width = max(width, 60)
    show: Callable[[str], str] = plain if ascii else str

    def plotted(heading: str, rows: Iterable[tuple[str, Versus | None]]) -> list[str]:
        known = [(label, each.delta, each.ci95) for label, each in rows if each and each.delta is not None]
        return ["", *forest(heading, known, width, ascii=ascii)] if known else []

    lines = wrap(show(title(found)), width)
    if found.slopes:
        lines += ["", *_table(slope_rows(found), width, show)]
        lines += plotted(slope_title(found), [(slope_label(each), each.versus) for each in found.slopes])
    if found.finals:
        lines += ["", show(final_title(found)), *_table(cell_rows(found.finals), width, show)]
        finals = [(f"{row.label}  {row.model}", row.versus) for row in found.finals]
        lines += plotted(f"difference from {BASE} on the test set, points", finals)
    best = list(found.winners.items())
    lines += ["", show(cells_title(found)), *_table(cell_rows(found.cells, best), width, show)]
    by_model = sorted(found.cells, key=lambda row: found.models.index(row.model))
    shown = by_model if found.kind == CURVE else found.cells
    lines += plotted(f"difference from {BASE}, points", [(f"{row.label}  {row.model}", row.versus) for row in shown])
    notes = [line for note in remarks(found) for line in wrap(show(note), width, first="- ", rest="  ")]
    return [line.rstrip() for line in (*lines, *([""] if notes else []), *notes)]


def title(found: StudyResults) -> str:
    """The heading: name, kind, size and state."""
    name = found.name or found.study
    count = counted(len({row.cell for row in found.cells}), "size" if found.kind == CURVE else "cell")
    what = f"{found.kind} of {count} x {counted(len(found.models), 'model')} x {counted(len(found.seeds), 'seed')}"
    done = "" if found.ended == found.total else f", {found.ended} of {found.total} runs"
    text = f"{name}: {what}, {found.dataset}, {found.length}, {found.state}{done}"
    return safe_text(text, one_line=True)


def cells_title(found: StudyResults) -> str:
    """The heading of the cells, which says what data they were evaluated on."""
    if found.selects:
        return f"on {found.validation:,} validation images of each seed (* the best for its model):"
    return "on the validation splits:" if found.validation else "on the test set:"


def final_title(found: StudyResults) -> str:
    """The heading of the winners, which says what seeds they were trained with."""
    first = found.seeds[-1] + 1
    return f"the best settings of each model, trained with the new seeds {first} to {first + len(found.seeds) - 1}:"


def cell_rows(found: Sequence[CellResult], best: Sequence[tuple[str, str]] = ()) -> list[list[str]]:
    """A table of cells, headings first; without columns for differences where nothing is compared."""
    compared = any(row.versus for row in found)
    head = ["cell", "model", "seeds", "accuracy, %", "95 % of mean"]
    rows = [[*head, *(["points", "95 % interval", "p", "verdict"] if compared else [])]]
    for row in found:
        mark = " *" if (row.model, row.label) in best else ""
        mean = UNKNOWN if row.mean is None else percent(row.mean)
        done, interval = f"{len(row.accuracies)}/{row.seeds}", interval_percent(row.ci95)
        rows.append(
            [row.label, f"{row.model}{mark}", done, mean, interval, *(_difference(row.versus) if compared else [])]
        )
    return rows


def slope_label(slope: Slope) -> str:
    """`se - base`."""
    return f"{slope.model} - {slope.versus.against}"


def slope_title(found: StudyResults) -> str:
    """The heading of the plot of slopes."""
    return "change of the difference with each doubling of the training data, points"


def slope_rows(found: StudyResults) -> list[list[str]]:
    """A table of slopes, headings first."""
    rows = [["difference", "seeds", "points per doubling", "95 % interval", "p", "with more data"]]
    words = {"better": "grows", "worse": "shrinks"}
    for each in found.slopes:
        versus = each.versus
        said = UNKNOWN if versus.verdict is None else words.get(versus.verdict, "undecided")
        rows.append([slope_label(each), str(versus.pairs), *_difference(versus)[:3], said])
    return rows


def _difference(versus: Versus | None) -> list[str]:
    if versus is None:
        return [""] * 4
    verdict = UNKNOWN if versus.verdict is None else _SHORT.get(versus.verdict, versus.verdict)
    return [points(versus.delta), interval_points(versus.ci95), p_value(versus.p_value), verdict]


def remarks(found: StudyResults) -> list[str]:
    """What the numbers mean, in sentences."""
    said: list[str] = []
    missing = found.total - found.ended
    if found.state == "stopped":
        said.append(f"{missing} runs are not trained yet: 'tui-attn resume {found.study}' continues the study")
    lacking = sum(row.versus.missing for row in (*found.cells, *found.finals) if row.versus)
    if lacking:
        said.append(f"{counted(lacking, 'pair')} without a result count as missing: their tests are stricter")
    if found.kind == CURVE and found.slopes:
        said.append(
            "each slope is the least-squares slope of a seed's difference on log2(training images); the intervals are t"
            " intervals over the seeds, together 95 % for the models compared with base, and together 95 % for those"
            " compared with their blind control; controls have intervals of their own and no verdict"
        )
    if found.comparisons > 1 and not found.selects:
        said.append(
            f"{found.comparisons} comparisons share the error rate of 5 %: intervals and p-values are adjusted for all"
            " of them; no cell is ended early"
        )
        if found.kind != CURVE:
            said.append("the highest accuracy of a sweep was chosen afterwards, so it is too high by chance")
    if found.selects:
        said.append("each model had the same cells, and its best was chosen on validation images only")
    if found.at_edge:
        said.append(f"at an end of what was tried, so that a wider range may be better: {', '.join(found.at_edge)}")
    opened = f"opened {_times(found.test_openings)}" if found.test_openings else "not opened"
    runs = f", by {counted(found.test_runs, 'run')}" if found.test_runs else ""
    said.append(f"the test set was {opened}{runs}")
    if found.earlier_openings:
        said.append(
            f"earlier studies of this data here, trash included, opened the test set {_times(found.earlier_openings)}:"
            " what was chosen by what it showed is too good by chance"
        )
    return said


def _times(number: int) -> str:
    return "once" if number == 1 else f"{number} times"


def _table(rows: Sequence[Sequence[str]], width: int, show: Callable[[str], str]) -> list[str]:
    """Text columns to the left, numbers to the right; the widest text column is cut where there is no room."""
    rows = [[show(cell) for cell in row] for row in rows]
    words = [name in {"cell", "model", "difference", "verdict", "with more data"} for name in rows[0]]
    widths = [max(map(cells, column)) for column in zip(*rows, strict=True)]
    keep = list(range(len(widths)))
    for name in ("95 % of mean", "seeds", "p"):  # what is left out first
        if sum(widths[at] + 2 for at in keep) - 2 > width and name in rows[0]:
            keep.remove(rows[0].index(name))
    excess = sum(widths[at] + 2 for at in keep) - 2 - width
    if excess > 0:
        widths[0] = max(6, widths[0] - excess)
    lines = []
    for row in rows:
        shown = [(left if words[at] else right)(cut(row[at], widths[at]), widths[at]) for at in keep]
        lines.append("  ".join(shown).rstrip())
    return lines


# ---- the plot

Entry = tuple[str, float | None, tuple[float, float] | None]
"""Label, mean and interval."""


def forest(heading: str, entries: Sequence[Entry], width: int, *, ascii: bool = False) -> list[str]:
    """A forest plot of differences, given as fractions: means and intervals on one axis in points, with 0 marked."""
    bar, end, dot, zero, rule = ("-", "|", "o", ":", "-") if ascii else ("─", "╂", "●", "┊", "─")
    show: Callable[[str], str] = plain if ascii else str
    known = [100 * value for _, mean, ends in entries for value in (mean, *(ends or ())) if value is not None]
    low, high = min([*known, 0.0]), max([*known, 0.0])
    room = max((high - low) * 0.03, 0.01)
    low, high = low - room, high + room
    labels = min(max((cells(label) for label, _, _ in entries), default=0), width - LEAST_PLOT - 2)
    axis = width - labels - 2

    def place(value: float) -> int:
        at = round((value - low) / (high - low) * (axis - 1))
        return int(min(axis - 1, max(0, at)))

    lines = [show(heading)]
    for label, mean, ends in entries:
        row = [" "] * axis
        row[place(0.0)] = zero
        if ends is not None:
            first, last = place(100 * ends[0]), place(100 * ends[1])
            row[first : last + 1] = [bar] * (last + 1 - first)
            row[first] = row[last] = end
        if mean is not None:
            row[place(100 * mean)] = dot
        lines.append(f"{left(show(label), labels)}  {''.join(row)}".rstrip())
    ticks = [" "] * axis
    for value in (low + room, 0.0, high - room):
        text = f"{value:+.2f}".replace("+0.00", "0")
        at = min(max(place(value) - len(text) // 2, 0), axis - len(text))
        if all(character == " " for character in ticks[max(at - 1, 0) : at + len(text) + 1]):
            ticks[at : at + len(text)] = text
    return [*lines, f"{' ' * labels}  {rule * axis}", f"{' ' * labels}  {''.join(ticks)}".rstrip()]
