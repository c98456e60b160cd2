"""The form for a new experiment: what it starts from, what it says, what it starts."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from textual.pilot import Pilot
from textual.widgets import Button

from tests.recorded import record
from tests.ui.harness import DEADLINE, Script, burst, drive, make_app, screen_text, until
from tests.ui.test_hostile import CONTROL, MARKUP
from tui_attn.experiment.config import OPTIONS, ExperimentConfig
from tui_attn.experiment.custom_model import CustomModel
from tui_attn.launch import preflight
from tui_attn.ui.app import DashboardApp
from tui_attn.ui.form_state import CUSTOM
from tui_attn.ui.screens.new_experiment import NewExperimentScreen
from tui_attn.ui.screens.palette import PaletteScreen
from tui_attn.ui.widgets.form import SomeOf

KEPT = Path(__file__).parent / "snapshots_form"
PAST = ExperimentConfig(models=("base", "se"), epochs=5, train_limit=6_000, test_limit=1_000, name="my lab")


pytestmark = pytest.mark.usefixtures("own_folders")


def opened(
    tmp_path: Path,
    script: Script,
    *,
    config: ExperimentConfig = PAST,
    size: tuple[int, int] = (120, 40),
    **options: Any,
) -> Path:
    """Open the form on a recorded experiment, do what `script` says, and return the folder of experiments."""
    runs_dir = tmp_path / "runs"
    folder = record(runs_dir, config=config, predictions=False, probes=False)

    async def main(pilot: Pilot[int], app: DashboardApp) -> None:
        await pilot.press("n")
        await until(pilot, lambda: isinstance(app.screen, NewExperimentScreen) and "looking" not in screen_text(app))
        await script(pilot, app)

    drive(make_app(folder, **options), main, size=size)
    return runs_dir


def form(app: DashboardApp) -> NewExperimentScreen:
    assert isinstance(app.screen, NewExperimentScreen)
    return app.screen


async def enter(pilot: Pilot[int], app: DashboardApp, entry: str, text: str) -> None:
    """Go to a field of text and write `text` over what is there."""
    row = form(app).rows[entry]
    row.control.focus()
    await pilot.pause()
    burst(app, "ctrl+u", *text)
    await until(pilot, lambda: form(app).state.texts[entry] == text)


def note(app: DashboardApp, entry: str) -> str:
    return form(app).rows[entry].note


def test_it_starts_from_the_experiment_that_is_open(tmp_path: Path) -> None:
    async def script(pilot: Pilot[int], app: DashboardApp) -> None:
        text = screen_text(app)
        assert "new experiment, starting from 20231114-221320-fashion-mnist" in text
        for model in ("[x] base", "[x] se", "[ ] self-attention"):
            assert model in text
        assert form(app).state.config() == ExperimentConfig(
            models=("base", "se"), epochs=5, train_limit=6_000, test_limit=1_000
        ), "another experiment has another name"
        assert note(app, "dataset") == "not here: 30.9 MB to download at the start"
        assert note(app, "device").endswith("no other experiment on it")
        assert "guessed from 2 past runs on this machine" in text

    opened(tmp_path, script)


def test_entries_are_checked_as_they_are_typed(tmp_path: Path) -> None:
    async def script(pilot: Pilot[int], app: DashboardApp) -> None:
        await enter(pilot, app, "epochs", "many")
        assert note(app, "epochs") == "✗ must be a whole number from 1 to 1,000,000, not many"
        assert 'fix "epochs" first' in screen_text(app)
        form(app).rows["name"].control.focus()
        await pilot.press("ctrl+s")
        await until(pilot, lambda: app.focused is form(app).rows["epochs"].control)
        await enter(pilot, app, "epochs", "3")
        assert "6 runs" not in screen_text(app)
        await enter(pilot, app, "seeds", "3")
        assert "6 runs: 2 models x 3 seeds" in screen_text(app)

    runs_dir = opened(tmp_path, script)
    assert len(list(runs_dir.iterdir())) == 1


def test_no_model_is_a_mistake_too(tmp_path: Path) -> None:
    async def script(pilot: Pilot[int], app: DashboardApp) -> None:
        await pilot.press("space", "down", "space")
        await until(pilot, lambda: note(app, "models").startswith("✗ is empty: choose at least one"))
        await pilot.press("down", "space")
        await until(pilot, lambda: form(app).state.texts["models"] == "self-attention")

    opened(tmp_path, script)


def test_letters_find_a_model_and_arrows_leave_the_list_at_its_ends(tmp_path: Path) -> None:
    async def script(pilot: Pilot[int], app: DashboardApp) -> None:
        models = form(app).rows["models"].control
        assert isinstance(models, SomeOf)
        await pilot.press("s", "e", "l")
        assert models.current == "self-attention"
        await until(pilot, lambda: note(app, "models").startswith("self-attention: "))
        await pilot.press("space")
        await until(pilot, lambda: form(app).state.texts["models"] == "base,se,self-attention")
        await pilot.press("home", "down")
        assert (app.focused, models.current) == (models, "se")
        await pilot.press("end", "down")
        await until(pilot, lambda: app.focused is form(app).rows[CUSTOM].control)

    opened(tmp_path, script)


def test_all_choices_open_in_a_list(tmp_path: Path) -> None:
    async def script(pilot: Pilot[int], app: DashboardApp) -> None:
        form(app).rows["dataset"].control.focus()
        await pilot.press("enter")
        await until(pilot, lambda: "kmnist" in screen_text(app))
        await pilot.press("down", "escape")
        await until(pilot, lambda: "kmnist" not in screen_text(app))
        assert form(app).state.texts["dataset"] == "fashion-mnist"
        await pilot.press("enter")
        await until(pilot, lambda: "kmnist" in screen_text(app))
        await pilot.press("down", "enter")
        await until(pilot, lambda: form(app).state.texts["dataset"] == "cifar10")
        await pilot.press("down")
        await until(pilot, lambda: app.focused is form(app).rows["epochs"].control)

    opened(tmp_path, script, size=(80, 24))


def test_keys_that_come_in_a_burst_are_taken_in_their_order(tmp_path: Path) -> None:
    keys = ["ctrl+u", "4", "backspace", "backspace", "7", "tab", "tab", "2", "down", "8", "left", "9", "ctrl+y"]

    async def script(pilot: Pilot[int], app: DashboardApp) -> None:
        form(app).rows["epochs"].control.focus()
        await pilot.pause()
        burst(app, *keys)
        await until(pilot, lambda: bool(app.clipboard))
        texts = form(app).state.texts
        assert (texts["epochs"], texts["seeds"], texts["seed"]) == ("7", "12", "098")
        assert " --epochs 7 --seeds 12 --seed 98 " in app.clipboard

    opened(tmp_path, script)


@pytest.mark.parametrize("size", [(80, 24), (120, 40), (200, 60)])
def test_a_new_custom_model_is_named_and_looked_at_while_it_is_typed(tmp_path: Path, size: tuple[int, int]) -> None:
    file = tmp_path / "a folder with quite a long name as people have them" / "my_net.py"
    file.parent.mkdir()

    async def script(pilot: Pilot[int], app: DashboardApp) -> None:
        assert note(app, CUSTOM) == "as in ./my_net.py:MyNet"
        await enter(pilot, app, CUSTOM, "my_net.py")
        assert note(app, CUSTOM) == "✗ my_net.py: name the class as well, as in ./my_net.py:MyNet"
        assert 'fix "custom models" first' in screen_text(app)
        await enter(pilot, app, CUSTOM, f"{file}:MyNet")
        await until(pilot, lambda: note(app, CUSTOM).startswith("✗ can't read my_net.py:MyNet (No such"))
        assert "looking" not in note(app, "dataset"), "what was known of the data is known still"
        file.write_text("class MyNet: ...\n")
        await pilot.press("t", "backspace")
        await until(pilot, lambda: note(app, CUSTOM) == "tried at the start: my_net.py:MyNet")
        shown = screen_text(app)
        assert "my_net.py:MyNet" in shown.split("custom models")[1].splitlines()[0]
        assert "3 runs: 3 models x 1 seed" in shown
        assert form(app).state.config().model_specs == ("base", "se", f"{file}:MyNet")

    opened(tmp_path, script, size=size)


def test_a_custom_model_that_is_carried_over_keeps_its_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from tui_attn.experiment import trust

    digest = "0" * 64
    trust.trust(digest)
    own = CustomModel(name="my_net-mynet", file="/nets/my_net.py", class_name="MyNet", sha256=digest)
    config = ExperimentConfig(models=("base", "my_net-mynet", "se"), custom_models=(own,), epochs=2)

    async def script(pilot: Pilot[int], app: DashboardApp) -> None:
        assert form(app).state.texts[CUSTOM] == "/nets/my_net.py:MyNet"
        assert form(app).state.config().model_specs == ("base", "/nets/my_net.py:MyNet", "se")
        await pilot.press("ctrl+r")
        await until(pilot, lambda: form(app).state.config() == ExperimentConfig())

    opened(tmp_path, script, config=config)


def test_the_help_tells_the_form_s_keys(tmp_path: Path) -> None:
    async def script(pilot: Pilot[int], app: DashboardApp) -> None:
        await pilot.press("f1")
        await until(pilot, lambda: isinstance(app.screen, PaletteScreen))
        assert "Start the experiment that is described" in screen_text(app)
        await pilot.press("escape")
        await until(pilot, lambda: isinstance(app.screen, NewExperimentScreen))

    opened(tmp_path, script)


def test_letters_in_a_choice_leave_nothing(tmp_path: Path) -> None:
    async def script(pilot: Pilot[int], app: DashboardApp) -> None:
        await pilot.press("q", "T", "p")
        assert form(app).state.texts["models"] == "base,se"
        assert app.theme == "dark"

    opened(tmp_path, script)


def test_a_folder_of_images_asks_where(tmp_path: Path) -> None:
    async def script(pilot: Pilot[int], app: DashboardApp) -> None:
        assert "image folder" not in screen_text(app)
        await pilot.press("tab", "tab", "left")
        await until(pilot, lambda: note(app, "folder").startswith("✗ needs the path of a folder of images"))
        await enter(pilot, app, "folder", str(tmp_path / "none"))
        await until(pilot, lambda: "can't be read" in note(app, "folder"))

    opened(tmp_path, script)


def test_a_path_is_looked_up_by_one_thread_at_a_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    let_go, real = threading.Event(), preflight.of_data

    def hang(dataset: str, data_dir: str | None) -> preflight.DataStatus:
        if dataset.startswith("folder:"):
            asked.append(dataset)
            assert let_go.wait(DEADLINE)
        return real(dataset, data_dir)

    monkeypatch.setattr(preflight, "of_data", hang)

    async def script(pilot: Pilot[int], app: DashboardApp) -> None:
        await pilot.press("tab", "tab", "left")
        await enter(pilot, app, "folder", str(tmp_path / "a"))
        await until(pilot, lambda: asked != [])
        for letter in "bcdef":
            await pilot.press(letter)
        assert "looking" in note(app, "folder")
        let_go.set()
        await until(pilot, lambda: "can't be read" in note(app, "folder"))
        assert asked[-1] == f"folder:{tmp_path / 'abcdef'}"
        assert len(asked) <= 3, "not one for each letter"

    opened(tmp_path, script)


def test_a_lookup_that_fails_says_so_beside_the_field(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = preflight.of_data

    def fail(dataset: str, data_dir: str | None) -> preflight.DataStatus:
        if dataset.startswith("folder:"):
            raise RecursionError("maximum recursion depth exceeded")
        return real(dataset, data_dir)

    monkeypatch.setattr(preflight, "of_data", fail)

    async def script(pilot: Pilot[int], app: DashboardApp) -> None:
        await pilot.press("tab", "tab", "left")
        await enter(pilot, app, "folder", str(tmp_path))
        await until(pilot, lambda: note(app, "folder").startswith("✗ can't be looked up: RecursionError"))
        await pilot.press("ctrl+r")
        await until(pilot, lambda: note(app, "dataset").startswith("not here"))

    opened(tmp_path, script)


@pytest.mark.parametrize("size", [(80, 24), (120, 40), (200, 60)])
def test_every_field_can_be_reached_and_seen(tmp_path: Path, size: tuple[int, int]) -> None:
    async def script(pilot: Pilot[int], app: DashboardApp) -> None:
        seen = []
        while not isinstance(app.focused, Button):
            await pilot.pause()
            marked = [line for line in screen_text(app).splitlines() if line.startswith("▌")]
            seen.append(marked[0][1:16].strip())
            await pilot.press("tab")
        assert seen[:3] == ["models", "custom models", "data set"]
        assert seen[seen.index("controls") + 1] == "vary"
        own = {"custom models", "vary"}
        assert [label for label in seen if label not in own] == [option.label for option in OPTIONS]
        assert len(screen_text(app).splitlines()) == size[1]

    opened(tmp_path, script, size=size)


@pytest.fixture
def one_core() -> Iterator[None]:
    """A machine of one core, whichever this is."""
    if not hasattr(os, "sched_setaffinity"):
        pytest.skip("this system doesn't let a process choose its cores")
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(before)})
    yield
    os.sched_setaffinity(0, before)


@pytest.mark.parametrize("size", [(80, 24), (120, 40), (200, 60)], ids=lambda size: f"{size[0]}x{size[1]}")
@pytest.mark.parametrize("scene", ["right", "wrong"])
def test_screen(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, one_core: None, scene: str, size: tuple[int, int]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    found: list[str] = []

    async def script(pilot: Pilot[int], app: DashboardApp) -> None:
        if scene == "wrong":
            await enter(pilot, app, "epochs", "many")
            await enter(pilot, app, CUSTOM, "./my_net.py")
        found.append(screen_text(app))

    opened(tmp_path, script, config=replace(PAST, dataset="synthetic", device="cpu"), size=size)
    path = KEPT / f"{scene}-{size[0]}x{size[1]}.txt"
    if os.environ.get("UPDATE_SNAPSHOTS"):
        KEPT.mkdir(exist_ok=True)
        path.write_text(found[0], encoding="utf-8")
    assert found[0] == path.read_text(encoding="utf-8")


def test_hostile_entries_are_shown_and_obeyed_nowhere(tmp_path: Path) -> None:
    config = ExperimentConfig(dataset=f"folder:/data/{MARKUP}", data_dir="/\x1b[2J\x07", name=MARKUP)

    async def script(pilot: Pilot[int], app: DashboardApp) -> None:
        text = screen_text(app)
        assert CONTROL.search(text) is None
        assert MARKUP[:20] in text
        await pilot.press("ctrl+y")
        await pilot.pause()

    opened(tmp_path, script, config=config, size=(200, 60))


def test_ascii_is_ascii(tmp_path: Path) -> None:
    async def script(pilot: Pilot[int], app: DashboardApp) -> None:
        await enter(pilot, app, "epochs", "x")
        assert screen_text(app).isascii()

    opened(tmp_path, script, ascii=True)
