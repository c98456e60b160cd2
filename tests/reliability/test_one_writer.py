"""Never two writers, never a run without an owner: whatever is frozen, taken up twice, moved, copied or removed."""

import json
import os
import shutil
import signal
import time
from pathlib import Path

import pytest

from tests.reliability.conftest import Lab, ended, gone, kill, stopped
from tests.reliability.invariants import Reference, processes, violations
from tests.waiting import eventually
from tui_attn.cli import steering
from tui_attn.cli.start import mention_interrupted
from tui_attn.experiment.event_log import LogReader
from tui_attn.experiment.events import Event
from tui_attn.experiment.folders import ExperimentDir
from tui_attn.experiment.follower import Follower, read_state
from tui_attn.experiment.ownership import supervisor_alive
from tui_attn.launch import control, starting
from tui_attn.system import liveness


def told(experiment: ExperimentDir, type_: str) -> list[Event]:
    """The events of one type in the experiment's log."""
    return [event for event in LogReader(experiment.events).read() if event.type == type_]


def test_of_two_supervisors_at_the_same_moment_one_goes_on(lab: Lab, undisturbed: dict[str, Reference]) -> None:
    experiment = lab.make()
    pids = [lab.start(experiment, worker_faults=("forward:1:stop",)) for _ in range(4)]
    worker = lab.await_frozen(experiment)  # so that all four are there before the training is over
    refused = "another supervisor owns this experiment\n" * (len(pids) - 1)
    eventually(lambda: experiment.supervisor_log.read_text() == refused, "the word of those that were too late")
    os.kill(worker, signal.SIGCONT)
    lab.await_end(experiment)
    assert violations(experiment, undisturbed) == []
    assert len(told(experiment, "experiment_started")) == 1
    assert experiment.supervisor_log.read_text() == refused


def test_a_frozen_worker_is_stalled_and_not_replaced(lab: Lab, undisturbed: dict[str, Reference]) -> None:
    experiment = lab.make()
    lab.start(experiment, worker_faults=("append:3:stop",))
    worker = lab.await_frozen(experiment)
    follower = Follower(experiment)
    eventually(lambda: follower.poll() or follower.state.runs["base-s0"].state == "running", "the news of the start")
    assert follower.situation().runs["base-s0"] == "running"
    for run in experiment.path.glob("*/heartbeat"):
        set_back(run, seconds=60)
    assert follower.situation().runs["base-s0"] == "stalled"
    assert follower.situation().experiment == "running"
    os.kill(worker, signal.SIGCONT)
    lab.await_end(experiment)
    assert violations(experiment, undisturbed) == []
    assert len({event["worker"] for event in told(experiment, "run_started")}) == 1
    assert {run.about["pid"] for run in read_state(experiment).state.runs.values()} == {worker}


def set_back(heartbeat: Path, *, seconds: float) -> None:
    """Make the last sign of life in `heartbeat` older."""
    boot, _, beaten = heartbeat.read_text().strip().partition(" ")
    if beaten:
        heartbeat.write_text(f"{boot} {float(beaten) - seconds:020.3f}\n")
    else:  # made, and nothing left in it yet
        os.utime(heartbeat, (time.time() - seconds,) * 2)


def test_a_frozen_supervisor_still_owns_its_experiment_and_the_training_goes_on(
    lab: Lab, undisturbed: dict[str, Reference]
) -> None:
    experiment = lab.make()
    supervisor = lab.start(experiment, worker_faults=("append:3:stop",))
    worker = lab.await_frozen(experiment)
    os.kill(supervisor, signal.SIGSTOP)
    os.kill(worker, signal.SIGCONT)
    eventually(lambda: {"base-s0", "se-s0"} <= finished_by_workers(experiment), "the end of the training")
    with pytest.raises(control.LaunchError, match=rf"running already \(pid {supervisor}\)"):
        starting.resume(experiment)
    os.kill(supervisor, signal.SIGCONT)
    lab.await_end(experiment)
    assert violations(experiment, undisturbed) == []


def finished_by_workers(experiment: ExperimentDir) -> set[str]:
    logs = {run.name: LogReader(run / "events.jsonl").read() for run in experiment.path.glob("*-s0")}
    return {run for run, events in logs.items() if events and events[-1].type == "ended"}


