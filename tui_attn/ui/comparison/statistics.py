"""The statistics behind the answer: intervals and tests, seeds and runs, and how they are computed."""

from __future__ import annotations

from collections.abc import Sequence
from math import fsum

from rich.cells import cell_len

from tui_attn.compare.pairs import BASE
from tui_attn.compare.resampling import seeds_needed
from tui_attn.compare.summary import ModelSummary, Summary, Versus
from tui_attn.compare.text_tables import footnotes, model_rows, run_rows, time_cells
from tui_attn.compare.wording import (
    UNKNOWN,
    extension_sentences,
    interval_points,
    look_words,
    p_value,
    points,
    sentences,
)
from tui_attn.system.text import duration, percent, safe_text
from tui_attn.ui import formatting
from tui_attn.ui.comparison.parts import (
    LONGEST,
    MARGIN,
    Page,
    aligned,
    heading,
    interval_axis,
    interval_bar,
    interval_span,
    remarks,
    table,
    text,
)
from tui_attn.ui.comparison.parts import table_width as width_of
from tui_attn.ui.comparison.source import Choices, Overview
from tui_attn.ui.drawing import EMPTY, Piece, Row, fit, row_width

DIFFERENCES = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05)
"""The differences that one can ask the number of seeds for, fractions."""
STEP = 0.005
"""Between two accuracies that one can choose, a fraction."""
_LEAST_LABEL = 10
"""Cells that a model's name keeps where it is cut."""


def more_seeds(summary: Summary, choices: Choices) -> int:
    """How many more seeds to train: as chosen, up to the next planned look, as many as would decide, or some."""
    if choices.more is not None:
        return choices.more
    planned, needed = len(summary.seeds), 0
    found = [entry.versus_base for entry in summary.models if entry.versus_base]
    open_ = [versus for versus in found if versus.verdict in {None, "undecided"}]
    looks = [versus.next_look for versus in open_ or found if versus.next_look]
    if looks and max(looks) > planned:
        return max(looks) - planned
    for versus in found:
        if versus.spread is not None:
            needed = max(
                needed,
                seeds_needed(versus.spread, choices.difference, level=versus.level, looks=versus.looks or ()) or 0,
            )
    return needed - planned if needed > planned else 5 - planned if planned < 5 else 5


def seed_seconds(overview: Overview) -> float | None:
    """Seconds of training that one more seed of all models takes; None while nothing was measured."""
    found = [mean_seconds(entry) for entry in overview.summary.models]
    known = [seconds for seconds in found if seconds is not None]
    return fsum(known) / min(overview.workers, len(found)) if len(known) == len(found) else None


def mean_seconds(entry: ModelSummary) -> float | None:
    """Seconds of training of a run of a model, on average; None while nothing was measured."""
    found = [run.train_seconds for run in entry.counted if run.train_seconds]
    return fsum(found) / len(found) if found else None


def rows(overview: Overview, choices: Choices, page: Page, *, can_extend: bool) -> list[Row]:
    """The whole page."""
    summary = overview.summary
    found = [*_verdicts(summary, page), *_sentences(overview, choices, page)]
    if can_extend:
        found += _more(overview, choices, page)
    found += [EMPTY, heading("how this is computed")]
    found += [row for line in explanation(summary) for row in text(page, line, first="  ", hanging="  ")]
    found += [EMPTY, heading("the models side by side"), EMPTY, *_models(overview, choices, page)]
    found += [row for note in footnotes(summary) for row in text(page, note, "faint", hanging="   ")]
    found += [*_by_seed(summary, page), *_by_run(summary, page)]
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
    span = interval_span(value for _, versus in compared for value in (versus.delta, *(versus.ci95 or ())))
    names = [safe_text(model, one_line=True) for model, _ in compared]
    label = max(cell_len(safe_text(model, one_line=True)) for model in summary.names) + 2
    facts = [_facts(versus) for _, versus in compared]
    if _LEAST_LABEL + max(map(row_width, facts)) > page.room:  # the sentences below name the look
        facts = [_facts(versus, look=False) for _, versus in compared]
    facts = aligned(facts, left=(0, 2), gap=0)
    beside = row_width(facts[0])
    label = min(label, max(page.room - beside, _LEAST_LABEL))
    width = min(page.room - label - beside - 2, 90)
    below = width < 34
    width = min(page.room - label, 90) if below else width
    title = heading("against base, paired by seed")
    found = [EMPTY, Row((*title.pieces, _missing(summary)))]
    for (model, versus), name, pieces in zip(compared, names, facts, strict=True):
        ink = f"model:{model}"
        bar = interval_bar(versus.delta, versus.ci95, span, width, ink)
        head: list[Piece] = [(MARGIN + fit(name, label - 2) + "  ", ink)]
        if below:
            found += [Row((*head, *pieces)), Row(((" " * (label + 1), "normal"), *bar))]
        else:
            found.append(Row((*head, *pieces, ("  ", "normal"), *bar)))
    found += interval_axis(span, width, 1 + label + (0 if below else beside + 2))
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


