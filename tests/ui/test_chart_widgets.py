"""The charts as widgets: what they draw, when, and in which themes and sizes."""

from __future__ import annotations

import subprocess
import sys
from array import array
from collections.abc import Sequence

import pytest
from textual.containers import Vertical
from textual.pilot import Pilot
from textual.screen import Screen
from textual.strip import Strip

from tests.ui.chart_helpers import ASCII, HOSTILE, NAN, TRUE, OneWidget, run, settled, three
from tests.ui.harness import until
from tui_attn.ui.charts.matrix import matrix
from tui_attn.ui.charts.series import Curve, Smoother
from tui_attn.ui.options import THEMES
from tui_attn.ui.styles import DrawingMode
from tui_attn.ui.widgets.gate_strip import GateStrip
from tui_attn.ui.widgets.heatmap import Heatmap
from tui_attn.ui.widgets.metric_plot import MetricPlot, SharedView


class Painted(MetricPlot):
    """A chart that counts its drawings."""

    drawings = 0

    def lines(self, width: int, height: int) -> Sequence[Strip]:
        before = self._picture
        strips = super().lines(width, height)
        self.drawings += before is not self._picture
        return strips


def test_the_chart_shows_its_curves() -> None:
    plot = MetricPlot("Training loss")

    async def steps(app: OneWidget, pilot: Pilot[int]) -> None:
        assert "waiting for the first points" in app.screen_text()
        plot.set_curves(three())
        await settled(pilot)
        shown = app.screen_text()
        assert "Training loss  ━ train, smoothed 0.9" in shown
        assert "● base  ▲ se  ■ self-attention" in shown
        for marker, each in zip("●▲■", three(), strict=True):
            smoothed = Smoother(0.9).extend(each.values)[-1]
            assert f"{marker}{smoothed:.4f}" in shown

    run(plot, steps)


def test_nothing_is_drawn_when_nothing_changed() -> None:
    plot = Painted("Loss")
    steps, values = array("d", range(1, 102)), array("d", [1.0] * 51 + [2.0] * 50)

    def given(revision: int) -> list[Curve]:
        return [Curve.of("base", "base", "base", steps[:], values[:], revision=revision)]

    async def do(app: OneWidget, pilot: Pilot[int]) -> None:
        plot.set_curves(given(1))
        await settled(pilot)
        drawn = plot.drawings
        plot.set_curves(given(1))
        await settled(pilot)
        assert plot.drawings == drawn
        steps.append(102.0)
        values.append(1.5)
        plot.set_curves(given(2))
        await settled(pilot)
        assert plot.drawings == drawn + 1

    run(plot, do)


def test_many_changes_at_once_are_one_drawing() -> None:
    plot = Painted("Loss")

    async def do(app: OneWidget, pilot: Pilot[int]) -> None:
        plot.set_curves(three())
        await settled(pilot)
        drawn = plot.drawings
        plot.shared.change(smoothing=0.5)
        plot.log_scale = True
        plot.shared.change(cursor=500.0)
        await settled(pilot)
        assert plot.drawings == drawn + 1

    run(plot, do)


def test_a_hidden_chart_draws_nothing_and_catches_up_when_shown() -> None:
    plot = Painted("Loss")

    async def do(app: OneWidget, pilot: Pilot[int]) -> None:
        plot.display = False
        await settled(pilot)
        drawn = plot.drawings
        plot.set_curves(three())
        await settled(pilot)
        assert plot.drawings == drawn
        plot.display = True
        await settled(pilot)
        assert "● base" in app.screen_text()

    run(plot, do)


def test_a_covered_chart_draws_nothing_and_catches_up_when_the_other_screen_goes() -> None:
    plot = Painted("Loss")

    async def do(app: OneWidget, pilot: Pilot[int]) -> None:
        plot.set_curves(three())
        await settled(pilot)
        drawn = plot.drawings
        app.push_screen(Screen())
        await settled(pilot)
        plot.set_curves(three()[:1])
        await settled(pilot)
        assert plot.drawings == drawn
        app.pop_screen()
        await settled(pilot)
        assert plot.drawings == drawn + 1
        assert "▲ se" not in app.screen_text()

    run(plot, do)


