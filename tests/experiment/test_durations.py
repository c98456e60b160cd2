"""How long it still takes."""

from __future__ import annotations

import pytest

from tui_attn.experiment.durations import elapsed_seconds, experiment_eta, run_eta
from tui_attn.experiment.reducer import EpochResult, RunState


def run(*, worker: int = 1, step: int = 400, seconds: float = 40.0, points: int = 40) -> RunState:
    """A run of 10 epochs of 100 steps that was trained evenly up to `step`."""
    found = RunState(f"se-s{worker}", "se", 0, state="running", worker=worker)
    found.about = {"steps_per_epoch": 100, "epochs": 10, "batch_size": 10}
    found.started_at = 1000.0
    for index in range(1, points + 1):
        found.steps.append(step * index / points)
        found.times.append(seconds * index / points)
        found.losses.append(0.5)
        found.accuracies.append(0.5)
    found.points_since_resume = points
    return found


def epoch(number: int, *, t: float, train_seconds: float) -> EpochResult:
    """An epoch that ended at `t`."""
    return EpochResult(number, 100 * number, t, 0.5, 0.5, 0.5, 0.5, 1000 * number, train_seconds, None)


def test_alone_it_is_the_training_still_to_do() -> None:
    alone = run()
    assert run_eta(alone, [alone]) == 60.0


def test_runs_of_one_worker_wait_for_each_other() -> None:
    runs = [run(), run(), run()]
    assert run_eta(runs[0], runs) == 180.0


def test_runs_of_other_workers_do_not() -> None:
    runs = [run(worker=1), run(worker=2)]
    assert run_eta(runs[0], runs) == 60.0


def test_what_the_last_epoch_took_counts_evaluation_in() -> None:
    found = run()
    found.epochs = [epoch(3, t=1050.0, train_seconds=30.0), epoch(4, t=1062.5, train_seconds=40.0)]
    assert run_eta(found, [found]) == 75.0


def test_a_pause_within_the_last_epoch_does_not() -> None:
    found = run()
    found.epochs = [epoch(3, t=1050.0, train_seconds=30.0), epoch(4, t=9000.0, train_seconds=40.0)]
    assert run_eta(found, [found]) == 60.0


def test_it_is_unknown_right_after_a_resume() -> None:
    found = run()
    found.points_since_resume = 2
    assert run_eta(found, [found]) is None


def test_epochs_before_the_resume_say_nothing_of_now() -> None:
    found = run()
    found.epochs = [epoch(3, t=100.0, train_seconds=30.0), epoch(4, t=112.5, train_seconds=40.0)]
    assert run_eta(found, [found]) == 60.0


def test_a_pause_that_is_known_does_not_stretch_the_time_left() -> None:
    found = run()
    found.epochs = [epoch(3, t=1050.0, train_seconds=30.0), epoch(4, t=1075.0, train_seconds=40.0)]
    assert run_eta(found, [found]) == 150.0
    found.unpaused_at = 1064.0
    assert run_eta(found, [found]) == 60.0


def test_the_experiments_time_left_is_that_of_all_its_runs() -> None:
    runs = [run(), run(), run()]
    assert experiment_eta(runs) == pytest.approx(180.0)
    assert run_eta(runs[0], runs) == 180.0
    assert experiment_eta([run(worker=1), run(worker=2)]) == 60.0
    queued = RunState("se-s9", "se", 9)
    assert experiment_eta([*runs, queued]) == pytest.approx(280.0)
    queued.state = "skipped"
    assert experiment_eta([*runs, queued]) == pytest.approx(180.0)
    runs[2].state = "paused"
    assert experiment_eta(runs) == pytest.approx(120.0)


def test_the_experiments_time_left_waits_for_the_pace_of_each_running_run() -> None:
    new = run()
    new.points_since_resume = 2
    assert experiment_eta([run(), new]) is None
    assert experiment_eta([RunState("se-s9", "se", 9)]) is None
    assert experiment_eta([]) is None


def test_it_took_as_long_as_it_trained_wherever_the_clock_was_set() -> None:
    runs = [run(seconds=40.0)]
    assert elapsed_seconds(1000.0, 1050.0, runs) == 50.0
    assert elapsed_seconds(1000.0, 1050.0 - 3600, runs) == 40.0
    assert elapsed_seconds(1000.0, 1050.0 + 86400, runs, 50.0) == 50.0
    assert elapsed_seconds(None, 1050.0, runs) is None
    assert elapsed_seconds(1000.0, None, runs) is None
    assert elapsed_seconds(1000.0, 900.0, []) is None
