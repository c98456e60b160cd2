from __future__ import annotations

import asyncio
import itertools
import math
from collections.abc import Awaitable, Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.color import Color, ColorSystem
from textual.geometry import Offset
from textual.pilot import Pilot

from benchmarks import ramp_colors
from tests.ui.chart_helpers import ASCII, INF, MODES, NAN, TRUE, OneWidget, styles, text
from tests.ui.harness import until
from tui_attn.experiment.model_info import RGB
from tui_attn.ui.charts import palette
from tui_attn.ui.charts.matrix import MatrixView, compose_matrix, matrix
from tui_attn.ui.styles import Colors, DrawingMode
from tui_attn.ui.widgets.gate_strip import GateStrip, compose_gates, grouped
from tui_attn.ui.widgets.heatmap import Heatmap

CLASSES = ["T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot"]


def drawn(view: MatrixView, width: int = 80, height: int = 20, mode: DrawingMode = TRUE) -> str:
    return text(compose_matrix(view, width, height, styles(mode))[0])


# ---- the matrix


def test_columns_are_ordered_by_index_mean_or_spread() -> None:
    data = matrix([[0.1, 0.9, 0.5], [0.1, 0.7, 0.0]], ["a", "b"])
    assert data.order("index") == [0, 1, 2]
    assert data.order("mean") == [1, 2, 0]
    assert data.order("spread") == [2, 1, 0]


def test_nan_counts_in_no_mean_and_comes_last() -> None:
    data = matrix([[NAN, NAN, 0.2], [NAN, 0.4, 0.6]], ["a", "b"])
    assert data.expected[0, 1:].tolist() == [0.4, pytest.approx(0.4)]
    assert data.order("mean") == [1, 2, 0]
    assert data.difference_scale == pytest.approx(0.2)


def test_numpy_arrays_and_lists_are_the_same() -> None:
    rows = [[0.25, 0.5], [0.75, 1.0]]
    one, other = matrix(rows, ["a", "b"]), matrix(np.array(rows, dtype=np.float32), ["a", "b"], ["0", "1"])
    assert (one.values == other.values).all() and one.column_labels == other.column_labels
    assert (one.lower, one.upper) == (other.lower, other.upper)


@pytest.mark.parametrize(
    ("rows", "labels", "columns"), [([[1.0], [1.0, 2.0]], "ab", None), ([[1.0]], "ab", None), ([[1.0]], "a", "xy")]
)
def test_what_does_not_fit_together_is_refused(rows: list[list[float]], labels: str, columns: str | None) -> None:
    with pytest.raises(ValueError, match=r"inhomogeneous|labels for"):
        matrix(rows, list(labels), None if columns is None else list(columns))


def test_the_scale_is_the_data_s_or_the_one_asked_for() -> None:
    assert (matrix([[0.2, 0.6]], ["a"]).lower, matrix([[0.2, 0.6]], ["a"]).upper) == (0.2, 0.6)
    assert matrix([[0.2, 0.6]], ["a"], lower=0, upper=1).shares(False)[0, 1] == 0.6
    assert matrix([[0.5, 0.5]], ["a"]).shares(False)[0, 0] == 0.5


@given(
    data=st.integers(1, 12).flatmap(lambda n: st.lists(st.lists(st.floats(), min_size=n, max_size=n), max_size=14)),
    width=st.integers(1, 60),
    height=st.integers(1, 20),
    mode=st.sampled_from(MODES),
    difference=st.booleans(),
    key=st.sampled_from(["index", "mean", "spread"]),
    where=st.data(),
)
def test_any_matrix_fills_any_size(data, width, height, mode, difference, key, where) -> None:  # type: ignore[no-untyped-def]
    made = matrix(data, [f"row {i}" for i in range(len(data))])
    rows, columns = made.shape
    cursor = (where.draw(st.integers(0, max(rows - 1, 0))), where.draw(st.integers(0, max(columns - 1, 0))))
    view = MatrixView(made, "Gates", sort_by=key, difference=difference, cursor=cursor)
    strips, _ = compose_matrix(view, width, height, styles(mode))
    assert [strip.cell_length for strip in strips] == [width] * height
    assert not mode.ascii or text(strips).isascii()


def test_a_heatmap_in_ascii_looks_like_this() -> None:
    view = MatrixView(
        matrix([[0.0, 0.5, 1.0], [1.0, 0.5, 0.0]], ["one", "two"], lower=0, upper=1), "Gates", "class", "channel"
    )
    view.cursor = (1, 2)
    assert drawn(view, 40, 8, ASCII).splitlines() == [
        "Gates                   ordered by index",
        "class two, channel 2  0.0000",
        "    one        ++++++@@@@@@",
        "               ++++++@@@@@@",
        "    two> @@@@@@++++++[    ]",
        "         @@@@@@++++++",
        "channel    0     1     ^2",
        "         0   ..::--==++**##%%@@ 1",
    ]


