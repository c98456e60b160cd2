"""The charts by keyboard and mouse: cursor, zoom, axes and switches."""

from __future__ import annotations

import subprocess
import sys

import pytest
from textual import events
from textual.geometry import Offset
from textual.pilot import Pilot
from textual.widget import Widget

from tests.ui.chart_helpers import OneWidget, curve, run, settled, three
from tui_attn.ui.charts.keys import CHART_KEYS, HEATMAP_KEYS
from tui_attn.ui.charts.series import Curve
from tui_attn.ui.widgets.heatmap import Heatmap
from tui_attn.ui.widgets.metric_plot import MetricPlot


def test_the_cursor_goes_from_point_to_point_and_reads_out_every_series() -> None:
    plot = MetricPlot("Loss")

    async def do(app: OneWidget, pilot: Pilot[int]) -> None:
        plot.set_curves([curve("base", [3.0, 2.0, 1.0]), curve("se", [6.0, 5.0])])
        await settled(pilot)
        plot.focus()
        places = []
        for key in ("left", "left", "left", "left", "right", "end", "home"):
            await pilot.press(key)
            await settled(pilot)
            places.append(plot.shared.cursor)
        assert places == [30.0, 20.0, 10.0, 10.0, 20.0, 30.0, 10.0]
        assert "● base 3.0000 (raw 3.0000)  ▲ se 6.0000 (raw 6.0000)" in app.screen_text()
        assert "step 10" in app.screen_text()
        await pilot.press("end")
        await settled(pilot)
        assert "● base 1.9299 (raw 1.0000)  ▲ se –" in app.screen_text()
        await pilot.press("escape")
        assert plot.shared.cursor is None

    run(plot, do)


def test_the_cursor_moves_at_least_a_column_where_points_are_dense() -> None:
    plot = MetricPlot("Loss")

    async def do(app: OneWidget, pilot: Pilot[int]) -> None:
        plot.set_curves([curve("base", [1.0] * 5000)])
        await settled(pilot)
        plot.focus()
        await pilot.press("end", "left")
        one = plot.shared.cursor
        await pilot.press("shift+left")
        ten = plot.shared.cursor
        assert one is not None
        assert ten is not None
        cell = 50000 / 75
        assert cell * 0.4 < 50000 - one < cell * 2
        assert cell * 9 < one - ten < cell * 11

    run(plot, do)


def test_zoom_pan_and_reset_by_keyboard() -> None:
    plot = MetricPlot("Loss")

    def zoomed() -> bool:
        return plot.zoomed

    async def do(app: OneWidget, pilot: Pilot[int]) -> None:
        plot.set_curves(three())
        await settled(pilot)
        plot.focus()
        whole = plot.shown_x
        assert whole is not None
        await pilot.press("plus")
        await settled(pilot)
        half = plot.shown_x
        assert half is not None
        assert zoomed()
        assert half.width == pytest.approx(whole.width / 2)
        assert half.at(0.5) == pytest.approx(whole.at(0.5))
        await pilot.press("full_stop")
        await settled(pilot)
        later = plot.shown_x
        assert later is not None
        assert later.lower == pytest.approx(half.lower + half.width / 4)
        await pilot.press("full_stop", "full_stop", "full_stop")
        await settled(pilot)
        assert plot.shown_x is not None
        assert plot.shown_x.upper == whole.upper
        await pilot.press("comma", "minus", "minus", "minus")
        await settled(pilot)
        assert plot.shown_x == whole
        assert not zoomed()
        await pilot.press("right_curly_bracket")
        await settled(pilot)
        assert zoomed()
        await pilot.press("0")
        await settled(pilot)
        assert not zoomed()

    run(plot, do)


def test_zooming_keeps_the_cursor_in_its_place() -> None:
    plot = MetricPlot("Loss")

    async def do(app: OneWidget, pilot: Pilot[int]) -> None:
        plot.set_curves(three())
        await settled(pilot)
        plot.focus()
        plot.shared.change(cursor=800.0)
        await settled(pilot)
        before = plot.shown_x
        await pilot.press("plus")
        await settled(pilot)
        after = plot.shown_x
        assert before is not None
        assert after is not None
        assert after.share(800.0) == pytest.approx(before.share(800.0))

    run(plot, do)


