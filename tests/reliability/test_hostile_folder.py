"""Folders that were prepared: links to what lies outside, pipes and devices in the place of files."""

import itertools
import os
import signal
import stat
import threading
from pathlib import Path

import pytest

from tests.reliability.conftest import Lab, make_experiment
from tests.reliability.invariants import Reference
from tests.reliability.test_trust import as_another_user, public_folder
from tui_attn.engines.pipe import LocalLauncher
from tui_attn.engines.workers import Slot, last_lines
from tui_attn.experiment.event_log import LogWriter, append_shared
from tui_attn.experiment.folders import ExperimentDir, RunDir
from tui_attn.experiment.follower import read_state
from tui_attn.experiment.study import StudyDir
from tui_attn.launch import control
from tui_attn.launch.control import LaunchError
from tui_attn.study import runner
from tui_attn.supervision import process
from tui_attn.supervision.restarts import StaleWorkers
from tui_attn.system import children, files, liveness

assert public_folder


@pytest.fixture
def experiment(tmp_path: Path) -> ExperimentDir:
    made = make_experiment(tmp_path / "runs")
    made.run("base-s0").make()
    return made


def writers(experiment: ExperimentDir) -> dict[Path, object]:
    """What is opened to write, and how; each must refuse what is no file of the experiment's own."""
    run, slot = experiment.run("base-s0"), Slot("cpu", 0)
    return {
        experiment.events: lambda: LogWriter(experiment.events),
        experiment.control: lambda: append_shared(experiment.control, "stop", {"id": "x", "run": None}, t=1.0),
        experiment.supervisor_lock: lambda: liveness.Lock(experiment.supervisor_lock),
        experiment.supervisor_log: lambda: control.start_supervisor(experiment),
        run.events: lambda: LogWriter(run.events),
        run.lock: lambda: liveness.Lock(run.lock),
        run.worker_log: lambda: LocalLauncher(experiment).start(slot, run),
    }


@pytest.mark.parametrize("kind", ["hard link", "link", "pipe", "device", "folder"])
def test_what_is_no_file_of_the_experiment_is_never_written(experiment: ExperimentDir, kind: str) -> None:
    stranger = experiment.path.parent.parent / "stranger"
    for path, write in writers(experiment).items():
        stranger.write_bytes(b"precious")
        if kind == "hard link":
            path.hardlink_to(stranger)
        elif kind == "link":
            path.symlink_to(stranger)
        elif kind == "pipe":
            os.mkfifo(path)
        elif kind == "folder":
            path.mkdir()
        elif os.getuid() == 0:
            os.mknod(path, stat.S_IFCHR | 0o600, os.makedev(1, 5))  # /dev/zero
        else:
            pytest.skip("only the superuser makes devices")
        with pytest.raises((OSError, LaunchError)):
            write()  # type: ignore[operator]
        assert stranger.read_bytes() == b"precious"
        if kind != "folder":
            path.unlink()
        else:
            path.rmdir()


def test_a_heartbeat_and_a_reserve_that_are_hard_links_are_done_without(experiment: ExperimentDir) -> None:
    run, stranger = experiment.run("base-s0"), experiment.path.parent / "stranger"
    stranger.write_bytes(b"precious")
    run.heartbeat.hardlink_to(stranger)
    (experiment.path / ".reserve").hardlink_to(stranger)
    liveness.Heartbeat(run.heartbeat).beat()
    assert files.Reserve(experiment.path).room()
    assert stranger.read_bytes() == b"precious"


def test_a_stranger_whose_lock_was_linked_into_the_experiment_is_not_signalled(experiment: ExperimentDir) -> None:
    elsewhere = experiment.path.parent / "elsewhere.lock"
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        liveness.Lock(elsewhere)
        os.write(writing, b"!")
        signal.pause()
    os.read(reading, 1)
    experiment.supervisor_lock.hardlink_to(elsewhere)
    experiment.run("base-s0").lock.hardlink_to(elsewhere)
    (experiment.path / "not-a-run").mkdir()
    (experiment.path / "not-a-run" / "lock").hardlink_to(elsewhere)
    control.kill(experiment)
    assert experiment.path / "not-a-run" / "lock" not in control._locks(experiment)
    assert os.waitpid(child, os.WNOHANG) == (0, 0)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)