def _facts(versus: Versus, *, look: bool = True) -> list[Piece]:
    verdict = versus.verdict
    seen = f", {look_words(versus)}" if look else ""
    if verdict is None:
        why = (
            "control: described, not tested"
            if not versus.decides
            else "no verdict: one seed"
            if versus.pairs == 1
            else "no look yet"
        )
        facts = f"  {interval_points(versus.ci95)}{seen}" if versus.ci95 else ""
        return [(why, "held"), (f"  {points(versus.delta):>6}", "bold"), (facts, "muted")]
    facts = f"  {interval_points(versus.ci95)}, p {p_value(versus.p_value)}{seen}"
    return [(verdict, formatting.VERDICTS[verdict][1]), (f"  {points(versus.delta):>6}", "bold"), (facts, "muted")]


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
    keys = "e trains them, + and - change how many, d the difference to be shown, } the accuracy that time is taken to"
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


# ---- how it is computed


def explanation(summary: Summary) -> list[str]:
    """How differences, intervals and verdicts come about, in plain words."""
    found = [entry.versus_base for entry in summary.models if entry.versus_base is not None]
    if not found:
        return ["There is nothing to compare yet."]
    versus = found[0]
    said = [
        f"Every seed gives one pair: the model's test accuracy minus {BASE}'s, both trained from that seed on the same"
        " data in the same order. The difference is the mean over the seeds, the interval a t interval of these"
        " differences."
    ]
    deciding = sum(each.decides for each in found)
    if deciding > 1:
        said.append(f"The {deciding} comparisons share an error rate of 5 %, so each interval is wider than one alone.")
    if versus.looks:
        looks = " and ".join(map(str, versus.looks))
        said.append(
            f"The plan, made before training, looks at {looks} seeds. The looks share the error rate, so looking again"
            " can't make a difference out of luck; between them the last look's verdict stands."
        )
    elif versus.looks is None:
        said.append("The number of seeds was fixed beforehand, so there is one look, at all of them.")
    else:
        said.append("No looks were planned: the interval is valid at every number of seeds, and therefore wider.")
    margin = f"{100 * versus.margin:g}"
    said.append(
        f"Better or worse: the interval excludes 0. No difference above {margin} points: it lies within +-{margin}."
        " Else: undecided. The McNemar test is about the two networks of one seed, not about the models; it decides"
        " nothing."
    )
    return said


# ---- seed by seed and run by run


def _by_seed(summary: Summary, page: Page) -> list[Row]:
    models = summary.models
    if len(models) < 2:
        return []
    counted = [{run.seed: run.test_accuracy for run in entry.runs if run.counts} for entry in models]
    names = [safe_text(entry.model, one_line=True) for entry in models]
    base = counted[names.index(BASE)] if BASE in names else {}
    others = [at for at, name in enumerate(names) if name != BASE] if BASE in names else []
    found = [[str(seed), *(percent(by_seed.get(seed)) for by_seed in counted)] for seed in summary.seeds]
    deltas = [[_delta(counted[at].get(seed), base.get(seed)) for at in others] for seed in summary.seeds]
    inks = ["muted", *(f"model:{name}" for name in names)]
    other_inks = [inks[index + 1] for index in others]
    cells = [["seed", *names, *(f"{names[index]} - {BASE}" for index in others)]]
    cells += [[*row, *more] for row, more in zip(found, deltas, strict=True)]
    title = heading("seed by seed", "test accuracy in %, difference in points; runs that count only")
    if width_of(cells, 3) <= page.width or not others:
        return [EMPTY, title, EMPTY, *table(cells, inks=[*inks, *other_inks], gap=3)]
    short = [fit(name, LONGEST) if cell_len(name) > LONGEST else name for name in names]
    apart = [["seed", *(short[index] for index in others)]]
    apart += [[row[0], *more] for row, more in zip(found, deltas, strict=True)]
    rows = [EMPTY, title, EMPTY, *table([["seed", *short], *found], inks=inks)]
    return [*rows, EMPTY, heading(f"less {BASE}"), EMPTY, *table(apart, inks=["muted", *other_inks])]


def _delta(value: float | None, base: float | None) -> str:
    return UNKNOWN if value is None or base is None else points(value - base)


def _by_run(summary: Summary, page: Page) -> list[Row]:
    runs = summary.runs
    if not runs:
        return text(page, "no runs", "muted")
    cells = run_rows(runs, summary.epochs)
    cells = [cells[0], *([run[0], formatting.state_text(run[1]), *run[2:]] for run in cells[1:])]
    while width_of(cells) > page.width and len(cells[0]) > 3:
        cells = [row[:-1] for row in cells]
    return [
        EMPTY,
        heading("run by run"),
        EMPTY,
        *table(cells, left=(0, 1), gap=3 if width_of(cells, 3) <= page.width else 2),
    ]
