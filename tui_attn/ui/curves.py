"""Which curves the charts show of an experiment. Imports numpy, which the dashboard loads in a thread."""

from __future__ import annotations

from collections.abc import Set

from tui_attn.system.text import safe_text
from tui_attn.ui.charts.series import Curve
from tui_attn.ui.feed import RunView, Snapshot


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
    test = [(view, _test(view, metric, seeds)) for view in tests]
    train = [(view, _train(view, metric, seeds, behind=bool(tests))) for view in views]
    for view, curve in [*test, *train]:
        curve.dimmed = dim and view.state.id not in selected
    return [curve for _, curve in [*test, *train]]


def _train(view: RunView, metric: str, seeds: bool, *, behind: bool) -> Curve:
    run = view.state
    return Curve.of(
        id=run.id,
        label=_label(view, seeds),
        color=run.model,
        steps=run.steps,
        values=run.metrics[metric],
        times=run.times,
        steps_per_epoch=run.about.get("steps_per_epoch"),
        group=run.model if seeds else None,
        revision=view.revision,
        faint=behind,
    )


def _test(view: RunView, metric: str, seeds: bool) -> Curve:
    run = view.state
    return Curve.of(
        id=f"{run.id} test",
        label=_label(view, seeds),
        color=run.model,
        steps=[result.step for result in run.epochs],
        values=[getattr(result, f"test_{metric}") for result in run.epochs],
        times=[result.train_seconds for result in run.epochs],
        steps_per_epoch=run.about.get("steps_per_epoch"),
        group=run.model if seeds else None,
        revision=view.revision,
        smooth=False,
    )


def _label(view: RunView, seeds: bool) -> str:
    return safe_text(view.state.id if seeds else view.state.model, one_line=True)
