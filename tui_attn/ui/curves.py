"""Which curves the charts show of an experiment. Imports numpy, which the dashboard loads in a thread."""

from __future__ import annotations

from collections.abc import Set

from tui_attn.experiment.reducer import RunState
from tui_attn.system.text import safe_text
from tui_attn.ui.charts.series import Curve
from tui_attn.ui.feed import Snapshot


def metric_curves(
    snapshot: Snapshot, metric: str, *, selected: Set[str] = frozenset(), hidden: Set[str] = frozenset()
) -> list[Curve]:
    """Return the curves of a metric of training steps, such as `loss`, without those of `hidden` runs.

    On the test set after each epoch, and faintly in training; only in training until an epoch has ended, and for a
    metric that isn't measured on the test set. The runs that aren't `selected` are dimmed, if any is.
    """
    views = [view for id_, view in snapshot.runs.items() if view.state.steps and id_ not in hidden]
    seeds = len({view.state.seed for view in snapshot.runs.values()}) > 1
    dim = any(view.state.id in selected for view in views)
    tests = [view for view in views if view.state.epochs and hasattr(view.state.epochs[-1], f"test_{metric}")]
    found = [(view, run_curve(view.state, metric, seeds=seeds, tested=True)) for view in tests]
    found += [(view, run_curve(view.state, metric, seeds=seeds, faint=bool(tests))) for view in views]
    for view, curve in found:
        curve.revision = view.revision
        curve.dimmed = dim and view.state.id not in selected
    return [curve for _, curve in found]


def run_curve(run: RunState, metric: str, *, seeds: bool, tested: bool = False, faint: bool = False) -> Curve:
    """Return the values of a run's metric at its training steps, or those `tested` after its epochs.

    With several `seeds` the runs of a model are drawn together.
    """
    return Curve.of(
        id=f"{run.id} test" if tested else run.id,
        label=safe_text(run.id if seeds else run.model, one_line=True),
        color=run.model,
        steps=[result.step for result in run.epochs] if tested else run.steps,
        values=[getattr(result, f"test_{metric}") for result in run.epochs] if tested else run.metrics[metric],
        times=[result.train_seconds for result in run.epochs] if tested else run.times,
        steps_per_epoch=run.about.get("steps_per_epoch"),
        group=run.model if seeds else None,
        faint=faint,
        smooth=not tested,
    )