def test_values_are_ordered_by_glyph_where_colours_are_few() -> None:
    view = MatrixView(matrix([[i / 9 for i in range(10)]], ["a"], lower=0, upper=1), cursor=(0, 0))
    row = drawn(view, 60, 6, ASCII).splitlines()[2]
    cells = [row[10 + 5 * i] for i in range(1, 10)]
    assert cells == list(palette.ASCII_GLYPHS[1:])


def test_differences_tell_their_sign_without_colour() -> None:
    view = MatrixView(matrix([[0.0, 1.0], [1.0, 0.0]], ["a", "b"]), difference=True, cursor=(0, 0))
    first, second = drawn(view, 40, 10, DrawingMode("none", ascii=True)).splitlines()[2:8:3]
    assert "@" in first
    assert "%" in second
    assert first.index("%") == second.index("@") < first.index("@") == second.index("%")


# ---- palettes


@pytest.mark.parametrize("colors", ["true", "256"])
def test_ramps_grow_lighter_step_by_step(colors: Colors) -> None:
    ramp = list(dict.fromkeys(palette.ramp_color(i / 100, colors) for i in range(101)))
    light = [palette._oklab(color)[0] for color in ramp]
    steps = np.diff(light)
    assert len(ramp) == (48 if colors == "true" else 9)
    assert steps.min() > 0
    assert steps.max() < 3 * steps.min()


def test_what_is_chosen_of_the_256_colours_is_what_the_terminal_gets() -> None:
    chosen = [palette.ramp_color(i / 20, "256") for i in range(21)]
    chosen += [palette.difference_color(i / 10, dark, "256") for i in range(-10, 11) for dark in (True, False)]
    chosen += [
        palette.of_256((r, g, b)) for r in range(0, 256, 51) for g in range(0, 256, 51) for b in range(0, 256, 51)
    ]
    for color in chosen:
        assert palette.of_256(color) == color
        assert tuple(Color.from_rgb(*color).downgrade(ColorSystem.EIGHT_BIT).get_truecolor()) == color


@pytest.mark.parametrize("colors", ["true", "256"])
@pytest.mark.parametrize("dark", [True, False])
def test_differences_are_as_strong_on_both_sides_and_fade_at_zero(dark: bool, colors: Colors) -> None:
    below = [palette.luminance(palette.difference_color(-i / 10, dark, colors)) for i in range(11)]
    above = [palette.luminance(palette.difference_color(i / 10, dark, colors)) for i in range(11)]
    assert all(abs(a - b) < 0.12 for a, b in zip(below, above, strict=True))
    assert (above[-1] > above[0]) == dark
    assert palette.difference_color(-1, dark)[2] > palette.difference_color(-1, dark)[0]
    assert palette.difference_color(1, dark)[0] > palette.difference_color(1, dark)[2]


# Machado, Oliveira and Fernandes, "A Physiologically-based Model for Simulation of Color Vision Deficiency", 2009.
DEFICIENCIES = {
    "protanopia": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
    "deuteranopia": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]],
    "tritanopia": [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]],
}


@pytest.mark.parametrize("kind", ["none", *DEFICIENCIES])
@pytest.mark.parametrize("dark", [True, False])
def test_the_models_colours_stay_apart_for_every_kind_of_colour_vision(kind: str, dark: bool) -> None:
    def seen(color: RGB) -> list[float]:
        linear = np.array([palette._linear(channel / 255) for channel in color])
        linear = np.array(DEFICIENCIES[kind]) @ linear if kind != "none" else linear
        return [ramp_colors._gamma(min(max(channel, 0.0), 1.0)) for channel in linear.tolist()]

    colors = [palette.curve_color(styles().ink(key), TRUE, dark) for key in ("base", "se", "self-attention")]
    pairs = [(0, 1), (0, 2), (1, 2)]
    assert all(math.dist(seen(colors[a]), seen(colors[b])) > 0.25 for a, b in pairs)
    background = (16, 21, 27) if dark else (252, 252, 250)
    for color in colors:
        one, other = sorted((palette.luminance(color), palette.luminance(background)))
        assert (other + 0.05) / (one + 0.05) > 4.5


