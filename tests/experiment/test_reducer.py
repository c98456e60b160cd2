"""The fold, event by event: what each changes, and what is passed over."""

from __future__ import annotations

from typing import Any

import pytest

from tests.experiment.reducing import ABOUT, Fold
from tests.history.histories import T0
from tui_attn.experiment.reducer import ExperimentState, outcome


def test_a_run_from_the_queue_to_its_end() -> None:
    fold = Fold()
    states = [fold.run.state]
    fold.hand_out()
    states.append(fold.run.state)
    fold.of("started", **ABOUT)
    states.append(fold.run.state)
    fold.train(10, 20)
    fold.epoch(1, 100)
    fold.own("run_ended", run="se-s0", state="finished", reason=None)
    states.append(fold.run.state)

    assert states == ["queued", "starting", "running", "finished"]
    run = fold.run
    assert (run.device, run.worker, run.attempt, run.model, run.seed) == ("cuda:0", 7, 1, "se", 0)
    assert (run.step, run.epoch, run.total_steps, run.train_seconds) == (100, 1, 300, 2.0)
    assert (run.progress, run.ended, run.ended_at) == (1.0, True, fold.now)
    assert run.images_per_second == 500.0
    assert run.epochs[0].test_accuracy == 0.85


def test_an_experiment_from_start_to_end() -> None:
    fold = Fold("se-s0", "se-s1")
    assert (fold.state.state, fold.state.started_at, fold.state.devices) == ("running", T0 + 1, ["cuda:0"])
    assert fold.state.counts() == {"queued": 2}
    fold.own("control_ack", id="c1", command="stop", run=None, result="done")
    fold.own("warning", message="the disk is nearly full")
    fold.own("experiment_finished", experiment="x", state="stopped")
    assert (fold.state.state, fold.state.ended_at) == ("stopped", fold.now)
    assert fold.state.acknowledged == {"c1": ("stop", "done")}
    assert [message for _, message in fold.state.warnings] == ["the disk is nearly full"]

    fold.own("experiment_started", experiment="x", devices=["cpu"], jobs=1, resumed=True)
    assert (fold.state.state, fold.state.started_at, fold.state.ended_at) == ("running", T0 + 1, None)
    assert [text for _, _, text in fold.state.log][-1] == "resumed"


@pytest.mark.parametrize(
    ("states", "how", "code"),
    [
        (("finished", "finished"), "finished", 0),
        (("finished", "skipped"), "finished", 3),
        (("finished", "failed"), "failed", 3),
        (("failed", "failed"), "failed", 1),
        (("stopped", "failed"), "failed", 1),
        (("stopped", "finished"), "stopped", 3),
        (("stopped", "stopped"), "stopped", 3),
        (("skipped", "skipped"), "finished", 3),
    ],
)
def test_how_an_experiment_ended_and_its_exit_code(states: tuple[str, str], how: str, code: int) -> None:
    fold = Fold("se-s0", "se-s1")
    for run, state in zip(("se-s0", "se-s1"), states, strict=True):
        fold.own("run_ended", run=run, state=state, reason=None)
    assert outcome(states) == how
    assert fold.state.exit_code == code


def test_an_experiment_without_runs_is_no_success() -> None:
    assert ExperimentState("x").exit_code == 3


def test_a_run_queued_anew_is_not_running_because_its_log_tells_of_a_start_before() -> None:
    fold = Fold()
    fold.hand_out()
    begun = fold.now + 1
    fold.end("stopped")
    fold.own("experiment_started", experiment="x", devices=["cpu"], jobs=1, resumed=True)
    fold.own("run_queued", run="se-s0", model="se", seed=0)
    fold.of("started", t=begun, **ABOUT)
    assert fold.run.state == "queued"
    fold.hand_out(attempt=2)
    assert fold.run.state == "starting"
    fold.of("started", **ABOUT)
    assert fold.run.state == "running"


@pytest.mark.parametrize("set_by", [-5000.0, 5000.0])
def test_a_clock_that_was_set_hides_no_start_and_makes_none(set_by: float) -> None:
    """The worker says who it is, and the supervisor whom it gave the run to."""
    fold = Fold()
    fold.of("started", t=fold.now + set_by, **ABOUT, worker=7)  # of an earlier attempt
    assert fold.run.state == "queued"
    fold.hand_out(worker=8)
    assert fold.run.state == "starting"
    fold.of("started", t=fold.now + set_by, **ABOUT, worker=8)
    assert fold.run.state == "running"
    fold.own("run_restarted", run="se-s0", reason="its worker died")
    fold.of("started", t=fold.now + set_by, **ABOUT, worker=8)
    assert fold.run.state == "queued"


