"""The supervisor: who trains what, who owns an experiment, and what it records."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.supervision.workshop import command, make, reopen, states, ticks
from tui_attn.experiment.event_log import LogReader
from tui_attn.experiment.follower import read_state
from tui_attn.supervision.restarts import GRACE, HARD_GRACE
from tui_attn.supervision.scheduling import SIDE_BY_SIDE
from tui_attn.supervision.supervisor import Supervisor
from tui_attn.system import liveness


def test_one_worker_gets_one_seeds_models_at_a_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    supervisor, shop = make(tmp_path, monkeypatch, seeds=2)
    assert len(shop.made) == 1
    assert shop.made[0].held == ["base-s0", "se-s0", "self-attention-s0"]
    for run in list(shop.made[0].held):
        shop.made[0].end(run)
    ticks(supervisor)
    assert len(shop.made) == 1
    assert shop.made[0].held == ["base-s1", "se-s1", "self-attention-s1"]


def test_a_worker_on_cuda_gets_several_seeds_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    supervisor, shop = make(tmp_path, monkeypatch, devices=("cuda:0",), seeds=30)
    assert len(shop.made) == 1
    assert shop.made[0].held == [f"{model}-s{seed}" for seed in range(8) for model in ("base", "se", "self-attention")]
    for run in list(shop.made[0].held):
        shop.made[0].end(run)
    ticks(supervisor)
    assert len(shop.made) == 1
    assert len(shop.made[0].held) == SIDE_BY_SIDE
    assert shop.made[0].held[0] == "base-s8"


def test_a_custom_model_has_a_worker_that_no_other_model_gets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    models = ("base", "/nets/one.py:Net", "se", "/nets/two.py:Net")
    supervisor, shop = make(tmp_path, monkeypatch, models=models, seeds=2)
    held: dict[int, list[str]] = {}
    while not supervisor.done:
        alive = [worker for worker in shop.made if worker.code is None]
        assert len(alive) <= 1  # one slot, one worker
        for worker in alive:
            held.setdefault(worker.token, []).extend(worker.held)
            for run in list(worker.held):
                worker.end(run)
        supervisor.tick()
    assert sorted(map(sorted, held.values())) == [
        ["base-s0", "base-s1", "se-s0", "se-s1"],
        ["one-net-s0", "one-net-s1"],
        ["two-net-s0", "two-net-s1"],
    ]


def test_a_paused_run_does_not_keep_a_custom_model_from_its_worker(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    supervisor, shop = make(tmp_path, monkeypatch, models=("base", "/nets/one.py:Net"), seeds=2)
    command(shop.folder, "pause", "1", "base-s1")
    ticks(supervisor)
    shop.made[0].end("base-s0")
    ticks(supervisor)
    assert [worker.held for worker in shop.made] == [[], ["one-net-s0"]]


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
        Supervisor(shop.folder, launcher=shop, clock=shop.clock)


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
