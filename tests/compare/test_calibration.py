"""Calibration: against the definition computed another way, and intervals that cover."""

from __future__ import annotations

import numpy as np
import pytest

from tui_attn.compare.calibration import BINS, run_calibration, summarise_calibration
from tui_attn.compare.predictions import Predictions


def predictions(seed: int, images: int = 2000, sharpness: float = 1.0) -> Predictions:
    """Logits whose softmax at sharpness 1 is exactly the distribution of the labels."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(0, 2, (images, 5))
    odds = np.exp(logits)
    cumulated = (odds / odds.sum(axis=1, keepdims=True)).cumsum(axis=1)
    labels = (rng.random((images, 1)) > cumulated).sum(axis=1)
    return Predictions((logits * sharpness).astype(np.float32), labels)


def test_both_figures_are_those_of_the_definition() -> None:
    found = predictions(0, 500, 1.7)
    softmax = np.exp(found.logits.astype(float)) / np.exp(found.logits.astype(float)).sum(axis=1, keepdims=True)
    error = 0.0
    for number in range(1, BINS + 1):
        inside = [row for row, values in enumerate(softmax) if (number - 1) / BINS < values.max() <= number / BINS]
        if inside:
            accuracy = np.mean([softmax[row].argmax() == found.labels[row] for row in inside])
            error += len(inside) / 500 * abs(accuracy - np.mean([softmax[row].max() for row in inside]))
    result = run_calibration(found)
    assert result.ece == pytest.approx(error, abs=1e-12)
    assert result.nll == pytest.approx(-np.mean(np.log(softmax[np.arange(500), found.labels])), abs=1e-12)
    assert (result.images.sum(), result.interval) == (500, None)


def test_overconfidence_shows_and_honest_probabilities_hardly_do() -> None:
    honest, loud = (run_calibration(predictions(1, 20_000, sharpness)).ece for sharpness in (1.0, 3.0))
    assert honest < 0.02
    assert loud > 0.1


def test_the_floor_is_the_mean_error_of_calibrated_networks() -> None:
    found = [run_calibration(predictions(seed, 1000)) for seed in range(200)]
    floors = [run.floor for run in found]
    assert np.mean([run.ece for run in found]) == pytest.approx(np.mean(floors), rel=0.04)
    assert summarise_calibration(found).floor == pytest.approx(np.mean(floors))
    loud = run_calibration(predictions(0, 1000, 3.0))
    assert loud.ece > 3 * loud.floor


def test_huge_logits_give_finite_figures() -> None:
    logits = np.array([[3e38, -3e38], [-3e38, 3e38]], dtype=np.float32)
    result = run_calibration(Predictions(logits, np.array([0, 0])), interval=True)
    assert np.isfinite([result.nll, result.ece, *(result.interval or ())]).all()
    assert result.ece == 0.5


def test_the_interval_is_over_seeds_where_there_are_several_else_over_images() -> None:
    runs = [run_calibration(predictions(seed, sharpness=2.0), interval=seed == 0) for seed in range(4)]
    one, several = summarise_calibration(runs[:1]), summarise_calibration(runs)
    assert one.ece_interval == runs[0].interval
    assert one.ece_interval is not None
    assert several.ece_interval is not None
    assert several.ece == pytest.approx(np.mean([run.ece for run in runs]))
    assert several.ece_interval[0] < several.ece < several.ece_interval[1]
    assert sum(images for *_, images in several.points) == 8000


def test_the_interval_over_images_covers_the_true_error_of_a_miscalibrated_network() -> None:
    true = run_calibration(predictions(10**6, 400_000, 2.0)).ece
    hits = 0
    for seed in range(60):
        interval = run_calibration(predictions(seed, 1000, 2.0), interval=True).interval
        assert interval is not None
        hits += interval[0] <= true <= interval[1]
    assert hits >= 52, "95 % of 60 are 57; fewer than 52 would have probability 0.01"
