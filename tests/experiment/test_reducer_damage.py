"""What the reducer makes of events that make no sense, and of those of runs that it does not know."""

from __future__ import annotations

import math
from typing import Any

import pytest

from tests.experiment.reducing import ABOUT, Fold


@pytest.mark.parametrize(
    "block",
    [
        {"step": [], "loss": [], "accuracy": []},
        {"step": [20], "loss": [1.0, 2.0], "accuracy": [0.5]},
        {"step": [20, 20], "loss": [1.0, 2.0], "accuracy": [0.5, 0.5]},
        {"step": [30, 20], "loss": [1.0, 2.0], "accuracy": [0.5, 0.5]},
        {"step": ["Infinity"], "loss": [1.0], "accuracy": [0.5]},
        {"step": ["NaN"], "loss": [1.0], "accuracy": [0.5]},
        {"step": ["20"], "loss": [1.0], "accuracy": [0.5]},
        {"step": [None], "loss": [1.0], "accuracy": [0.5]},
        {"step": [10**400], "loss": [1.0], "accuracy": [0.5]},
        {"step": [20], "loss": [[1.0]], "accuracy": [0.5]},
        {"step": [20], "loss": [{}], "accuracy": [0.5]},
    ],
)
def test_a_block_of_points_that_makes_no_sense_is_passed_over(block: dict[str, Any]) -> None:
    fold = Fold()
    fold.train(10)
    fold.of("metrics", epoch=1, train_seconds=2.0, **block)
    assert list(fold.run.steps) == [10]
    assert len(fold.run.losses) == len(fold.run.accuracies) == len(fold.run.times) == 1


@pytest.mark.parametrize("seconds", ["NaN", "Infinity", "-Infinity", -5, 0.5])
def test_time_that_does_not_go_on_stands_still(seconds: Any) -> None:
    fold = Fold()
    fold.train(10, seconds=1.0)
    fold.train(20, 30, seconds=seconds)
    assert list(fold.run.steps) == [10, 20, 30]
    assert list(fold.run.times) == [1.0, 1.0, 1.0]


def test_losses_that_are_no_numbers_are_shown_as_they_are() -> None:
    fold = Fold()
    fold.train(10, loss=["NaN"], accuracy=[0.1])
    fold.train(20, loss=["Infinity"], accuracy=[0.1])
    fold.epoch(1, 20, train_loss="NaN", test_loss="Infinity")
    assert math.isnan(fold.run.losses[0])
    assert fold.run.losses[1] == math.inf
    assert math.isnan(fold.run.epochs[0].train_loss)
    assert fold.run.epochs[0].test_loss == math.inf


@pytest.mark.parametrize("type_", ["run_started", "run_restarted", "run_ended", "run_paused", "run_unpaused"])
def test_events_of_an_unknown_run_are_passed_over(type_: str) -> None:
    fold = Fold()
    fold.own(type_, run="nobody", device="cpu", worker=1, attempt=1, reason="x", state="failed")
    fold.of("started", run_id="nobody", **ABOUT)
    assert list(fold.state.runs) == ["se-s0"]
    assert fold.state.counts() == {"queued": 1}


@pytest.mark.parametrize("run", ["", "..", "../../x", "/etc/passwd", "a/b", "A", "-x", "x" * 65, "a\x1b[2J", "nul\x00"])
def test_a_run_whose_name_can_be_no_id_is_passed_over(run: str) -> None:
    fold = Fold()
    fold.own("run_queued", run=run, model="se", seed=0)
    assert list(fold.state.runs) == ["se-s0"]


@pytest.mark.parametrize("file", ["../weights", "/etc/passwd", "", "..", "a/b.npz", "x\x00"])
def test_a_probe_in_a_file_elsewhere_is_passed_over(file: str) -> None:
    fold = Fold()
    fold.of("probe", epoch=1, file=file, gates={})
    assert fold.run.probes == []


def test_states_that_no_run_or_experiment_ends_in_are_passed_over() -> None:
    fold = Fold()
    fold.own("run_ended", run="se-s0", state="running", reason=None)
    fold.own("experiment_finished", experiment="x", state="paused")
    assert (fold.run.state, fold.state.state) == ("queued", "running")
