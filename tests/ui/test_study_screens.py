"""A study in the history: one row, which unfolds, and its results."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from textual.pilot import Pilot

from tests import recorded
from tests.study.making import write_study
from tests.ui.harness import drive, make_app, screen_text, until
from tui_attn.experiment.config import ExperimentConfig
from tui_attn.ui.app import DashboardApp
from tui_attn.ui.screens.dashboard import Dashboard
from tui_attn.ui.screens.history import HistoryScreen
from tui_attn.ui.screens.study_page import StudyScreen

CONFIG = ExperimentConfig(models=("base", "se"), seeds=2, epochs=2, name="rates")


@pytest.fixture
def runs_dir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    found = {"base": (0.8, 0.81), "se": (0.83, 0.82)}
    write_study(Path("runs"), CONFIG, [{"lr": 0.001}, {"lr": 0.01}], [found, found])
    recorded.record(Path("runs"), config=replace(CONFIG, name="alone"), probes=False, predictions=False)
    yield Path("runs")


@pytest.mark.parametrize("size", [(80, 24), (120, 40)])
def test_a_study_is_one_row_that_unfolds_and_compares(runs_dir: Path, size: tuple[int, int]) -> None:
    async def script(pilot: Pilot[int], app: DashboardApp) -> None:
        outer = app.screen
        await until(pilot, lambda: isinstance(outer, HistoryScreen) and outer.view.complete)
        assert isinstance(outer, HistoryScreen)
        rows = {entry.name: entry.study for entry in outer.view.entries.values()}
        assert rows == {"rates": "sweep", "alone": ""}
        while outer.view.current is None or not outer.view.current.study:
            await pilot.press("down")
        await pilot.press("c")
        await until(pilot, lambda: isinstance(app.screen, StudyScreen) and "2 comparisons share" in _whole(app))
        assert "lr=0.001" in screen_text(app)
        await pilot.press("escape", "enter")
        await until(pilot, lambda: isinstance(app.screen, HistoryScreen) and app.screen is not outer)
        inner = app.screen
        assert isinstance(inner, HistoryScreen)
        await until(pilot, lambda: inner.view.complete)
        assert {entry.name for entry in inner.view.entries.values()} == {"lr=0.001", "lr=0.01"}
        await pilot.press("enter")
        await until(pilot, lambda: isinstance(app.screen, Dashboard))

    drive(make_app(None, runs_dir=runs_dir, now=recorded.T0 + 600), script, size=size)


def _whole(app: DashboardApp) -> str:
    assert isinstance(app.screen, StudyScreen)
    return "\n".join("".join(text for text, _ in row.pieces) for row in app.screen.page(100))
