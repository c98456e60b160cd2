"""The first page: what attention did, in one screen that needs no scrolling."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

from rich.cells import cell_len

from tui_attn.compare.headline import headline
from tui_attn.compare.pairs import BASE
from tui_attn.compare.resampling import detectable
from tui_attn.compare.summary import ModelSummary, Summary, Versus
from tui_attn.compare.verdicts import critical_value
from tui_attn.compare.wording import interval_points, points
from tui_attn.experiment.reducer import RUN_ENDED
from tui_attn.system.text import duration
from tui_attn.ui import formatting
from tui_attn.ui.comparison.answer_charts import accuracy_chart
from tui_attn.ui.comparison.answer_details import HUGE, OPTIONS, WIDE, Answer, class_and_attention, costs, matrices
from tui_attn.ui.comparison.parts import (
    MARGIN,
    Page,
    Span,
    aligned,
    beside,
    clipped,
    coloured,
    interval_axis,
    interval_bar,
    interval_span,
    rule_row,
    seed_dots,
    text,
    with_marker,
)
from tui_attn.ui.comparison.source import Choices, Details, Overview
from tui_attn.ui.comparison.statistics import mean_seconds, more_seeds, seed_seconds
from tui_attn.ui.drawing import EMPTY, Piece, Row, cut, fit, row_width

_LEAST_CHART = 8
"""Spare rows from which on the accuracies by epoch take them, where they don't stand beside the intervals."""
_SHORTEST, _MOST_TALLER = 7, 8
"""Rows that they need where they do, and how many more they take."""


def rows(overview: Overview, details: Details | None, choices: Choices, page: Page, *, can_extend: bool) -> list[Row]:
    """At most `page.height` rows: the more room, the more parts; "next" is always the last."""
    for folded in (False, True):
        for left_out in range(len(OPTIONS) + 1):
            shown = frozenset(OPTIONS[left_out:])
            answer = Answer(overview, details, choices, page, can_extend, shown, folded)
            parts, below = _parts(answer), _next(answer)
            spare = page.height - sum(map(len, parts)) - len(below)
            if spare < 0:
                continue
            if spare > 1:  # else the keys below read as one more step
                below, spare = [*below, EMPTY], spare - 1
            if answer.compared and answer.side_by_side and not folded:
                height = _SHORTEST + min(max(spare - len(parts) - 1, 0), _MOST_TALLER)
                parts = _parts(replace(answer, chart_height=height))
            elif spare > _LEAST_CHART:
                chart = accuracy_chart(overview, page, page.room - 1, min(spare - 2, 14))
                parts.append([EMPTY, *(Row(((MARGIN, "normal"), *row.pieces)) for row in chart)])
            return _spread(parts, below, page.height)
    above = [row for part in parts for row in part]
    more = len(above) + len(below) - page.height + 1
    cut = above[: max(len(above) - more, 1)]
    return [*cut, *text(page, f"{more} lines more: 2 shows every model", "muted"), *below]


def _parts(answer: Answer) -> list[list[Row]]:
    makers: list[Callable[[Answer], list[Row]]] = [_head, *([_folded] if answer.folded else [_verdicts, _forest])]
    makers += [make for name, make in (("costs", costs), ("details", class_and_attention)) if name in answer.shown]
    makers += [matrices] if "matrices" in answer.shown and answer.page.width >= HUGE else []
    return [made for make in makers if (made := make(answer))]


def _spread(parts: list[list[Row]], below: list[Row], height: int) -> list[Row]:
    """`parts` with blank rows between them where there is room, and `below` at the bottom of `height` rows."""
    spare = height - sum(map(len, parts)) - len(below)
    found: list[Row] = []
    for at, part in enumerate(parts):
        blank = spare > 0 if at else spare > len(parts)
        spare -= blank
        found += [*([EMPTY] if blank else []), *part]
    return [*found, *[EMPTY] * spare, *below]