def test_the_worker_of_a_dead_supervisor_checkpoints_and_ends_within_a_step(
    lab: Lab, undisturbed: dict[str, Reference]
) -> None:
    experiment = lab.make(epochs=40)
    supervisor = lab.start(experiment, worker_faults=("forward:7:stop",))
    worker = lab.await_frozen(experiment)
    kill(supervisor)
    assert read_state(experiment).situation().experiment == "lost"
    os.kill(worker, signal.SIGCONT)
    eventually(lambda: not processes(experiment.path), "the end of the worker")
    state = read_state(experiment).state
    trained = [run.step for run in state.runs.values()]
    kept = [run.checkpoint[0] for run in state.runs.values() if run.checkpoint is not None]
    assert sum(trained) == 7
    assert sorted(kept) == sorted(trained)
    assert undisturbed


def test_a_frozen_worker_of_a_dead_supervisor_is_waited_for(lab: Lab, undisturbed: dict[str, Reference]) -> None:
    experiment = lab.make()
    supervisor = lab.start(experiment, worker_faults=("append:8:stop",))
    worker = lab.await_frozen(experiment)
    kill(supervisor)
    lab.start(experiment)
    warning = eventually(lambda: [event for event in told(experiment, "warning") if "waits" in event["message"]], "it")
    assert f"waits for process {worker}" in warning[0]["message"]
    assert len({event["worker"] for event in told(experiment, "run_started")}) == 1
    kill(worker)
    lab.await_end(experiment)
    assert violations(experiment, undisturbed) == []


def test_a_pid_that_was_given_to_another_process_is_neither_believed_nor_signalled(tmp_path: Path, lab: Lab) -> None:
    experiment = lab.make()
    ours = liveness.identity()
    for stranger in (ours._replace(start_time="1"), ours._replace(boot_id="of-the-boot-before")):
        experiment.supervisor.write_text(json.dumps({"identity": stranger.to_json(), "ready": True, "t": time.time()}))
        experiment.supervisor_lock.touch()
        os.utime(experiment.supervisor_lock, (1e9, 1e9))  # before this boot: later ones are another machine's
        assert not stranger.runs()
        assert not supervisor_alive(experiment)
        control.kill(experiment)  # would end this test


@pytest.mark.parametrize("host", ["elsewhere", liveness.identity().host])
def test_a_frozen_supervisor_on_another_machine_is_known_by_the_hearts_of_its_runs(lab: Lab, host: str) -> None:
    experiment = lab.make()
    run = experiment.run("se-s0")
    run.make()
    who = liveness.identity()._replace(host=host, boot_id="another machine's")
    experiment.supervisor.write_text(json.dumps({"identity": who.to_json(), "ready": True, "t": 0.0}))
    for heart in (experiment.supervisor_lock, run.heartbeat):
        heart.touch()
    beats = iter(range(1, 1000))
    begin = time.time()

    def beat(_: float) -> None:
        os.utime(run.heartbeat, (begin + next(beats),) * 2)

    with pytest.raises(control.LaunchError, match=f"running on {host}: stop it there"):
        starting.resume(experiment, caller=starting.Caller(wait=beat))


def hide_locks(experiment: ExperimentDir) -> None:
    """As on another host where the file system's locks don't reach: equal files that nobody has locked."""
    for lock in (experiment.supervisor_lock, *experiment.path.glob("*/lock")):
        beside = lock.with_name("beside")
        shutil.copy(lock, beside)
        beside.rename(lock)


@pytest.mark.parametrize("point", ["append:3:stop", "forward:8:stop", "checkpoint-before-write:1:stop"])
def test_a_frozen_supervisor_and_worker_that_were_replaced_elsewhere_write_nothing_more(
    lab: Lab, undisturbed: dict[str, Reference], point: str
) -> None:
    experiment = lab.make()
    supervisor = lab.start(experiment, worker_faults=(point,))
    worker = lab.await_frozen(experiment)
    eventually(experiment.supervisor.exists, "supervisor.json")
    os.kill(supervisor, signal.SIGSTOP)
    hide_locks(experiment)
    lab.start(experiment, worker_faults=("append:6:stop",))
    other = eventually(lambda: next(iter(set(stopped(experiment)) - {supervisor, worker}), 0), "the other worker")
    before = {path: path.read_bytes() for path in experiment.path.rglob("*.jsonl")}
    for pid in (worker, supervisor):
        os.kill(pid, signal.SIGCONT)
    eventually(lambda: gone(worker) and gone(supervisor), "the end of both")
    assert {path: path.read_bytes() for path in experiment.path.rglob("*.jsonl")} == before
    assert "took the experiment over" in experiment.supervisor_log.read_text()
    os.kill(other, signal.SIGCONT)
    lab.await_end(experiment)
    assert violations(experiment, undisturbed) == []


