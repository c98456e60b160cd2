"""The choice of a theme: seen at once, kept when it is wanted, and never without the user's word."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from textual.css.stylesheet import Stylesheet
from textual.pilot import Pilot

from tests.ui.harness import drawn, drive, make_app, screen_text, staged, until
from tui_attn.ui.app import DashboardApp
from tui_attn.ui.options import THEMES
from tui_attn.ui.remembered import remember_theme, remembered_theme
from tui_attn.ui.screens.theme import ThemeScreen


@pytest.fixture
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The file in which the choice is kept."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    return tmp_path / "state" / "tui-attn" / "screen.json"


async def opened(pilot: Pilot[int], app: DashboardApp) -> None:
    await drawn(pilot, app)
    await pilot.press("T")
    await until(pilot, lambda: isinstance(app.screen, ThemeScreen))


def test_each_theme_is_in_force_while_it_is_selected(tmp_path: Path, state: Path) -> None:
    async def script(pilot: Pilot[int], app: DashboardApp) -> None:
        await opened(pilot, app)
        seen = []
        for _ in THEMES:
            await pilot.press("down")
            seen.append(app.theme)
            await until(pilot, lambda: screen_text(app).isascii() == (app.theme == "ascii"))
        assert seen == [*THEMES[1:], THEMES[0]]
        await pilot.press("up", "up")
        assert app.theme == THEMES[-2]
        await pilot.press("escape")
        await until(pilot, lambda: app.screen is app.dashboard)
        assert app.theme == "dark"

    with staged(tmp_path, "running") as folder:
        drive(make_app(folder), script)
    assert not state.exists()


def test_what_was_chosen_is_kept(tmp_path: Path, state: Path) -> None:
    async def script(pilot: Pilot[int], app: DashboardApp) -> None:
        await opened(pilot, app)
        await pilot.press("down", "enter")
        await until(pilot, lambda: app.screen is app.dashboard and "theme: light" in screen_text(app))
        assert app.theme == "light"

    with staged(tmp_path, "running") as folder:
        drive(make_app(folder), script)
    assert json.loads(state.read_text()) == {"theme": "light"}
    assert remembered_theme() == "light"
    assert [path.name for path in state.parent.iterdir()] == ["screen.json"]


def test_what_the_configuration_says_wins_the_next_time(tmp_path: Path, state: Path) -> None:
    async def script(pilot: Pilot[int], app: DashboardApp) -> None:
        await opened(pilot, app)
        assert "the configuration file names one" in screen_text(app)
        await pilot.press("down", "enter")
        await until(
            pilot, lambda: "theme: light, until you leave: the configuration file says dark" in screen_text(app)
        )

    with staged(tmp_path, "running") as folder:
        drive(make_app(folder, theme="dark", theme_said_by="the configuration file"), script)


def test_a_place_that_cannot_be_written_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "file"))

    async def script(pilot: Pilot[int], app: DashboardApp) -> None:
        await opened(pilot, app)
        await pilot.press("down", "enter")
        await until(pilot, lambda: "theme: light, until you leave (Not a directory)" in screen_text(app))

    with staged(tmp_path, "running") as folder:
        drive(make_app(folder), script)


@pytest.mark.parametrize("content", ["", "[]", '{"theme": 5}', '{"theme": "pink"}', "\x00", '{"theme": ["dark"]}'])
def test_what_makes_no_sense_is_no_choice(state: Path, content: str) -> None:
    assert remembered_theme() is None
    state.parent.mkdir(parents=True)
    state.write_text(content)
    assert remembered_theme() is None
    assert remember_theme("ascii") is None
    assert remembered_theme() == "ascii"


def test_without_colours_a_theme_brings_none(tmp_path: Path, state: Path) -> None:
    async def script(pilot: Pilot[int], app: DashboardApp) -> None:
        await opened(pilot, app)
        for _ in THEMES:
            await pilot.press("down")
            await pilot.pause()
            assert app.drawing.mode.colors == "none"

    with staged(tmp_path, "running") as folder:
        drive(make_app(folder, environment={"NO_COLOR": "1"}), script)


def test_rules_are_parsed_for_the_first_frame_once_and_again_for_another_theme(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    parsed: list[str] = []
    reparse = Stylesheet.reparse

    def counted(sheet: Stylesheet) -> None:
        parsed.append(sheet._variables["background"])
        reparse(sheet)

    monkeypatch.setattr(Stylesheet, "reparse", counted)

    async def script(pilot: Pilot[int], app: DashboardApp) -> None:
        await drawn(pilot, app)
        assert parsed == []
        dark = app.screen.styles.background
        app.use_theme("light")
        await until(pilot, lambda: len(parsed) == 1 and app.screen.styles.background != dark)
        app.use_theme("dark")
        await until(pilot, lambda: len(parsed) == 2 and app.screen.styles.background == dark)

    with staged(tmp_path, "running") as folder:
        drive(make_app(folder), script)
