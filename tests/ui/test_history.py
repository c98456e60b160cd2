"""The history's screen: finding, opening, comparing and tidying up, all by keys and by the mouse."""

from __future__ import annotations

import contextlib
import os
import shutil
import threading
from dataclasses import replace
from pathlib import Path

import psutil
import pytest
from textual.pilot import Pilot

from tests import recorded
from tests.ui.harness import DEADLINE, alive, drive, make_app, screen_text, until, whole
from tests.waiting import eventually, lives
from tui_attn.experiment.config import ExperimentConfig
from tui_attn.experiment.folders import ExperimentDir
from tui_attn.experiment.writing import write_manifest
from tui_attn.history import organize
from tui_attn.history.entries import Entry
from tui_attn.ui.app import DashboardApp
from tui_attn.ui.history_view import HistoryView
from tui_attn.ui.screens.dashboard import Dashboard
from tui_attn.ui.screens.differences import DifferencesScreen
from tui_attn.ui.screens.history import HistoryScreen
from tui_attn.ui.screens.prompt import PromptScreen
from tui_attn.ui.screens.trash import TrashScreen

KEPT = Path(__file__).parent / "snapshots_history"
DAY = 86_400.0


def make(id_: str, age: float, **options: object) -> ExperimentDir:
    """A recorded experiment of so many days before."""
    states = options.pop("states", "finished")
    accuracies = options.pop("accuracies", {})
    config = ExperimentConfig(**{"epochs": 2, "models": ("base", "se"), **options})  # type: ignore[arg-type]
    folder = recorded.record(
        Path("runs"), experiment=id_, config=config, states=states, accuracies=accuracies,  # type: ignore[arg-type]
        probes=False, predictions=False,
    )  # fmt: skip
    write_manifest(folder, replace(folder.manifest_data(), created=recorded.T0 - age * DAY))
    return folder


def fill() -> ExperimentDir:
    """Experiments in many states; the one that runs is returned."""
    five = {"base": [0.91, 0.911, 0.909], "se": [0.915, 0.9165, 0.9142]}
    lab = make("20231113-101500-fashion-mnist", 1, seeds=3, name="the lab", accuracies=five)
    organize.note(lab, "use these for the report")
    organize.pin(lab, True)
    make("20231112-101500-fashion-mnist", 2, seed=3, accuracies={"base": [0.91], "se": [0.9123]})
    make("20231111-101500-cifar10", 3, dataset="cifar10", states="stopped", lr=0.01)
    make("20231110-101500-kmnist", 4, dataset="kmnist", states={"se-s0": "failed"})
    make("20231109-101500-mnist", 5, dataset="mnist", states="running")
    damaged = make("20231108-101500-broken", 6)
    damaged.manifest.write_text("{")
    damaged.supervisor_lock.touch()
    (Path("runs") / "resnet").mkdir()
    (Path("runs") / "events.out.tfevents.1").write_bytes(b"\x00")
    return make("20231114-221000-fashion-mnist", 0, states="running")


async def listed(pilot: Pilot[int], app: DashboardApp) -> HistoryScreen:
    """The history's screen, once all is read."""
    await until(pilot, lambda: isinstance(app.screen, HistoryScreen) and app.screen.view.complete)
    assert isinstance(app.screen, HistoryScreen)
    return app.screen


def app_on(runs_dir: Path, **options: object) -> DashboardApp:
    return make_app(None, runs_dir=runs_dir, now=recorded.T0 + 600, **options)  # type: ignore[arg-type]


def shown(app: DashboardApp) -> type[object]:
    return type(app.screen)


# ---- what it looks like


@pytest.mark.parametrize("size", [(80, 24), (120, 40), (200, 60)], ids=lambda size: f"{size[0]}x{size[1]}")
@pytest.mark.parametrize("scene", ["full", "empty", "filtered", "name", "delete", "trash", "compare", "unfair"])
def test_screen(runs_dir: Path, scene: str, size: tuple[int, int], monkeypatch: pytest.MonkeyPatch) -> None:
    # The supervisor of a recorded scene is the test's own process, whose age says nothing of the scene.
    monkeypatch.setattr("tui_attn.history.entries.began", lambda _, state: state.started_at)
    keys = {
        "filtered": ["slash", "f", "a", "s", "h", "enter", "right"],
        "name": ["f2"],
        "delete": ["down", "D"],
        "compare": ["space", "down", "space", "c"],
        "unfair": ["space", "down", "down", "space", "c"],
    }.get(scene, [])
    found: list[str] = []

    async def script(pilot: Pilot[int], app: DashboardApp) -> None:
        await listed(pilot, app)
        if scene == "trash":
            app.push_screen(TrashScreen(runs_dir))
            await until(pilot, lambda: not getattr(app.screen, "busy", True))
        for key in keys:
            await pilot.press(key)
            await pilot.pause()
        await until(pilot, lambda: "comparing\n" not in screen_text(app).replace(" ", ""))
        found.append(screen_text(app))

    live = fill() if scene != "empty" else None
    if scene == "trash":
        item = organize.trash(ExperimentDir(Path("runs/20231112-101500-fashion-mnist").absolute()))
        assert item.since > 0
    with alive(live) if live else contextlib.nullcontext():
        drive(app_on(runs_dir), script, size=size)
    text = _without_clocks(found[0])
    path = KEPT / f"{scene}-{size[0]}x{size[1]}.txt"
    if os.environ.get("UPDATE_SNAPSHOTS"):
        KEPT.mkdir(exist_ok=True)
        path.write_text(text, encoding="utf-8")
    assert text == path.read_text(encoding="utf-8")