def _head(answer: Answer) -> list[Row]:
    page, summary = answer.page, answer.summary
    found = [coloured(row, summary.names, bold=True) for row in text(page, headline(summary), "bold")]
    if "explanation" in answer.shown and answer.compared:
        sizes = [_common(answer, kind) for kind in ("train_size", "test_size")]
        images = "Trained on {:,} images, tested on {:,}. ".format(*sizes) if None not in sizes else ""
        any_interval = any(versus.ci95 for _, versus in answer.compared)
        interval = "; 95 % interval of the mean over seeds" if any_interval else ""
        said = f"{images}Model minus {BASE} by seed{interval}."
        found += text(page, said, "muted")
    return found


def _common(answer: Answer, kind: str) -> int | None:
    """What all runs say for `kind`; None where they differ."""
    found = {run.about.get(kind) for run in answer.overview.runs.values()} - {None}
    return found.pop() if len(found) == 1 else None


# ---- verdicts


def _verdict(versus: Versus, *, pooled: bool = False, short: bool = False) -> Piece:
    """The verdict as a sign and words, or why there is none."""
    label = versus.verdict
    if label is not None:
        margin = f" above {100 * versus.margin:g}" if label.startswith("no ") and not short else ""
        words = "no difference" + margin if label.startswith("no ") else str(label)
        sign, style = formatting.VERDICTS[label]
        return f"{sign} {words}", style
    if versus.contradiction:
        return "! the looks exclude each other", "warning"
    if not versus.decides:
        why = ": pooled" if pooled else ": a control"
        return f"no verdict{why if len(versus.seeds) > 1 else ''}", "muted"
    if len(versus.seeds) == 1:
        return "no verdict: one seed", "held"
    return (f"first look at {versus.next_look}" if versus.next_look else "no verdict"), "held"


def _deltas(summary: Summary, entry: ModelSummary, versus: Versus) -> list[float]:
    base, other = summary.get(BASE).accuracies, entry.accuracies
    return [other[seed] - base[seed] for seed in versus.seeds if seed in base and seed in other]


def _ahead(summary: Summary, entry: ModelSummary, versus: Versus) -> str:
    found = _deltas(summary, entry, versus)
    return f"ahead in {sum(value > 0 for value in found)} of {len(found)} seed{'s' if len(found) != 1 else ''}"


def _cost(summary: Summary, entry: ModelSummary, *, short: bool = False) -> str:
    """Parameters and training time as multiples of base's."""
    base = summary.get(BASE)
    said = []
    if entry.parameters and base.parameters:
        said.append(_times(entry.parameters / base.parameters, "parameters", short=short))
    times = [mean_seconds(each) for each in (entry, base)]
    if times[0] and times[1]:
        said.append(_times(times[0] / times[1], "time" if short else "the training time", short=True))
    return ", ".join(said)


def _times(ratio: float, what: str, *, short: bool) -> str:
    if short or not 0.5 < ratio < 2:
        return (
            f"{ratio:.1f}x {what if short else f'the {what}'}"
            if abs(ratio - 1) >= 0.05
            else f"the same {what.removeprefix('the ')}"
        )
    share = round(100 * (ratio - 1))
    return f"{abs(share)} % {'more' if share > 0 else 'fewer'} {what}" if share else f"the same {what}"


