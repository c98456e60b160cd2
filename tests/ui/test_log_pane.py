"""The log's order: the past by its times, though each log is read by itself; the present as it comes."""

from __future__ import annotations

from pathlib import Path

from textual.pilot import Pilot

from tests.recorded import T0
from tests.ui.harness import drawn, drive, make_app, screen_text, staged, until
from tui_attn.experiment.event_log import LogWriter
from tui_attn.ui.app import DashboardApp


def append(path: Path, type_: str, t: float, **payload: object) -> None:
    log = LogWriter(path, clock=lambda: t)
    log.append(type_, **payload)
    log.close()


def texts(app: DashboardApp) -> list[str]:
    pane = app.dashboard.log_pane
    assert pane is not None
    return [entry.text for entry in pane._entries]


def test_the_past_is_in_the_order_of_time_and_what_comes_is_last_even_when_the_clock_was_set_back(
    tmp_path: Path,
) -> None:
    async def script(pilot: Pilot[int], app: DashboardApp) -> None:
        await drawn(pilot, app)
        assert texts(app)[-2:] == ["resumed from step 7", "the newest of the past"]
        append(folder.events, "warning", T0 - 5000, message="by a clock that was set back")
        await until(pilot, lambda: texts(app)[-1] == "by a clock that was set back")

    with staged(tmp_path, "running") as folder:
        append(folder.events, "warning", T0 + 9000, message="the newest of the past")
        append(folder.run("se-s0").events, "resumed", T0 + 8000, from_step=7, epoch=0, skipped=[])
        drive(make_app(folder), script)


def test_a_slash_filters_the_log_and_an_empty_line_shows_all_again(tmp_path: Path) -> None:
    async def script(pilot: Pilot[int], app: DashboardApp) -> None:
        await drawn(pilot, app)
        pane = app.dashboard.log_pane
        assert pane is not None
        pane.focus()
        await pilot.press("slash", *"SELF cpu", "enter")
        await until(pilot, lambda: "log: SELF cpu" in screen_text(app))
        assert "started on cpu" in screen_text(app)
        assert "base-s0            started" not in screen_text(app)
        append(folder.run("base-s0").events, "warning", T0 + 8000, message="unseen")
        append(folder.run("self-attention-s0").events, "warning", T0 + 8000, message="the cpu is hot")
        await until(pilot, lambda: "the cpu is hot" in screen_text(app))
        assert "unseen" not in screen_text(app)
        await pilot.press("slash", "ctrl+u", *"zzz", "enter")
        await until(pilot, lambda: "no entry with 'zzz'" in screen_text(app))
        await pilot.press("slash", "ctrl+u", "enter")
        await until(pilot, lambda: "unseen" in screen_text(app))

    with staged(tmp_path, "running") as folder:
        drive(make_app(folder), script)


def test_a_slash_finds_words_on_a_page_and_g_goes_to_its_top(tmp_path: Path) -> None:
    async def script(pilot: Pilot[int], app: DashboardApp) -> None:
        await drawn(pilot, app)
        await pilot.press("down", "enter")
        await until(pilot, lambda: app.screen is not app.dashboard)
        top = screen_text(app)
        assert " folder " not in top
        await pilot.press("slash", *"folder", "enter")
        await until(pilot, lambda: screen_text(app) != top and " folder " in screen_text(app))
        await pilot.press("g")
        await until(pilot, lambda: screen_text(app) == top)
        await pilot.press("slash", "ctrl+u", *"nowhere", "enter")
        await until(pilot, lambda: "'nowhere' is not found here" in screen_text(app))

    with staged(tmp_path, "failed") as folder:
        drive(make_app(folder), script, size=(80, 14))
