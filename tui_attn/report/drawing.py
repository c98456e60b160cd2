"""Draws all pictures of a report."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from tui_attn.compare.results import ModelHeatmaps, Results
from tui_attn.report.comparison_figures import (
    accuracies_picture,
    class_picture,
    confusion_picture,
    cost_picture,
    differences_picture,
    effects_picture,
    reliability_picture,
)
from tui_attn.report.curve_figures import by_epoch, curves_picture, training_loss
from tui_attn.report.figures import Picture
from tui_attn.report.heatmap_figures import attention_pictures, gates_picture


@dataclass(frozen=True, slots=True)
class Drawn:
    """All pictures of a report."""

    accuracies: tuple[Picture, ...]
    curves: tuple[Picture, ...]
    classes: tuple[Picture, ...]
    calibration: tuple[Picture, ...]
    heatmaps: dict[str, tuple[Picture, ...]]
    """By model."""
    effects: dict[str, Picture]
    """By model."""

    @property
    def all(self) -> list[Picture]:
        """Every picture, in the order of the page."""
        return [
            *self.accuracies,
            *self.curves,
            *self.classes,
            *self.calibration,
            *(picture for pictures in self.heatmaps.values() for picture in pictures),
            *self.effects.values(),
        ]


def draw(results: Results) -> Drawn:
    """Draw all that there is something to draw of."""
    return Drawn(
        accuracies=_known([accuracies_picture(results.summary), differences_picture(results.summary)]),
        curves=_curves(results),
        classes=_known([class_picture(results.classes), *map(confusion_picture, results.classes)]),
        calibration=_known([reliability_picture(results.classes), cost_picture(results)]),
        heatmaps={heatmaps.model: _heatmaps(heatmaps) for heatmaps in results.heatmaps},
        effects={found.model: effects_picture(found) for found in results.effects},
    )


def _known(pictures: Iterable[Picture | None]) -> tuple[Picture, ...]:
    return tuple(picture for picture in pictures if picture is not None)


def _curves(results: Results) -> tuple[Picture, ...]:
    begun = {model: runs for model, runs in results.runs.items() if runs}
    if not begun:
        return ()
    accuracy = [by_epoch(model, runs, lambda result: result.test_accuracy) for model, runs in begun.items()]
    loss = [by_epoch(model, runs, lambda result: result.test_loss) for model, runs in begun.items()]
    training = [training_loss(model, runs) for model, runs in begun.items()]
    return (
        curves_picture("curve-test-accuracy", "test accuracy, %", accuracy, percent=True),
        curves_picture("curve-test-loss", "test loss", loss, percent=False),
        curves_picture("curve-training-loss", "training loss", training, percent=False, log=True),
    )


def _heatmaps(heatmaps: ModelHeatmaps) -> tuple[Picture, ...]:
    run, probes = heatmaps.shown
    found: list[Picture] = []
    for facts in probes.facts:
        if facts.layer == "attention":
            found += attention_pictures(run.id, probes, heatmaps.classes)
        else:
            found.append(gates_picture(run.id, facts.layer, probes, heatmaps.classes))
    return tuple(found)
