"""Tidying up in the history: names, notes, pins, the trash and back."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from textual.events import Callback
from textual.pilot import Pilot

from tests.ui.harness import alive, drive, make_app, screen_text, until
from tests.ui.test_history import app_on, fill, listed, make, shown
from tui_attn.experiment.finding import experiments
from tui_attn.history import organize
from tui_attn.history.scan_process import HistoryUpdate
from tui_attn.ui.app import DashboardApp
from tui_attn.ui.screens.confirm import ConfirmScreen
from tui_attn.ui.screens.dashboard import Dashboard
from tui_attn.ui.screens.history import HistoryScreen
from tui_attn.ui.screens.palette import PaletteScreen
from tui_attn.ui.screens.prompt import PromptScreen
from tui_attn.ui.screens.trash import TrashScreen

# ---- tidying up


def test_a_name_a_note_and_a_pin_are_kept_in_the_folder(runs_dir: Path) -> None:
    folder = make("20231101-000000-new", 1)

    async def script(pilot: Pilot[int], app: DashboardApp) -> None:
        screen = await listed(pilot, app)
        await pilot.press("f2", *"best", "enter")
        await until(pilot, lambda: screen.view.current is not None and screen.view.current.name == "best")
        await pilot.press("N", *"why", "enter")
        await until(pilot, lambda: screen.view.current is not None and screen.view.current.note == "why")
        await pilot.press("asterisk")
        await until(pilot, lambda: screen.view.current is not None and screen.view.current.pinned)
        await pilot.press("f2", "x", "escape")
        assert shown(app) is HistoryScreen

    drive(app_on(runs_dir), script)
    assert folder.manifest_data().config.name == "best"
    assert organize.read_annotations(folder) == organize.Annotations("why", True)


def test_a_name_that_cannot_be_is_refused_while_it_is_typed(runs_dir: Path) -> None:
    make("20231101-000000-new", 1, name="n" * 200)

    async def script(pilot: Pilot[int], app: DashboardApp) -> None:
        await listed(pilot, app)
        await pilot.press("f2", "x")
        assert "the name is 201 characters long" in screen_text(app)
        await pilot.press("enter")
        assert shown(app) is PromptScreen

    drive(app_on(runs_dir), script)


def test_deleting_asks_and_u_takes_it_back(runs_dir: Path) -> None:
    folder = make("20231101-000000-new", 1)
    make("20231102-000000-other", 0)

    async def script(pilot: Pilot[int], app: DashboardApp) -> None:
        screen = await listed(pilot, app)
        await pilot.press("down", "D", "n")
        assert folder.path.exists()
        await pilot.press("D")
        assert shown(app) is ConfirmScreen
        await pilot.press("y")
        await until(pilot, lambda: len(screen.view.rows) == 1)
        assert "20231101-000000-new is in the trash: u takes it back" in screen_text(app)
        assert not folder.path.exists()
        await pilot.press("u")
        await until(pilot, lambda: len(screen.view.rows) == 2)
        assert folder.manifest.exists()

    drive(app_on(runs_dir), script)


def test_what_runs_is_not_deleted(runs_dir: Path) -> None:
    async def script(pilot: Pilot[int], app: DashboardApp) -> None:
        screen = await listed(pilot, app)
        await pilot.press("home", "down", "D", "y")
        await until(pilot, lambda: "is running: 'tui-attn stop" in screen_text(app))
        assert len(screen.view.rows) == 7

    with alive(fill()):
        drive(app_on(runs_dir), script, size=(200, 60))


def test_deleting_the_experiment_that_is_open_leaves_the_history(runs_dir: Path) -> None:
    folder = make("20231101-000000-new", 1)

    async def script(pilot: Pilot[int], app: DashboardApp) -> None:
        await pilot.press("b")
        await listed(pilot, app)
        await pilot.press("D", "y")
        await until(pilot, lambda: app.opened is None and app.screen_stack == [app.screen])
        screen = await listed(pilot, app)
        await until(pilot, lambda: not screen.view.rows)

    app = make_app(folder)
    drive(app, script)
    assert app.failure is None


def test_the_trash_is_shown_and_gives_back(runs_dir: Path) -> None:
    for number in range(3):
        organize.trash(make(f"2023110{number}-000000-new", number))

    async def script(pilot: Pilot[int], app: DashboardApp) -> None:
        screen = await listed(pilot, app)
        await pilot.press("W")
        await until(pilot, lambda: shown(app) is TrashScreen and not getattr(app.screen, "busy", True))
        await pilot.press("slash")
        await until(pilot, lambda: shown(app) is PromptScreen)
        await pilot.press(*"20231100", "enter")
        await until(pilot, lambda: " ▸ 20231100-000000-new" in screen_text(app))
        await pilot.press("enter")
        await until(pilot, lambda: "20231100-000000-new is back" in screen_text(app))
        await until(pilot, lambda: " 20231100-000000-new  " not in screen_text(app))
        assert screen_text(app).count("-000000-new  ") == 2
        await pilot.press("escape")
        await until(pilot, lambda: len(screen.view.rows) == 1)

    drive(app_on(runs_dir), script)
    assert len(list(experiments(Path("runs")))) == 1
    assert len(organize.trashed(Path("runs"))) == 2


def test_the_help_over_the_trash_describes_the_trash(runs_dir: Path) -> None:
    async def script(pilot: Pilot[int], app: DashboardApp) -> None:
        await listed(pilot, app)
        await pilot.press("W")
        await until(pilot, lambda: shown(app) is TrashScreen)
        await pilot.press("question_mark")
        await until(pilot, lambda: shown(app) is PaletteScreen)
        assert "Restore the experiment" in screen_text(app)
        assert "Rename the experiment" not in screen_text(app)

    drive(app_on(runs_dir), script)


def test_an_idle_list_posts_nothing(runs_dir: Path) -> None:
    make("20231101-000000-new", 1)
    heard: list[tuple[int, bool]] = []

    async def script(pilot: Pilot[int], app: DashboardApp) -> None:
        screen = await listed(pilot, app)
        table = screen.query_one("#experiments")
        before = list(table._rows)  # type: ignore[attr-defined]
        so_far = len(heard)
        screen._reader.nudge()
        await until(pilot, lambda: len(heard) > so_far)
        assert list(table._rows) == before  # type: ignore[attr-defined]

    def hook(message: object) -> None:
        if isinstance(message, Callback) and isinstance(message.callback, partial):
            heard.extend(
                (len(update.entries), update.complete)
                for update in message.callback.args
                if isinstance(update, HistoryUpdate)
            )

    drive(app_on(runs_dir), script, message_hook=hook)
    first = next(at for at, (_, complete) in enumerate(heard) if complete)
    assert sum(entries for entries, _ in heard[: first + 1]) == 1, "in one batch or several, as fast as they are read"
    assert all(news == (0, True) for news in heard[first + 1 :])


def test_the_dashboard_below_has_the_new_name_at_once(runs_dir: Path) -> None:
    folder = make("one", 1)

    async def script(pilot: Pilot[int], app: DashboardApp) -> None:
        assert screen_text(app).startswith(" one ")
        await pilot.press("b")
        await listed(pilot, app)
        await pilot.press("f2", *"my lab", "enter", "escape")
        await until(pilot, lambda: shown(app) is Dashboard and screen_text(app).startswith(" my lab "))

    drive(make_app(folder), script)
