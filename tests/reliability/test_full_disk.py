"""A disk that really fills up: training waits, says so, and loses nothing. And a disk that can only be read."""

import errno
import itertools
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests import recorded
from tests.reliability.conftest import Lab, gone, kill, make_experiment
from tests.reliability.invariants import Reference, leftovers, violations
from tests.waiting import eventually
from tui_attn import cli
from tui_attn.cli import lines
from tui_attn.experiment.event_log import LogReader
from tui_attn.experiment.folders import ExperimentDir
from tui_attn.experiment.follower import read_state
from tui_attn.launch import control, starting
from tui_attn.launch.control import LaunchError
from tui_attn.system import files
from tui_attn.system.files import Reserve
from tui_attn.train.run_writer import NoRoomError, retry_on_full_disk

FULL = "the disk is full: training waits until there is room"
ROOM = "there is room on the disk again: training goes on"


class Disk:
    """A small file system of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._filler = folder / "filler"

    def fill(self) -> None:
        """Take all the room there is."""
        file = os.open(self._filler, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        for size in (1 << 16, 1 << 12, 1):
            with pytest.raises(OSError, match="No space left"):
                while True:
                    os.write(file, bytes(size))
        os.close(file)

    def free(self) -> None:
        """Give it back."""
        self._filler.unlink()

    def fill_with_files(self) -> None:
        """Take all inodes, which leaves room to append to files."""
        self._filler.mkdir()
        with pytest.raises(OSError, match="No space left"):
            for number in itertools.count():
                (self._filler / str(number)).touch()

    def remove_files(self) -> None:
        """Give them back."""
        shutil.rmtree(self._filler)

    def freeze(self) -> None:
        """Make it read-only."""
        eventually(lambda: _mount("-o", "remount,ro", str(self.folder)), "a disk that nobody writes")

    def thaw(self) -> None:
        assert _mount("-o", "remount,rw", str(self.folder))


def _mount(*arguments: str) -> bool:
    return subprocess.run(["mount", *arguments], capture_output=True, check=False).returncode == 0


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Disk]:
    """A disk of 16 MB and 400 files; needs the right to mount one."""
    folder = tmp_path / "disk"
    folder.mkdir()
    if os.getuid() != 0 or not _mount("-t", "tmpfs", "-o", "size=16m,nr_inodes=400", "none", str(folder)):
        pytest.skip("only the superuser may mount a small disk to fill")
    yield Disk(folder)
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


def warnings(experiment: ExperimentDir) -> list[str]:
    events = LogReader(experiment.events).read()
    return [event["message"] for event in events if event.type == "warning" and "disk" in event["message"]]


def states(experiment: ExperimentDir) -> set[str]:
    return {run.state for run in read_state(experiment).state.runs.values()}


@pytest.mark.parametrize("point", ["append:4", "checkpoint-before-write:2", "end:1"])
def test_training_waits_for_room_and_goes_on(
    lab: Lab, undisturbed: dict[str, Reference], disk: Disk, point: str
) -> None:
    experiment = make_experiment(disk.folder / "runs")
    lab.start(experiment, worker_faults=(f"{point}:stop",))
    worker = lab.await_frozen(experiment)
    disk.fill()
    os.kill(worker, signal.SIGCONT)
    eventually(lambda: warnings(experiment) == [FULL], "the news that the disk is full")
    eventually(lambda: "paused" in states(experiment), "the pause")
    assert not LogReader(experiment.events).damaged
    disk.free()
    lab.await_end(experiment)
    assert warnings(experiment) == [FULL, ROOM]
    assert violations(experiment, undisturbed) == []


def test_without_inodes_training_waits_and_both_logs_say_so(
    lab: Lab, undisturbed: dict[str, Reference], disk: Disk
) -> None:
    experiment = make_experiment(disk.folder / "runs", models=("base",))
    lab.start(experiment, worker_faults=("checkpoint-before-write:2:stop",))
    worker = lab.await_frozen(experiment)
    disk.fill_with_files()
    os.kill(worker, signal.SIGCONT)
    eventually(lambda: warnings(experiment) == [FULL], "the news that the disk is full")
    run = experiment.run("base-s0").events
    eventually(lambda: [it["message"] for it in LogReader(run).read() if it.type == "warning"], "the run's own warning")
    (warned,) = [it["message"] for it in LogReader(run).read() if it.type == "warning"]
    assert warned == "no room on the disk: this run waits"
    disk.remove_files()
    lab.await_end(experiment)
    assert warnings(experiment) == [FULL, ROOM]
    assert violations(experiment, {"base-s0": undisturbed["base-s0"]}) == []


def test_killed_on_a_full_disk_and_taken_up_when_there_is_room(
    lab: Lab, undisturbed: dict[str, Reference], disk: Disk
) -> None:
    experiment = make_experiment(disk.folder / "runs")
    supervisor = lab.start(experiment, worker_faults=("forward:8:stop",))
    worker = lab.await_frozen(experiment)
    disk.fill()
    os.kill(worker, signal.SIGCONT)
    eventually(lambda: warnings(experiment) == [FULL], "the news that the disk is full")
    kill(supervisor)
    eventually(lambda: gone(worker), "the end of its worker")
    disk.fill()  # what the reserve gave
    refused = lab.start(experiment)
    eventually(lambda: gone(refused), "the end of a supervisor that can't record anything")
    disk.free()
    lab.finish(experiment)
    assert violations(experiment, undisturbed) == []


def test_stopping_on_a_full_disk(lab: Lab, undisturbed: dict[str, Reference], disk: Disk) -> None:
    experiment = make_experiment(disk.folder / "runs")
    lab.start(experiment, worker_faults=("forward:8:stop",))
    worker = lab.await_frozen(experiment)
    disk.fill()
    os.kill(worker, signal.SIGCONT)
    eventually(lambda: warnings(experiment) == [FULL], "the news that the disk is full")
    control.send(experiment, "stop")
    lab.await_end(experiment)
    assert read_state(experiment).state.state == "stopped"
    assert leftovers(experiment) == []
    disk.free()
    lab.finish(experiment)
    assert violations(experiment, undisturbed) == []


def test_a_start_on_a_full_disk_says_so(lab: Lab, disk: Disk) -> None:
    experiment = make_experiment(disk.folder / "runs")
    disk.fill()
    with pytest.raises(LaunchError, match="make room"):
        control.start_supervisor(experiment)
    assert leftovers(experiment) == []


def test_a_read_only_disk_can_be_looked_at(
    lab: Lab, undisturbed: dict[str, Reference], disk: Disk, capsys: pytest.CaptureFixture[str]
) -> None:
    experiment = make_experiment(disk.folder / "runs", epochs=2)
    supervisor = lab.start(experiment, worker_faults=("append:3:stop",))
    worker = lab.await_frozen(experiment)
    eventually(experiment.supervisor.exists, "supervisor.json")
    copy = disk.folder / "running"
    # Seen from where it can't be written, as through a mount that is read-only, a running experiment is running.
    copy.mkdir()
    assert _mount("--bind", str(disk.folder / "runs"), str(copy))
    assert _mount("-o", "remount,bind,ro", str(copy))
    try:
        assert read_state(ExperimentDir(copy / experiment.id)).situation().experiment == "running"
    finally:
        subprocess.run(["umount", str(copy)], check=True)
    kill(supervisor)
    kill(worker)
    disk.freeze()
    assert cli.run(["ls", "--runs-dir", str(disk.folder / "runs")]) == 0
    assert cli.run(["compare", "--runs-dir", str(disk.folder / "runs")]) == 0
    assert lines.watch(experiment, own=False) == 1
    out, err = capsys.readouterr()
    assert experiment.id in out
    assert "lost" in out
    assert "tui-attn resume" in err
    with pytest.raises(LaunchError, match=r"Read-only file system\): make it writable"):
        starting.resume(experiment)
    disk.thaw()
    lab.finish(experiment)
    assert violations(experiment, undisturbed) == []


OF_EXPERIMENTS = [["ls"], ["compare"], ["compare", "--json"], ["attach", "--no-ui"]]


@pytest.mark.parametrize("command", [*OF_EXPERIMENTS, ["doctor"], ["config"], ["config", "--keys"], ["--version"]])
def test_output_onto_a_full_disk_is_told_in_words(tmp_path: Path, command: list[str]) -> None:
    recorded.scene(tmp_path / "runs", "finished")
    where = ["--runs-dir", str(tmp_path / "runs")] if command in OF_EXPERIMENTS else []
    with open("/dev/full", "w") as full:  # noqa: PTH123 - a device
        done = subprocess.run(
            [sys.executable, "-P", "-m", "tui_attn", *command, *where],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    first, *others = done.stderr.splitlines()
    assert (done.returncode, first) == (1, "tui-attn: can't write the output: No space left on device")
    assert all("the training is not touched" in line for line in others)


# ---- the parts, on any machine


def refuse(times: int, code: int = errno.ENOSPC) -> Callable[[], str]:
    """A write that fails so often, and then works."""
    left = [times]

    def write() -> str:
        left[0] -= 1
        if left[0] >= 0:
            raise OSError(code, os.strerror(code))
        return "written"

    return write


def test_a_write_is_tried_until_there_is_room(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tui_attn.train.run_writer.PAUSE", 0)
    signs: list[int] = []
    found = retry_on_full_disk(refuse(3), should_abort=lambda: False, sign_of_life=lambda: signs.append(1))
    assert (found, len(signs)) == ("written", 3)
    with pytest.raises(NoRoomError):
        retry_on_full_disk(refuse(1), should_abort=lambda: True, sign_of_life=lambda: None)
    assert retry_on_full_disk(refuse(0), should_abort=lambda: True, sign_of_life=lambda: None) == "written"
    with pytest.raises(PermissionError):
        retry_on_full_disk(refuse(1, errno.EACCES), should_abort=lambda: False, sign_of_life=lambda: None)


def test_the_reserve_is_kept_freed_and_kept_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    room = [1 << 30]

    def allocate(fd: int, size: int) -> None:
        if size > room[0]:
            raise OSError(errno.EDQUOT, "Disk quota exceeded")
        os.ftruncate(fd, size)

    monkeypatch.setattr(files, "_allocate", allocate)
    reserve, file = Reserve(tmp_path), tmp_path / ".reserve"
    assert reserve.room()
    assert file.stat().st_size == Reserve.SIZE
    room[0] = Reserve.SIZE
    assert not reserve.room()
    assert file.stat().st_size == Reserve.SIZE  # still kept, until it is freed to tell that the disk is full
    reserve.free()
    room[0] = 3 * Reserve.SIZE
    assert not reserve.room()  # not enough to go on with
    assert not file.exists()
    room[0] = 4 * Reserve.SIZE
    assert reserve.room()
    assert file.stat().st_size == Reserve.SIZE
