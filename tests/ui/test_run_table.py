"""The run list: going through it, finding, folding and hiding runs, and whose turn it is."""

from __future__ import annotations

import statistics
from pathlib import Path

from textual.pilot import Pilot

from tests import recorded
from tests.ui.harness import alive, drawn, drive, make_app, screen_text, staged, until
from tests.ui.test_dashboard import selected
from tests.ui.test_formatting import view
from tui_attn.experiment.config import ExperimentConfig
from tui_attn.ui.app import DashboardApp
from tui_attn.ui.widgets.run_table import Entry


def test_arrows_go_through_the_models_and_their_runs_and_the_gates_follow(tmp_path: Path) -> None:
    async def script(pilot: Pilot[int], app: DashboardApp) -> None:
        await drawn(pilot, app)
        assert selected(app) is None, "a row for both seeds of a model"
        assert "se-s0, epoch 2" in screen_text(app), "without gates of its own, those of the SE run with its seed"
        await pilot.press("down", "enter", "down", "j")
        assert selected(app) == "se-s1"
        await until(pilot, lambda: "se-s1, epoch 2" in screen_text(app))
        await pilot.press("up")
        assert selected(app) == "se-s0"
        await pilot.press("left")
        assert selected(app) is None
        assert "se-s1" not in "".join(screen_text(app).splitlines()[:6])
        await pilot.press("down", "right", "end")
        assert selected(app) == "self-attention-s1"
        await pilot.press("down")
        assert selected(app) == "self-attention-s1"

    folder = recorded.record(tmp_path, config=ExperimentConfig(epochs=5, seeds=2), states="running")
    with alive(folder):
        drive(make_app(folder), script)


def test_three_hundred_runs_scroll(tmp_path: Path) -> None:
    async def script(pilot: Pilot[int], app: DashboardApp) -> None:
        assert "base" in screen_text(app)
        assert "100/100" in screen_text(app)
        await pilot.press("end", "right", "up", "right", "home", "right", "end")
        assert selected(app) == "self-attention-s99"
        assert "–303 of 303" in screen_text(app)
        await pilot.press("pageup")
        chosen = selected(app)
        assert chosen not in {"self-attention-s99", None}
        assert f" ▸■   {chosen}" in screen_text(app)

    config = ExperimentConfig(epochs=1, seeds=100)
    folder = recorded.record(tmp_path, config=config, predictions=False, probes=False, points_per_epoch=5)
    drive(make_app(folder), script)


def test_a_run_is_found_by_words_in_its_name_or_state(tmp_path: Path) -> None:
    config = ExperimentConfig(epochs=2, seeds=3)
    states = {f"{model}-s{seed}": "finished" for model in config.models for seed in range(3)} | {"se-s1": "failed"}

    async def find(pilot: Pilot[int], app: DashboardApp, words: str) -> None:
        await pilot.press("slash")
        await until(pilot, lambda: app.screen is not app.dashboard)
        await pilot.press("ctrl+u", *words, "enter")
        await until(pilot, lambda: app.screen is app.dashboard)

    async def script(pilot: Pilot[int], app: DashboardApp) -> None:
        await find(pilot, app, "failed")
        assert selected(app) == "se-s1", "its model is unfolded"
        for expected in ("self-attention-s0", "self-attention-s1", "self-attention-s2", "base-s0"):
            await find(pilot, app, "finished" if expected == "base-s0" else "attention")
            assert selected(app) == expected
        await find(pilot, app, "nowhere")
        assert "'nowhere' is not found here" in screen_text(app)
        assert selected(app) == "base-s0"

    drive(make_app(recorded.record(tmp_path, config=config, states=states)), script)


def test_a_row_for_all_seeds_has_mean_and_standard_deviation(tmp_path: Path) -> None:
    async def script(pilot: Pilot[int], app: DashboardApp) -> None:
        await drawn(pilot, app)
        found = [100 * view.state.epochs[-1].test_accuracy for view in app.dashboard.table._entries[0].views]
        row = next(line for line in screen_text(app).splitlines() if "▸ base" in line)
        assert "✓ 3/3" in row
        assert f"{statistics.fmean(found):.2f} ±{statistics.stdev(found):.2f}" in row
        assert "test acc ±sd" in screen_text(app)

    drive(make_app(recorded.record(tmp_path, config=ExperimentConfig(epochs=2, seeds=3))), script)


