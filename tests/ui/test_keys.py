"""Every binding is described, can be changed, and is what the help says."""

from __future__ import annotations

import math
import re
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
from textual import events
from textual.pilot import Pilot

from tests import recorded
from tests.ui.harness import drawn, drive, make_app, screen_text, staged, until
from tui_attn.experiment.config import ExperimentConfig
from tui_attn.experiment.options import ConfigError
from tui_attn.ui.app import DashboardApp
from tui_attn.ui.keymap import binding_ids
from tui_attn.ui.keys import ALL_KEYS, APP_KEYS, CONFIRM_KEYS, DASHBOARD_KEYS, SCREEN_KEYS, TABLES
from tui_attn.ui.options import UiOptions
from tui_attn.ui.screens.comparison import ComparisonScreen
from tui_attn.ui.screens.confirm import ConfirmScreen
from tui_attn.ui.screens.palette import PaletteScreen


def test_every_key_has_an_id_a_label_and_a_tooltip() -> None:
    described = {key.id for key in ALL_KEYS if key.tooltip}
    assert all(key.id and key.label and key.keys and key.action for key in ALL_KEYS)
    assert {key.id for key in ALL_KEYS} == described


@pytest.mark.parametrize("table", [(*APP_KEYS, *DASHBOARD_KEYS), (*APP_KEYS, *SCREEN_KEYS), CONFIRM_KEYS])
def test_no_key_means_two_things_at_once(table: tuple[object, ...]) -> None:
    pairs = {(name, key.id) for key in ALL_KEYS if key in table for name in key.keys.split(",")}
    assert [name for name, count in Counter(name for name, _ in pairs).items() if count > 1] == []


def test_a_keymap_changes_a_binding(tmp_path: Path) -> None:
    async def script(pilot: Pilot[int], app: DashboardApp) -> None:
        await drawn(pilot, app)
        await pilot.press("question_mark")
        assert not isinstance(app.screen, PaletteScreen)
        await pilot.press("f5")
        await until(pilot, lambda: isinstance(app.screen, PaletteScreen))
        assert "f5" in screen_text(app)

    with staged(tmp_path, "running") as folder:
        drive(make_app(folder, keymap={"help": "f5"}), script)


def test_pause_and_go_on_move_together(tmp_path: Path) -> None:
    async def script(pilot: Pilot[int], app: DashboardApp) -> None:
        await drawn(pilot, app)
        keys = {key for key, active in app.screen.active_bindings.items() if active.binding.id == "pause"}
        assert keys == {"f6"}
        assert "f6 go on" in screen_text(app)

    with staged(tmp_path, "paused") as folder:
        drive(make_app(folder, keymap={"pause": "f6"}), script)


@pytest.mark.parametrize(
    ("keymap", "message"),
    [({"hlep": "f5"}, "did you mean 'help'"), ({"help": " "}, "needs a key"), ({"\x1b[2J": "f5"}, "no binding")],
)
def test_a_keymap_that_makes_no_sense_is_refused(keymap: dict[str, str], message: str) -> None:
    with pytest.raises(ConfigError, match=message) as raised:
        UiOptions(keymap=keymap)
    assert "\x1b" not in str(raised.value)


def test_an_unknown_theme_is_refused() -> None:
    with pytest.raises(ConfigError, match="did you mean 'light'"):
        UiOptions(theme="ligth")


def test_the_help_lists_every_binding_of_the_dashboard(tmp_path: Path) -> None:
    shown: list[str] = []

    async def script(pilot: Pilot[int], app: DashboardApp) -> None:
        await drawn(pilot, app)
        await pilot.press("question_mark")
        await until(pilot, lambda: isinstance(app.screen, PaletteScreen))
        shown.append(screen_text(app))

    with staged(tmp_path, "running") as folder:
        drive(make_app(folder), script, size=(120, 90))
    for key in (*APP_KEYS, *DASHBOARD_KEYS):
        if key.tooltip:
            assert key.tooltip in shown[0]
    assert "Move the value cursor to the next point" in shown[0]


def test_one_letter_has_one_meaning_on_all_screens() -> None:
    page = (Path(__file__).parents[2] / "docs" / "keys.md").read_text(encoding="utf-8")
    table = {
        row[1]: set(row[2].split()) for row in re.finditer(r"^\| `(\w)` \| [^|]+ \| ([^|]+) \|$", page, re.MULTILINE)
    }
    found: dict[str, set[str]] = {}
    for where in TABLES.keys() - {"questions", "typing"}:
        for key in TABLES[where]:
            for name in key.keys.split(","):
                if len(name) == 1 and name.isalpha():
                    found.setdefault(name, set()).add(f"`{key.id}`")
    assert found == table


