"""Further parts of the answer: what the models cost, where they differ, and whether their attention matters."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from math import isfinite
from typing import TYPE_CHECKING, get_args

from rich.cells import cell_len

from tui_attn.compare.effects import gain_sentence
from tui_attn.compare.interventions import KINDS, MEAN
from tui_attn.compare.pairs import BASE
from tui_attn.compare.summary import ModelSummary, Summary, Versus
from tui_attn.compare.text_tables import model_rows, time_cells
from tui_attn.compare.verdicts import Label
from tui_attn.compare.wording import points
from tui_attn.experiment.model_info import MODELS, joined
from tui_attn.experiment.reducer import RUN_ENDED
from tui_attn.system.text import percent
from tui_attn.ui.comparison.by_class import class_bars, floor_of, matrix_rows, means_of
from tui_attn.ui.comparison.parts import MARGIN, Page, aligned, beside, clipped, coloured, rule_row, text, with_marker
from tui_attn.ui.comparison.source import Choices, Details, Overview
from tui_attn.ui.drawing import Piece, Row, fit

if TYPE_CHECKING:
    from tui_attn.compare.predictions import ClassResults

WIDE, HUGE = 110, 180
"""Columns from which on two parts stand side by side, and from which on three do."""
LABELS = get_args(Label)
WIDENED = "base-wide"
"""Begins the names of the controls that have as many parameters as a model and no attention."""
_MANY_MORE = 1.2
"""Times the parameters of base from which on they may be what makes a model better."""
OPTIONS = ("matrices", "class bars", "explanation", "details", "costs", "cards", "dots")
"""What is left out where the screen is too small for all, the first first."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What is known, and how much of it is shown."""

    overview: Overview
    details: Details | None
    choices: Choices
    page: Page
    can_extend: bool
    shown: frozenset[str] = field(default=frozenset(OPTIONS))
    folded: bool = False
    """Whether verdict and interval share a line."""
    chart_height: int | None = None
    """Rows of the accuracies by epoch, where they stand beside the intervals; None: they are only left room for."""

    @property
    def summary(self) -> Summary:
        """The comparison, its models in the order of the headline after base."""
        found = self.overview.summary
        return replace(found, models=tuple(sorted(found.models, key=_place)))

    @property
    def compared(self) -> list[tuple[ModelSummary, Versus]]:
        """The models that have something to compare."""
        return [(entry, entry.versus_base) for entry in self.summary.models if entry.versus_base is not None]

    @property
    def classes(self) -> list[ClassResults]:
        """Accuracies and confusions by class, the models in the order of `summary`."""
        names = self.summary.names
        return sorted(self.details.classes if self.details else (), key=lambda item: names.index(item.model))

    @property
    def side_by_side(self) -> bool:
        """Whether two parts stand side by side."""
        return self.page.width >= WIDE


def _place(entry: ModelSummary) -> int:
    versus = entry.versus_base
    if entry.model == BASE or versus is None:
        return -1 if entry.model == BASE else len(LABELS)
    return LABELS.index(versus.verdict) if versus.verdict in LABELS else len(LABELS)


# ---- costs