def _verdicts(answer: Answer) -> list[Row]:
    """A card a model where they fit side by side, else a line a model."""
    across = max(answer.page.width // 58, 1)
    found = answer.compared
    if "cards" in answer.shown and found and len(found) <= across and answer.side_by_side:
        width = (answer.page.width - 2) // len(found) - 1
        cards = [_card(answer, entry, versus, width) for entry, versus in found]
        made = cards[0]
        for at, card in enumerate(cards[1:], start=1):
            made = beside(made, card, at * (width + 2))
        return [*made, *_without(answer)]
    return [*_lines(answer), *_without(answer)]


def _card(answer: Answer, entry: ModelSummary, versus: Versus, width: int) -> list[Row]:
    name, ink = with_marker(entry.model, answer.page)
    sign = _verdict(versus, pooled=bool(answer.summary.experiments))
    said = interval_points(versus.ci95)
    interval = f"95 % interval {said} · " if versus.ci95 else ""
    lines: list[list[Piece]] = [
        [(f"{points(versus.delta)} points  ", "bold"), (sign[0], sign[1])],
        [(f"{interval}{_ahead(answer.summary, entry, versus)}", "muted")],
        [(_cost(answer.summary, entry), "muted")],
    ]
    found = [Row(((" ┌─ ", "rule"), (f"{name} ", ink), ("─" * max(width - cell_len(name) - 5, 0) + "┐", "rule")))]
    for pieces in lines:
        kept = clipped(pieces, width - 4)
        gap = " " * (width - 4 - row_width(kept))
        found.append(Row(((" │ ", "rule"), *kept, (gap + " │", "rule"))))
    return [*found, Row(((" └" + "─" * (width - 2) + "┘", "rule"),))]


def _cells(answer: Answer) -> list[list[Piece]]:
    """For every compared model its name, difference, verdict, interval, seeds ahead and costs."""
    short = answer.page.width < WIDE or answer.folded
    return [
        [
            with_marker(entry.model, answer.page),
            (points(versus.delta), "bold"),
            _verdict(versus, pooled=bool(answer.summary.experiments), short=answer.page.width < WIDE),
            (interval_points(versus.ci95) if versus.ci95 else "", "muted"),
            (_ahead(answer.summary, entry, versus), "muted"),
            (_cost(answer.summary, entry, short=short), "muted"),
        ]
        for entry, versus in answer.compared
    ]


def _first(cells: list[list[Piece]], count: int) -> list[list[Piece]]:
    """The first columns, in line."""
    return aligned([row[:count] for row in cells], left=(0, 2, 3, 4, 5))


def _lines(answer: Answer) -> list[Row]:
    cells, kept = _cells(answer), 6
    while kept > 3 and cells and row_width(_first(cells, kept)[0]) + 2 > answer.page.width:
        kept -= 1
    return [Row(((MARGIN, "normal"), *row)) for row in _first(cells, kept)]


def _without(answer: Answer) -> list[Row]:
    """The models that have nothing to compare yet."""
    names = [entry for entry in answer.summary.models if entry.model != BASE and entry.versus_base is None]
    if not names or BASE not in answer.summary.names:
        return []
    failed = sum(not run.counts and run.state in {*RUN_ENDED, "lost"} for run in answer.summary.runs)
    runs = f", {failed} {'run has' if failed == 1 else 'runs have'} no result" if failed else ""
    why = f"no seed has a result of both{runs}"
    found: list[Piece] = [(MARGIN, "normal")]
    for entry in names[:4]:
        found += [with_marker(entry.model, answer.page), ("  ", "normal")]
    more = f"and {len(names) - 4} more: " if len(names) > 4 else ""
    return [Row((*found, (f"{more}{why}", "held")))]


# ---- the differences as intervals, and how they were reached


def _span(answer: Answer) -> Span:
    """The scale of all intervals and seeds."""
    values: list[float] = []
    for entry, versus in answer.compared:
        values += [versus.delta, *(versus.ci95 or ()), *_deltas(answer.summary, entry, versus)]
    return interval_span(values)


def _forest(answer: Answer) -> list[Row]:
    if not answer.compared:
        return []
    page = answer.page
    width = page.width // 2 - 2 if answer.side_by_side else page.room
    label = max(cell_len(with_marker(entry.model, page)[0]) for entry, _ in answer.compared) + 2
    span = _span(answer)
    body: list[Row] = []
    for entry, versus in answer.compared:
        name, ink = with_marker(entry.model, page)
        deltas = _deltas(answer.summary, entry, versus)
        body.append(
            Row(((MARGIN + fit(name, label), ink), *interval_bar(versus.delta, versus.ci95, span, width - label, ink)))
        )
        if "dots" in answer.shown and len(deltas) > 1:
            body.append(Row(((MARGIN + " " * label, "normal"), *seed_dots(deltas, span, width - label, ink))))
    digits = sorted({text for row in body for text, _ in row.pieces if text.isdigit()})
    key = "  █ mean ━ 95 %  ∘ one seed" + (f", {digits[0]} = {digits[0]} seeds" if digits else "")
    what = f"difference from {BASE}, points"
    what = what if cell_len(what + key) < width else f"points from {BASE}"
    title = Row(((MARGIN + what, "title"), (key, "muted")))
    left = [title, *body, *interval_axis(span, width - label, label + 1)]
    if not answer.side_by_side:
        return left
    height = max(len(left), _SHORTEST, answer.chart_height or 0)
    if answer.chart_height is None:
        return [*left, *[EMPTY] * (height - len(left))]
    return beside(left, accuracy_chart(answer.overview, page, page.width - width - 5, height), width + 4)


def _folded(answer: Answer) -> list[Row]:
    """Verdict and interval in one line a model, for many models or few lines."""
    if not answer.compared:
        return _without(answer)
    rows = _first(_cells(answer), 6 if answer.page.width >= HUGE else 5 if answer.page.width >= WIDE else 3)
    used = 1 + row_width(rows[0]) + 2
    width = max(min(answer.page.room - used, 90), 16)
    span = _span(answer)
    found = []
    for (entry, versus), row in zip(answer.compared, rows, strict=True):
        bar = interval_bar(versus.delta, versus.ci95, span, width, f"model:{entry.model}")
        found.append(Row(((MARGIN, "normal"), *row, ("  ", "normal"), *bar)))
    return [*found, *interval_axis(span, width, used)[:1], *_without(answer)]


# ---- what to do next


def _next(answer: Answer) -> list[Row]:
    page = answer.page
    lines = [(key, cut(said, page.room - 2)) for key, said in _steps(answer)]
    steps = [Row(((MARGIN, "normal"), (key + " ", "key"), (said, "normal"))) for key, said in lines]
    return [rule_row("next", page.width), *steps]


def _steps(answer: Answer) -> Iterator[tuple[str, str]]:
    summary, overview = answer.summary, answer.overview
    each = seed_seconds(overview)
    has_result = any(entry.counted for entry in summary.models)
    if not overview.ended:
        done = sum(run.state in RUN_ENDED for run in summary.runs)
        left = [seed for seed in summary.seeds if not all(run.counts for run in summary.runs if run.seed == seed)]
        about = "" if each is None or not left else f", about {duration(each * len(left))} of training left"
        yield "…", f"training: {done} of {len(summary.runs)} runs have ended{about}; this page follows"
    elif answer.can_extend:
        more = more_seeds(summary, answer.choices)
        about = "" if each is None else f" (about {duration(each * more)})"
        seeds = "seed" if more == 1 else "seeds"
        yield "e", f"train {more} more {seeds}{about}{_planned(summary, more)}{_would_show(summary, more)}"
    elif not has_result:
        yield "esc", "no run has a result: in the list of runs enter shows why, and r trains again"
    if summary.experiments or overview.folder is None:
        yield "1", "these are several experiments together: open one for classes, images and more seeds"
        return
    if overview.ended and has_result:
        yield "w", "write the report to hand in: one page, tables, pictures"
    if any(run.probes for run in overview.runs.values()):
        yield "h", "look at the gates and the attention, epoch by epoch"


def _planned(summary: Summary, more: int) -> str:
    """Which of the planned looks so many more seeds are for; empty where they are for none."""
    looks = next((entry.versus_base.looks for entry in summary.models if entry.versus_base), None) or ()
    seeds = len(summary.seeds) + more
    return f", look {looks.index(seeds) + 1} of {len(looks)}" if seeds in looks else ""


def _would_show(summary: Summary, more: int) -> str:
    """The difference that so many more seeds would show with 80 % power, of the models that are not decided."""
    sizes = []
    for entry in summary.models:
        versus = entry.versus_base
        if versus is None or versus.spread is None or not versus.decides or versus.verdict in {"better", "worse"}:
            continue
        at = len(summary.seeds) + more
        critical = critical_value(at, 1 - versus.level, versus.looks or ())
        if critical is not None:
            sizes.append(100 * detectable(at, versus.spread, 0.8, critical))
    if not sizes:
        decided = [entry.versus_base for entry in summary.models if entry.versus_base and entry.versus_base.verdict]
        if any(versus.looks is None for versus in decided):
            return ": without a plan, each further look makes a false verdict likelier"
        return ": verdicts stay, intervals get narrower" if decided else ": a verdict is possible"
    return f": then {max(sizes):.2f} points would show"