@pytest.mark.parametrize("kind", ["none", *DEFICIENCIES])
@pytest.mark.parametrize("dark", [True, False])
def test_models_of_ones_own_stay_apart_too(kind: str, dark: bool) -> None:
    keys = ["base", "se", "self-attention", *(f"own-{number}" for number in range(5))]
    dressed = {ascii_only: styles(DrawingMode(ascii=ascii_only)) for ascii_only in (False, True)}
    matrix = np.eye(3) if kind == "none" else np.array(DEFICIENCIES[kind])

    def seen(key: str) -> tuple[float, float, float]:
        color = palette.curve_color(dressed[False].ink(key), TRUE, dark)
        linear = matrix @ [palette._linear(channel / 255) for channel in color]
        red, green, blue = (round(255 * ramp_colors._gamma(min(max(channel, 0.0), 1.0))) for channel in linear)
        return palette._oklab((red, green, blue))

    colors = [seen(key) for key in keys]
    assert min(math.dist(one, other) for one, other in itertools.combinations(colors, 2)) > 0.07
    for ascii_only in (False, True):
        marks = [dressed[ascii_only].marker(key) for key in keys]
        assert len(set(marks)) == len(marks)


def test_a_model_keeps_its_ink_and_others_get_one_by_name() -> None:
    ink = styles().ink
    assert len({ink(key).marker for key in ("base", "se", "self-attention")}) == 3
    assert ink("someone's model") == ink("someone's model") != ink("another's")
    for key in ("base", "se", "self-attention", "other"):
        sixteen = Color.from_rgb(*palette.curve_color(ink(key), DrawingMode("16"), True)).downgrade(
            ColorSystem.STANDARD
        )
        assert sixteen.number in range(9, 15)


# ---- gates


def test_channels_are_grouped_by_their_mean_when_they_do_not_fit() -> None:
    assert grouped([0.0, 1.0, 0.5, 0.5, 1.0], 3) == ([0.5, 0.5, 1.0], 2)
    assert grouped([0.1, 0.2], 5) == ([0.1, 0.2], 1)


def test_gates_in_ascii_look_like_this() -> None:
    gates = {"se1": [i / 9 for i in range(10)], "se2": [0.0, 1.0]}
    assert text(compose_gates(gates, "se-s0, epoch 3", "none", 60, 3, styles(ASCII))).splitlines() == [
        "gates  se-s0, epoch 3                   0.00  .:-=+*#%@ 1.00",
        "se1    ...:::---===+++***###%%%@@@      mean 0.50  0.00-1.00",
        "se2       @@@@@@                        mean 0.50  0.00-1.00",
    ]


def test_grouping_and_layers_left_out_are_said() -> None:
    gates = {f"se{i}": [0.5] * 64 for i in range(4)}
    shown = text(compose_gates(gates, "", "", 60, 3, styles(TRUE)))
    assert "2 channels a cell" in shown
    assert "+2 layers" in shown


@pytest.mark.parametrize("mode", MODES, ids=str)
@pytest.mark.parametrize("size", [(1, 1), (10, 2), (30, 3), (80, 3), (200, 4)], ids=str)
def test_gates_fill_any_size(mode: DrawingMode, size: tuple[int, int]) -> None:
    gates = {"se1": [0.0, 0.3, NAN, INF, -5.0, 1.0] * 6, "se2": [0.5] * 64, "empty": []}
    for given_gates in (gates, {}):
        strips = compose_gates(given_gates, "se-s0", "no SE layer in this run", *size, styles(mode))
        assert [strip.cell_length for strip in strips] == [size[0]] * size[1]


def test_no_gates_are_told_in_words() -> None:
    assert "no SE layer in this run" in text(compose_gates({}, "base-s0", "no SE layer in this run", 60, 2, styles()))


# ---- the widgets


def run(widget: Heatmap | GateStrip, steps: Callable[[OneWidget, Pilot[int]], Awaitable[None]]) -> None:
    async def main() -> None:
        app = OneWidget(widget)
        async with app.run_test(size=(80, 24)) as pilot:
            await pilot.pause()
            await steps(app, pilot)

    asyncio.run(main())