def test_a_supervisor_on_another_host_is_known_by_its_heart(
    lab: Lab, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Whatever that host's clock says, and though its lock may not be seen here."""
    experiment = lab.make()
    elsewhere = liveness.identity()._replace(host="elsewhere")
    experiment.supervisor.write_text(json.dumps({"identity": elsewhere.to_json(), "ready": True, "t": 0.0}))
    experiment.supervisor_lock.touch()
    beats = iter(range(10**9, 10**9 + 1000))

    def beat(_: float) -> None:
        os.utime(experiment.supervisor_lock, (next(beats),) * 2)

    with pytest.raises(control.LaunchError, match="running on elsewhere: stop it there"):
        starting.resume(experiment, caller=starting.Caller(wait=beat))
    started: list[ExperimentDir] = []
    monkeypatch.setattr(control, "start_supervisor", lambda folder, **_: started.append(folder))
    starting.resume(experiment, caller=starting.Caller(wait=lambda _: None))
    assert started == [experiment]


def test_what_was_interrupted_is_mentioned_before_something_new_begins(
    lab: Lab, capsys: pytest.CaptureFixture[str]
) -> None:
    experiment = lab.make()
    supervisor = lab.start(experiment, worker_faults=("append:3:stop",))
    worker = lab.await_frozen(experiment)
    mention_interrupted(experiment.path.parent)
    assert capsys.readouterr().err == ""
    kill(supervisor)
    kill(worker)
    mention_interrupted(experiment.path.parent)
    said = capsys.readouterr().err
    command = f"tui-attn resume {experiment.id} --runs-dir {experiment.path.parent}"
    assert said == f"{experiment.id} was interrupted: '{command}' continues it\n"
    mention_interrupted(lab.folder / "nothing-here")


def test_a_command_to_a_frozen_supervisor_says_so(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    experiment = lab.make()
    lock = liveness.Lock(experiment.supervisor_lock)
    monkeypatch.setattr(steering, "ACKNOWLEDGED_WITHIN", 0.0)
    assert "no answer yet" in steering.await_answer(experiment, "unknown")
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now)
    os.utime(experiment.supervisor_lock, (now - 100,) * 2)
    assert "has been silent for 1m 40s; is it frozen?" in steering.await_answer(experiment, "unknown")
    lock.release()


def test_after_a_reboot_the_experiment_is_lost_and_taken_up(lab: Lab, undisturbed: dict[str, Reference]) -> None:
    experiment = lab.make()
    supervisor = lab.start(experiment, worker_faults=("append:8:stop",))
    worker = lab.await_frozen(experiment)
    eventually(experiment.supervisor.exists, "supervisor.json")
    kill(supervisor)
    kill(worker)
    data = json.loads(experiment.supervisor.read_text())
    data["identity"]["boot_id"] = "of-the-boot-before"
    data["identity"]["pid"] = os.getpid()  # lives, but is another process
    experiment.supervisor.write_text(json.dumps(data))
    for beat in (experiment.supervisor_lock, *experiment.path.glob("*/heartbeat")):
        beat.write_text("of-the-boot-before 0000000000999999.000\n")  # later than any time since this boot
        os.utime(beat, (1e9, 1e9))
    assert read_state(experiment).situation().experiment == "lost"
    assert [folder.id for folder in control.interrupted(experiment.path.parent)] == [experiment.id]
    lab.finish(experiment)
    assert violations(experiment, undisturbed) == []


def test_the_runs_folder_may_be_moved_while_it_trains(lab: Lab, undisturbed: dict[str, Reference]) -> None:
    before = lab.make()
    lab.start(before, worker_faults=("forward:3:stop",))
    worker = lab.await_frozen(before)
    before.path.parent.rename(lab.folder / "elsewhere")
    after = ExperimentDir(lab.folder / "elsewhere" / before.id)
    with pytest.raises(control.LaunchError, match="running already"):
        starting.resume(after)
    os.kill(worker, signal.SIGCONT)
    lab.await_end(after)
    assert violations(after, undisturbed) == []
    assert not before.path.parent.exists()


def test_a_copy_of_a_running_experiment_is_not_taken_for_alive(lab: Lab, undisturbed: dict[str, Reference]) -> None:
    original = lab.make()
    lab.start(original, worker_faults=("append:13:stop",))
    worker = lab.await_frozen(original)
    eventually(original.supervisor.exists, "supervisor.json")
    copy = ExperimentDir(original.path.with_name("copy"))
    shutil.copytree(original.path, copy.path)
    assert read_state(original).situation().experiment == "running"
    assert read_state(copy).situation().experiment == "lost"
    lab.finish(copy)
    assert violations(copy, undisturbed) == []
    os.kill(worker, signal.SIGCONT)
    lab.await_end(original)
    assert violations(original, undisturbed) == []


def test_removing_the_folder_ends_its_processes(lab: Lab) -> None:
    experiment = lab.make()
    supervisor = lab.start(experiment, worker_faults=("forward:3:stop",))
    worker = lab.await_frozen(experiment)
    shutil.rmtree(experiment.path)
    os.kill(worker, signal.SIGCONT)
    eventually(lambda: gone(worker) and gone(supervisor), "the end of both")
    assert not experiment.path.exists()


@pytest.mark.parametrize("how", ["removed", "replaced"])
def test_a_log_taken_away_costs_its_run_alone(lab: Lab, undisturbed: dict[str, Reference], how: str) -> None:
    experiment = lab.make()
    lab.start(experiment, worker_faults=("append:3:stop",))
    worker = lab.await_frozen(experiment)
    log = experiment.run("base-s0").events
    text = log.read_bytes()
    log.unlink()
    if how == "replaced":
        log.write_bytes(text)
    os.kill(worker, signal.SIGCONT)
    lab.await_end(experiment)
    state = read_state(experiment).state
    assert state.runs["base-s0"].state == "failed"
    assert "removed or replaced" in (state.runs["base-s0"].reason or "")
    assert state.runs["se-s0"].weights_sha256 == undisturbed["se-s0"].weights_sha256
    lab.finish(experiment)
    assert read_state(experiment).state.runs["base-s0"].weights_sha256 == undisturbed["base-s0"].weights_sha256


@pytest.mark.parametrize("what", ["a file", "a link", "a log that is a folder"])
def test_a_run_that_cannot_be_written_is_failed_and_the_others_finish(
    lab: Lab, undisturbed: dict[str, Reference], what: str
) -> None:
    experiment = lab.make()
    run, target = experiment.run("base-s0").path, lab.folder / "target"
    target.mkdir()
    if what == "a file":
        run.write_text("not a folder")
    elif what == "a link":
        run.symlink_to(target)
    else:
        (run / "events.jsonl").mkdir(parents=True)
    lab.start(experiment)
    lab.await_end(experiment)
    state = read_state(experiment).state
    assert (state.state, state.runs["base-s0"].state) == ("failed", "failed")
    assert "can't be written" in (state.runs["base-s0"].reason or "")
    assert state.runs["se-s0"].weights_sha256 == undisturbed["se-s0"].weights_sha256
    assert list(target.iterdir()) == []


def test_stopping_keeps_what_there_is_and_leaves_nothing(lab: Lab, undisturbed: dict[str, Reference]) -> None:
    experiment = lab.make()
    lab.start(experiment, worker_faults=("forward:8:stop",))
    worker = lab.await_frozen(experiment)
    control.send(experiment, "stop")
    os.kill(worker, signal.SIGCONT)
    eventually(lambda: ended(experiment), "the end")
    lab.await_end(experiment)
    state = read_state(experiment).state
    assert {run.state for run in state.runs.values()} <= {"stopped", "finished"}
    assert state.state in {"stopped", "finished"}
    lab.finish(experiment)
    assert violations(experiment, undisturbed) == []


def test_a_run_stopped_just_before_its_worker_died_stays_stopped(lab: Lab, undisturbed: dict[str, Reference]) -> None:
    experiment = lab.make()
    lab.start(experiment, worker_faults=("forward:3:stop",))
    worker = lab.await_frozen(experiment)
    control.send(experiment, "stop", "base-s0")
    eventually(lambda: told(experiment, "control_ack"), "the acknowledgement")
    kill(worker)
    lab.await_end(experiment)
    state = read_state(experiment).state
    assert state.runs["base-s0"].state == "stopped"
    assert state.runs["se-s0"].weights_sha256 == undisturbed["se-s0"].weights_sha256
