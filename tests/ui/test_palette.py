"""The palette: everything that can be done now, and nothing else, found and done."""

from __future__ import annotations

from pathlib import Path

import pytest
from textual.command import CommandInput, CommandList
from textual.pilot import Pilot

from tests.ui.harness import drawn, drive, make_app, screen_text, staged, until
from tui_attn.ui.app import DashboardApp
from tui_attn.ui.keys import APP_KEYS, DASHBOARD_KEYS, PALETTE_OPENERS
from tui_attn.ui.screens.comparison import ComparisonScreen
from tui_attn.ui.screens.confirm import ConfirmScreen
from tui_attn.ui.screens.palette import PaletteScreen, commands, possible
from tui_attn.ui.screens.run_details import RunDetailsScreen


async def opened(pilot: Pilot[int], app: DashboardApp, key: str = "colon") -> None:
    await drawn(pilot, app)
    await pilot.press(key)
    await until(pilot, lambda: isinstance(app.screen, PaletteScreen) and app.screen.has_class("-ready"))


def rows(app: DashboardApp) -> list[str]:
    """What the palette lists, best first."""
    return [str(option.prompt) for option in app.screen.query_one(CommandList).options]


async def typed(pilot: Pilot[int], app: DashboardApp, text: str) -> None:
    await pilot.press(*text)
    await until(pilot, lambda: app.screen.query_one(CommandInput).value == text)
    await until(pilot, lambda: not any(worker.node is app.screen and worker.is_running for worker in app.workers))


@pytest.mark.parametrize("key", ["colon", "ctrl+p"])
def test_typing_finds_an_action_and_enter_does_it(tmp_path: Path, key: str) -> None:
    async def script(pilot: Pilot[int], app: DashboardApp) -> None:
        await opened(pilot, app, key)
        await typed(pilot, app, "compare the mod")
        assert "Compare the models" in rows(app)[0]
        await pilot.press("enter")
        await until(pilot, lambda: isinstance(app.screen, ComparisonScreen))

    with staged(tmp_path, "running") as folder:
        drive(make_app(folder), script)


def test_what_needs_a_question_is_still_asked(tmp_path: Path) -> None:
    async def script(pilot: Pilot[int], app: DashboardApp) -> None:
        await opened(pilot, app)
        await typed(pilot, app, "stop all")
        await pilot.press("enter")
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
            found[scene] = {command.key.label for command in possible(app.screen)}

        with staged(tmp_path / scene, scene) as folder:
            drive(make_app(folder), script)
    assert {"pause", "stop", "skip", "stop all"} <= found["running"]
    assert not {"retry", "all panels"} & found["running"]
    assert "pause" in found["paused"]
    assert not {"pause", "stop", "skip", "retry"} & found["finished"]
    assert "retry" in found["lost"]
    for labels in found.values():
        assert {key.label for key in APP_KEYS if key.id not in PALETTE_OPENERS} <= labels
        assert "log" in labels, "panels without the focus are there too"


def test_no_key_of_the_dashboard_is_left_out(tmp_path: Path) -> None:
    seen: set[str] = set()

    for scene in ("running", "paused", "failed", "lost"):

        async def script(pilot: Pilot[int], app: DashboardApp) -> None:
            await drawn(pilot, app)
            for _ in range(4):
                seen.update(command.action for command in possible(app.screen))
                await pilot.press("down")
            await pilot.press("f")
            seen.update(command.action for command in possible(app.screen))

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
        await typed(pilot, app, "logarithmic y")
        assert "Logarithmic y axis" in rows(app)[0]
        before = screen_text(app)
        await pilot.press("enter")
        await until(pilot, lambda: app.screen is app.dashboard)
        await drawn(pilot, app)
        assert plot is not app.focused
        assert screen_text(app) != before

    with staged(tmp_path, "running") as folder:
        drive(make_app(folder), script)


