"""The dashboard as people use it: going through runs, resizing, themes, the end of the training."""

from __future__ import annotations

from pathlib import Path

import pytest
from textual.pilot import Pilot

from tests import recorded
from tests.ui.harness import drawn, drive, make_app, screen_text, staged, until
from tui_attn.experiment.config import ExperimentConfig
from tui_attn.experiment.event_log import LogWriter
from tui_attn.experiment.folders import ExperimentDir
from tui_attn.ui.app import DashboardApp
from tui_attn.ui.drawing import Lines
from tui_attn.ui.options import THEMES
from tui_attn.ui.screens.comparison import ComparisonScreen
from tui_attn.ui.screens.dashboard import Dashboard
from tui_attn.ui.screens.heatmaps import HeatmapsScreen
from tui_attn.ui.screens.run_details import RunDetailsScreen
from tui_attn.ui.steering import Steering


def selected(app: DashboardApp) -> str | None:
    """The id of the run that the user is at."""
    view = app.dashboard.table.selected
    return None if view is None else view.state.id


def end_training(folder: ExperimentDir, state: str = "finished") -> None:
    """Let every run end."""
    log = LogWriter(folder.events)
    for run in ("base-s0", "se-s0", "self-attention-s0"):
        log.append("run_ended", run=run, state=state, reason=None)
    log.append("experiment_finished", experiment=folder.id, state=state)
    log.close()


@pytest.mark.parametrize("size", [(79, 24), (80, 23), (40, 10), (10, 3), (3, 1)])
def test_a_terminal_that_is_too_small_is_told_so(tmp_path: Path, size: tuple[int, int]) -> None:
    async def script(pilot: Pilot[int], app: DashboardApp) -> None:
        text = screen_text(app)
        if size[0] >= 40:
            assert f"this terminal has {size[0]} x {size[1]} cells" in text
            assert "the dashboard needs 80 x 24" in text
            assert "3 running" in text
        await pilot.resize_terminal(80, 24)
        await until(pilot, lambda: "▶ running" in screen_text(app))
        await pilot.resize_terminal(*size)
        await until(pilot, lambda: "▶ running" not in screen_text(app))

    with staged(tmp_path, "running") as folder:
        drive(make_app(folder), script, size=size)


@pytest.mark.parametrize("size", [(80, 24), (100, 30), (120, 40), (149, 33), (150, 60), (200, 60), (300, 100)])
def test_every_line_is_exactly_as_wide_as_the_terminal(tmp_path: Path, size: tuple[int, int]) -> None:
    async def script(pilot: Pilot[int], app: DashboardApp) -> None:
        await drawn(pilot, app)
        for panel in app.screen.query(Lines):
            for y in range(panel.size.height):
                assert panel.render_line(y).cell_length == panel.size.width
        text = screen_text(app)
        for word in ("base-s0", "se-s0", "self-attention-s0", "running", "loss", "accuracy", "cpu", "log", "q leave"):
            assert word in text

    with staged(tmp_path, "running") as folder:
        drive(make_app(folder), script, size=size)


def test_tab_goes_through_the_panels_and_f_gives_one_the_screen(tmp_path: Path) -> None:
    async def script(pilot: Pilot[int], app: DashboardApp) -> None:
        await drawn(pilot, app)
        seen = []
        for _ in range(5):
            seen.append(app.focused.id if app.focused else None)
            await pilot.press("tab")
        assert seen == ["runs", "loss", "accuracy", "log", "runs"]
        await pilot.press("f")
        await until(pilot, lambda: app.screen.maximized is not None)
        assert "accuracy" not in screen_text(app)
        await pilot.press("f")
        await until(pilot, lambda: "accuracy" in screen_text(app))

    with staged(tmp_path, "running") as folder:
        drive(make_app(folder), script)