def test_a_job_that_waits_again_is_not_running_because_its_log_tells_of_a_start_before() -> None:
    fold = Fold()
    fold.hand_out(worker=8)
    fold.own("run_waits", run="se-s0", reason="BeginTime")
    fold.of("started", **ABOUT, worker=8)
    assert fold.run.state == "queued"
    fold.hand_out(worker=8, attempt=2)
    assert fold.run.state == "running"


def test_a_start_that_the_runs_log_told_first_counts() -> None:
    fold = Fold()
    fold.of("started", t=fold.now + 2, **ABOUT)
    fold.hand_out()
    assert fold.run.state == "running"


@pytest.mark.parametrize("state", ["queued", "starting", "running"])
def test_a_pause_ends_in_the_state_in_which_it_began(state: str) -> None:
    fold = Fold()
    if state != "queued":
        fold.hand_out()
    if state == "running":
        fold.of("started", **ABOUT)
    assert fold.run.state == state
    fold.own("run_paused", run="se-s0")
    fold.own("run_paused", run="se-s0")
    assert (fold.run.state, fold.state.state) == ("paused", "paused")
    fold.own("run_unpaused", run="se-s0")
    assert (fold.run.state, fold.state.state) == (state, "running")
    fold.own("run_unpaused", run="se-s0")
    assert fold.run.state == state


def test_a_paused_run_whose_worker_dies_stays_paused() -> None:
    fold = Fold()
    fold.hand_out()
    fold.of("started", **ABOUT)
    fold.own("run_paused", run="se-s0")
    fold.own("run_restarted", run="se-s0", reason="killed by SIGKILL")
    assert fold.run.state == "paused"
    fold.own("run_unpaused", run="se-s0")
    assert fold.run.state == "queued"


def test_an_experiment_is_paused_when_every_run_that_has_not_ended_is() -> None:
    fold = Fold("se-s0", "se-s1", "se-s2")
    fold.own("run_paused", run="se-s0")
    assert fold.state.state == "running"
    fold.own("run_ended", run="se-s1", state="skipped", reason=None)
    assert fold.state.state == "running"
    fold.own("run_ended", run="se-s2", state="finished", reason=None)
    assert fold.state.state == "paused"
    fold.own("run_queued", run="se-s3", model="se", seed=3)
    assert fold.state.state == "running"
    fold.own("run_ended", run="se-s3", state="failed", reason=None)
    fold.own("run_ended", run="se-s0", state="skipped", reason=None)
    assert fold.state.state == "running"


def test_steps_after_the_one_that_training_is_resumed_from_are_forgotten() -> None:
    fold = Fold()
    fold.hand_out()
    fold.of("started", **ABOUT)
    fold.train(50, 100, seconds=4.0)
    fold.epoch(1, 100)
    fold.of("probe", epoch=1, file="epoch-00001.npz", gates={"se1": [0.1]})
    fold.train(150, 200, seconds=8.0)
    fold.epoch(2, 200)
    fold.of("probe", epoch=2, file="epoch-00002.npz", gates={"se1": [0.2, "NaN"]})
    fold.of("checkpoint", step=200, epoch=2, file="step-200.pt", bytes=1)
    fold.of("resumed", from_step=150, epoch=1, skipped=["step-200.pt (damaged)"])

    run = fold.run
    assert list(run.steps) == [50, 100, 150]
    assert list(run.times) == [2.0, 4.0, 6.0]
    assert len(run.losses) == len(run.accuracies) == 3
    assert [result.epoch for result in run.epochs] == [1]
    assert run.probes == [(1, "epoch-00001.npz")]
    assert run.checkpoint == (150, 1)
    assert (run.resumed_from, run.points_since_resume, run.step) == (150, 0, 150)
    assert fold.state.warnings[-1][1] == "se-s0 resumed from step 150; skipped step-200.pt (damaged)"
    fold.train(200, seconds=8.0)
    assert list(run.steps) == [50, 100, 150, 200]


def test_without_the_line_that_tells_of_a_resume_each_step_is_still_there_once() -> None:
    fold = Fold()
    fold.train(10, 20, 30, seconds=3.0)
    fold.epoch(1, 30)
    fold.train(20, 30, 40, seconds=4.0)
    fold.epoch(1, 30, test_accuracy=0.1)
    fold.train(40)
    assert list(fold.run.steps) == [10, 20, 30, 40]
    assert list(fold.run.times) == [1.0, 2.0, 3.0, 4.0]
    assert [result.test_accuracy for result in fold.run.epochs] == [0.85]


