"""Every run of every model, and each seed's difference from base."""

from __future__ import annotations

from rich.cells import cell_len

from tui_attn.compare.pairs import BASE
from tui_attn.compare.summary import Summary
from tui_attn.compare.text_tables import run_rows
from tui_attn.compare.wording import UNKNOWN, points
from tui_attn.system.text import percent, safe_text
from tui_attn.ui import formatting
from tui_attn.ui.comparison.parts import LONGEST, Page, heading, table, text
from tui_attn.ui.comparison.parts import table_width as width_of
from tui_attn.ui.comparison.source import Overview
from tui_attn.ui.drawing import EMPTY, Row, fit


def rows(overview: Overview, page: Page) -> list[Row]:
    """Seed by seed first, which is what the verdict rests on; then run by run."""
    return [*_by_seed(overview.summary, page), *_by_run(overview.summary, page)]


def _by_seed(summary: Summary, page: Page) -> list[Row]:
    models = summary.models
    if len(models) < 2:
        return []
    counted = [{run.seed: run.test_accuracy for run in entry.runs if run.counts} for entry in models]
    names = [safe_text(entry.model, one_line=True) for entry in models]
    at = names.index(BASE) if BASE in names else None
    others = [] if at is None else [index for index in range(len(names)) if index != at]
    found: list[list[str]] = []
    deltas: list[list[str]] = []
    for seed in summary.seeds:
        accuracies = [by_seed.get(seed) for by_seed in counted]
        against = None if at is None else accuracies[at]
        found.append([str(seed), *map(percent, accuracies)])
        deltas.append([_delta(accuracies[index], against) for index in others])
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
    states = [formatting.state_text(run[1]) for run in cells[1:]]
    wide = max(map(cell_len, states))
    cells = [cells[0], *([run[0], fit(state, wide), *run[2:]] for run, state in zip(cells[1:], states, strict=True))]
    cells[0] = [cells[0][0], fit(cells[0][1], wide), *cells[0][2:]]
    while width_of(cells) > page.width and len(cells[0]) > 3:
        cells = [row[:-1] for row in cells]
    return [EMPTY, heading("run by run"), EMPTY, *table(cells, gap=3 if width_of(cells, 3) <= page.width else 2)]
