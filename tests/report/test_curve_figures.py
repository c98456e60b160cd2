"""Curves over the epochs: means and ranges over the seeds, and where they break off."""

from __future__ import annotations

import math

import pytest

from tui_attn.experiment.reducer import EpochResult, RunState
from tui_attn.report.curve_figures import POINTS, by_epoch, training_loss


def run(seed: int, accuracies: list[float], losses: list[float], steps_per_epoch: object = 10) -> RunState:
    made = RunState(f"se-s{seed}", "se", seed, about={"steps_per_epoch": steps_per_epoch})
    for epoch, accuracy in enumerate(accuracies, start=1):
        made.epochs.append(EpochResult(epoch, 10 * epoch, 0.0, 0.0, 0.0, 0.0, accuracy, 0, 0.0, None))
    for step, loss in enumerate(losses, start=1):
        made.steps.append(step)
        made.losses.append(loss)
    return made


def accuracy(result: EpochResult) -> float:
    return result.test_accuracy


def test_the_mean_is_over_the_runs_that_have_the_epoch() -> None:
    curve = by_epoch("se", [run(0, [0.5, 0.7, 0.9], []), run(1, [0.7, 0.8], [])], accuracy)
    assert curve.x == [1, 2, 3]
    assert curve.mean == pytest.approx([0.6, 0.75, 0.9])
    assert curve.low == [0.5, 0.7, 0.9]
    assert curve.high == [0.7, 0.8, 0.9]
    assert (curve.runs, curve.broken) == (2, [])


def test_where_a_value_is_no_number_the_run_breaks_off() -> None:
    curve = by_epoch("se", [run(0, [0.5, math.nan, 0.9], []), run(1, [0.7, 0.8, math.inf], [])], accuracy)
    assert curve.mean == pytest.approx([0.6, 0.8])
    assert curve.broken == [(2, 0.5), (3, 0.8)]


def test_the_training_loss_is_by_epoch_and_breaks_off_likewise() -> None:
    curve = training_loss("se", [run(0, [], [2.0, 1.0, math.nan, 5.0]), run(1, [], [4.0, 3.0, 2.0])])
    assert curve.x == [0.1, 0.2, 0.3]
    assert curve.mean == [3.0, 2.0, 2.0]
    assert curve.broken == [(0.3, 1.0)]


def test_many_points_are_averaged_and_none_is_lost() -> None:
    losses = [float(step % 7) for step in range(10 * POINTS + 3)]
    curve = training_loss("se", [run(0, [], losses)])
    assert len(curve.x) <= POINTS
    sizes = [round(10 * (after - before)) for before, after in zip([0.0, *curve.x], curve.x, strict=False)]
    assert sum(size * mean for size, mean in zip(sizes, curve.mean, strict=True)) == pytest.approx(sum(losses))


@pytest.mark.parametrize("per_epoch", [None, 0, "ten"])
def test_a_run_that_does_not_say_how_long_its_epochs_are_has_no_curve(per_epoch: object) -> None:
    assert training_loss("se", [run(0, [], [1.0], per_epoch)]).x == []