def _without_clocks(text: str) -> str:
    """What this very moment has to do with: the time of a deletion, and how long a run goes on that is from 2023."""
    import re

    text = re.sub(r"20(2[4-9]|[3-9]\d)-\d\d-\d\d \d\d:\d\d", "2026-01-01 00:00", text)
    return re.sub(r"\d{3,5}d( …| \d\dh)", lambda match: "0000d …".rjust(len(match.group())), text)


# ---- finding


def test_it_filters_as_one_types_and_escape_shows_all_again(runs_dir: Path) -> None:
    async def script(pilot: Pilot[int], app: DashboardApp) -> None:
        screen = await listed(pilot, app)
        assert len(screen.view.rows) == 7
        await pilot.press("slash", "r", "e", "p", "o", "r", "t")
        assert [entry.name for entry in screen.view.rows] == ["the lab"]
        assert "1 of 7 experiments" in screen_text(app)
        await pilot.press("enter", "f2")
        assert shown(app) is PromptScreen
        await pilot.press("escape", "escape")
        assert len(screen.view.rows) == 7
        await pilot.press("slash", "x", "x", "x")
        assert "nothing fits 'xxx'" in screen_text(app)
        await pilot.press("escape")
        assert len(screen.view.rows) == 7

    with alive(fill()):
        drive(app_on(runs_dir), script)


def test_it_sorts_by_keys_and_by_a_click_on_the_header(runs_dir: Path) -> None:
    async def script(pilot: Pilot[int], app: DashboardApp) -> None:
        screen = await listed(pilot, app)
        await pilot.press("left")
        assert screen.view.sort == "vs base"
        assert "vs base ▼" in screen_text(app)
        await pilot.press("V")
        assert "vs base ▲" in screen_text(app)
        await pilot.click("#experiments", offset=(8, 0))
        assert (screen.view.sort, screen.view.reverse) == ("experiment", False)
        await pilot.click("#experiments", offset=(8, 0))
        assert screen.view.reverse
        await pilot.click("#experiments", offset=(8, 3))
        assert screen.view.index == 2

    with alive(fill()):
        drive(app_on(runs_dir), script)


def test_models_beyond_the_column_are_counted(runs_dir: Path) -> None:
    async def script(pilot: Pilot[int], app: DashboardApp) -> None:
        await listed(pilot, app)
        assert "● ▲ +2" in screen_text(app)

    make("20231114-220000-four", 0, models=("base", "se", "self-attention", "eca"))
    drive(app_on(runs_dir), script)


def test_what_comes_and_goes_in_the_folder_comes_and_goes_in_the_list(runs_dir: Path) -> None:
    async def script(pilot: Pilot[int], app: DashboardApp) -> None:
        screen = await listed(pilot, app)
        assert "no experiment in runs yet" in screen_text(app)
        folder = make("20231101-000000-new", 1)
        screen._reader.nudge()
        await until(pilot, lambda: len(screen.view.rows) == 1)
        folder.path.rename(folder.path.parent / "UPPER CASE IS NOT OURS")
        screen._reader.nudge()
        await until(pilot, lambda: not screen.view.rows)

    drive(app_on(runs_dir), script)


def test_what_went_while_the_list_was_closed_is_no_row(runs_dir: Path) -> None:
    folder, other = make("one", 1), make("two", 0)

    async def script(pilot: Pilot[int], app: DashboardApp) -> None:
        await pilot.press("b")
        screen = await listed(pilot, app)
        await until(pilot, lambda: len(screen.view.rows) == 2)
        await pilot.press("escape")
        await until(pilot, lambda: shown(app) is Dashboard)
        other.path.rename(other.path.parent / "UPPER CASE IS NOT OURS")
        await pilot.press("b")
        screen = await listed(pilot, app)
        await until(pilot, lambda: [entry.id for entry in screen.view.rows] == ["one"])

    drive(make_app(folder), script)


# ---- opening


