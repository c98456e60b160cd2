"""Device slots: who shares a device knows it; and who gets which runs."""

from __future__ import annotations

import json
import os
from collections import deque
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.processes import TAKE_SLOTS, python, run_python, said
from tui_attn.engines.workers import Slot
from tui_attn.experiment.folders import ExperimentDir
from tui_attn.supervision.process import _say_ready
from tui_attn.supervision.scheduling import Speeds, make_slots, queue_order, share, share_by_speed
from tui_attn.supervision.slots import SlotLocks
from tui_attn.system import liveness

# ---- locks


def test_two_supervisors_share_a_device_knowingly(tmp_path: Path) -> None:
    folder = tmp_path / "locks"
    with python(TAKE_SLOTS, folder, "first", 3, "cuda:0", "cuda:1") as first:
        assert said(first) == "[]"
        with python(TAKE_SLOTS, folder, "second", 1, "cuda:1") as second:
            assert said(second) == "[('cuda:1', 'first')]"
            locks = SlotLocks(folder)
            assert locks.take([Slot("cuda:0", 0)], "third") == {"cuda:0": "first"}
            locks.release()
            assert locks.take([Slot("cpu", 0)], "third") == {}
            locks.release()
            first.kill()
            first.wait()
            assert locks.take([Slot("cuda:0", 0), Slot("cuda:1", 0)], "third") == {"cuda:1": "second"}
            locks.release()
    assert SlotLocks(folder).take([], "x") == {}


def test_without_a_folder_for_locks_none_is_taken(tmp_path: Path) -> None:
    assert SlotLocks(tmp_path / ("n" * 300)).take([Slot("cpu", 0)], "first") == {}


def test_slots_of_one_supervisor_on_one_device_are_its_own(tmp_path: Path) -> None:
    locks, others = SlotLocks(tmp_path), SlotLocks(tmp_path)
    assert locks.take(make_slots(("cpu",), 4), "first") == {}
    assert others.take(make_slots(("cpu",), 2), "second") == {}, "held by this very process"
    assert len({path.name for path in tmp_path.iterdir()}) == 6
    for path in tmp_path.iterdir():
        assert liveness.holder(path) == os.getpid()
    done = run_python(TAKE_SLOTS, tmp_path, "elsewhere", 1, "cpu")
    assert done.stdout == "[('cpu', 'first')]\n", "looking at one's own locks does not drop them"
    locks.release()
    others.release()
    assert [liveness.holder(path) for path in tmp_path.iterdir()] == [None] * 7


HOLD_WITH_NOTE = """
import sys
from pathlib import Path
from tui_attn.system import liveness

lock = liveness.Lock(Path(sys.argv[1]))
lock.write(sys.argv[2])
print("held", flush=True)
sys.stdin.readline()
"""


@pytest.mark.parametrize("note", ["", "\x1b[2J", "../../etc", "x" * 100, "two words"])
def test_a_note_that_can_be_no_experiment_is_not_shown(tmp_path: Path, note: str) -> None:
    with python(HOLD_WITH_NOTE, tmp_path / "cpu.0.lock", note) as process:
        assert said(process) == "held"
        found = SlotLocks(tmp_path).take([Slot("cpu", 0)], "mine")
    assert found == {"cpu": "another program"}


def test_without_a_place_for_locks_training_goes_on_without_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    assert SlotLocks(tmp_path / "file").take([Slot("cpu", 0)], "x") == {}
    (tmp_path / "locks" / "cpu.0.lock").mkdir(parents=True)
    assert SlotLocks(tmp_path / "locks").take([Slot("cpu", 0)], "x") == {}

    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    locks = SlotLocks()
    locks.take([Slot("cpu", 0)], "x")
    locks.release()
    place = tmp_path / "state" / "tui-attn" / "devices" / os.uname().nodename
    assert [path.name for path in place.iterdir()] == ["cpu.0.lock"]

    monkeypatch.setenv("XDG_STATE_HOME", "relative")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    locks = SlotLocks()
    locks.take([Slot("cpu", 0)], "x")
    locks.release()
    assert (tmp_path / "home" / ".local" / "state" / "tui-attn").is_dir()
    assert not (tmp_path / "relative").exists()


WITHOUT_HOME = """
import os, sys
from tui_attn.engines.workers import Slot
from tui_attn.supervision.slots import SlotLocks

try:
    os.setuid(2**31 - 7)
except PermissionError:
    sys.exit(77)
for variable in ("HOME", "XDG_STATE_HOME"):
    os.environ.pop(variable, None)
print(SlotLocks().take([Slot("cpu", 0)], "x"))
"""


