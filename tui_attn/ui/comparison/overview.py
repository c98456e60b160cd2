"""The overview: the models side by side, the verdict on each, and how many more seeds would say more."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import fsum

from rich.cells import cell_len

from tui_attn.compare.pairs import BASE
from tui_attn.compare.resampling import seeds_needed
from tui_attn.compare.summary import Summary, Versus
from tui_attn.compare.text_tables import footnotes, model_rows, time_cells
from tui_attn.compare.wording import extension_sentences, interval_points, look_words, p_value, points, sentences
from tui_attn.system.text import duration, safe_text
from tui_attn.ui.comparison.parts import (
    LONGEST,
    MARGIN,
    Page,
    heading,
    interval_bar,
    reach,
    remarks,
    scale_row,
    table,
    text,
)
from tui_attn.ui.comparison.parts import table_width as width_of
from tui_attn.ui.comparison.source import Overview
from tui_attn.ui.drawing import EMPTY, Piece, Row, fit

DIFFERENCES = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05)
"""The differences that one can ask the number of seeds for, fractions."""
STEP = 0.005
"""Between two accuracies that one can choose, a fraction."""

VERDICT_INKS = {"better": "running", "worse": "failed", "no difference above margin": "bold", "undecided": "bold"}


@dataclass(frozen=True, slots=True)
class Choices:
    """What the reader chose."""

    target: float | None = None
    """The accuracy that the time is taken to, a fraction; None: the highest that all reached."""
    difference: float = 0.01
    """The difference that seeds are counted for."""
    more: int | None = None
    """How many more seeds to train; None: as many as show the difference."""


def more_seeds(summary: Summary, choices: Choices) -> int:
    """How many more seeds to train: as chosen, or as many as would show the difference, or some."""
    if choices.more is not None:
        return choices.more
    planned, needed = len(summary.seeds), 0
    for entry in summary.models:
        versus = entry.versus_base
        if versus and versus.spread is not None:
            needed = max(
                needed,
                seeds_needed(versus.spread, choices.difference, level=versus.level, looks=versus.looks or ()) or 0,
            )
    return needed - planned if needed > planned else 5 - planned if planned < 5 else 5


def seed_seconds(overview: Overview) -> float | None:
    """Seconds of training that one more seed of all models takes; None while nothing was measured."""
    total = 0.0
    for entry in overview.summary.models:
        found = [run.train_seconds for run in entry.counted if run.train_seconds]
        if not found:
            return None
        total += fsum(found) / len(found)
    return total / min(overview.workers, len(overview.summary.models))


def rows(overview: Overview, choices: Choices, page: Page, *, can_extend: bool) -> list[Row]:
    """The whole page."""
    summary = overview.summary
    found = [*_verdicts(summary, page), EMPTY, *_models(overview, choices, page)]
    found += [row for note in footnotes(summary) for row in text(page, note, "faint", hanging="   ")]
    found += _sentences(overview, choices, page)
    if can_extend:
        found += _more(overview, choices, page)
    return [*found, *remarks(page, [safe_text(remark, one_line=True) for remark in overview.remarks])]


# ---- the models side by side


def _models(overview: Overview, choices: Choices, page: Page) -> list[Row]:
    rows = model_rows(overview.summary)
    rows[0] = ["", *(safe_text(name, one_line=True) for name in rows[0][1:])]
    timed = _time_row(overview, choices)
    at = next((index for index, row in enumerate(rows) if row[0] == "images/s"), len(rows))
    if timed is not None:
        rows.insert(at, timed)
    inks = ["muted", *(f"model:{entry.model}" for entry in overview.summary.models)]
    strong = [index for index, row in enumerate(rows) if row[0].startswith(("test accuracy", "against base"))]
    if width_of(rows) > page.width:
        rows[0] = [fit(name, LONGEST) if cell_len(name) > LONGEST else name for name in rows[0]]
    found: list[Row] = []
    first, last = 1, len(rows[0])
    while first < last:  # as many models side by side as fit, the others below
        count = next((n for n in range(last - first, 1, -1) if width_of(_part(rows, first, n)) <= page.width), 1)
        part = _part(rows, first, count)
        gap = 2 + min(max(page.width - width_of(part), 0) // count, 6)
        found += [EMPTY] if found else []
        found += table(part, inks=[inks[0], *inks[first : first + count]], strong=strong, gap=gap)
        first += count
    return found


def _part(rows: list[list[str]], first: int, count: int) -> list[list[str]]:
    """The labels, and `count` of the columns."""
    return [[row[0], *row[first : first + count]] for row in rows]


def _time_row(overview: Overview, choices: Choices) -> list[str] | None:
    """Training time to the chosen accuracy, mean over the runs that reached it, and how many did."""
    target = overview.summary.common_accuracy if choices.target is None else choices.target
    if target is None or not overview.runs:
        return None
    return [f"  time to {100 * target:.1f} %", *time_cells(overview.summary, overview.runs, target)]


# ---- the verdicts


def _verdicts(summary: Summary, page: Page) -> list[Row]:
    """Each model's difference from base: the verdict as a word, its numbers, and the interval along one scale."""
    compared = [(entry.model, entry.versus_base) for entry in summary.models if entry.versus_base]
    if not compared:
        return []
    ends = [end for _, versus in compared for end in (versus.ci95 or ())]
    end = reach([*ends, *(versus.delta for _, versus in compared)])
    names = [safe_text(model, one_line=True) for model, _ in compared]
    label = max(cell_len(safe_text(model, one_line=True)) for model in summary.names) + 2
    facts = [_facts(versus) for _, versus in compared]
    verdict = max(cell_len(pieces[0][0]) for pieces in facts)
    facts = [[(fit(pieces[0][0], verdict), pieces[0][1]), *pieces[1:]] for pieces in facts]
    beside = max(sum(cell_len(piece) for piece, _ in pieces) for pieces in facts)
    label = min(label, max(page.room - beside, 10))
    width = min(page.room - label - beside - 2, 90)
    below = width < 34
    width = min(page.room - label, 90) if below else width
    title = heading("against base, paired by seed")
    found = [EMPTY, Row((*title.pieces, _missing(summary)))]
    for (model, versus), name, pieces in zip(compared, names, facts, strict=True):
        ink = f"model:{model}"
        bar = interval_bar(versus.delta, versus.ci95, end, width, ink)
        head: list[Piece] = [(MARGIN + fit(name, label - 2) + "  ", ink)]
        if below:
            found += [Row((*head, *pieces)), Row(((" " * (label + 1), "normal"), *bar))]
        else:
            gap = " " * (2 + beside - sum(cell_len(piece) for piece, _ in pieces))
            found.append(Row((*head, *pieces, (gap, "normal"), *bar)))
    found.append(scale_row(end, width, 1 + label + (0 if below else beside + 2)))
    for name in (entry.model for entry in summary.models if not entry.versus_base):
        if name != BASE:  # it has a sentence of its own below
            why = "no verdict: no seed has a result of both"
            named = (MARGIN + fit(safe_text(name, one_line=True), label - 2) + "  ", f"model:{name}")
            found.append(Row((named, (why, "held"))))
    return found