def test_enter_shows_why_a_run_failed(tmp_path: Path) -> None:
    async def script(pilot: Pilot[int], app: DashboardApp) -> None:
        await drawn(pilot, app)
        assert "the loss is nan at step 938" in screen_text(app)
        await pilot.press("down", "enter")
        await until(pilot, lambda: isinstance(app.screen, RunDetailsScreen))
        text = screen_text(app)
        assert "raise NonFiniteLoss(step)" in text
        assert "the loss is nan at step 938" in text
        assert "checkpoint" in text
        await pilot.press("escape")
        await until(pilot, lambda: isinstance(app.screen, Dashboard))

    with staged(tmp_path, "failed") as folder:
        drive(make_app(folder), script)


def test_a_long_traceback_scrolls_to_its_end_and_loses_nothing(tmp_path: Path) -> None:
    lines = [f"line {index} " + "x" * 150 + f" end{index}" for index in range(100)]

    async def script(pilot: Pilot[int], app: DashboardApp) -> None:
        await drawn(pilot, app)
        await pilot.press("down", "enter")
        await until(pilot, lambda: isinstance(app.screen, RunDetailsScreen))
        seen = ""
        for _ in range(40):
            seen += "".join(line[3:].rstrip("\n") for line in screen_text(app).splitlines(keepends=True)[1:-1])
            await pilot.press("pagedown")
        for index in range(100):
            assert f"line {index} " in seen
            assert f"end{index}" in seen

    with staged(tmp_path, "failed", traceback="\n".join(lines)) as folder:
        drive(make_app(folder), script, size=(80, 24))


@pytest.mark.parametrize("theme", THEMES)
def test_every_theme_draws_every_ink(tmp_path: Path, theme: str) -> None:
    async def script(pilot: Pilot[int], app: DashboardApp) -> None:
        await drawn(pilot, app)
        names = ("normal", "bold", "title", "focused", "key", "muted", "faint", "rule", "running", "held", "failed",
                 "done", "gone", "warning", "primary", "model:base", "model:se", "model:self-attention")  # fmt: skip
        for name in names:
            for chosen in (False, True):
                style = app.drawing(name) + (app.drawing.under_selected if chosen else app.drawing.under)
                assert style.color is not None
                assert style.color != style.bgcolor or style.color.is_default

    with staged(tmp_path, "running") as folder:
        drive(make_app(folder, theme=theme), script)


@pytest.mark.parametrize(
    ("environment", "colors", "theme"),
    [
        ({"TERM": "xterm-256color", "COLORTERM": "truecolor"}, "true", "dark"),
        ({"TERM": "xterm-256color", "COLORTERM": ""}, "256", "dark"),
        ({"TERM": "xterm", "COLORTERM": ""}, "16", "terminal"),
        ({"TERM": "linux", "COLORTERM": ""}, "16", "terminal"),
        ({"TERM": "xterm-256color", "COLORTERM": "truecolor", "NO_COLOR": "1"}, "none", "dark"),
    ],
)
def test_colours_are_what_the_terminal_can_show(
    tmp_path: Path, environment: dict[str, str], colors: str, theme: str
) -> None:
    folder = recorded.scene(tmp_path, "finished")
    app = make_app(folder, environment=environment, theme=None)
    assert app.drawing.mode.colors == colors
    assert app.theme == theme


def test_the_end_of_the_training_opens_the_comparison(tmp_path: Path) -> None:
    async def script(pilot: Pilot[int], app: DashboardApp) -> None:
        await drawn(pilot, app)
        assert isinstance(app.screen, Dashboard)
        end_training(folder)
        await until(pilot, lambda: isinstance(app.screen, ComparisonScreen))
        await until(pilot, lambda: "test accuracy" in screen_text(app))
        await pilot.press("escape")
        await until(pilot, lambda: isinstance(app.screen, Dashboard))
        assert "✓ finished" in screen_text(app)

    with staged(tmp_path, "running") as folder:
        drive(make_app(folder), script)


def test_the_end_of_the_training_doesnt_take_another_screen_away(tmp_path: Path) -> None:
    async def script(pilot: Pilot[int], app: DashboardApp) -> None:
        await drawn(pilot, app)
        await pilot.press("s")
        await until(pilot, lambda: "Stop base-s0?" in screen_text(app))
        end_training(folder)
        await until(pilot, lambda: app.snapshot is not None and app.snapshot.ended)
        await pilot.press("escape")
        await until(pilot, lambda: isinstance(app.screen, Dashboard))
        assert "training has ended: finished" in screen_text(app)

    with staged(tmp_path, "running") as folder:
        drive(make_app(folder), script)


