"""What becomes of the runs of a worker that died."""

import os
import signal
from pathlib import Path

import pytest

from tests.supervision.workshop import make, states, ticks
from tui_attn.engines import workers
from tui_attn.experiment.follower import read_state


def test_a_dead_worker_leaves_the_others_alone_and_its_runs_go_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    supervisor, shop = make(tmp_path, monkeypatch, jobs=3)
    dead, *others = shop.made
    (run,) = dead.held
    dead.begin(run, step=10)
    ticks(supervisor, 1)
    dead.code = -signal.SIGKILL
    ticks(supervisor)
    assert [worker.held for worker in others] == [["se-s0"], ["self-attention-s0"]]
    assert shop.made[3].held == [run]
    assert ("train", run) in shop.made[3].told
    log = read_state(shop.folder).state
    assert log.runs[run].attempt == 2
    assert any("SIGKILL" in text for _, text in log.warnings)


def test_a_run_that_keeps_killing_its_worker_at_the_same_step_is_failed_with_reason_and_log(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    supervisor, shop = make(tmp_path, monkeypatch, models=("base", "se"))
    shop.folder.run("se-s0").worker_log.write_text("Fatal Python error: Segmentation fault\n")
    shop.made[0].begin("base-s0", step=5)
    shop.made[0].begin("se-s0", step=7)
    for _ in range(10):
        worker = shop.made[-1]
        if "se-s0" not in worker.held:
            break
        worker.begin("se-s0")
        worker.code = -signal.SIGSEGV
        ticks(supervisor)
    folded = read_state(shop.folder).state.runs
    assert folded["se-s0"].state == "failed"
    assert folded["se-s0"].reason == "its worker was killed by SIGSEGV; restarting it 3 times did not help"
    assert "Segmentation fault" in (folded["se-s0"].traceback or "")
    assert folded["base-s0"].state != "failed"
    assert shop.made[-1].held == ["base-s0"]
    assert len(shop.made) == 5


def test_a_run_that_kills_its_worker_while_it_is_started_is_failed_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    supervisor, shop = make(tmp_path, monkeypatch, models=("se", "base"))
    shop.folder.run("se-s0").worker_log.write_text("Fatal Python error: Aborted\n")
    for _ in range(10):
        worker = shop.made[-1]
        if "se-s0" not in worker.held:
            break
        worker.open("se-s0")
        worker.code = -signal.SIGABRT
        ticks(supervisor)
    folded = read_state(shop.folder).state.runs
    assert folded["se-s0"].state == "failed"
    assert folded["se-s0"].reason == "its worker was killed by SIGABRT; restarting it 3 times did not help"
    assert "Fatal Python error: Aborted" in (folded["se-s0"].traceback or "")
    assert folded["base-s0"].state == "starting"
    assert (shop.made[-1].held, len(shop.made)) == (["base-s0"], 5)


def test_a_worker_that_dies_before_it_opens_anything_counts_for_all_its_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    supervisor, shop = make(tmp_path, monkeypatch, models=("se", "base"))
    shop.made[0].begin("se-s0", step=7)
    heartbeat = shop.folder.run("se-s0").heartbeat
    os.utime(heartbeat, (1.0, 1.0))  # of a worker that is long gone
    while not supervisor.done and len(shop.made) < 10:
        shop.made[-1].code = -signal.SIGKILL
        ticks(supervisor)
    assert len(shop.made) == 4
    assert states(shop.folder) == {"se-s0": "failed", "base-s0": "failed"}


def test_a_run_whose_worker_dies_at_ever_later_steps_gets_on_and_is_not_failed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    supervisor, shop = make(tmp_path, monkeypatch, models=("base",))
    for step in range(10, 70, 10):
        shop.made[-1].begin("base-s0", step=step)
        ticks(supervisor, 1)
        shop.made[-1].code = -signal.SIGKILL
        ticks(supervisor)
    assert shop.made[-1].held == ["base-s0"]
    assert len(shop.made) == 7


def test_a_worker_that_can_not_work_at_all_fails_its_runs_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    supervisor, shop = make(tmp_path, monkeypatch, models=("base",))
    shop.folder.run("base-s0").worker_log.write_text("RuntimeError: no kernel image is available\n")
    shop.made[0].code = workers.CANNOT_WORK
    ticks(supervisor)
    run = read_state(shop.folder).state.runs["base-s0"]
    assert (run.state, len(shop.made)) == ("failed", 1)
    assert "no kernel image is available" in (run.reason or "")


def test_an_end_that_was_logged_before_the_worker_died_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    supervisor, shop = make(tmp_path, monkeypatch, models=("base",))
    shop.made[0].end("base-s0")
    shop.made[0].code = -signal.SIGKILL
    ticks(supervisor)
    assert states(shop.folder) == {"base-s0": "finished"}
    assert supervisor.done
