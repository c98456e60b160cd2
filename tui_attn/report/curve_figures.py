"""Curves over the epochs: mean and range over the seeds, and where a run's loss became NaN."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullLocator

from tui_attn.compare.results import Results
from tui_attn.experiment.reducer import EpochResult, RunState
from tui_attn.report.figures import FAINT, PAPER, Picture, ink, marker, plot

MOST_BANDS = 4
"""Curves with bands; those of more would hide one another."""
POINTS = 200
"""Of a curve of the training loss, at most."""


@dataclass(frozen=True, slots=True)
class Curve:
    """One model's curve."""

    model: str
    x: list[float]
    """Epochs."""
    mean: list[float]
    low: list[float]
    high: list[float]
    """The range over the seeds."""
    runs: int
    broken: list[tuple[float, float]]
    """Where a run's value became NaN or infinite: the epoch, and its last finite value."""


def by_epoch(model: str, runs: Sequence[RunState], value: Callable[[EpochResult], float]) -> Curve:
    """The curve of one number per evaluated epoch over the runs of a model; over those that have the epoch."""
    found: dict[int, list[float]] = {}
    broken: list[tuple[float, float]] = []
    for run in runs:
        last = math.nan
        for result in run.epochs:
            here = value(result)
            if math.isfinite(here):
                found.setdefault(result.epoch, []).append(here)
                last = here
            elif math.isfinite(last):
                broken.append((result.epoch, last))
                break
    return _curve(model, {float(epoch): values for epoch, values in found.items()}, len(runs), broken)


def training_loss(model: str, runs: Sequence[RunState]) -> Curve:
    """The loss at the logged points, by epoch; points are averaged where there are more than a picture shows."""
    found: dict[float, list[float]] = {}
    broken: list[tuple[float, float]] = []
    for run in runs:
        per_epoch = run.about.get("steps_per_epoch")
        if not isinstance(per_epoch, int) or per_epoch < 1:
            continue
        points = [(step / per_epoch, loss) for step, loss in zip(run.steps, run.losses, strict=True)]
        whole = next((index for index, (_, loss) in enumerate(points) if not math.isfinite(loss)), len(points))
        if whole < len(points):
            broken.append((points[whole][0], points[whole - 1][1] if whole else 0.0))
        share = max(1, math.ceil(len(points) / POINTS))
        for first in range(0, whole, share):
            some = points[first : min(first + share, whole)]
            found.setdefault(round(some[-1][0], 6), []).append(math.fsum(loss for _, loss in some) / len(some))
    return _curve(model, found, len(runs), broken)


def _curve(model: str, values: dict[float, list[float]], runs: int, broken: list[tuple[float, float]]) -> Curve:
    x = sorted(values)
    some = [values[at] for at in x]
    mean = [math.fsum(each) / len(each) for each in some]
    return Curve(model, x, mean, low=[*map(min, some)], high=[*map(max, some)], runs=runs, broken=broken)


def curves_picture(name: str, title: str, curves: Sequence[Curve], *, percent: bool, log: bool = False) -> Picture:
    """One picture of several models' curves."""
    shown = [curve for curve in curves if curve.x or curve.broken]
    several = any(curve.runs > 1 for curve in shown)
    bands = len(shown) <= MOST_BANDS
    caption = "Mean over the seeds (line), lowest to highest (band)." if several else "One seed of each model."
    caption = caption if bands or not several else "Mean over the seeds."
    if any(curve.broken for curve in shown):
        caption += " ✕: there a run's value became NaN or infinite."

    def draw(axes: Axes) -> None:
        for curve in shown:
            _draw(axes, curve, 100.0 if percent else 1.0, band=bands)
        axes.set_xlabel("epoch")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        if log and all(value > 0 for curve in shown for value in curve.low):
            axes.set_yscale("log")
            axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
            axes.yaxis.set_minor_locator(NullLocator())
            axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        if shown:
            axes.legend(loc="best")

    ends = [(curve.model, curve.mean[-1]) for curve in shown if curve.x]
    what = ", ".join(
        f"{model} ends at {100 * end:.2f} %" if percent else f"{model} ends at {end:.4f}" for model, end in ends
    )
    return plot(name, f"{title} by epoch: {what or 'nothing yet'}.", caption, draw, title=title, height=2.9)


def _draw(axes: Axes, curve: Curve, scale: float, *, band: bool) -> None:
    color = ink(curve.model)
    y, low, high = ([scale * value for value in values] for values in (curve.mean, curve.low, curve.high))
    if curve.runs > 1 and band:
        axes.fill_between(curve.x, low, high, color=color, alpha=0.16, linewidth=0)
    points: Any = {"marker": marker(curve.model) if len(curve.x) <= 30 else None, "markeredgecolor": PAPER}
    axes.plot(curve.x, y, color=color, markeredgewidth=0.5, label=curve.model, **points)
    for epoch, last in curve.broken:
        axes.plot([epoch], [scale * last], marker="x", color=color, markersize=7, markeredgewidth=1.8)
        axes.annotate("NaN", (epoch, scale * last), xytext=(4, 4), textcoords="offset points", color=FAINT, fontsize=7)


def curve_pictures(results: Results) -> list[Picture]:
    """The curves of all models over the epochs; none before a run has begun."""
    begun = {model: runs for model, runs in results.runs.items() if runs}
    if not begun:
        return []
    accuracy = [by_epoch(model, runs, lambda result: result.test_accuracy) for model, runs in begun.items()]
    loss = [by_epoch(model, runs, lambda result: result.test_loss) for model, runs in begun.items()]
    training = [training_loss(model, runs) for model, runs in begun.items()]
    return [
        curves_picture("curve-test-accuracy", "test accuracy, %", accuracy, percent=True),
        curves_picture("curve-test-loss", "test loss", loss, percent=False),
        curves_picture("curve-training-loss", "training loss", training, percent=False, log=True),
    ]
