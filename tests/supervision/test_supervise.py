"""The supervisor, with workers that are objects of the tests and devices that don't exist."""

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tui_attn import eventlog, liveness, runs
from tui_attn.config import ExperimentConfig
from tui_attn.eventlog import LogReader, LogWriter
from tui_attn.follow import read_state
from tui_attn.runs import ExperimentDir, Manifest, RunDir
from tui_attn.supervision import workers
from tui_attn.supervision.restarts import GRACE, HARD_GRACE
from tui_attn.supervision.scheduling import Slot
from tui_attn.supervision.supervisor import Supervisor

ABOUT = {
    "seed": 0,
    "device": "cpu",
    "precision": "fp32",
    "threads": 2,
    "epochs": 15,
    "steps_per_epoch": 100,
    "batch_size": 128,
    "train_size": 12800,
    "test_size": 1000,
    "parameters": 1,
    "macs": 1,
}


class Workshop:
    """Makes workers and remembers them; `clock` is the supervisor's."""

    def __init__(self, folder: ExperimentDir) -> None:
        self.folder = folder
        self.made: list[HandWorker] = []
        self.now = 1000.0

    def spawn(self, slot: Slot, log: RunDir) -> "HandWorker":
        worker = HandWorker(self.folder, slot, pid=900_000 + len(self.made))
        self.made.append(worker)
        return worker

    def clock(self) -> float:
        return self.now


class HandWorker:
    """A worker that does what the test says, when the test says it."""

    last_beat = 0
    """When any of them beat its heart last, unix nanoseconds."""

    def __init__(self, folder: ExperimentDir, slot: Slot, pid: int) -> None:
        self.folder, self.slot, self.pid = folder, slot, pid
        self.held: list[str] = []
        self.told: list[tuple[str, str | None]] = []
        self.signals: list[int] = []
        self.code: int | None = None
        self.closed = False

    def tell(self, do: str, run: str | None = None) -> None:
        self.told.append((do, run))
        if do == "exit":
            self.code = 0

    def exit_code(self) -> int | None:
        return self.code

    def kill(self, signum: int) -> None:
        self.signals.append(signum)

    def close(self) -> None:
        self.closed = True

    def end(self, run: str, state: str = "finished", reason: str | None = None) -> None:
        log = LogWriter(self.folder.run(run).events)
        log.append("ended", state=state, reason=reason, traceback=None, epoch=1, step=9, weights_sha256=None)
        log.close()

    def open(self, run: str) -> None:
        """As a worker that got no further than to open its files."""
        heartbeat = self.folder.run(run).heartbeat
        heartbeat.touch()
        # Later than any before: the clock of files may tick only a hundred times a second.
        HandWorker.last_beat = max(time.time_ns(), self.last_beat + 1)
        os.utime(heartbeat, ns=(self.last_beat, self.last_beat))

    def begin(self, run: str, step: int = 0) -> None:
        """As a worker that trained up to `step` and beat its heart."""
        log = LogWriter(self.folder.run(run).events)
        log.append("started", **ABOUT | {"model": run.rpartition("-")[0]})
        if step:
            log.append("metrics", epoch=1, step=[step], loss=[1.0], accuracy=[0.1], train_seconds=1.0)
        log.close()
        self.open(run)


def make(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, devices: tuple[str, ...] = ("cpu",), **options: object
) -> tuple[Supervisor, Workshop]:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    config = ExperimentConfig(dataset="synthetic", **options)  # type: ignore[arg-type]
    folder = runs.make_experiment(tmp_path / "runs", config)
    manifest = Manifest(
        id=folder.id,
        created=0.0,
        config=config,
        threads=2,
        devices=devices,
        precision="fp32",
        data={},
        versions={},
        host="here",
    )
    runs.write_manifest(folder, manifest)
    return reopen(folder)


def reopen(folder: ExperimentDir) -> tuple[Supervisor, Workshop]:
    workshop = Workshop(folder)
    supervisor = Supervisor(folder, spawn=workshop.spawn, clock=workshop.clock)
    supervisor.begin()
    supervisor.tick()
    return supervisor, workshop


def command(folder: ExperimentDir, what: str, id_: str, run: str | None = None, **more: object) -> None:
    payload: dict[str, object] = {"id": id_, **more} if what == "extend" else {"id": id_, "run": run}
    eventlog.append_shared(folder.control, what, payload, t=time.time())


