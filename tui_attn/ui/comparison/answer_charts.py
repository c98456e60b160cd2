"""Test accuracy by epoch, drawn as the dashboard draws it."""

from __future__ import annotations

from tui_attn.ui.charts.plot import View, compose
from tui_attn.ui.charts.series import CurveStore
from tui_attn.ui.comparison.parts import Page
from tui_attn.ui.comparison.source import Overview
from tui_attn.ui.curves import run_curve
from tui_attn.ui.drawing import Row


def accuracy_chart(overview: Overview, page: Page, width: int, height: int) -> list[Row]:
    """Mean test accuracy of each model by epoch, over the runs that count, or while there are none, over all.

    No rows where there are no curves, as of experiments that are compared together.
    """
    entries = overview.summary.models
    chosen = [run.run for entry in entries for run in entry.counted or entry.runs if run.run in overview.runs]
    runs = [run for run in map(overview.runs.__getitem__, chosen) if run.epochs]
    if not runs:
        return []
    curves = [run_curve(run, "accuracy", seeds=len(overview.summary.seeds) > 1, tested=True) for run in runs]
    seeds = max((len(entry.counted) for entry in entries), default=0)
    view = View(
        CurveStore().lines(curves, "epoch"),
        title="test accuracy by epoch",
        percent=True,
        axis="epoch",
        names=True,
        notes=[f"{seeds} seeds"] if seeds > 1 else [],
    )
    return [
        Row(tuple((text, style or "normal") for text, style, _ in strip))
        for strip in compose(view, width, height, page.styles).strips
    ]