_WITHOUT_RESULT = frozenset({"failed", "stopped", "skipped", "lost"})


def _missing(summary: Summary) -> tuple[str, str]:
    """How many runs ended without a result that counts, if any did."""
    runs = summary.runs
    missing = sum(not run.counts and run.state in _WITHOUT_RESULT for run in runs)
    of_runs = f"{missing} of {len(runs)} {'run' if len(runs) == 1 else 'runs'}"
    said = f"  {of_runs} {'has' if missing == 1 else 'have'} no result" if missing else ""
    return said, "warning"


def _facts(versus: Versus) -> list[Piece]:
    verdict = versus.verdict
    if verdict is None:
        why = (
            "control: no verdict"
            if not versus.decides
            else "no verdict: one seed"
            if versus.pairs == 1
            else "no look yet"
        )
        facts = f"  {interval_points(versus.ci95)}, {look_words(versus)}" if versus.ci95 else ""
        return [(why, "held"), (f"  {points(versus.delta):>6}", "bold"), (facts, "muted")]
    facts = f"  {interval_points(versus.ci95)}, p {p_value(versus.p_value)}, {look_words(versus)}"
    return [(verdict, VERDICT_INKS[verdict]), (f"  {points(versus.delta):>6}", "bold"), (facts, "muted")]


def _sentences(overview: Overview, choices: Choices, page: Page) -> list[Row]:
    found: list[Row] = []
    for entry in overview.summary.models:
        said = sentences(overview.summary, entry.model, choices.difference, overview.folder)
        for number, sentence in enumerate(said):
            if number == 0:
                found += [EMPTY, *text(page, sentence, "bold", hanging="  ")]
            else:
                found += text(page, sentence, "normal", first="  ", hanging="  ")
    return found


# ---- more seeds


def _more(overview: Overview, choices: Choices, page: Page) -> list[Row]:
    summary, more = overview.summary, more_seeds(overview.summary, choices)
    planned = len(summary.seeds)
    each = seed_seconds(overview)
    long = "" if each is None else f", about {duration(each * more)} of training"
    sentence = f"{more} more {'seed' if more == 1 else 'seeds'}, {planned + more} in all{long}"
    keys = "e trains them, + and - change how many, d the difference to be shown, a the accuracy that time is taken to"
    return [EMPTY, heading("more seeds", sentence), *text(page, keys, "muted", first="  ", hanging="  ")]


def extend_question(overview: Overview, choices: Choices) -> tuple[str, Sequence[tuple[str, str]]]:
    """What to ask before more seeds are trained."""
    more, planned = more_seeds(overview.summary, choices), len(overview.summary.seeds)
    models = len(overview.summary.models)
    each = seed_seconds(overview)
    long = "not known yet" if each is None else f"about {duration(each * more)} of training, {duration(each)} a seed"
    return f"Train {more} more {'seed' if more == 1 else 'seeds'}?", [
        ("then", f"{planned + more} seeds, {more * models} more {'run' if more * models == 1 else 'runs'}"),
        ("time", long),
        *(("look", sentence) for sentence in extension_sentences(overview.summary, planned + more)),
        ("where", "in the background; this page follows as runs end"),
    ]