def test_the_worker_of_another_experiment_is_not_ended_where_a_runs_folder_is_a_link_to_its_own(
    experiment: ExperimentDir,
) -> None:
    theirs = experiment.path.parent / "theirs"
    theirs.mkdir()
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        liveness.Lock(theirs / "lock")
        os.write(writing, b"!")
        signal.pause()
    os.read(reading, 1)
    run = RunDir(experiment.path / "base-s9")
    run.path.symlink_to(theirs)
    now = itertools.count(step=1000.0)
    stale = StaleWorkers(lambda: next(now), print)
    assert [stale.is_free(run) for _ in range(5)] == [True] * 5
    assert os.waitpid(child, os.WNOHANG) == (0, 0)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)


def test_a_log_that_is_a_pipe_is_read_as_empty(tmp_path: Path) -> None:
    study = StudyDir(tmp_path)
    os.mkfifo(tmp_path / "worker.log")
    os.mkfifo(study.log)
    found: list[str] = []

    def read() -> None:
        found.append(last_lines(tmp_path / "worker.log"))
        found.append(runner.last_words(study))

    reader = threading.Thread(target=read, daemon=True)
    reader.start()
    reader.join(240)
    assert found == ["", ""]


def test_a_run_that_is_open_stays_in_its_folders_whatever_is_put_in_their_places(experiment: ExperimentDir) -> None:
    run, outside = experiment.run("base-s0"), experiment.path.parent / "outside"
    outside.mkdir()
    with run.opened() as held:
        for folder in (run.checkpoints, run.probes):
            folder.rename(folder.with_name(f"{folder.name}-moved"))
            folder.symlink_to(outside)
        files.write_atomically(held.checkpoints / "step-00000001.pt", b"checkpoint")
        files.write_atomically(held.probes / "epoch-00000.npz", b"probe")
    assert list(outside.iterdir()) == []
    assert (run.path / "checkpoints-moved" / "step-00000001.pt").read_bytes() == b"checkpoint"
    with pytest.raises(OSError, match="symbolic link"), run.opened():
        raise AssertionError("opened")


def test_a_folder_that_is_held_is_the_same_for_a_child_after_it_was_moved(tmp_path: Path) -> None:
    (tmp_path / "before").mkdir()
    (tmp_path / "before" / "x").write_text("here")
    folder = children.Folder(tmp_path / "before")
    (tmp_path / "before").rename(tmp_path / "after")
    assert (folder.path / "x").read_text() == "here"
    assert not folder.in_place()
    folder.close()


@pytest.mark.skipif(os.getuid() != 0, reason="only the superuser can become another user")
def test_a_supervisor_refuses_another_users_folder(public_folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """Put in the place of the user's own, between the check in front and the start."""
    public_folder.chmod(0o777)
    said = as_another_user(lambda: make_experiment(public_folder / "runs").path)
    path = next((public_folder / "runs").iterdir())
    assert path.name in said
    assert process.main([str(path)]) == 1
    assert "belongs to another user (uid 65534)" in capfd.readouterr().err


@pytest.mark.skipif(os.getuid() != 0, reason="only the superuser can become another user")
def test_a_study_of_another_user_is_refused(public_folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    public_folder.chmod(0o777)
    as_another_user((public_folder / "study").mkdir)
    study = StudyDir(public_folder / "study")
    with pytest.raises(LaunchError, match=r"belongs to another user \(uid 65534\)"):
        runner.start(study)
    assert runner.main([str(study.path)]) == 1
    assert "belongs to another user (uid 65534)" in capfd.readouterr().err
    assert list(study.path.iterdir()) == []


def test_a_supervisor_keeps_others_from_writing_in_its_folder(experiment: ExperimentDir) -> None:
    experiment.path.chmod(0o777)
    folder = children.Folder(experiment.path)
    folder.keep_private()
    folder.close()
    assert stat.S_IMODE(experiment.path.stat().st_mode) == 0o755


def test_a_lock_that_is_a_link_costs_one_run_and_one_line(lab: Lab, undisturbed: dict[str, Reference]) -> None:
    experiment, target = lab.make(), lab.folder / "target"
    run = experiment.run("base-s0")
    run.make()
    run.lock.symlink_to(target)
    lab.start(experiment)
    lab.await_end(experiment)
    state = read_state(experiment).state
    assert (state.state, state.runs["base-s0"].reason) == ("failed", "lock: it is a symbolic link")
    assert "Traceback" not in experiment.run("base-s0").worker_log.read_text()
    assert state.runs["se-s0"].weights_sha256 == undisturbed["se-s0"].weights_sha256
    assert not target.exists()