@pytest.mark.parametrize("where", ["dashboard", "what scrolls", "experiments", "trash", "choices"])
def test_every_list_and_page_has_the_keys_of_pagers(where: str) -> None:
    names = {name for key in TABLES[where] for name in key.keys.split(",")}
    assert {"g", "G", "ctrl+d", "ctrl+u", "home", "end", "pageup", "pagedown", "j", "k", "up", "down"} <= names


def test_ids_of_all_bindings_are_known_to_the_configuration() -> None:
    assert {"leave", "pause", "stop", "chart_log", "heatmap_sort"} <= binding_ids()


@pytest.mark.parametrize("width", [80, 120])
def test_the_footer_ends_alike_on_every_screen_whatever_is_said(tmp_path: Path, width: int) -> None:
    async def script(pilot: Pilot[int], app: DashboardApp) -> None:
        await drawn(pilot, app)
        assert screen_text(app).splitlines()[-1].endswith("q leave  tab panels  : commands  ? help")
        for opener, out in (("", "q leave"), ("enter", "esc back"), ("c", "esc back"), ("h", "esc back"), ("b", "esc")):
            if opener:
                await pilot.press(opener)
                await until(pilot, lambda: app.screen is not app.dashboard)
            for notice in ("", "a long notice " * 20):
                app.say(notice)
                await pilot.pause()
                last = screen_text(app).splitlines()[-1]
                assert last.endswith(": commands  ? help")
                assert out in last
                assert not notice or "a long notice" in screen_text(app)
            if opener:
                await pilot.press("escape")
                await until(pilot, lambda: app.screen is app.dashboard)

    with staged(tmp_path, "running") as folder:
        drive(make_app(folder), script, size=(width, 24))


def test_a_key_that_can_do_nothing_says_why(tmp_path: Path) -> None:
    async def script(pilot: Pilot[int], app: DashboardApp) -> None:
        await drawn(pilot, app)
        await pilot.press("s")
        await until(pilot, lambda: "the experiment is finished" in screen_text(app))
        await pilot.press("c")
        await until(pilot, lambda: app.screen is not app.dashboard)
        await pilot.press("full_stop")
        await until(pilot, lambda: "this key works on 5 images" in screen_text(app))

    with staged(tmp_path, "finished") as folder:
        drive(make_app(folder), script)


def test_a_key_of_another_panel_says_where_it_works(tmp_path: Path) -> None:
    async def script(pilot: Pilot[int], app: DashboardApp) -> None:
        await drawn(pilot, app)
        await pilot.press("plus")
        await until(pilot, lambda: "zoom in: a key of the charts; tab goes there" in screen_text(app))
        await pilot.press("left")
        await until(pilot, lambda: "one run of each model: nothing to fold" in screen_text(app))

    with staged(tmp_path, "running") as folder:
        drive(make_app(folder), script)


def test_keys_that_do_nothing_in_the_heatmaps_say_so(tmp_path: Path) -> None:
    async def script(pilot: Pilot[int], app: DashboardApp) -> None:
        await pilot.press("h")
        await until(pilot, lambda: app.screen is not app.dashboard)
        await pilot.press("m")
        await until(pilot, lambda: "No run has been probed yet." in screen_text(app).splitlines()[-1])

    with staged(tmp_path, "running", probes=False) as folder:
        drive(make_app(folder), script)


def test_the_first_and_the_last_epoch_say_that_they_are(tmp_path: Path) -> None:
    async def script(pilot: Pilot[int], app: DashboardApp) -> None:
        await pilot.press("h")
        await until(pilot, lambda: "epoch 2" in screen_text(app))
        await pilot.press("full_stop")
        await until(pilot, lambda: "this is the newest epoch" in screen_text(app))

    with staged(tmp_path, "running") as folder:
        drive(make_app(folder), script)


def test_the_comparison_says_why_a_key_does_nothing(tmp_path: Path) -> None:
    other = recorded.scene(tmp_path, "finished", experiment="other")

    async def script(pilot: Pilot[int], app: DashboardApp) -> None:
        await pilot.press("b")
        await until(pilot, lambda: "2 experiments" in screen_text(app))
        app.screen.view.selected = other.id  # type: ignore[attr-defined]
        await pilot.press("c")
        await until(pilot, lambda: app.screen.query_one("#pages").display and "answer" in screen_text(app))
        for key in ("e", "w", "I"):
            app.say("")
            await pilot.press(key)
            await until(pilot, lambda: "open the experiment in the list of experiments" in screen_text(app))
        screen = app.screen
        assert isinstance(screen, ComparisonScreen) and app.snapshot is not None
        screen.show(app.snapshot)
        assert screen._seen is None, "the snapshot is of the experiment that is open"

    with staged(tmp_path, "running") as folder:
        drive(make_app(folder), script)