def states(folder: ExperimentDir) -> dict[str, str]:
    return {run.id: run.state for run in read_state(folder).state.runs.values()}


def ticks(supervisor: Supervisor, count: int = 3) -> None:
    for _ in range(count):
        supervisor.tick()


def test_one_worker_gets_one_seeds_models_at_a_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    supervisor, shop = make(tmp_path, monkeypatch, seeds=2)
    assert len(shop.made) == 1
    assert shop.made[0].held == ["base-s0", "se-s0", "self-attention-s0"]
    for run in list(shop.made[0].held):
        shop.made[0].end(run)
    ticks(supervisor)
    assert len(shop.made) == 1
    assert shop.made[0].held == ["base-s1", "se-s1", "self-attention-s1"]


def test_made_up_devices_each_get_a_worker_and_every_run_is_handed_out_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    devices = ("cuda:0", "cuda:1", "cuda:2", "cuda:3")
    supervisor, shop = make(tmp_path, monkeypatch, devices=devices, seeds=3)
    assert [worker.slot.device for worker in shop.made] == list(devices)
    assert all(worker.held for worker in shop.made)
    handed: list[str] = []
    while not supervisor.done:
        for worker in shop.made:
            for run in list(worker.held):
                handed.append(run)
                worker.end(run)
        supervisor.tick()
    supervisor.end()
    assert sorted(handed) == sorted(
        f"{model}-s{seed}" for model in ("base", "se", "self-attention") for seed in range(3)
    )
    assert set(states(shop.folder).values()) == {"finished"}
    assert all(worker.closed for worker in shop.made)
    assert read_state(shop.folder).state.state == "finished"


def test_jobs_are_dealt_to_the_devices_in_turn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _, shop = make(tmp_path, monkeypatch, devices=("cuda:0", "cuda:1"), jobs=3, seeds=3)
    assert [(worker.slot.device, worker.slot.index) for worker in shop.made] == [
        ("cuda:0", 0),
        ("cuda:1", 0),
        ("cuda:0", 1),
    ]


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


def test_the_end_of_a_run_is_synced_when_it_is_recorded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    supervisor, shop = make(tmp_path, monkeypatch, models=("base", "se"))
    log, synced, fsync = shop.folder.events, [], os.fsync

    def note(fd: int) -> None:
        fsync(fd)
        if os.path.samestat(os.fstat(fd), log.stat()):
            synced.append(log.read_bytes())

    monkeypatch.setattr(os, "fsync", note)
    shop.made[0].end("base-s0")
    ticks(supervisor, 1)
    assert b'"type":"run_ended","run":"base-s0"' in synced[-1]


def test_stop_ends_queued_runs_and_asks_workers_and_presses_on_in_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    supervisor, shop = make(tmp_path, monkeypatch, models=("base",), seeds=2)
    command(shop.folder, "stop", "c1")
    ticks(supervisor)
    worker = shop.made[0]
    assert ("stop", "base-s0") in worker.told
    assert states(shop.folder)["base-s1"] == "stopped"
    assert worker.signals == []
    shop.now += GRACE + 1
    ticks(supervisor, 1)
    assert worker.signals == [signal.SIGTERM]
    shop.now += HARD_GRACE
    ticks(supervisor, 1)
    assert worker.signals[-1] == signal.SIGKILL
    worker.code = -signal.SIGKILL
    ticks(supervisor)
    assert supervisor.done
    supervisor.end()
    assert states(shop.folder) == {"base-s0": "stopped", "base-s1": "stopped"}
    assert read_state(shop.folder).state.state == "stopped"


def test_every_command_is_obeyed_once_and_acknowledged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    supervisor, shop = make(tmp_path, monkeypatch)
    for _ in range(2):  # the same command twice in the log, as after a crash of its writer
        command(shop.folder, "pause", "c1", "se-s0")
    ticks(supervisor)
    worker = shop.made[0]
    assert worker.told.count(("pause", "se-s0")) == 1
    assert states(shop.folder)["se-s0"] == "paused"
    command(shop.folder, "unpause", "c2", "se-s0")
    command(shop.folder, "skip", "c3", "base-s0")
    command(shop.folder, "pause", "c4", "nobody-s0")
    ticks(supervisor)
    assert worker.told[-2:] == [("unpause", "se-s0"), ("skip", "base-s0")]
    command(shop.folder, "pause", "c1", "se-s0")
    ticks(supervisor)
    assert states(shop.folder)["se-s0"] != "paused"
    answers = read_state(shop.folder).state.acknowledged
    assert answers["c3"] == ("skip", "done")
    assert "no such run" in answers["c4"][1]