@pytest.mark.parametrize("key", ["f5", "colon"])
def test_changed_keys_are_shown(tmp_path: Path, key: str) -> None:
    async def script(pilot: Pilot[int], app: DashboardApp) -> None:
        await drawn(pilot, app)
        keys = {command.id: command.keys for command in commands(app.screen)}
        assert (keys["help"].lower(), keys["chart_log"].lower(), keys["leave"]) == ("f5", "f6", "q ^q")
        await opened(pilot, app, key)
        assert next(row for row in rows(app) if "Show every key" in row).lower().startswith("f5 ")

    with staged(tmp_path, "running") as folder:
        drive(make_app(folder, keymap={"help": "f5", "chart_log": "f6"}), script)


def test_no_two_entries_read_alike_and_each_is_a_sentence(tmp_path: Path) -> None:
    async def script(pilot: Pilot[int], app: DashboardApp) -> None:
        await opened(pilot, app, "question_mark")
        shown = rows(app)
        assert len(shown) == len(set(shown)) > 40
        assert all(len(row.split()) > 3 for row in shown)

    with staged(tmp_path, "running") as folder:
        drive(make_app(folder), script)


def test_the_help_runs_what_is_chosen_or_says_why_not(tmp_path: Path) -> None:
    async def script(pilot: Pilot[int], app: DashboardApp) -> None:
        await opened(pilot, app, "question_mark")
        await typed(pilot, app, "Skip the selected")
        await pilot.press("enter")
        await until(pilot, lambda: "no run can be steered" in screen_text(app))
        await opened(pilot, app, "question_mark")
        await typed(pilot, app, "Run details")
        await pilot.press("enter")
        await until(pilot, lambda: isinstance(app.screen, RunDetailsScreen))

    with staged(tmp_path, "finished") as folder:
        drive(make_app(folder), script)


@pytest.mark.parametrize(("opener", "sentence"), [("s", "Change nothing"), ("T", "Discard changes")])
def test_the_help_over_a_question_shows_its_keys(tmp_path: Path, opener: str, sentence: str) -> None:
    async def script(pilot: Pilot[int], app: DashboardApp) -> None:
        await drawn(pilot, app)
        await pilot.press(opener)
        await until(pilot, lambda: app.screen is not app.dashboard)
        below = app.screen
        await opened(pilot, app, "question_mark")
        assert any(sentence in row for row in rows(app))
        assert not any("Pause" in row for row in rows(app))
        await typed(pilot, app, sentence)
        await pilot.press("enter")
        await until(pilot, lambda: below not in app.screen_stack)

    with staged(tmp_path, "running") as folder:
        drive(make_app(folder), script)


def test_moving_and_editing(tmp_path: Path) -> None:
    async def script(pilot: Pilot[int], app: DashboardApp) -> None:
        await opened(pilot, app)
        first = rows(app)
        found = app.screen.query_one(CommandList)
        await pilot.press("up")
        assert found.highlighted == len(first) - 1
        await pilot.press("down", "pagedown", "pageup")
        assert found.highlighted == 0
        await typed(pilot, app, "zzz")
        assert rows(app) == []
        await pilot.press("backspace", "ctrl+u")
        await until(pilot, lambda: rows(app) == first)
        await pilot.press("escape")
        await until(pilot, lambda: app.screen is app.dashboard)

    with staged(tmp_path, "running") as folder:
        drive(make_app(folder), script, size=(80, 24))


def test_a_click_does_what_it_hits(tmp_path: Path) -> None:
    async def script(pilot: Pilot[int], app: DashboardApp) -> None:
        await opened(pilot, app)
        await typed(pilot, app, "compare the")
        await pilot.click(CommandList, offset=(20, 0))
        await until(pilot, lambda: isinstance(app.screen, ComparisonScreen))

    with staged(tmp_path, "running") as folder:
        drive(make_app(folder), script)


def test_on_another_screen_it_offers_what_that_screen_can_do(tmp_path: Path) -> None:
    async def script(pilot: Pilot[int], app: DashboardApp) -> None:
        await drawn(pilot, app)
        await pilot.press("enter")
        await until(pilot, lambda: app.screen is not app.dashboard)
        labels = {command.key.label for command in possible(app.screen)}
        assert {"back", "help", "theme", "up"} <= labels
        assert not {"pause", "stop", "log"} & labels

    with staged(tmp_path, "running") as folder:
        drive(make_app(folder), script)
