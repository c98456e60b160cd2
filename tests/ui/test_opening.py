"""The app without an experiment, and from one experiment to another."""

from __future__ import annotations

from pathlib import Path

import pytest
from textual.pilot import Pilot

from tests import recorded
from tests.ui.harness import DEADLINE, drawn, drive, make_app, screen_text, staged, until, whole
from tui_attn.experiment.folders import ExperimentDir
from tui_attn.experiment.manifest import RunsError
from tui_attn.ui.app import DashboardApp
from tui_attn.ui.screens.dashboard import Dashboard
from tui_attn.ui.screens.history import HistoryScreen


def shown(app: DashboardApp) -> type[object]:
    """What kind of screen is on top."""
    return type(app.screen)


def test_another_experiment_takes_the_place_of_the_first(tmp_path: Path) -> None:
    other = recorded.scene(tmp_path, "finished", experiment="other")

    async def script(pilot: Pilot[int], app: DashboardApp) -> None:
        await drawn(pilot, app)
        first = app.opened
        app.use_theme("light")
        await pilot.press("c")
        await until(pilot, lambda: app.screen is not app.dashboard)
        app.open_experiment(other)
        await until(pilot, lambda: whole(app))
        await drawn(pilot, app)
        assert app.screen_stack == [app.dashboard]
        assert "other" in screen_text(app).splitlines()[0]
        assert app.snapshot is not None
        assert (app.snapshot.experiment, app.snapshot.state) == ("other", "finished")
        assert app.theme == "light"
        assert first is not None
        assert first.feed is not None
        assert first is not app.opened
        first.feed.join(DEADLINE)
        assert not first.feed.is_alive()

    with staged(tmp_path, "running") as folder:
        drive(make_app(folder), script)


def test_a_late_picture_of_the_experiment_before_is_passed_over(tmp_path: Path) -> None:
    other = recorded.scene(tmp_path, "finished", experiment="other")

    async def script(pilot: Pilot[int], app: DashboardApp) -> None:
        before = app.opened
        assert before is not None
        assert before.snapshot is not None
        app.open_experiment(other)
        await until(pilot, lambda: whole(app))
        app.show_snapshot(before, before.snapshot)
        await pilot.pause()
        assert app.snapshot is not None
        assert app.snapshot.experiment == "other"

    with staged(tmp_path, "running") as folder:
        drive(make_app(folder), script)


def test_an_experiment_that_cannot_be_read_leaves_the_first_one_open(tmp_path: Path) -> None:
    async def script(pilot: Pilot[int], app: DashboardApp) -> None:
        before = app.opened
        with pytest.raises(RunsError, match="is not an experiment"):
            app.open_experiment(ExperimentDir(tmp_path / "nothing"))
        assert app.opened is before
        assert app.screen is app.dashboard

    drive(make_app(recorded.scene(tmp_path, "finished")), script)


def test_without_an_experiment_the_history_is_shown(tmp_path: Path) -> None:
    folder = recorded.scene(tmp_path, "finished")

    async def script(pilot: Pilot[int], app: DashboardApp) -> None:
        assert shown(app) is HistoryScreen
        await pilot.press("question_mark", "escape", "escape")
        assert shown(app) is HistoryScreen
        app.open_experiment(folder)
        await until(pilot, lambda: whole(app))
        assert shown(app) is Dashboard
        app.close_experiment()
        await until(pilot, lambda: shown(app) is HistoryScreen)
        assert app.folder is None
        await pilot.press("q")

    app = make_app(None, runs_dir=tmp_path)
    drive(app, script)
    assert app.return_code == 0