def test_enter_opens_and_b_comes_back_to_the_same_place(runs_dir: Path) -> None:
    async def script(pilot: Pilot[int], app: DashboardApp) -> None:
        await listed(pilot, app)
        await pilot.press("down", "down", "enter")
        await until(pilot, lambda: shown(app) is Dashboard and whole(app))
        assert app.folder is not None
        assert app.folder.id == "20231112-101500-fashion-mnist"
        await pilot.press("b")
        screen = await listed(pilot, app)
        assert screen.view.current is not None
        assert screen.view.current.id == app.folder.id
        await pilot.press("escape")
        assert shown(app) is Dashboard
        await pilot.press("b", "home", "enter")
        await until(pilot, lambda: whole(app) and app.folder is not None and app.folder.id.startswith("20231113"))
        await until(pilot, lambda: app.screen_stack == [app.dashboard])

    with alive(fill()):
        drive(app_on(runs_dir), script)


def test_a_damaged_one_says_why_it_does_not_open(runs_dir: Path) -> None:
    async def script(pilot: Pilot[int], app: DashboardApp) -> None:
        await listed(pilot, app)
        await pilot.press("end", "enter")
        assert shown(app) is HistoryScreen
        assert "damaged" in screen_text(app).splitlines()[-1]

    with alive(fill()):
        drive(app_on(runs_dir), script, size=(200, 60))


def test_two_marked_experiments_show_what_differs(runs_dir: Path) -> None:
    make("20231101-000000-one", 1)
    make("20231102-000000-two", 0, lr=0.01, name="the other")

    async def script(pilot: Pilot[int], app: DashboardApp) -> None:
        await listed(pilot, app)
        await pilot.press("d")
        assert "mark two experiments" in screen_text(app)
        await pilot.press("space", "space", "d")
        await until(pilot, lambda: isinstance(app.screen, DifferencesScreen) and not app.screen.busy)
        text = screen_text(app)
        assert "the other" in text
        rows = [line.split() for line in text.splitlines() if line.startswith(" learning rate")]
        assert rows == [["learning", "rate", "0.001", "0.01"]]
        assert "epochs" not in text
        await pilot.press("escape")
        assert shown(app) is HistoryScreen

    drive(app_on(runs_dir), script, size=(80, 24))


# ---- a long one


def make_many(count: int = 25) -> None:
    """So many that a process of its own reads them."""
    first = make("number-00", 1)
    for number in range(1, count):
        shutil.copytree(first.path, first.path.with_name(f"number-{number:02}"))


def test_a_long_one_is_read_beside_and_nothing_stays_behind(runs_dir: Path) -> None:
    make_many()
    readers: list[int] = []

    async def script(pilot: Pilot[int], app: DashboardApp) -> None:
        screen = await listed(pilot, app)
        assert len(screen.view.rows) == 25
        assert screen._reader._scan.pid is not None
        readers.append(screen._reader._scan.pid)
        assert lives(readers[0])
        make("number-99", 0)
        screen._reader.nudge()
        await until(pilot, lambda: len(screen.view.rows) == 26)

    drive(app_on(runs_dir), script)
    eventually(lambda: not lives(readers[0]), "its end")


def test_a_reader_that_is_killed_is_done_without(runs_dir: Path) -> None:
    make_many()

    async def script(pilot: Pilot[int], app: DashboardApp) -> None:
        screen = await listed(pilot, app)
        psutil.Process(screen._reader._scan.pid).kill()
        shutil.rmtree("runs/number-03")
        make("number-99", 0)
        screen._reader.nudge()
        await until(pilot, lambda: "number-99" in screen.view.entries and "number-03" not in screen.view.entries)
        assert len(screen.view.rows) == 25
        await pilot.press("f2", "x", "enter")
        await until(pilot, lambda: screen.view.current is not None and screen.view.current.name == "x")

    drive(app_on(runs_dir), script)


# ---- slow disks


def test_what_takes_long_is_shown_turning_and_then_gone(runs_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    let_go, real = threading.Event(), organize.trashed

    def slow(where: Path) -> list[organize.Trashed]:
        assert let_go.wait(DEADLINE)
        return real(where)

    monkeypatch.setattr(organize, "trashed", slow)

    async def script(pilot: Pilot[int], app: DashboardApp) -> None:
        await listed(pilot, app)
        await pilot.press("W")
        seen: set[str] = set()
        while len(seen) < 2:
            await until(pilot, lambda: "reading" in screen_text(app).splitlines()[-1])
            seen.add(screen_text(app).splitlines()[-1].strip())
        let_go.set()
        await until(pilot, lambda: "the trash is empty" in screen_text(app))
        await until(pilot, lambda: "reading" not in screen_text(app))

    drive(app_on(runs_dir), script)


def test_how_much_was_read_is_told_in_per_cent() -> None:
    view = HistoryView()
    assert view.reading == "reading …"
    view.total = 5
    view.take([Entry(id="a", state="finished", created=1.0), Entry(id="b", state="finished", created=1.0)])
    assert view.reading == "reading 40 %"
    view.complete = True
    assert view.reading == ""