@pytest.mark.parametrize("mode", [TRUE, ASCII], ids=["unicode", "ascii"])
def test_hostile_texts_are_shown_and_never_obeyed(mode: DrawingMode) -> None:
    plot, gates, heat = MetricPlot(), GateStrip(), Heatmap()

    async def in_chart(app: OneWidget, pilot: Pilot[int]) -> None:
        for label in HOSTILE:
            plot.title = plot.empty = label
            plot.set_curves([])
            await harmless(app, pilot)
            plot.set_curves([Curve.of(label, label, label, [1.0, 2.0], [1.0, NAN], group=label)])
            await harmless(app, pilot)

    async def in_gates(app: OneWidget, pilot: Pilot[int]) -> None:
        for label in HOSTILE:
            gates.set_gates({label: [0.1, 0.9]}, label)
            await harmless(app, pilot)
            gates.set_gates({}, label, empty=label)
            await harmless(app, pilot)

    async def in_heatmap(app: OneWidget, pilot: Pilot[int]) -> None:
        for label in HOSTILE:
            heat.row_title = heat.column_title = label
            heat.set_matrix(matrix([[0.1, 0.9]] * 2, [label, label], [label, label]), label)
            await harmless(app, pilot)

    run(plot, in_chart, mode=mode)
    run(gates, in_gates, mode=mode)
    run(heat, in_heatmap, mode=mode)


async def harmless(app: OneWidget, pilot: Pilot[int]) -> None:
    await settled(pilot)
    shown = app.screen_text()
    assert shown.strip()
    assert not any(ord(c) < 32 or 127 <= ord(c) < 160 or c in "\u202e\u2066" for c in shown.replace("\n", ""))
    if app.drawing.mode.ascii:
        assert shown.isascii()


def test_a_theme_change_draws_anew() -> None:
    plot = Painted("Loss")

    async def do(app: OneWidget, pilot: Pilot[int]) -> None:
        plot.set_curves(three())
        await settled(pilot)
        drawn = plot.drawings
        app.use_theme("light")
        await settled(pilot)
        assert plot.drawings > drawn

    run(plot, do)


@pytest.mark.parametrize("theme", THEMES)
def test_every_theme_is_good_enough(theme: str) -> None:
    plot = MetricPlot("Loss")

    async def do(app: OneWidget, pilot: Pilot[int]) -> None:
        app.use_theme(theme)
        plot.set_curves(three())
        await settled(pilot)
        assert ("o base" if theme == "ascii" else "● base") in app.screen_text()

    run(plot, do)


def test_a_resize_is_followed() -> None:
    plot = MetricPlot("Loss")

    async def do(app: OneWidget, pilot: Pilot[int]) -> None:
        plot.set_curves(three())
        await settled(pilot)
        for size in ((200, 60), (30, 6), (20, 4), (80, 24)):
            await pilot.resize_terminal(*size)
            await until(pilot, lambda size=size: (plot.size.width, plot.size.height) == size)  # type: ignore[misc]
            await settled(pilot)
            assert ("too small" in app.screen_text()) == (size == (20, 4))
        assert app.screen_text().splitlines()[-1].endswith(" step")
        assert len(app.screen_text().splitlines()[-1]) == 80

    run(plot, do)


def test_importing_the_widgets_loads_neither_numpy_nor_plotext() -> None:
    code = (
        "import sys, tui_attn.ui.widgets.metric_plot, tui_attn.ui.widgets.gate_strip, tui_attn.ui.widgets.heatmap\n"
        "print([m for m in ('numpy', 'plotext', 'scipy', 'torch') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_linked_charts_share_cursor_axis_zoom_and_smoothing_but_no_range_of_values() -> None:
    shared = SharedView()
    one, other = (MetricPlot(name, shared=shared) for name in ("Loss", "Accuracy"))

    async def do(app: OneWidget, pilot: Pilot[int]) -> None:
        for plot in (one, other):
            plot.set_curves(three())
        await settled(pilot)
        one.focus()
        await pilot.press("home", "right", "plus", "a", "right_square_bracket", "l")
        await settled(pilot)
        assert one.shown_x == other.shown_x
        assert one.shown_x is not None
        assert one.zoomed
        assert all(line.endswith(" epoch") for line in app.screen_text().splitlines()[11::12])
        assert app.screen_text().count("smoothed 0.95") == 2
        assert app.screen_text().count("● base") == 2
        assert app.screen_text().count("epoch 0.20") == 2, "the value cursor is in both"
        assert app.screen_text().count("log y") == 1
        await pilot.press("0", "escape")
        await settled(pilot)
        assert not other.zoomed
        assert shared.cursor is None

    run(Vertical(one, other), do)