def test_a_user_without_a_home_trains_without_locks() -> None:
    done = run_python(WITHOUT_HOME)
    if done.returncode == 77:
        pytest.skip("only root may become a user whom the system doesn't know")
    assert done.stdout == "{}\n", done.stderr


# ---- who gets what

DEVICES = st.lists(st.sampled_from(["cpu", "cuda:0", "cuda:1", "cuda:2", "mps"]), min_size=1, max_size=4, unique=True)


@given(devices=DEVICES, jobs=st.none() | st.integers(1, 20))
def test_slots_are_dealt_to_the_devices_in_turn(devices: list[str], jobs: int | None) -> None:
    slots = make_slots(devices, jobs)
    assert len(slots) == len(set(slots)) == (jobs or len(devices))
    counts = [sum(slot.device == device for slot in slots) for device in devices]
    assert max(counts) - min(counts) <= 1
    assert counts == sorted(counts, reverse=True)
    for device in devices:
        assert [slot.index for slot in slots if slot.device == device] == list(range(counts[devices.index(device)]))


def test_runs_are_handed_out_seed_by_seed() -> None:
    assert queue_order(["b", "a"], [3, 4]) == [("b", 3), ("a", 3), ("b", 4), ("a", 4)]


@given(queued=st.integers(-1, 50), idle=st.integers(-1, 20), models=st.integers(1, 5))
def test_a_worker_takes_one_seeds_models_at_most_and_leaves_the_others_some(
    queued: int, idle: int, models: int
) -> None:
    taken = share(queued, idle, models)
    assert 0 <= taken <= max(0, min(queued, models))
    assert (taken > 0) == (queued > 0 and idle > 0)
    if taken and queued >= idle:
        assert queued - taken >= idle - 1, "each of the others still gets one"


@given(
    models=st.integers(1, 3),
    seeds=st.integers(1, 8),
    jobs=st.integers(1, 6),
    lengths=st.lists(st.integers(1, 4), min_size=24, max_size=24),
)
def test_every_run_is_handed_out_once_in_order_and_no_worker_waits_while_there_is_work(
    models: int, seeds: int, jobs: int, lengths: list[int]
) -> None:
    """Workers that train what they hold in turns, each run for as many rounds as `lengths` says."""
    order = [f"{model}-s{seed}" for model, seed in queue_order([f"m{m}" for m in range(models)], range(seeds))]
    left = dict(zip(order, lengths, strict=False))
    queue = deque(order)
    workers: list[list[str]] = [[] for _ in make_slots(["cuda:0", "cuda:1"], jobs)]
    handed_out: list[str] = []
    while queue or any(workers):
        idle = [worker for worker in workers if not worker]
        for number, worker in enumerate(idle):
            for _ in range(share(len(queue), len(idle) - number, models)):
                worker.append(queue.popleft())
                handed_out.append(worker[-1])
        assert not queue or all(workers)
        assert all(len(worker) <= models for worker in workers)
        for worker in filter(None, workers):
            run = worker.pop(0)
            left[run] -= 1
            if left[run]:
                worker.append(run)
    assert handed_out == order
    assert set(left.values()) == {0}


def test_a_slow_device_leaves_the_last_runs_to_a_fast_one_that_is_soon_free() -> None:
    assert share_by_speed(3, [10.0], [(1.0, 2.0)], 3) == 0, "the fast one does all three in 5 s"
    assert share_by_speed(12, [10.0], [(1.0, 2.0)], 3) == 1
    assert share_by_speed(3, [1.0, 10.0], [], 3) == 3
    assert share_by_speed(3, [1.0, 1.0], [], 3) == 2
    assert share_by_speed(1, [1.0], [(1.0, 5.0)], 3) == 1


def test_the_speed_of_a_device_is_that_on_equal_models() -> None:
    speeds = Speeds([("a", "base", 100.0), ("a", "se", 50.0), ("b", "se", 25.0), ("b", "big", 5.0)])
    assert speeds.seconds("b", "se", 1) / speeds.seconds("a", "se", 1) == pytest.approx(
        2**0.5 * (4 / 3) ** 0.5, rel=0.5
    )
    assert speeds.seconds("b", "se", 1) > speeds.seconds("a", "se", 1)
    assert speeds.seconds("c", "se", 2) == pytest.approx(2 * speeds.seconds("c", "se", 1))
    assert Speeds([]).seconds("a", "base", 1) == 1


def test_supervisor_json_names_the_process(tmp_path: Path) -> None:
    _say_ready(ExperimentDir(tmp_path))
    said = json.loads((tmp_path / "supervisor.json").read_text())
    assert (said["pid"], said["identity"]["pid"]) == (os.getpid(), os.getpid())