def test_a_cursor_that_leaves_the_picture_takes_it_along() -> None:
    plot = MetricPlot("Loss")

    async def do(app: OneWidget, pilot: Pilot[int]) -> None:
        plot.set_curves(three())
        await settled(pilot)
        plot.focus()
        await pilot.press("home", "plus", "plus")
        await settled(pilot)
        await pilot.press("end")
        await settled(pilot)
        assert plot.zoomed
        assert plot.shown_x is not None
        assert plot.shown_x.lower <= 1000.0 <= plot.shown_x.upper

    run(plot, do)


def test_the_view_stays_while_points_arrive_once_it_was_zoomed_and_follows_them_before() -> None:
    plot = MetricPlot("Loss")

    async def do(app: OneWidget, pilot: Pilot[int]) -> None:
        plot.set_curves([curve("base", [1.0] * 100)])
        await settled(pilot)
        plot.set_curves([curve("base", [1.0] * 200, revision=2)])
        await settled(pilot)
        assert plot.shown_x is not None
        assert plot.shown_x.upper >= 2000
        plot.action_zoom(0.5)
        await settled(pilot)
        held = plot.shown_x
        plot.set_curves([curve("base", [1.0] * 300, revision=3)])
        await settled(pilot)
        assert plot.shown_x == held

    run(plot, do)


def test_switches_by_keyboard() -> None:
    plot = MetricPlot("Loss")

    async def do(app: OneWidget, pilot: Pilot[int]) -> None:
        plot.set_curves([curve("se-s0", [1.0] * 9, group="se"), curve("se-s1", [2.0] * 9, group="se")])
        await settled(pilot)
        plot.focus()
        assert "smoothed 0.9" in app.screen_text()
        await pilot.press("left_square_bracket", "left_square_bracket", "l")
        await settled(pilot)
        assert (plot.shared.smoothing, plot.log_scale) == (0.6, True)
        assert "smoothed 0.6" in app.screen_text()
        assert "log y" in app.screen_text()
        await pilot.press("right_square_bracket", "l", "R", "y")
        await settled(pilot)
        assert (plot.shared.smoothing, plot.log_scale, plot.shared.show_raw, plot.fit) == (0.8, False, False, False)
        assert "full range" in app.screen_text()
        axes = []
        for _ in range(3):
            await pilot.press("a")
            await settled(pilot)
            axes.append(app.screen_text().splitlines()[-1].split()[-1])
        assert axes == ["epoch", "time", "step"]
        assert "se ×2" in app.screen_text()
        await pilot.press("B")
        await settled(pilot)
        assert "se-s1" in app.screen_text()

    run(plot, do)


def test_cursor_and_view_go_along_to_another_axis() -> None:
    plot = MetricPlot("Loss")

    async def do(app: OneWidget, pilot: Pilot[int]) -> None:
        plot.set_curves(three())
        await settled(pilot)
        plot.focus()
        plot.shared.change(cursor=500.0)
        plot.action_zoom(0.5)
        await settled(pilot)
        steps = plot.shown_x
        plot.show_axis("time", False)
        await settled(pilot)
        seconds = plot.shown_x
        assert plot.shared.cursor == 250.0
        assert steps is not None
        assert seconds is not None
        assert (seconds.lower, seconds.upper) == pytest.approx((steps.lower / 2, steps.upper / 2), rel=0.02)

    run(plot, do)


def test_the_x_axis_turns_logarithmic_and_takes_the_cursor_along() -> None:
    plot = MetricPlot("Loss")

    async def do(app: OneWidget, pilot: Pilot[int]) -> None:
        plot.set_curves(three())
        await settled(pilot)
        plot.focus()
        await pilot.press("end", "L")
        await settled(pilot)
        assert "log x" in app.screen_text()
        assert "step 1,000" in app.screen_text()
        await pilot.press("home")
        await settled(pilot)
        assert "step 10" in app.screen_text()
        await pilot.press("a", "L")
        await settled(pilot)
        assert "epoch 0.10" in app.screen_text()
        assert "log x" not in app.screen_text()

    run(plot, do)


