"""The palette: everything that can be done now, and nothing else, found and done."""

from __future__ import annotations

from pathlib import Path

import pytest
from textual.pilot import Pilot

from tests.ui.harness import drawn, drive, make_app, screen_text, staged, until
from tui_attn.ui.actions import possible
from tui_attn.ui.app import DashboardApp
from tui_attn.ui.keys import APP_KEYS, DASHBOARD_KEYS, PALETTE_OPENERS
from tui_attn.ui.screens.comparison import ComparisonScreen
from tui_attn.ui.screens.confirm import ConfirmScreen
from tui_attn.ui.screens.palette import PaletteScreen


async def opened(pilot: Pilot[int], app: DashboardApp, key: str = "colon") -> None:
    await drawn(pilot, app)
    await pilot.press(key)
    await until(pilot, lambda: isinstance(app.screen, PaletteScreen))


def rows(app: DashboardApp) -> list[str]:
    """The labels that the palette lists, best first."""
    assert isinstance(app.screen, PaletteScreen)
    return [action.label for action, _ in app.screen._found.shown]


@pytest.mark.parametrize("key", ["colon", "ctrl+p"])
def test_typing_finds_an_action_and_enter_does_it(tmp_path: Path, key: str) -> None:
    async def script(pilot: Pilot[int], app: DashboardApp) -> None:
        await opened(pilot, app, key)
        await pilot.press(*"comp")
        assert rows(app)[0] == "compare"
        await pilot.press("enter")
        await until(pilot, lambda: isinstance(app.screen, ComparisonScreen))

    with staged(tmp_path, "running") as folder:
        drive(make_app(folder), script)


def test_what_needs_a_question_is_still_asked(tmp_path: Path) -> None:
    async def script(pilot: Pilot[int], app: DashboardApp) -> None:
        await opened(pilot, app)
        await pilot.press(*"stop all", "enter")
        await until(pilot, lambda: isinstance(app.screen, ConfirmScreen))
        assert "Stop all runs?" in screen_text(app)

    with staged(tmp_path, "running") as folder:
        drive(make_app(folder), script)


def test_escape_does_nothing(tmp_path: Path) -> None:
    async def script(pilot: Pilot[int], app: DashboardApp) -> None:
        before = screen_text(app)
        await opened(pilot, app)
        await pilot.press("q", "q", "escape")
        await until(pilot, lambda: app.screen is app.dashboard)
        assert screen_text(app).splitlines()[0] == before.splitlines()[0]

    with staged(tmp_path, "running") as folder:
        drive(make_app(folder), script)


def test_it_offers_every_key_of_the_screen_that_does_something_now(tmp_path: Path) -> None:
    found: dict[str, set[str]] = {}

    for scene in ("running", "paused", "finished", "lost"):

        async def script(pilot: Pilot[int], app: DashboardApp, scene: str = scene) -> None:
            await drawn(pilot, app)
            found[scene] = {action.label for action in possible(app.screen)}

        with staged(tmp_path / scene, scene) as folder:
            drive(make_app(folder), script)
    assert {"pause", "stop", "skip", "stop all"} <= found["running"]
    assert not {"go on", "resume", "retry", "all panels"} & found["running"]
    assert "go on" in found["paused"]
    assert "pause" not in found["paused"]
    assert not {"pause", "stop", "skip", "resume"} & found["finished"]
    assert "resume" in found["lost"]
    for labels in found.values():
        assert {key.label for key in APP_KEYS if key.id not in PALETTE_OPENERS} <= labels
        assert "log" in labels, "panels without the focus are there too"


def test_no_key_of_the_dashboard_is_left_out(tmp_path: Path) -> None:
    seen: set[str] = set()

    for scene in ("running", "paused", "failed", "lost"):

        async def script(pilot: Pilot[int], app: DashboardApp) -> None:
            await drawn(pilot, app)
            for _ in range(4):
                seen.update(action.action for action in possible(app.screen))
                await pilot.press("down")
            await pilot.press("f")
            seen.update(action.action for action in possible(app.screen))

        with staged(tmp_path / scene, scene) as folder:
            drive(make_app(folder), script)
    rare = {"steer('unpause', False)", "steer('retry', True)"}  # in none of these scenes
    missing = {key.action for key in DASHBOARD_KEYS} - seen
    assert {action for action in missing if not action.startswith("select")} <= rare


def test_an_action_of_a_panel_without_the_focus_reaches_that_panel(tmp_path: Path) -> None:
    async def script(pilot: Pilot[int], app: DashboardApp) -> None:
        assert app.dashboard.curves is not None
        plot = app.dashboard.curves.plots["loss"]
        await opened(pilot, app)
        await pilot.press(*"logarithmic")
        assert rows(app) == ["log"]
        before = screen_text(app)
        await pilot.press("enter")
        await until(pilot, lambda: app.screen is app.dashboard)
        await drawn(pilot, app)
        assert plot is not app.focused
        assert screen_text(app) != before

    with staged(tmp_path, "running") as folder:
        drive(make_app(folder), script)


def test_changed_keys_are_shown(tmp_path: Path) -> None:
    async def script(pilot: Pilot[int], app: DashboardApp) -> None:
        await drawn(pilot, app)
        keys = {action.label: action.keys for action in possible(app.screen)}
        assert (keys["help"].lower(), keys["log"].lower(), keys["leave"]) == ("f5", "f6", "q ^q")

    with staged(tmp_path, "running") as folder:
        drive(make_app(folder, keymap={"help": "f5", "chart_log": "f6"}), script)


def test_moving_editing_and_nothing_found(tmp_path: Path) -> None:
    async def script(pilot: Pilot[int], app: DashboardApp) -> None:
        await opened(pilot, app)
        first = rows(app)
        await pilot.press("up")
        assert isinstance(app.screen, PaletteScreen)
        assert app.screen._found.at == len(first) - 1
        await pilot.press("down", "pagedown", "pageup")
        assert app.screen._found.at == 0
        await pilot.press(*"zzz", "enter")
        assert "nothing here is called so" in screen_text(app)
        await pilot.press("backspace", "ctrl+u")
        assert rows(app) == first
        await pilot.press("escape")
        await until(pilot, lambda: app.screen is app.dashboard)

    with staged(tmp_path, "running") as folder:
        drive(make_app(folder), script, size=(80, 24))


def test_a_click_does_what_it_hits(tmp_path: Path) -> None:
    async def script(pilot: Pilot[int], app: DashboardApp) -> None:
        await opened(pilot, app)
        await pilot.press(*"compare")
        await pilot.click("#found", offset=(6, 2))
        await until(pilot, lambda: isinstance(app.screen, ComparisonScreen))

    with staged(tmp_path, "running") as folder:
        drive(make_app(folder), script)


def test_on_another_screen_it_offers_what_that_screen_can_do(tmp_path: Path) -> None:
    async def script(pilot: Pilot[int], app: DashboardApp) -> None:
        await drawn(pilot, app)
        await pilot.press("enter")
        await until(pilot, lambda: app.screen is not app.dashboard)
        labels = {action.label for action in possible(app.screen)}
        assert {"back", "help", "theme", "up"} <= labels
        assert not {"pause", "stop", "log"} & labels

    with staged(tmp_path, "running") as folder:
        drive(make_app(folder), script)
