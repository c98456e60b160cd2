"""What the keys ask for reaches the control log, and what became of it the screen."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest
from textual.pilot import Pilot

from tests import recorded
from tests.ui.harness import DEADLINE, drawn, drive, make_app, screen_text, staged, until
from tui_attn.experiment.event_log import LogReader, LogWriter
from tui_attn.experiment.folders import ExperimentDir
from tui_attn.launch import control, starting
from tui_attn.ui.app import DashboardApp
from tui_attn.ui.screens.confirm import ConfirmScreen
from tui_attn.ui.screens.dashboard import Dashboard


def commands(folder: ExperimentDir) -> list[tuple[str, str | None]]:
    """What was asked for."""
    return [(event.type, event["run"]) for event in LogReader(folder.control).read()]


@pytest.mark.parametrize(
    ("scene", "keys", "expected"),
    [
        ("running", ["p"], ("pause", "base-s0")),
        ("running", ["down", "p"], ("pause", "se-s0")),
        ("running", ["P"], ("pause", None)),
        ("paused", ["p"], ("unpause", "base-s0")),
        ("paused", ["P"], ("unpause", None)),
        ("running", ["s", "y"], ("stop", "base-s0")),
        ("running", ["S", "y"], ("stop", None)),
        ("running", ["down", "x", "y"], ("skip", "se-s0")),
        ("running", ["X", "y"], ("skip", None)),
        ("running", ["ctrl+c", "y"], ("stop", None)),
    ],
)
def test_keys_give_commands(tmp_path: Path, scene: str, keys: list[str], expected: tuple[str, str | None]) -> None:
    async def script(pilot: Pilot[int], app: DashboardApp) -> None:
        await drawn(pilot, app)
        for key in keys:
            await pilot.press(key)
        await until(pilot, lambda: commands(folder) != [])

    with staged(tmp_path, scene) as folder:
        drive(make_app(folder), script)
        assert commands(folder) == [expected]


def test_an_answer_is_told_of_the_command_it_answers(tmp_path: Path) -> None:
    async def script(pilot: Pilot[int], app: DashboardApp) -> None:
        await drawn(pilot, app)
        await pilot.press("p")
        await until(pilot, lambda: len(commands(folder)) == 1)
        await pilot.press("down", "p")
        await until(pilot, lambda: len(commands(folder)) == 2)
        second = LogReader(folder.control).read()[1]
        log = LogWriter(folder.events)
        log.append("control_ack", id=second["id"], command="pause", run="se-s0", result="second")
        log.close()
        await until(pilot, lambda: "pause se-s0: second" in screen_text(app))
        assert "pause base-s0: " not in screen_text(app).replace("pause base-s0: sent", "")

    with staged(tmp_path, "running") as folder:
        drive(make_app(folder), script)


def test_commands_are_given_in_the_order_of_the_keys(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first, real = threading.Event(), control.send

    def slow(folder: ExperimentDir, command: str, run: str | None = None) -> str:
        if command == "pause":
            assert first.wait(DEADLINE)
        return real(folder, command, run)

    monkeypatch.setattr(control, "send", slow)

    async def script(pilot: Pilot[int], app: DashboardApp) -> None:
        await drawn(pilot, app)
        await pilot.press("p", "x", "y", "S", "y")
        await until(pilot, lambda: len([worker for worker in app.workers if worker.group == "steering"]) == 3)
        first.set()
        await until(pilot, lambda: len(commands(folder)) == 3)

    with staged(tmp_path, "running") as folder:
        drive(make_app(folder), script)
        assert [command for command, _ in commands(folder)] == ["pause", "skip", "stop"]


def test_an_unexpected_error_of_a_command_is_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> str:
        raise ValueError("broken\x1b[2J")

    monkeypatch.setattr(control, "send", fail)

    async def script(pilot: Pilot[int], app: DashboardApp) -> None:
        await drawn(pilot, app)
        await pilot.press("p")
        await until(pilot, lambda: "should not happen: ValueError: broken" in screen_text(app))
        assert "\x1b" not in screen_text(app)

    with staged(tmp_path, "running") as folder:
        drive(make_app(folder), script)


@pytest.mark.parametrize("answer", ["n", "escape"])
def test_no_means_no(tmp_path: Path, answer: str) -> None:
    async def script(pilot: Pilot[int], app: DashboardApp) -> None:
        await drawn(pilot, app)
        await pilot.press("s")
        await until(pilot, lambda: isinstance(app.screen, ConfirmScreen))
        text = screen_text(app)
        assert "Stop base-s0?" in text
        assert "kept" in text
        assert "checkpoint" in text
        await pilot.press(answer)
        await until(pilot, lambda: isinstance(app.screen, Dashboard))

    with staged(tmp_path, "running") as folder:
        drive(make_app(folder), script)
        assert commands(folder) == []


def test_a_run_that_failed_is_retried(tmp_path: Path) -> None:
    async def script(pilot: Pilot[int], app: DashboardApp) -> None:
        await drawn(pilot, app)
        assert "r retry" not in screen_text(app)
        await pilot.press("down")
        await until(pilot, lambda: "r retry" in screen_text(app))
        await pilot.press("r")
        await until(pilot, lambda: commands(folder) != [])

    with staged(tmp_path, "failed") as folder:
        reopen(folder)
        drive(make_app(folder), script)
        assert commands(folder) == [("retry", "se-s0")]


def test_the_acknowledgement_shows(tmp_path: Path) -> None:
    async def script(pilot: Pilot[int], app: DashboardApp) -> None:
        await drawn(pilot, app)
        await pilot.press("p")
        await until(pilot, lambda: "pause base-s0: sent" in screen_text(app))
        command = LogReader(folder.control).read()[0]
        log = LogWriter(folder.events)
        log.append("control_ack", id=command["id"], command="pause", run="base-s0", result="paused after step 42")
        log.append("run_paused", run="base-s0")
        log.close()
        await until(pilot, lambda: "pause base-s0: paused after step 42" in screen_text(app))
        await until(pilot, lambda: "‖ paused" in screen_text(app))
        assert "p go on" in screen_text(app)

    with staged(tmp_path, "running") as folder:
        drive(make_app(folder), script)


def test_another_users_experiment_can_only_be_watched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(folder: ExperimentDir) -> None:
        raise control.LaunchError(f"{folder.id} belongs to another user (uid 7): you can watch it, not steer it")

    monkeypatch.setattr(control, "check_owner", refuse)

    async def script(pilot: Pilot[int], app: DashboardApp) -> None:
        await drawn(pilot, app)
        await pilot.press("p")
        await until(pilot, lambda: "you can watch it, not steer it" in screen_text(app))

    with staged(tmp_path, "running") as folder:
        drive(make_app(folder), script)
        assert commands(folder) == []


def test_a_lost_experiment_is_resumed_by_one_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[ExperimentDir] = []

    def refuse(folder: ExperimentDir, **_: object) -> None:
        asked.append(folder)
        raise control.LaunchError("the supervisor did not start: see supervisor.log")

    monkeypatch.setattr(starting, "resume", refuse)

    async def script(pilot: Pilot[int], app: DashboardApp) -> None:
        await drawn(pilot, app)
        assert "? lost" in screen_text(app)
        assert "r resume" in screen_text(app)
        await pilot.press("r")
        await until(pilot, lambda: "the supervisor did not start" in screen_text(app))

    with staged(tmp_path, "lost") as folder:
        drive(make_app(folder), script)
        assert asked == [folder]


@pytest.mark.parametrize(
    ("scene", "reason"),
    [
        ("finished", "the experiment is finished: no run can be steered"),
        ("lost", "no supervisor runs this experiment: resume it first"),
        ("empty", "no runs to steer yet"),
    ],
)
def test_keys_that_nobody_would_obey_say_why(tmp_path: Path, scene: str, reason: str) -> None:
    async def script(pilot: Pilot[int], app: DashboardApp) -> None:
        await drawn(pilot, app)
        for key in ("p", "P", "s", "S", "x", "X"):
            await pilot.press(key)
        assert isinstance(app.screen, Dashboard)
        await until(pilot, lambda: reason in screen_text(app))

    with staged(tmp_path, scene) as folder:
        drive(make_app(folder), script)
        assert not folder.control.exists()


def reopen(folder: ExperimentDir) -> None:
    """Let the experiment go on: another of its runs is in training."""
    log = LogWriter(folder.events)
    log.append("experiment_started", experiment=folder.id, devices=["cpu"], jobs=1, resumed=True)
    log.append("run_queued", run="self-attention-s0", model="self-attention", seed=0)
    log.append("run_started", run="self-attention-s0", device="cpu", worker=1, attempt=2)
    log.close()


def test_what_becomes_of_a_command_is_not_told_over_another_experiment(tmp_path: Path) -> None:
    other = recorded.scene(tmp_path, "finished", experiment="other")

    async def script(pilot: Pilot[int], app: DashboardApp) -> None:
        await drawn(pilot, app)
        assert app.opened is not None
        steering = app.opened.steering
        assert steering is not None
        app.open_experiment(other)
        steering.send("pause", "base-s0")
        await until(pilot, lambda: steering.pending != {})
        assert "pause base-s0: sent" not in screen_text(app)

    with staged(tmp_path, "running") as folder:
        drive(make_app(folder), script)