def test_what_is_no_command_in_the_control_log_is_passed_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    supervisor, shop = make(tmp_path, monkeypatch)
    eventlog.append_shared(shop.folder.control, "warning", {"message": "not a command"}, t=time.time())
    command(shop.folder, "pause", "c1", "se-s0")
    ticks(supervisor)
    assert set(read_state(shop.folder).state.acknowledged) == {"c1"}
    supervisor._lock.release()
    _, shop = reopen(shop.folder)
    assert shop.made[0].held == ["base-s0", "se-s0", "self-attention-s0"]


def test_a_new_supervisor_takes_up_what_is_not_finished_and_obeys_no_old_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, shop = make(tmp_path, monkeypatch)
    shop.made[0].end("base-s0")
    ticks(first)
    command(shop.folder, "stop", "c1")  # never seen by the first supervisor
    first._lock.release()  # as its death would
    second, shop = reopen(shop.folder)
    assert shop.made[0].held == ["se-s0", "self-attention-s0"]
    ticks(second)
    assert ("stop", "se-s0") not in shop.made[0].told
    assert "too late" in read_state(shop.folder).state.acknowledged["c1"][1]


def test_two_supervisors_never_own_one_experiment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _, shop = make(tmp_path, monkeypatch)
    with pytest.raises(BlockingIOError):
        Supervisor(shop.folder, spawn=shop.spawn, clock=shop.clock)


def test_a_run_that_another_process_still_writes_waits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, hold_lock: Callable[[Path], object]
) -> None:
    first, shop = make(tmp_path, monkeypatch, models=("base",))
    first._lock.release()
    hold_lock(shop.folder.run("base-s0").lock)
    second, shop = reopen(shop.folder)
    ticks(second)
    assert shop.made == []
    assert liveness.holder(shop.folder.run("base-s0").lock) is not None
    shop.now += GRACE + HARD_GRACE + 1  # by now it is ended, as the worker of a dead supervisor that hangs
    while not shop.made:
        second.tick()
    assert shop.made[0].held == ["base-s0"]


def test_extend_adds_seeds_to_a_running_experiment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    supervisor, shop = make(tmp_path, monkeypatch, models=("base", "se"))
    command(shop.folder, "extend", "c1", seeds=2)
    command(shop.folder, "extend", "c2", seeds=1)
    ticks(supervisor)
    assert list(states(shop.folder)) == ["base-s0", "se-s0", "base-s1", "se-s1"]
    assert shop.folder.manifest_data().config.seeds == 2
    answers = read_state(shop.folder).state.acknowledged
    assert answers["c1"][1] == "done"
    assert "refused" in answers["c2"][1]


def test_retry_queues_a_failed_run_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    supervisor, shop = make(tmp_path, monkeypatch, models=("base", "se"))
    shop.made[0].end("base-s0", "failed", "the loss became NaN at step 3")
    ticks(supervisor)
    assert states(shop.folder)["base-s0"] == "failed"
    command(shop.folder, "retry", "c1", "base-s0")
    ticks(supervisor, 1)
    assert "base-s0" not in shop.made[0].held
    shop.made[0].end("se-s0")
    ticks(supervisor)
    assert shop.made[0].held == ["base-s0"]


def test_two_experiments_share_a_device_knowingly(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, hold_lock: Callable[[Path], object]
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    folder = tmp_path / "state" / "tui-attn" / "devices" / os.uname().nodename
    folder.mkdir(parents=True)
    (folder / "cpu.0.lock").write_text("20260101-000000-other")
    hold_lock(folder / "cpu.0.lock")
    _, shop = make(tmp_path, monkeypatch)
    warnings = [event["message"] for event in LogReader(shop.folder.events).read() if event.type == "warning"]
    assert len(warnings) == 1
    assert "cpu" in warnings[0]
    assert "20260101-000000-other" in warnings[0]