def test_a_failed_seed_is_seen_without_unfolding(tmp_path: Path) -> None:
    config = ExperimentConfig(epochs=2, seeds=2)
    states = {f"{model}-s{seed}": "finished" for model in config.models for seed in range(2)} | {"se-s1": "failed"}

    async def script(pilot: Pilot[int], app: DashboardApp) -> None:
        await drawn(pilot, app)
        row = next(line for line in screen_text(app).splitlines() if "▸ se " in line)
        assert "✗ 1/2" in row
        assert "1 failed · 1 finished · enter: which" in row

    drive(make_app(recorded.record(tmp_path, config=config, states=states)), script)


def test_keys_that_steer_one_run_say_so_on_a_row_for_several(tmp_path: Path) -> None:
    async def script(pilot: Pilot[int], app: DashboardApp) -> None:
        await drawn(pilot, app)
        await pilot.press("p")
        await until(pilot, lambda: "enter shows those of base" in screen_text(app))
        assert app.dashboard.check_action("steer", ("stop", False))
        assert app.dashboard.check_action("steer", ("pause", False))
        assert not app.dashboard.check_action("steer", ("unpause", False))

    folder = recorded.record(tmp_path, config=ExperimentConfig(epochs=5, seeds=2), states="running")
    with alive(folder):
        drive(make_app(folder), script)


def test_of_the_runs_of_a_worker_one_has_the_turn(tmp_path: Path) -> None:
    async def script(pilot: Pilot[int], app: DashboardApp) -> None:
        await drawn(pilot, app)
        views = app.snapshot.runs.values() if app.snapshot else ()
        turn = max(views, key=lambda view: view.state.last_t).state.id
        lines = screen_text(app).splitlines()[2:5]
        assert [("▶ running" in line, "▷ waiting" in line) for line in lines] == [
            (run == turn, run != turn) for run in ("base-s0", "se-s0", "self-attention-s0")
        ]

    with staged(tmp_path, "running") as folder:
        drive(make_app(folder), script)


def test_of_the_models_of_a_worker_one_has_the_turn(tmp_path: Path) -> None:
    async def script(pilot: Pilot[int], app: DashboardApp) -> None:
        await drawn(pilot, app)
        rows = screen_text(app).splitlines()[2:5]
        assert [sum(sign in row for row in rows) for sign in (" ▶ 0/2", " ▷ 0/2")] == [1, 2]

    folder = recorded.record(tmp_path, config=ExperimentConfig(epochs=5, seeds=2), states="running")
    with alive(folder):
        drive(make_app(folder), script)


def test_space_hides_curves_and_shows_them_again(tmp_path: Path) -> None:
    async def script(pilot: Pilot[int], app: DashboardApp) -> None:
        await drawn(pilot, app)
        curves = app.dashboard.curves
        assert curves is not None
        await pilot.press("down", "space")
        await until(pilot, lambda: "1 of 3 runs hidden" in screen_text(app))
        assert "◌ se-s0" in screen_text(app)
        assert {curve.color for curve in curves.plots["loss"]._curves} == {"base", "self-attention"}
        await pilot.press("up", "space", "end", "space")
        await until(pilot, lambda: "all runs are hidden: space in the run list shows them" in screen_text(app))
        for key in ("home", "down", "down"):
            await pilot.press(key, "space")
        await until(pilot, lambda: "hidden" not in screen_text(app))

    with staged(tmp_path, "running") as folder:
        drive(make_app(folder), script)


def test_all_rows_of_the_run_list_have_their_columns_at_the_same_places(tmp_path: Path) -> None:
    config = ExperimentConfig(models=("base", "se"), seeds=2, epochs=2)

    async def script(pilot: Pilot[int], app: DashboardApp) -> None:
        await drawn(pilot, app)
        table = app.dashboard.table
        await pilot.press("right", "end", "right")
        for height in (
            3,
            30,
            3,
            30,
        ):  # the title, "model" or "model 1-2 of 6", has part in the width of the first column
            header, *rows = table.lines(118, height)
            texts = ["".join(text for text, _ in row.pieces) for row in rows]
            assert {text.index("✓ ") for text in texts} == {"".join(text for text, _ in header.pieces).index("state")}

    folder = recorded.record(tmp_path, config=config, predictions=False, probes=False)
    drive(make_app(folder), script)


def test_the_row_of_a_model_has_the_state_of_the_run_that_needs_a_look() -> None:
    order = ("failed", "lost", "stalled", "running", "paused", "starting", "finished")
    for at, state in enumerate(order[:-1]):
        views = tuple(view(each) for each in reversed(order[at:]))
        assert Entry("se", "se", views, is_model=True).view.shown == state
    early, late = view("finished", ended_at=1.0), view("finished", ended_at=2.0)
    assert Entry("se", "se", (early, late), is_model=True).view is late