@pytest.mark.parametrize("told", ["by both", "by the worker", "by the supervisor"])
@pytest.mark.parametrize("first", ["worker", "supervisor"])
def test_the_traceback_of_a_failure_is_kept_whoever_told_it_and_whoever_is_read_first(told: str, first: str) -> None:
    fold = Fold()
    fold.hand_out()
    extra = {} if told == "by the worker" else {"traceback": "Traceback: boom"}
    shown = None if told == "by the supervisor" else "Traceback: boom"
    end: dict[str, Any] = {"state": "failed", "reason": "boom"}
    for who in (first, "worker" if first == "supervisor" else "supervisor"):
        if who == "worker":
            fold.of("ended", traceback=shown, epoch=0, step=0, weights_sha256=None, **end)
        else:
            fold.own("run_ended", run="se-s0", **end, **extra)
    assert (fold.run.state, fold.run.traceback) == ("failed", "Traceback: boom")
    assert fold.state.warnings[-1][1] == "se-s0 failed: boom"


def test_the_traceback_of_an_end_before_does_not_come_back() -> None:
    fold = Fold()
    fold.hand_out()
    fold.end("failed", traceback="Traceback: first")
    ended = fold.now
    fold.own("run_queued", run="se-s0", model="se", seed=0)
    assert (fold.run.traceback, fold.run.ended_at) == (None, None)
    fold.hand_out(attempt=2)
    fold.of("ended", t=ended, state="failed", reason=None, traceback="Traceback: first", epoch=0, step=0,
            weights_sha256=None)  # fmt: skip
    fold.own("run_ended", run="se-s0", state="stopped", reason=None)
    assert fold.run.traceback is None


def test_a_failure_told_by_the_runs_log_before_the_experiments_own_told_the_start() -> None:
    fold = Fold()
    fold.of("ended", t=fold.now + 50, state="failed", reason=None, traceback="Traceback: early", epoch=0, step=0,
            weights_sha256=None)  # fmt: skip
    fold.hand_out()
    fold.own("run_ended", run="se-s0", state="failed", reason=None)
    assert fold.run.traceback == "Traceback: early"


def test_a_probe_of_an_epoch_that_is_probed_again_takes_its_place() -> None:
    fold = Fold()
    fold.of("probe", epoch=1, file="a.npz", gates={"se1": [0.5]})
    fold.of("probe", epoch=2, file="b.npz", gates={"se1": [0.6]})
    fold.of("probe", epoch=1, file="c.npz", gates={"se1": [0.7]})
    fold.of("probe", epoch=2, file="d.npz", gates={"se1": "nonsense"})
    assert fold.run.probes == [(1, "c.npz")]
    assert fold.run.gates == {"se1": [0.7]}


def test_what_happened_is_told_in_words() -> None:
    fold = Fold()
    fold.hand_out()
    fold.own("control_ack", id="a", command="pause", run="se-s0", result="done")
    fold.own("run_paused", run="se-s0")
    fold.own("control_ack", id="b", command="unpause", run="se-s0", result="done")
    fold.own("run_unpaused", run="se-s0")
    fold.own("control_ack", id="c", command="skip", run=None, result="nothing to do")
    fold.own("control_ack", id="d", command="retry", run="se-s0", result="done")
    fold.of("checkpoint", step=469, epoch=1, file="1.pt", bytes=9)
    fold.of("checkpoint", step=500, epoch=1, file="2.pt", bytes=9)  # within the epoch: not told again
    fold.own("extended", seeds=4)
    fold.own("run_restarted", run="se-s0", reason="its worker was killed by SIGKILL")
    fold.of("warning", message="slow disk")
    assert [(run, text) for _, run, text in fold.state.log] == [
        (None, "started"),
        ("se-s0", "started on cuda:0"),
        ("se-s0", "paused"),
        ("se-s0", "unpaused"),
        (None, "skip: nothing to do"),
        ("se-s0", "retry: done"),
        ("se-s0", "checkpoint saved, epoch 1"),
        (None, "extended to 4 seeds"),
        ("se-s0", "restarted: its worker was killed by SIGKILL"),
        ("se-s0", "slow disk"),
    ]
    assert fold.run.warnings == ["slow disk"]


@pytest.mark.parametrize("waits", [True, False])
def test_a_log_that_is_read_again_leaves_what_the_experiments_log_told(waits: bool) -> None:
    fold = Fold()
    fold.own("run_submitted", run="se-s0", engine="slurm", job="4711")
    if waits:
        fold.own("run_waits", run="se-s0", reason="Priority")
    else:
        fold.own("run_started", run="se-s0", device="cuda:0", worker=7, attempt=2)
        fold.own("run_ended", run="se-s0", state="failed", reason="it broke")
    before = fold.run
    fold.state.restart_run("se-s0")
    assert fold.run is not before
    assert fold.run == before
    assert (fold.run.job, fold.run.waits) == ("slurm 4711", "Priority" if waits else None)
    assert (fold.run.settled_at is None) == waits