def test_the_heatmap_s_cursor_reads_out_and_keeps_its_column_when_the_order_changes() -> None:
    heat = Heatmap("Gates")
    rng = np.random.default_rng(0)
    values = rng.random((10, 200))

    async def steps(app: OneWidget, pilot: Pilot[int]) -> None:
        heat.set_matrix(matrix(values, CLASSES, lower=0, upper=1))
        heat.focus()
        await pilot.press("down", "down", "down", "right", "right")
        await pilot.pause()
        assert heat.cursor == (3, 2)
        assert heat.value == values[3][2]
        assert f"class Dress, channel 2  {values[3][2]:.4f}" in app.screen_text()
        assert "columns 1-67 of 200" in app.screen_text()
        await pilot.press("o", "d")
        await pilot.pause()
        assert (heat.sort_by, heat.difference, heat.cursor) == ("mean", True, (3, 2))
        assert "ordered by mean · difference from the mean of all" in app.screen_text()
        await pilot.press("home")
        assert heat.cursor == (3, int(values.mean(axis=0).argmax()))
        await pilot.press("end", "right")
        await pilot.pause()
        assert heat.cursor == (3, int(values.mean(axis=0).argmin()))
        assert "columns 134-200 of 200" in app.screen_text()

    run(heat, steps)


def test_a_click_puts_the_heatmap_s_cursor() -> None:
    heat = Heatmap("Gates")

    async def steps(app: OneWidget, pilot: Pilot[int]) -> None:
        heat.set_matrix(matrix(np.eye(4), "abcd"))
        await pilot.pause()
        await pilot.pause()
        layout = heat._layout
        assert layout is not None
        await pilot.click(heat, Offset(layout.left + 2 * layout.cell_width, layout.top + layout.cell_height))
        assert heat.cursor == (1, 2)
        await pilot.click(heat, Offset(0, 0))
        assert heat.cursor == (1, 2)

    run(heat, steps)


def test_the_next_matrix_keeps_order_and_cursor_where_it_can() -> None:
    heat = Heatmap("Gates")

    async def steps(app: OneWidget, pilot: Pilot[int]) -> None:
        heat.set_matrix(matrix(np.ones((4, 8)), "abcd"))
        heat.cursor, heat.sort_by = (3, 7), "spread"
        heat.set_matrix(matrix(np.zeros((4, 8)), "abcd"), "Epoch 2")
        await pilot.pause()
        assert (heat.cursor, heat.sort_by, heat.title) == ((3, 7), "spread", "Epoch 2")
        heat.set_matrix(matrix(np.zeros((2, 3)), "ab"))
        await pilot.pause()
        assert heat.cursor == (1, 2)
        heat.set_matrix(matrix([], []))
        await pilot.pause()
        assert heat.value is None
        assert "reading …" in app.screen_text()

    run(heat, steps)


def test_tall_matrices_are_packed_into_half_blocks() -> None:
    view = MatrixView(matrix(np.eye(40), [str(i) for i in range(40)]), cursor=(0, 0))
    strips, layout = compose_matrix(view, 80, 24, styles(TRUE))
    assert layout is not None
    assert (layout.rows, layout.packed) == (40, True)
    assert text(strips).count("▀") == 20 * 40
    unpacked = compose_matrix(view, 80, 24, styles(DrawingMode("16")))[1]
    assert unpacked is not None
    assert (unpacked.rows, unpacked.packed) == (20, False)


def test_the_gate_strip_is_as_tall_as_it_has_layers() -> None:
    strip = GateStrip(empty="waiting for the first probe")

    async def steps(app: OneWidget, pilot: Pilot[int]) -> None:
        await until(pilot, lambda: "waiting for the first probe" in app.screen_text())
        strip.set_gates({"se1": [0.2] * 32, "se2": [0.8] * 64}, "se-s0, epoch 1")
        await until(pilot, lambda: strip.size.height == 3 and "se-s0, epoch 1" in app.screen_text())
        strip.set_gates({}, "base-s0", empty="no SE layer")
        await until(pilot, lambda: strip.size.height == 2 and "no SE layer" in app.screen_text())

    run(strip, steps)


def test_of_the_notes_as_many_are_shown_as_fit() -> None:
    view = MatrixView(matrix(np.eye(40), [str(i) for i in range(40)]), "attention, mean over heads and images")
    view.difference = True
    wide, narrow = (drawn(view, width, mode=DrawingMode("16")).splitlines()[0] for width in (120, 80))
    assert "ordered by index · difference from the mean of all · rows 1-16 of 40" in wide
    assert "ordered by" not in narrow
    assert narrow.endswith("rows 1-16 of 40")


def test_the_ramps_are_those_that_the_script_prints(capsys: pytest.CaptureFixture[str]) -> None:
    ramp_colors.main()
    kept = (palette._SEQUENTIAL, palette._DIVERGING_DARK, palette._DIVERGING_LIGHT)
    assert capsys.readouterr().out.split() == ["".join(bytes(color).hex() for color in ramp) for ramp in kept]