def test_an_experiment_that_was_over_already_opens_on_its_runs(tmp_path: Path) -> None:
    async def script(pilot: Pilot[int], app: DashboardApp) -> None:
        await drawn(pilot, app)
        assert isinstance(app.screen, Dashboard)

    drive(make_app(recorded.scene(tmp_path, "finished")), script)


def test_heatmaps_go_through_runs_layers_and_epochs(tmp_path: Path) -> None:
    async def script(pilot: Pilot[int], app: DashboardApp) -> None:
        await drawn(pilot, app)
        await pilot.press("right", "down", "h")  # from the first of base's runs
        await until(pilot, lambda: "gates of se1" in screen_text(app))
        assert "se-s0 · epoch 5" in screen_text(app)
        assert "Trouser" in screen_text(app)
        await pilot.press("m")
        await until(pilot, lambda: "gates of se2" in screen_text(app))
        await pilot.press("comma")
        await until(pilot, lambda: "se-s0 · epoch 4" in screen_text(app))
        assert "gates of se2" in screen_text(app)
        await pilot.press("j")
        await until(pilot, lambda: "attention, mean" in screen_text(app))
        assert "self-attention-s0 · epoch 5" in screen_text(app)
        await pilot.press("m")
        await until(pilot, lambda: "attention, head 1" in screen_text(app))
        await pilot.press("M")
        await until(pilot, lambda: "attention, mean" in screen_text(app))
        await pilot.press("j")
        await until(pilot, lambda: "se-s1 · epoch 5" in screen_text(app))
        await pilot.press("escape")
        await until(pilot, lambda: isinstance(app.screen, Dashboard))

    folder = recorded.record(tmp_path, config=ExperimentConfig(epochs=5, seeds=2), predictions=False)
    drive(make_app(folder), script)


def test_a_probe_that_cannot_be_read_says_so(tmp_path: Path) -> None:
    async def script(pilot: Pilot[int], app: DashboardApp) -> None:
        await drawn(pilot, app)
        await pilot.press("h")
        await until(pilot, lambda: "can't be read" in screen_text(app))
        await pilot.press("comma")
        await until(pilot, lambda: "gates of se1" in screen_text(app))

    folder = recorded.scene(tmp_path, "finished")
    newest = max(folder.run("se-s0").probes.iterdir())
    newest.write_bytes(b"PK\x03\x04 not a zip")
    drive(make_app(folder), script)


def test_without_probes_the_heatmaps_say_when_there_will_be_some(tmp_path: Path) -> None:
    async def script(pilot: Pilot[int], app: DashboardApp) -> None:
        await drawn(pilot, app)
        await pilot.press("h")
        await until(pilot, lambda: isinstance(app.screen, HeatmapsScreen))
        assert "No run has been probed yet." in screen_text(app)

    drive(make_app(recorded.record(tmp_path, probes=False)), script)


def test_ascii_means_ascii_on_every_screen(tmp_path: Path) -> None:
    texts: list[str] = []

    async def script(pilot: Pilot[int], app: DashboardApp) -> None:
        await drawn(pilot, app)
        for key in ("", "question_mark", "enter", "c", "h", "s"):
            if key:
                await pilot.press(key)
                await pilot.pause()
            texts.append(screen_text(app))
            if key:
                await pilot.press("escape")
        assert app.drawing.mode.ascii

    with staged(tmp_path, "running") as folder:
        drive(make_app(folder, ascii=True), script)
    assert len(texts) == 6
    for text in texts:
        assert text.isascii(), sorted(set(text) - set(map(chr, range(128))))


def test_the_mouse_selects_and_presses(tmp_path: Path) -> None:
    async def script(pilot: Pilot[int], app: DashboardApp) -> None:
        await drawn(pilot, app)
        await pilot.click("#runs", offset=(8, 2))
        assert selected(app) == "se-s0"
        at = screen_text(app).splitlines()[-1].index("? help")
        await pilot.click("#keys", offset=(at, 0))
        await until(pilot, lambda: "type a word to find a key" in screen_text(app))

    with staged(tmp_path, "running") as folder:
        drive(make_app(folder), script)


