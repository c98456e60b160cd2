"""Whatever takes longer than half a second says in the footer, with a turning sign, what it is."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from textual.pilot import Pilot

from tests import recorded
from tests.ui.harness import drawn, drive, make_app, screen_text, until
from tui_attn.experiment.config import ExperimentConfig
from tui_attn.experiment.folders import ExperimentDir
from tui_attn.experiment.follower import Follower
from tui_attn.history.scan_process import HistoryScan
from tui_attn.ui.app import DashboardApp
from tui_attn.ui.comparison.source import ExperimentSource
from tui_attn.ui.screens import comparison, heatmaps


@pytest.fixture
def folder(tmp_path: Path) -> ExperimentDir:
    return recorded.record(tmp_path / "runs", config=ExperimentConfig(epochs=2), data={"test_size": 500})


@pytest.fixture
def go_on() -> Iterator[threading.Event]:
    """Lets what was slowed down end."""
    found = threading.Event()
    yield found
    found.set()


def slow(monkeypatch: pytest.MonkeyPatch, owner: Any, name: str, go_on: threading.Event) -> None:
    """Make a function wait, as one that reads from a slow disk does."""
    real: Callable[..., Any] = getattr(owner, name)

    def waiting(*args: Any, **kwargs: Any) -> Any:
        go_on.wait()
        return real(*args, **kwargs)

    monkeypatch.setattr(owner, name, waiting)


async def told(pilot: Pilot[int], app: DashboardApp, text: str, go_on: threading.Event) -> None:
    """The footer says `text` until the work goes on."""
    await until(pilot, lambda: any(f"{sign} {text}" in screen_text(app).splitlines()[-1] for sign in "|/-\\"))
    go_on.set()
    await until(pilot, lambda: text not in screen_text(app).splitlines()[-1])


def test_opening_an_experiment(folder: ExperimentDir, go_on: threading.Event, monkeypatch: pytest.MonkeyPatch) -> None:
    slow(monkeypatch, Follower, "poll", go_on)
    app = make_app(folder)

    async def main() -> None:
        async with app.run_test(size=(120, 40)) as pilot:
            await told(pilot, app, "reading the logs", go_on)

    asyncio.run(main())


@pytest.mark.parametrize(("method", "text"), [("overview", "comparing"), ("details", "reading predictions")])
def test_the_answer(
    folder: ExperimentDir, go_on: threading.Event, monkeypatch: pytest.MonkeyPatch, method: str, text: str
) -> None:
    slow(monkeypatch, ExperimentSource, method, go_on)

    async def script(pilot: Pilot[int], app: DashboardApp) -> None:
        await drawn(pilot, app)
        await pilot.press("c")
        await told(pilot, app, text, go_on)

    drive(make_app(folder), script)


def test_images(folder: ExperimentDir, go_on: threading.Event, monkeypatch: pytest.MonkeyPatch) -> None:
    slow(monkeypatch, ExperimentSource, "disagreement", go_on)

    async def script(pilot: Pilot[int], app: DashboardApp) -> None:
        await drawn(pilot, app)
        await pilot.press("c", "5")
        await told(pilot, app, "reading images", go_on)

    drive(make_app(folder), script)


def test_heatmaps(folder: ExperimentDir, go_on: threading.Event, monkeypatch: pytest.MonkeyPatch) -> None:
    slow(monkeypatch, heatmaps, "read_probe", go_on)

    async def script(pilot: Pilot[int], app: DashboardApp) -> None:
        await drawn(pilot, app)
        await pilot.press("j", "h")
        await told(pilot, app, "reading epoch 2", go_on)

    drive(make_app(folder), script)


def test_the_report(folder: ExperimentDir, go_on: threading.Event, monkeypatch: pytest.MonkeyPatch) -> None:
    def write(_: ExperimentDir) -> subprocess.Popen[bytes]:
        go_on.wait()
        return subprocess.Popen([sys.executable, "-c", ""], stderr=subprocess.PIPE)

    monkeypatch.setattr(comparison, "_write_report", write)

    async def script(pilot: Pilot[int], app: DashboardApp) -> None:
        await drawn(pilot, app)
        await pilot.press("c")
        await until(pilot, lambda: "write the report" in screen_text(app))
        await pilot.press("w")
        await told(pilot, app, "writing the report", go_on)

    drive(make_app(folder), script)


def test_the_list_of_experiments(
    folder: ExperimentDir, go_on: threading.Event, monkeypatch: pytest.MonkeyPatch
) -> None:
    slow(monkeypatch, HistoryScan, "look", go_on)

    async def script(pilot: Pilot[int], app: DashboardApp) -> None:
        await told(pilot, app, "reading experiments", go_on)

    drive(make_app(None, runs_dir=folder.path.parent), script)
