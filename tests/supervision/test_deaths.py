"""What becomes of the runs of a worker that died."""

import signal
from pathlib import Path

import pytest

from tests.supervision.workshop import HandWorker, Workshop, command, make, states, ticks
from tui_attn.engines import workers
from tui_attn.engines.workers import DEVICE_LOST
from tui_attn.experiment.event_log import LogReader
from tui_attn.experiment.folders import ExperimentDir
from tui_attn.experiment.follower import read_state
from tui_attn.supervision.supervisor import Supervisor
from tui_attn.system import liveness


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


def test_a_run_that_is_tried_again_may_lose_as_many_workers_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    supervisor, shop = make(tmp_path, monkeypatch, models=("se",))
    for workers_so_far in (4, 8):
        for _ in range(4):
            shop.made[-1].open("se-s0")
            shop.made[-1].code = -signal.SIGABRT
            ticks(supervisor)
        assert (states(shop.folder), len(shop.made)) == ({"se-s0": "failed"}, workers_so_far)
        command(shop.folder, "retry", f"c{workers_so_far}", "se-s0")
        ticks(supervisor)
    assert states(shop.folder) == {"se-s0": "starting"}


def test_a_worker_that_dies_before_it_opens_anything_counts_for_all_its_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    supervisor, shop = make(tmp_path, monkeypatch, models=("se", "base"))
    shop.made[0].begin("se-s0", step=7)
    heartbeat = shop.folder.run("se-s0").heartbeat
    heartbeat.write_text(f"{liveness.boot_id()} 1.0\n")  # of a worker that is long gone
    while not supervisor.done and len(shop.made) < 10:
        shop.made[-1].code = -signal.SIGKILL
        ticks(supervisor)
    assert len(shop.made) == 4
    assert states(shop.folder) == {"se-s0": "failed", "base-s0": "failed"}


def test_workers_that_a_scheduler_takes_away_before_they_open_anything_fail_no_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    supervisor, shop = make(tmp_path, monkeypatch, models=("base",))
    for _ in range(10):
        shop.made[-1].taken_away, shop.made[-1].excused = True, "its job was preempted"
        shop.made[-1].code = workers.TERMINATED
        ticks(supervisor)
    assert len(shop.made) == 11
    assert shop.made[-1].held == ["base-s0"]


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


# ---- devices that fail

PAIR = ("cuda:0", "cuda:1")


def lose(supervisor: Supervisor, worker: HandWorker) -> None:
    worker.code = DEVICE_LOST
    ticks(supervisor)


def test_a_gpu_that_fails_again_is_avoided_and_its_runs_go_on_elsewhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    supervisor, workshop = make(tmp_path, monkeypatch, devices=PAIR, models=("base", "se"), seeds=2)
    for number in range(4):  # more often than a run may die at one step
        worker = next(it for it in reversed(workshop.made) if it.slot.device == "cuda:0")
        if worker.code is not None:
            break
        worker.begin(worker.held[0], step=10)
        lose(supervisor, worker)
        assert number < 2, "it was avoided by then"
    assert [worker.slot.device for worker in workshop.made].count("cuda:0") == 2
    assert "failed" not in states(workshop.folder).values()
    [warning] = warnings(workshop.folder, "cuda:0 failed 2 times")
    assert warning.endswith("training continues on cuda:1")
    while not supervisor.done:
        worker = next(it for it in workshop.made if it.code is None)
        for run in list(worker.held):
            worker.end(run)
        ticks(supervisor)
    assert set(states(workshop.folder).values()) == {"finished"}


def test_a_gpu_that_is_gone_when_its_worker_begins_fails_no_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    supervisor, workshop = make(tmp_path, monkeypatch, devices=PAIR, models=("base", "se"))
    for _ in range(2):
        lose(supervisor, next(it for it in reversed(workshop.made) if it.slot.device == "cuda:1"))
    assert "failed" not in states(workshop.folder).values()
    assert warnings(workshop.folder, "cuda:1 failed 2 times")


def test_a_run_at_which_every_gpu_fails_is_failed_and_the_gpus_are_used_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    supervisor, workshop = make(tmp_path, monkeypatch, devices=PAIR, models=("base", "se"), jobs=2)
    for number in range(3):
        worker = workshop_holder(workshop, "base-s0")
        worker.begin("base-s0", step=10)
        lose(supervisor, worker)
        if number == 1:
            assert supervisor._pool.avoided == {"cuda:0"}
            workshop_holder(workshop, "se-s0").end("se-s0")
            ticks(supervisor)
    assert states(workshop.folder)["base-s0"] == "failed"
    assert supervisor._pool.avoided == set()
    assert states(workshop.folder)["se-s0"] == "finished"


def test_the_only_gpu_is_tried_again_and_told_where_it_is_gone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    supervisor, workshop = make(tmp_path, monkeypatch, devices=("cuda:0",), models=("base",))
    workshop.made[0].begin("base-s0", step=10)
    lose(supervisor, workshop.made[0])
    assert workshop.made[1].held == ["base-s0"]
    supervisor, workshop = make(tmp_path / "gone", monkeypatch, devices=("cuda:0",), models=("base",))
    lose(supervisor, workshop.made[0])
    assert states(workshop.folder) == {"base-s0": "failed"}


def workshop_holder(workshop: Workshop, run: str) -> HandWorker:
    return next(worker for worker in workshop.made if run in worker.held and worker.code is None)


def warnings(folder: ExperimentDir, begin: str) -> list[str]:
    found = LogReader(folder.events).read()
    return [it["message"] for it in found if it.type == "warning" and it["message"].startswith(begin)]


def passed_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Supervisor, Workshop, HandWorker, HandWorker]:
    """A run whose worker died, in the hands of the next one."""
    supervisor, shop = make(tmp_path, monkeypatch, models=("base",))
    first = shop.made[0]
    first.begin("base-s0", step=10, signed=True)
    ticks(supervisor, 1)
    first.code = -signal.SIGKILL
    ticks(supervisor)
    assert shop.made[1].held == ["base-s0"]
    return supervisor, shop, first, shop.made[1]


@pytest.mark.parametrize("begun", [False, True])
def test_the_last_word_of_a_runs_former_worker_ends_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, begun: bool
) -> None:
    supervisor, shop, first, second = passed_on(tmp_path, monkeypatch)
    first.end("base-s0", "stopped", signed=True)  # as written before it died, and seen late
    if begun:
        second.begin("base-s0", signed=True)
    ticks(supervisor)
    assert second.held == ["base-s0"] and not read_state(shop.folder).state.runs["base-s0"].ended
    if not begun:
        second.begin("base-s0", signed=True)
    first.end("base-s0", "stopped", signed=True)
    second.end("base-s0", signed=True)
    ticks(supervisor)
    assert read_state(shop.folder).state.runs["base-s0"].state == "finished"


def test_a_run_that_fails_before_it_is_begun_again_ends(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    supervisor, shop, _, second = passed_on(tmp_path, monkeypatch)
    second.end("base-s0", "failed", "no memory for the network", signed=True)
    ticks(supervisor)
    run = read_state(shop.folder).state.runs["base-s0"]
    assert (run.state, run.reason) == ("failed", "no memory for the network")
