"""What is really going on, from the logs and from who is alive; and how long it will take."""

from __future__ import annotations

import pytest

from tests.experiment.reducing import ABOUT, Fold
from tui_attn.experiment.durations import eta_seconds
from tui_attn.experiment.reducer import ExperimentState, RunState, derive

STATES = ("queued", "starting", "running", "paused", "finished", "stopped", "skipped", "failed")
LOST = {"queued": "lost", "starting": "lost", "running": "lost", "paused": "lost"}


def experiment(state: str, run: str) -> ExperimentState:
    """An experiment in `state` with one run in the state `run`."""
    found = ExperimentState("x", state=state)
    found.runs["se-s0"] = RunState("se-s0", "se", 0, state=run)
    return found


@pytest.mark.parametrize("run", STATES)
@pytest.mark.parametrize("state", ["starting", "running", "paused"])
def test_with_a_supervisor_a_run_is_what_its_log_says_or_stalled(state: str, run: str) -> None:
    now = experiment(state, run)
    assert derive(now, supervised=True) == (state, {"se-s0": run})
    assert derive(now, supervised=True, silent=["other"]) == (state, {"se-s0": run})
    stalled = "stalled" if run == "running" else run
    assert derive(now, supervised=True, silent=["se-s0"]) == (state, {"se-s0": stalled})


@pytest.mark.parametrize("run", STATES)
@pytest.mark.parametrize("state", ["starting", "running", "paused"])
@pytest.mark.parametrize("silent", [(), ("se-s0",)])
def test_without_a_supervisor_what_had_not_ended_is_lost(state: str, run: str, silent: tuple[str, ...]) -> None:
    assert derive(experiment(state, run), supervised=False, silent=silent) == ("lost", {"se-s0": LOST.get(run, run)})


@pytest.mark.parametrize("run", STATES)
@pytest.mark.parametrize("state", ["finished", "stopped", "failed"])
def test_an_experiment_that_ended_needs_no_supervisor(state: str, run: str) -> None:
    shown = "lost" if run in {"starting", "running", "paused"} else run
    assert derive(experiment(state, run), supervised=False) == (state, {"se-s0": shown})


def training(points: int, *, every: float = 2.0) -> Fold:
    """A run of 300 steps with `points` points of 10 steps, each of which took `every` seconds."""
    fold = Fold()
    fold.hand_out()
    fold.of("started", **ABOUT)
    for point in range(1, points + 1):
        fold.train(point * 10, seconds=point * every)
    return fold


def test_the_time_left_is_that_of_the_steps_left_at_the_pace_so_far() -> None:
    assert eta_seconds(training(4).run) is None
    assert eta_seconds(training(10).run) == 200 * 0.2
    assert eta_seconds(training(30).run) == 0.0


def test_the_time_left_follows_the_pace_since_the_resume() -> None:
    fold = training(10)
    fold.of("resumed", from_step=100, epoch=1, skipped=[])
    assert eta_seconds(fold.run) is None
    for point in range(11, 17):
        fold.train(point * 10, seconds=20.0 + (point - 10) * 10.0)
    assert eta_seconds(fold.run) == 140 * 1.0


def test_points_that_came_in_one_block_count_each() -> None:
    fold = training(0)
    fold.train(10, 20, 30, 40, 50, seconds=10.0)
    assert eta_seconds(fold.run) == 250 * 0.2


def test_a_run_that_does_not_run_has_no_time_left() -> None:
    fold = training(10)
    fold.own("run_paused", run="se-s0")
    assert eta_seconds(fold.run) is None
    fold = training(10, every=0.0)
    assert eta_seconds(fold.run) is None
