"""What the charts draw, from a picture of the state."""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from tui_attn.system.text import safe_text
from tui_attn.ui.charts.palette import ink
from tui_attn.ui.feed import RunView, Snapshot

XAxis = Literal["step", "epoch", "time"]
X_AXES: tuple[XAxis, ...] = ("step", "epoch", "time")


@dataclass(frozen=True, slots=True)
class Curve:
    """A named series of points over training steps.

    `steps`, `values` and `times` may be the growing `array('d')`s of a `RunState`: they are read, never changed or
    kept exported, and may be cut and grow again after a resume. They should be equally long; the shortest counts.
    """

    id: str
    """Stable: smoothing is remembered by it."""
    label: str
    """What the legend says. Data, never markup."""
    color: str
    """A key of the palette, usually the model: `base`, `se`, `self-attention`, or anything else."""
    steps: Sequence[float]
    values: Sequence[float]
    """NaN and infinities are marked where they happened."""
    times: Sequence[float] | None = None
    """Seconds of training at each point; without them the curve isn't drawn over time."""
    steps_per_epoch: float | None = None
    """Without it the curve isn't drawn over epochs."""
    group: str | None = None
    """Curves of one group (the seeds of a model) are drawn as one mean line with a band; None stands alone."""
    revision: int = 0
    """Changes whenever the arrays do. Equal revisions and lengths mean: nothing new."""
    faint: bool = False
    """Whether it stands smoothed behind the others."""
    marker: str = ""
    """One character that tells the curve apart without colour; chosen by the chart when empty."""


_HOLLOW = {"●": "○", "▲": "△", "■": "□", "◆": "◇", "▼": "▽", "★": "☆", "◧": "◨", "◍": "◌"} | dict(
    zip("o+x*%&@=", "O#X$?8Q~", strict=True)
)
"""The marker of a training curve by that of the test curve of the same model."""


def metric_curves(snapshot: Snapshot, metric: str, *, ascii_only: bool) -> tuple[str, list[Curve]]:
    """A title, and the curves of a metric of training steps: of accuracy also those on the test set."""
    if metric == "accuracy":
        return accuracy_curves(snapshot, ascii_only=ascii_only)
    seeds = _many_seeds(snapshot)
    views = [view for view in snapshot.runs.values() if view.state.steps]
    return metric, [_train(view, view.state.metrics[metric], seeds) for view in views]


def accuracy_curves(snapshot: Snapshot, *, ascii_only: bool) -> tuple[str, list[Curve]]:
    """A title, and the training accuracy of every run with its accuracy on the test set after each epoch.

    With many seeds the accuracy on the test set alone, as soon as there is one: six bands over each other tell nothing.
    """
    seeds = _many_seeds(snapshot)
    views = [view for view in snapshot.runs.values() if view.state.steps]
    tests = [_test(view, seeds) for view in views if view.state.epochs]
    if seeds and tests:
        return "test accuracy", tests
    trains = [_train(view, view.state.accuracies, seeds, ascii_only=ascii_only) for view in views]
    return "test accuracy, training faint" if tests else "accuracy", tests + trains


def _train(view: RunView, values: array[float], seeds: bool, *, ascii_only: bool | None = None) -> Curve:
    """`ascii_only`: given where the curve stands behind that of the test set, as soon as there is one."""
    run = view.state
    behind = ascii_only is not None and bool(run.epochs) and not seeds
    filled = ink(run.model).ascii_marker if ascii_only else ink(run.model).marker
    return Curve(
        id=run.id,
        label="train" if behind else safe_text(run.id if seeds else run.model, one_line=True),
        color=run.model,
        steps=run.steps,
        values=values,
        times=run.times,
        steps_per_epoch=run.about.get("steps_per_epoch"),
        group=run.model if seeds else None,
        revision=view.revision,
        faint=behind,
        marker=_HOLLOW.get(filled, "") if behind else "",
    )


def _test(view: RunView, seeds: bool) -> Curve:
    run = view.state
    return Curve(
        id=f"{run.id} test",
        label=safe_text(run.id if seeds else run.model, one_line=True),
        color=run.model,
        steps=[result.step for result in run.epochs],
        values=[result.test_accuracy for result in run.epochs],
        times=[result.train_seconds for result in run.epochs],
        steps_per_epoch=run.about.get("steps_per_epoch"),
        group=run.model if seeds else None,
        revision=view.revision,
    )


def _many_seeds(snapshot: Snapshot) -> bool:
    return len({view.state.seed for view in snapshot.runs.values()}) > 1
