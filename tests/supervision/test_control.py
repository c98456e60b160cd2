"""Commands: each is obeyed once and acknowledged."""

import signal
import time
from pathlib import Path

import pytest

from tests.processes import python, said
from tests.supervision.workshop import HandWorker, Workshop, command, make, reopen, states, ticks
from tui_attn.experiment import event_log
from tui_attn.experiment.event_log import LogWriter
from tui_attn.experiment.follower import read_state
from tui_attn.experiment.writing import extend_manifest
from tui_attn.supervision.control import TOO_LATE
from tui_attn.supervision.restarts import GRACE, HARD_GRACE


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
    event_log.append_shared(shop.folder.control, "warning", {"message": "not a command"}, t=time.time())
    command(shop.folder, "pause", "c1", "se-s0")
    ticks(supervisor)
    assert set(read_state(shop.folder).state.acknowledged) == {"c1"}
    supervisor._lock.release()
    _, shop = reopen(shop.folder)
    assert shop.made[0].held == ["base-s0", "se-s0", "self-attention-s0"]


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


def test_a_command_finds_what_the_command_before_it_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """They are read together, and obeyed within one look."""
    supervisor, shop = make(tmp_path, monkeypatch, models=("base",), seeds=2)
    command(shop.folder, "skip", "c1", "base-s1")
    command(shop.folder, "retry", "c2", "base-s1")
    command(shop.folder, "retry", "c3", "base-s1")
    command(shop.folder, "extend", "c4", seeds=3)
    command(shop.folder, "skip", "c5", "base-s2")
    command(shop.folder, "retry", "c6", "base-s2")
    command(shop.folder, "skip", "c5", "base-s2")
    ticks(supervisor, 1)
    answers = {id_: answer for id_, (_, answer) in read_state(shop.folder).state.acknowledged.items()}
    assert answers == dict.fromkeys(("c1", "c2", "c4", "c5", "c6"), "done") | {"c3": "nothing to do"}
    assert states(shop.folder) == {"base-s0": "starting", "base-s1": "queued", "base-s2": "queued"}
    queued = [event["run"] for event in event_log.LogReader(shop.folder.events).read() if event.type == "run_queued"]
    assert queued == ["base-s0", "base-s1", "base-s1", "base-s2", "base-s2"]


@pytest.mark.parametrize("begun", [True, False])
def test_an_extension_counts_as_done_only_where_a_supervisor_began_to_obey_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, begun: bool
) -> None:
    supervisor, shop = make(tmp_path, monkeypatch, models=("base",))
    shop.made[0].end("base-s0")
    ticks(supervisor)
    shop.made[0].code = 0
    ticks(supervisor)
    supervisor.end()
    command(shop.folder, "extend", "c1", seeds=3)
    if begun:
        log = LogWriter(shop.folder.events)
        log.append("control_begun", id="c1", command="extend", run=None)
        log.close()
    extend_manifest(shop.folder, 3)  # by one that was killed before its acknowledgement, or by somebody else
    again, _ = reopen(shop.folder)
    assert again.config.seeds == 3
    assert read_state(shop.folder).state.acknowledged["c1"] == ("extend", "done" if begun else TOO_LATE)


def test_the_reserve_of_a_supervisor_that_was_killed_goes_with_the_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    supervisor, shop = make(tmp_path, monkeypatch, models=("base",))
    ticks(supervisor)
    assert (shop.folder.path / ".reserve").exists()
    supervisor._lock.release()  # as by a kill: nothing is cleaned up
    supervisor, shop = reopen(shop.folder)
    command(shop.folder, "stop", "c1")
    ticks(supervisor)
    shop.made[0].code = 0
    ticks(supervisor)
    supervisor.end()
    assert not (shop.folder.path / ".reserve").exists()


HOLD = """
import sys
from pathlib import Path
from tui_attn.system.liveness import Lock

lock = Lock(Path(sys.argv[1]))
print("held", flush=True)
sys.stdin.readline()
"""


def test_a_new_supervisor_leaves_the_temporary_files_of_a_living_worker(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    supervisor, shop = make(tmp_path, monkeypatch, models=("base", "se"))
    living, dead = (shop.folder.run(run).path / ".x.tmp" for run in ("base-s0", "se-s0"))
    with python(HOLD, living.with_name("lock")) as worker:
        assert said(worker) == "held"
        living.touch()
        dead.touch()
        supervisor._lock.release()
        reopen(shop.folder)
        assert living.exists()
        assert not dead.exists()


def test_a_pause_gives_the_place_back_where_an_engine_has_others_for_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(HandWorker, "gives_back", True)
    monkeypatch.setattr(Workshop, "single", True)
    supervisor, shop = make(tmp_path, monkeypatch, models=("base",), seeds=2)
    first = shop.made[0]
    assert first.held == ["base-s0"]
    command(shop.folder, "pause", "c1", "base-s0")
    ticks(supervisor)
    assert first.told[-2:] == [("suspend", "base-s0"), ("exit", None)]
    assert [worker.held for worker in shop.made] == [[], ["base-s1"]]
    assert states(shop.folder)["base-s0"] == "paused"
    shop.made[1].end("base-s1")
    ticks(supervisor)
    assert len(shop.made) == 2
    command(shop.folder, "unpause", "c2", "base-s0")
    ticks(supervisor)
    assert shop.made[2].held == ["base-s0"]


def test_what_outlives_a_supervisor_is_left_to_the_next(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(HandWorker, "outlives", True)
    supervisor, shop = make(tmp_path, monkeypatch, models=("base",))
    supervisor.let_go()
    assert not shop.made[0].closed
    assert shop.made[0].signals == []


def test_a_run_that_is_not_paused_has_nothing_to_go_on_with(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    supervisor, shop = make(tmp_path, monkeypatch)
    command(shop.folder, "unpause", "c1", "se-s0")
    ticks(supervisor)
    assert read_state(shop.folder).state.acknowledged["c1"] == ("unpause", "nothing to do")
    supervisor._lock.release()