def test_an_axis_that_is_not_known_is_said_and_steps_are_taken() -> None:
    plot = MetricPlot("Loss")

    async def do(app: OneWidget, pilot: Pilot[int]) -> None:
        plot.set_curves([Curve.of("a", "a", "base", [1.0, 2.0], [1.0, 2.0])])
        plot.show_axis("epoch", False)
        await settled(pilot)
        assert "epoch not known" in app.screen_text()
        assert app.screen_text().splitlines()[-1].split()[-1] == "step"

    run(plot, do)


def test_escape_is_left_to_others_without_a_cursor() -> None:
    plot = MetricPlot("Loss")

    async def do(app: OneWidget, pilot: Pilot[int]) -> None:
        assert plot.check_action("cursor_off", ()) is False
        assert plot.check_action("zoom", (0.5,)) is False  # there is nothing to zoom yet
        plot.set_curves(three())
        await settled(pilot)
        assert plot.check_action("cursor_off", ()) is False
        assert plot.check_action("zoom", (0.5,)) is True
        await pilot.press("right")
        assert plot.check_action("cursor_off", ()) is True

    run(plot, do)


def test_the_mouse_zooms_drags_and_puts_the_cursor() -> None:
    plot = MetricPlot("Loss")

    async def do(app: OneWidget, pilot: Pilot[int]) -> None:
        plot.set_curves(three())
        await settled(pilot)
        await pilot.click(plot, Offset(40, 10))
        await settled(pilot)
        assert plot.shared.cursor is not None
        assert 400 < plot.shared.cursor < 600
        whole = plot.shown_x
        plot.post_message(events.MouseScrollUp(plot, 40, 10, 0, -1, 0, False, False, False, screen_x=40, screen_y=10))
        await settled(pilot)
        zoomed = plot.shown_x
        assert whole is not None
        assert zoomed is not None
        assert zoomed.width == pytest.approx(whole.width * 0.8)
        await pilot.mouse_down(plot, Offset(40, 10))
        await pilot.hover(plot, Offset(20, 10))
        await pilot.mouse_up(plot, Offset(20, 10))
        await settled(pilot)
        moved = plot.shown_x
        assert moved is not None
        assert moved.lower > zoomed.lower
        assert moved.width == pytest.approx(zoomed.width)
        await pilot.click(plot, Offset(40, 10), times=2)
        await settled(pilot)
        assert not plot.zoomed

    run(plot, do)


def test_keys_before_there_is_anything_do_nothing() -> None:
    for widget in (MetricPlot("Loss"), Heatmap("Gates")):

        async def do(app: OneWidget, pilot: Pilot[int], widget: Widget = widget) -> None:
            widget.focus()
            rows = CHART_KEYS if isinstance(widget, MetricPlot) else HEATMAP_KEYS
            for _, keys, *_ in rows:
                await pilot.press(*keys.split(","))
            await settled(pilot)

        run(widget, do)


def test_bindings_have_ids_tooltips_and_descriptions_of_their_own() -> None:
    for widget in (MetricPlot, Heatmap):
        found = widget.BINDINGS
        assert all(binding.id and binding.tooltip and binding.description for binding in found)  # type: ignore[union-attr]
    ids = [row[0] for row in (*CHART_KEYS, *HEATMAP_KEYS)]
    assert len(ids) == len(set(ids))
    for rows in (CHART_KEYS, HEATMAP_KEYS):
        keys = [key for row in rows for key in row[1].split(",")]
        assert len(keys) == len(set(keys))


def test_the_table_of_keys_needs_only_the_standard_library() -> None:
    code = "import sys, tui_attn.ui.charts.keys\nprint([m for m in ('textual', 'rich', 'numpy') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_the_footer_offers_the_keys_of_a_focused_chart() -> None:
    plot = MetricPlot("Loss")

    async def do(app: OneWidget, pilot: Pilot[int]) -> None:
        plot.set_curves(three())
        await settled(pilot)
        plot.focus()
        await settled(pilot)
        shown = [active.binding for active in app.screen.active_bindings.values() if active.binding.show]
        labels = ["zoom in", "zoom out", "all", "smoother", "full range", "log", "axis"]
        assert list(dict.fromkeys(binding.description for binding in shown)) == labels

    run(plot, do)
