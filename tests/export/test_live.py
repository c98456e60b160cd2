"""The exporter that runs beside a training: real processes on a recorded experiment, with a clock that stands still."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.clocks import Clock
from tests.recorded import record
from tests.waiting import eventually
from tui_attn.experiment.config import ExperimentConfig
from tui_attn.experiment.folders import ExperimentDir
from tui_attn.experiment.follower import read_state
from tui_attn.export import TensorBoardExport, export
from tui_attn.export.tensorboard import LOCK, NAME
from tui_attn.supervision import exporter as exporters
from tui_attn.supervision.exporter import ATTEMPTS, LOG, PAUSE, Exporter
from tui_attn.system import liveness

RUN = "se-s0"


class Live:
    """An exporter on an experiment whose log of one run is yet to be written, and the file that it shall come to."""

    def __init__(self, runs: Path) -> None:
        self.folder = record(runs, config=ExperimentConfig(epochs=2))
        self.path = self.folder.run(RUN).path / NAME
        TensorBoardExport(self.folder).catch_up()
        self.whole = self.path.read_bytes()
        self.path.unlink()
        self._log = self.folder.run(RUN).events
        lines = self._log.read_bytes().splitlines(keepends=True)
        self.first, self.second = b"".join(lines[: len(lines) // 2]), b"".join(lines[len(lines) // 2 :])
        self._log.write_bytes(self.first)
        self.clock = Clock()
        self.warnings: list[str] = []
        self.exporter = Exporter(self.folder, self.warnings.append, clock=self.clock)

    def go_on(self) -> None:
        """The rest of the log."""
        with self._log.open("ab") as file:
            file.write(self.second)

    def running(self) -> int:
        """Its pid, once it has the lock and has written what there is."""
        eventually(lambda: liveness.holder(self.folder.path / LOCK) and self.path.exists())
        assert self.exporter.pid is not None
        return self.exporter.pid

    def gone(self) -> None:
        """It has ended, and that was seen."""
        gone(self.exporter)


def gone(exporter: Exporter) -> None:
    def seen() -> bool:
        exporter.look()
        return exporter.pid is None

    eventually(seen)


@pytest.fixture
def live(tmp_path: Path) -> Iterator[Live]:
    made = Live(tmp_path / "runs")
    yield made
    made.exporter.finish()


def test_it_follows_and_writes_what_is_left_at_the_end(live: Live) -> None:
    live.exporter.look()
    live.running()
    assert live.whole.startswith(live.path.read_bytes())
    live.go_on()
    live.exporter.finish()
    assert live.path.read_bytes() == live.whole
    assert live.warnings == []
    assert (live.folder.path / LOG).read_bytes() == b""
    assert liveness.holder(live.folder.path / LOCK) is None
    for name in (LOG, LOCK):
        assert (live.folder.path / name).stat().st_mode & 0o777 == 0o600


def test_a_killed_one_is_started_again_and_goes_on_where_it_was(live: Live) -> None:
    live.exporter.look()
    first = live.running()
    os.kill(first, signal.SIGKILL)
    live.gone()
    live.exporter.look()
    assert live.exporter.pid is None  # not at once: it might go on like that
    live.clock.now += PAUSE
    live.exporter.look()
    assert live.running() != first
    live.go_on()
    live.exporter.finish()
    assert live.path.read_bytes() == live.whole
    assert live.warnings == []


def test_one_that_was_killed_last_is_made_up_for(live: Live) -> None:
    live.exporter.look()
    os.kill(live.running(), signal.SIGKILL)
    live.gone()
    live.go_on()
    live.exporter.finish()
    assert live.path.read_bytes() == live.whole


def test_a_frozen_one_keeps_nobody_waiting_for_ever(live: Live, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exporters, "FINISH_WITHIN", 0.2)
    live.exporter.look()
    pid = live.running()
    os.kill(pid, signal.SIGSTOP)
    live.go_on()
    live.exporter.look()
    live.exporter.finish()
    assert liveness.process_start_time(pid) is None
    export(read_state(live.folder), "tensorboard")
    assert live.path.read_bytes() == live.whole


def test_it_ends_with_its_supervisor(live: Live) -> None:
    """A supervisor that is killed closes the pipe."""
    reading, writing = os.pipe()
    pid = os.posix_spawn(
        sys.executable,
        [sys.executable, "-P", "-m", "tui_attn.export.live", str(live.folder.path), live.folder.id],
        os.environ,
        file_actions=[(os.POSIX_SPAWN_DUP2, reading, 0)],
    )
    os.close(reading)
    eventually(lambda: liveness.holder(live.folder.path / LOCK) == pid)
    live.go_on()
    os.close(writing)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    assert live.path.read_bytes() == live.whole


def test_while_one_writes_an_export_leaves_it_to_that(live: Live) -> None:
    live.exporter.look()
    live.running()
    before = live.path.read_bytes()
    where, problems = export(read_state(live.folder), "tensorboard")
    assert (where, problems) == (live.folder.path, [])
    assert live.path.read_bytes() == before


def give_up(live: Live) -> None:
    for _ in range(2 * ATTEMPTS):
        live.exporter.look()
        live.gone()
        live.clock.now += PAUSE
        if live.warnings:
            return


def test_one_that_cant_work_is_given_up_with_a_warning(live: Live) -> None:
    (live.folder.path / LOCK).mkdir()
    give_up(live)
    (warning,) = live.warnings
    assert warning.startswith("TensorBoard's event files are not kept up to date: ")
    assert "training goes on" in warning
    (live.folder.path / LOCK).rmdir()


def test_one_that_cant_be_started_is_given_up_with_a_warning(live: Live) -> None:
    (live.folder.path / LOG).mkdir()
    give_up(live)
    assert len(live.warnings) == 1
    assert "could not be started (it is a folder)" in live.warnings[0]


def test_a_second_one_leaves_the_first_alone(live: Live, tmp_path: Path) -> None:
    live.exporter.look()
    first = live.running()
    other = Exporter(ExperimentDir(live.folder.path), live.warnings.append, clock=live.clock)
    other.look()
    gone(other)
    assert live.exporter.pid == first
    live.go_on()
    live.exporter.finish()
    assert live.path.read_bytes() == live.whole