def test_the_open_experiment_can_be_extended_from_the_list_too(tmp_path: Path) -> None:
    async def script(pilot: Pilot[int], app: DashboardApp) -> None:
        await pilot.press("b", "c")
        await until(pilot, lambda: "e more seeds" in screen_text(app))
        await pilot.press("e")
        await until(pilot, lambda: isinstance(app.screen, ConfirmScreen))

    with staged(tmp_path, "finished") as folder:
        drive(make_app(folder), script)


@pytest.mark.parametrize("epochs", [2, 3])
def test_several_experiments_together_say_why_a_key_does_nothing(tmp_path: Path, epochs: int) -> None:
    first = ExperimentConfig(epochs=2, seeds=2)
    recorded.record(tmp_path, experiment="one", config=first, probes=False)
    recorded.record(tmp_path, experiment="two", config=replace(first, epochs=epochs, seed=2), probes=False)
    several = "this is a comparison of several experiments: open one of them for this key"

    async def script(pilot: Pilot[int], app: DashboardApp) -> None:
        await until(pilot, lambda: "2 experiments" in screen_text(app))
        await pilot.press("space", "down", "space", "c")
        await until(pilot, lambda: isinstance(app.screen, ComparisonScreen) and not app.screen.busy)
        await until(pilot, lambda: ("1 these are several" if epochs == 2 else "epochs") in screen_text(app))
        for key in ("e", "w", "h", "I", "m", "right_square_bracket", "plus", "right_curly_bracket"):
            app.say("")
            await pilot.press(key)
            await until(pilot, lambda: several in " ".join(screen_text(app).split()))
        await pilot.press("d")
        why = "this key works on 2 statistics" if epochs == 2 else "there is nothing compared to choose from"
        await until(pilot, lambda: why in " ".join(screen_text(app).split()))

    drive(make_app(None, runs_dir=tmp_path), script)


def test_more_seeds_and_the_report_wait_for_a_result(tmp_path: Path) -> None:
    async def script(pilot: Pilot[int], app: DashboardApp) -> None:
        await pilot.press("c")
        await until(pilot, lambda: "0 of 3 runs have ended" in screen_text(app))
        for key in ("e", "w", "plus"):
            app.say("")
            await pilot.press(key)
            await until(pilot, lambda: "no run has a result yet" in screen_text(app))
        assert "e more seeds" not in screen_text(app) and "w report" not in screen_text(app)

    with staged(tmp_path, "running") as folder:
        drive(make_app(folder), script)


def test_while_it_trains_more_seeds_are_on_the_second_page(tmp_path: Path) -> None:
    config, states = ExperimentConfig(epochs=2), {"se-s0": "running", "self-attention-s0": "running"}
    folder = recorded.record(tmp_path, config=config, states=states, probes=False)

    async def script(pilot: Pilot[int], app: DashboardApp) -> None:
        await pilot.press("c")
        await until(pilot, lambda: "w report" in screen_text(app))
        await pilot.press("e")
        await until(pilot, lambda: "it still trains: 2 statistics has this key" in screen_text(app))
        await pilot.press("2")
        await until(pilot, lambda: "e more seeds" in screen_text(app))

    with recorded.supervised(folder):
        drive(make_app(folder), script)


def test_keys_typed_before_the_comparison_opened_by_itself_do_not_reach_it(tmp_path: Path) -> None:
    async def script(pilot: Pilot[int], app: DashboardApp) -> None:
        await drawn(pilot, app)
        early, held = events.Key("e", "e"), events.Key("e", "e")
        app.dashboard.action_comparison()
        screen = app.screen
        app._drop_keys_until_shown(screen)
        app.post_message(early)
        app.post_message(held)  # waits for the first
        await until(pilot, lambda: app._keys_from < math.inf)
        assert app.screen is screen
        await until(pilot, lambda: "e more seeds" in screen_text(app))
        await pilot.press("e")
        await until(pilot, lambda: isinstance(app.screen, ConfirmScreen))

    with staged(tmp_path, "finished") as folder:
        drive(make_app(folder), script)