def test_the_clock_moves_only_while_something_trains(tmp_path: Path) -> None:
    now = [recorded.T0 + 60]

    async def script(pilot: Pilot[int], app: DashboardApp) -> None:
        await drawn(pilot, app)
        assert "1m 00s" in screen_text(app)
        now[0] += 60
        await until(pilot, lambda: "2m 00s" in screen_text(app))

    with staged(tmp_path, "running") as folder:
        app = make_app(folder)
        app.dashboard.title_bar._clock = lambda: now[0]
        drive(app, script)


def test_warnings_show_and_the_log_scrolls(tmp_path: Path) -> None:
    async def script(pilot: Pilot[int], app: DashboardApp) -> None:
        await drawn(pilot, app)
        await until(pilot, lambda: "40 warnings" in screen_text(app))
        assert "warning 39" in screen_text(app)
        assert "warning 10 " not in screen_text(app)
        for _ in range(3):
            await pilot.press("tab")
        await pilot.press("home")
        assert "lines below" in screen_text(app)
        assert "started" in screen_text(app)
        await pilot.press("end")
        assert "warning 39" in screen_text(app)

    with staged(tmp_path, "running") as folder:
        log = LogWriter(folder.events)
        for index in range(40):
            log.append("warning", message=f"warning {index} of the disk")
        log.close()
        drive(make_app(folder), script)


def warn_at(path: Path, seconds: float, message: str) -> None:
    """Log a warning so many seconds after the start."""
    log = LogWriter(path, clock=lambda: recorded.T0 + seconds)
    log.append("warning", message=message)
    log.close()


def test_the_log_is_told_in_the_order_of_time(tmp_path: Path) -> None:
    async def script(pilot: Pilot[int], app: DashboardApp) -> None:
        await drawn(pilot, app)
        await until(pilot, lambda: "third" in screen_text(app))
        panel = [line[46:] for line in screen_text(app).splitlines()]
        assert [line.split()[-1] for line in panel if "thing" in line] == ["first", "second", "third"]

    with staged(tmp_path, "running") as folder:
        # The experiment's log is read before those of the runs.
        warn_at(folder.events, 3000, "thing second")
        warn_at(folder.run("base-s0").events, 2000, "thing first")
        warn_at(folder.run("se-s0").events, 3100, "thing third")
        drive(make_app(folder), script)


def test_a_long_warning_is_wrapped_not_cut(tmp_path: Path) -> None:
    message = "start " + " ".join(f"word{index}" for index in range(60)) + " end"

    async def script(pilot: Pilot[int], app: DashboardApp) -> None:
        await drawn(pilot, app)
        for _ in range(3):
            await pilot.press("tab")
        await pilot.press("f")
        await until(pilot, lambda: app.screen.maximized is not None)
        assert message in " ".join(line[12:].rstrip() for line in screen_text(app).splitlines())

    with staged(tmp_path, "lost") as folder:
        log = LogWriter(folder.events)
        log.append("warning", message=message)
        log.close()
        drive(make_app(folder), script, size=(80, 30))


def test_a_key_that_is_offered_works_before_the_panels_are_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def not_yet(*_: object) -> None:
        pass

    asked: list[str] = []
    monkeypatch.setattr(Dashboard, "mount_panels", not_yet)
    monkeypatch.setattr(Steering, "resume", lambda _: asked.append("resume"))

    async def script(pilot: Pilot[int], app: DashboardApp) -> None:
        await until(pilot, lambda: "r resume" in screen_text(app))
        await pilot.press("r")
        assert asked == ["resume"]

    with staged(tmp_path, "lost") as folder:
        drive(make_app(folder), script)


def test_the_panels_are_left_out_once_the_user_has_left(tmp_path: Path) -> None:
    async def script(pilot: Pilot[int], app: DashboardApp) -> None:
        await drawn(pilot, app)
        app.exit()
        await app.dashboard.mount_panels()

    with staged(tmp_path, "finished") as folder:
        drive(make_app(folder), script)