def costs(answer: Answer) -> list[Row]:
    """A row a model: accuracy, size, time; as many columns as fit."""
    summary, page = answer.summary, answer.page
    known = {row[0].strip(): row[1:] for row in model_rows(summary)}
    target = answer.choices.target or summary.common_accuracy
    names = [with_marker(entry.model, page) for entry in summary.models]
    columns = [["", *(name for name, _ in names)]]
    columns.append(["test accuracy, %", *(percent(entry.accuracy) for entry in summary.models)])
    for label, short in (("parameters", "parameters"), ("training time", "training")):
        columns.append([short, *known.get(label, [])])
    if target is not None and answer.overview.runs:
        columns.append([f"time to {100 * target:g} %", *time_cells(summary, answer.overview.runs, target)])
    for label, short in (("images/s", "images/s"), ("MACs per image", "MACs"), ("peak memory", "memory")):
        if label in known:
            columns.append([short, *known[label]])
    columns = [column for column in columns if len(column) == len(names) + 1]
    while sum(max(map(cell_len, column)) + 2 for column in columns) > page.room and len(columns) > 3:
        columns.pop()
    spare = page.room - sum(max(map(cell_len, column)) + 2 for column in columns)
    inks = ["muted", *(ink for _, ink in names)]
    cells = [
        [(cell, ink if at == 0 or ink == "muted" else "normal") for at, cell in enumerate(row)]
        for ink, row in zip(inks, zip(*columns, strict=True), strict=True)
    ]
    made = aligned(cells, gap=2 + min(max(spare, 0) // len(columns), 8))
    return [rule_row("what it costs", page.width), *(Row(((MARGIN, "normal"), *row)) for row in made)]


# ---- classes, and whether the attention matters


def class_and_attention(answer: Answer) -> list[Row]:
    """Where the models differ most, and whether their attention matters."""
    page = answer.page
    if answer.details is None:
        return []
    half = page.width // 2 - 1
    if answer.side_by_side and (classes := _classes(answer, half)):
        right = page.width - half - 2
        narrow = beside(classes, [*_attention(answer, right), *_gains(answer, right)], half + 1)
        wide = [*beside(classes, _attention(answer, right), half + 1), *_gains(answer, page.width)]
        return min(narrow, wide, key=len)
    return [*_classes(answer, page.width), *_attention(answer, page.width), *_gains(answer, page.width)]


def _classes(answer: Answer, width: int) -> list[Row]:
    means = {item.model: means_of(item) for item in answer.classes}
    if BASE not in means:
        return []
    if "class bars" in answer.shown and answer.page.width >= HUGE and len(means) <= 3:
        inner = replace(answer.page, width=width)
        title = f"accuracy by class, %; bars from {100 * floor_of(answer.classes):.0f}"
        return [rule_row(title, width), *class_bars(answer.classes, inner)]
    found = [
        (value - base, name, item.model)
        for item in answer.classes
        if item.model != BASE and len(means[item.model]) == len(means[BASE])
        for value, base, name in zip(means[item.model], means[BASE], item.names, strict=True)
        if isfinite(value - base)
    ]
    largest = sorted(found, key=lambda item: -abs(item[0]))[:3]
    end = max((abs(item[0]) for item in largest), default=0.0)
    label = max((cell_len(name) for _, name, _ in largest), default=0)
    names = [with_marker(model, answer.page) for _, _, model in largest]
    wide = max((cell_len(name) for name, _ in names), default=0)
    bar = max(min((width - label - wide - 14) // 2, 16), 0)
    made = [rule_row("where they differ most", width)]
    if "explanation" in answer.shown:
        made.append(Row(((MARGIN + fit("class", label) + "  " + fit("model", wide) + "  points from base", "muted"),)))
    for (delta, name, _), (shown, ink) in zip(largest, names, strict=True):
        size = round(abs(delta) / end * bar) if end else 0
        drawn = " " * (bar - size) + "━" * size + "│" if delta < 0 else " " * bar + "│" + "━" * size
        cells: tuple[Piece, ...] = ((MARGIN + fit(name, label) + "  ", "normal"), (fit(shown, wide) + "  ", ink))
        made.append(Row((*cells, (f"{points(delta, 1):>5}  ", "bold"), (drawn, ink))))
    return made if largest else []


def _attention(answer: Answer, width: int) -> list[Row]:
    """One line a model: what replacing its attention by the average over all images does."""
    details = answer.details
    able = [entry.model for entry in answer.summary.models if entry.model in KINDS]
    if details is None or not able:
        return []
    made = [rule_row("does the attention matter?", width)]
    if "explanation" in answer.shown:
        made.append(Row(((MARGIN + "points gained or lost with the average attention", "muted"),)))
    known = {effects.model: effects for effects in details.effects}
    label = max(cell_len(with_marker(model, answer.page)[0]) for model in able)
    for model in able[:4]:
        name, ink = with_marker(model, answer.page)
        effect = known[model].get(MEAN) if model in known else None
        cells: list[Piece] = [(MARGIN + fit(name, label) + "  ", ink)]
        if effect is None:
            runs = answer.summary.get(model).runs
            training = any(run.state not in RUN_ENDED for run in runs)
            why = "6 and I measure it" if any(run.counts for run in runs) else "no run has a result"
            cells.append((f"not measured{' yet' if training else f': {why}'}", "muted"))
        else:
            low, high = effect.ci95
            unclear = f"no effect shown (at most {abs(100 * low):.2f})"
            said = "it uses the individual image" if high < 0 else unclear
            said = "it is better off without" if low > 0 else said
            cells += [(f"{points(effect.delta):>6}  ", "bold"), (said, "normal")]
        made.append(Row(tuple(clipped(cells, width - 1))))
    return made


def _gains(answer: Answer, width: int) -> list[Row]:
    """Why a model can be better and yet not use the individual image."""
    if "explanation" not in answer.shown:
        return []
    page = replace(answer.page, width=width)
    effects = {} if answer.details is None else {found.model: found for found in answer.details.effects}
    found = [
        gain_sentence(effects[entry.model], versus.delta)
        for entry, versus in answer.compared
        if versus.verdict == "better" and entry.model in effects
    ]
    found += [_parameters_alone(answer.summary)]
    rows = [row for sentence in found if sentence for row in text(page, sentence, "normal", hanging="  ")]
    return [coloured(row, answer.summary.names) for row in rows]


def _parameters_alone(summary: Summary) -> str:
    """Which better models have more parameters and no control that has as many; empty where there is none."""
    base = next((entry.parameters for entry in summary.models if entry.model == BASE), None)
    found = [
        f"{entry.parameters / base:.1f}x the parameters alone would do what {entry.model} does"
        for entry in summary.models
        if entry.versus_base is not None
        and entry.versus_base.verdict == "better"
        and entry.parameters
        and base
        and entry.parameters / base >= _MANY_MORE
        and entry.model in MODELS
        and (wide := [name for name in MODELS[entry.model].controls if name.startswith(WIDENED)])
        and not set(wide) & set(summary.names)
    ]
    return f"Not shown: whether {joined(found)} (control: {WIDENED})." if found else ""


def matrices(answer: Answer) -> list[Row]:
    """The confusion matrices side by side, as many as fit."""
    found = answer.classes[:3]
    if not found:
        return []
    width = answer.page.width // len(found)
    made: list[Row] = []
    for at, item in enumerate(found):
        rows = matrix_rows(item, replace(answer.page, width=width))
        name = with_marker(item.model, answer.page)
        rows = [Row(((MARGIN, "normal"), name)), *rows]
        made = beside(made, rows, at * width) if made else rows
    return [rule_row("mistakes: % of a true class (rows) taken for a class (columns)", answer.page.width), *made]
