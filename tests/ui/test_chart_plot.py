from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.ui.chart_helpers import ASCII, HOSTILE, INF, MODES, NAN, TRUE, curve, styles, text
from tui_attn.ui.charts.geometry import Span
from tui_attn.ui.charts.plot import MIN_HEIGHT, MIN_WIDTH, Picture, View, compose
from tui_attn.ui.charts.series import SeriesStore
from tui_attn.ui.curves import Curve, XAxis
from tui_attn.ui.styles import DrawingMode


def picture(
    curves: list[Curve],
    width: int = 80,
    height: int = 20,
    mode: DrawingMode = TRUE,
    *,
    axis: XAxis = "step",
    smoothing: float = 0.0,
    **options: object,
) -> Picture:
    store = SeriesStore()
    store.sync(curves)
    view = View(store.lines(axis, smoothing=smoothing), "Loss", axis=axis, smoothing=smoothing)
    for name, value in options.items():
        setattr(view, name, value)
    return compose(view, width, height, styles(mode))


def falling(n: int = 60, start: float = 2.3) -> list[float]:
    return [start * math.exp(-i / 20) + 0.2 for i in range(n)]


AWKWARD = {
    "nothing": [],
    "one point": [0.5],
    "flat": [0.5] * 40,
    "flat zero": [0.0] * 40,
    "all nan": [NAN] * 40,
    "nan, then numbers": [NAN] * 10 + falling(30),
    "all infinite": [INF, -INF] * 20,
    "huge": [1e308, -1e308, 1e307, 5.0] * 10,
    "hardly different": [1e16, 1e16 + 2, 1e16 + 4],
    "tiny": [5e-324, 1e-320, 0.0] * 5,
    "negative": [-2.0, -1.0, -0.5] * 10,
    "a spike": [0.1] * 500 + [1e6] + [0.1] * 500,
}


@pytest.mark.parametrize("mode", MODES, ids=str)
@pytest.mark.parametrize("size", [(30, 6), (80, 24), (120, 40), (200, 60), (3, 2), (1, 1), (29, 40), (60, 5)], ids=str)
@pytest.mark.parametrize("log", [False, True])
def test_every_size_and_mode_is_filled_exactly(size: tuple[int, int], mode: DrawingMode, log: bool) -> None:
    curves = [curve("base", falling()), curve("se", [NAN, *falling(50, 1.0)]), curve("self-attention", [])]
    drawn = picture(curves, *size, mode, log=log, cursor=200.0, smoothing=0.6)
    assert [strip.cell_length for strip in drawn.strips] == [size[0]] * size[1]


@pytest.mark.parametrize("values", AWKWARD.values(), ids=AWKWARD.keys())
@pytest.mark.parametrize("log", [False, True])
def test_awkward_values_are_drawn_or_said(values: list[float], log: bool) -> None:
    for mode in (TRUE, ASCII):
        drawn = picture([curve("base", values)], 60, 15, mode, log=log, cursor=10.0)
        assert [strip.cell_length for strip in drawn.strips] == [60] * 15
        assert (drawn.frame is None) == (not values)


@given(
    values=st.lists(st.floats(), max_size=40),
    steps=st.lists(st.floats(allow_nan=False, allow_infinity=False), max_size=40),
    width=st.integers(1, 70),
    height=st.integers(1, 24),
    log=st.booleans(),
    mode=st.sampled_from([TRUE, ASCII]),
    cursor=st.none() | st.floats(allow_nan=False, allow_infinity=False),
    x=st.none() | st.tuples(st.floats(-1e6, 1e6), st.floats(1e-9, 1e6)),
)
def test_any_numbers_give_a_picture(
    values: list[float],
    steps: list[float],
    width: int,
    height: int,
    log: bool,
    mode: DrawingMode,
    cursor: float | None,
    x: tuple[float, float] | None,
) -> None:
    n = min(len(values), len(steps))
    curves = [curve("base", values), curve("se", values[:n], steps=sorted(steps[:n]))]
    span = None if x is None else Span(x[0], x[0] + x[1])
    drawn = picture(curves, width, height, mode, log=log, cursor=cursor, x=span)
    assert [strip.cell_length for strip in drawn.strips] == [width] * height


def test_a_small_chart_says_so() -> None:
    assert "too small" in text(picture([curve("base", falling())], MIN_WIDTH - 1, MIN_HEIGHT).strips)
    assert "too small" not in text(picture([curve("base", falling())], MIN_WIDTH, MIN_HEIGHT).strips)


def test_without_points_it_says_what_it_waits_for() -> None:
    shown = text(picture([curve("base", [])], empty="no run has begun").strips)
    assert "Loss" in shown
    assert "no run has begun" in shown


def test_a_small_chart_in_ascii_looks_like_this() -> None:
    curves = [curve("base", [4, 3, 2, 1, 0]), curve("se", [0, 1, 2, 3, 4])]
    assert text(picture(curves, 40, 12, ASCII, cursor=30.0).strips).splitlines() == [
        "Loss                             step 30",
        "o base 2.0000  + se 2.0000",
        "4 +ooo               |               +++",
        "  |   oooo           |           ++++",
        "  |       ooooo      |      +++++",
        "  |            oooo  |  ++++",
        "2 +              ++oo++ooo",
        "  |       +++++++    |    ooooooo",
        "  |   ++++           |           oooo",
        "0 ++++               |               ooo",
        "  ++--------+--------^--------+---------",
        "  10       20       30       40     step",
    ]


def test_ascii_drawings_hold_ascii_only_and_no_colour() -> None:
    curves = [curve("base-s0", falling(), group="base"), curve("base-s1", falling(40), group="base")]
    strips = picture([*curves, curve("se", [*falling(), NAN])], 100, 30, ASCII, smoothing=0.5, cursor=100.0).strips
    assert text(strips).isascii()
    styles = [segment.style for strip in strips for segment in strip if segment.style]
    assert styles
    assert all(style.color is None and style.bgcolor is None for style in styles)


def test_curves_have_their_own_marker_in_the_legend_and_on_the_canvas() -> None:
    curves = [curve("base", [1.0] * 60), curve("se", [2.0] * 60), curve("self-attention", [3.0] * 60)]
    lines = text(picture(curves, 100, 30).strips).splitlines()
    assert all(f"{marker} {name}" in lines[1] for marker, name in (("●", "base"), ("▲", "se"), ("■", "self-attention")))
    canvas = "\n".join(lines[2:-2])
    assert all(canvas.count(marker) >= 3 for marker in "●▲■")


def test_points_far_apart_have_their_marker_where_they_are() -> None:
    train = curve("base", falling())
    few = Curve("t", "test", "se", [100.0, 200.0, 300.0, 400.0], [0.5, 2.5, 0.5, 2.5], marker="△")
    found = picture([train, few], 100, 30)
    assert found.frame is not None
    canvas = text(found.strips).splitlines()[found.frame.top : -2]
    places = {(x, y) for y, line in enumerate(canvas) for x, glyph in enumerate(line) if glyph == "△"}
    frame = found.frame
    assert places == {(frame.left + frame.column(x), frame.row(y)) for x, y in zip(few.steps, few.values, strict=True)}


def test_a_few_points_side_by_side_are_no_crowd_of_markers() -> None:
    long = curve("base", falling(400))
    short = Curve("s", "short", "se", [10.0 * n for n in range(1, 13)], [1.0] * 12, marker="△")
    canvas = "\n".join(text(picture([long, short], 100, 30).strips).splitlines()[2:-2])
    assert canvas.count("△") <= 2


def test_a_single_point_is_seen() -> None:
    few = Curve("t", "test", "base", [200.0], [1.0], marker="○")
    canvas = "\n".join(text(picture([curve("base", falling()), few], 80, 24).strips).splitlines()[2:-2])
    assert canvas.count("○") == 1


def test_points_of_several_curves_on_one_place_take_turns() -> None:
    steps, values = [100.0, 200.0, 300.0, 400.0], [1.0] * 4
    curves = [Curve(name, name, name, steps, values, marker=marker) for name, marker in (("a", "△"), ("b", "□"))]
    canvas = "\n".join(text(picture(curves, 80, 24).strips).splitlines()[2:-2])
    assert canvas.count("△") == canvas.count("□") == 2


@pytest.mark.parametrize("rows", [12, 16, 24, 40])
def test_a_scale_has_more_than_one_label(rows: int) -> None:
    lines = text(picture([curve("base", [0.21, 1.3, 2.4])], 60, rows).strips).splitlines()
    assert sum("┤" in line for line in lines) >= 2


def test_curves_that_lie_on_each_other_are_all_seen_in_ascii() -> None:
    canvas = text(picture([curve("base", falling()), curve("se", falling())], 80, 20, ASCII).strips).splitlines()[2:-2]
    assert all("\n".join(canvas).count(marker) > 10 for marker in "o+")


def test_the_cursor_reads_every_series_at_its_step() -> None:
    curves = [curve("base", [3.0, 2.0, 1.0]), curve("se", [3.5, 2.5]), curve("self-attention", [NAN, NAN, 7.0])]
    lines = text(picture(curves, 100, 20, cursor=20.0).strips).splitlines()
    assert "step 20" in lines[0]
    assert "base 2.0000" in lines[1]
    assert "se 2.5000" in lines[1]
    assert "self-attention nan" in lines[1]
    after = text(picture(curves, 100, 20, cursor=30.0).strips).splitlines()[1]
    assert "base 1.0000" in after
    assert "se –" in after
    assert "self-attention 7.0000" in after


def test_the_readout_gives_smoothed_and_raw_values() -> None:
    line = text(picture([curve("base", [1.0, 3.0])], 100, 20, cursor=20.0, smoothing=0.5).strips).splitlines()[1]
    assert "base 2.3333 (raw 3.0000)" in line


def test_nan_is_marked_where_it_happened_and_the_line_goes_on_after_it() -> None:
    values = [1.0] * 40 + [NAN] + [1.0] * 40
    drawn = picture([curve("base", values)], 80, 20)
    assert drawn.frame is not None
    row = next(strip.text for strip in drawn.strips if "✗" in strip.text)
    column = row.index("✗") - drawn.frame.left
    assert abs(drawn.frame.x_at(column) - 410) < 20
    assert row.count("✗") == 1
    assert row[drawn.frame.left + column + 3] not in " ┈"


def test_a_log_scale_is_refused_where_nothing_is_positive_and_counts_what_it_hides() -> None:
    assert "log: nothing positive" in text(picture([curve("base", [-1.0, 0.0])], log=True).strips)
    partly = picture([curve("base", [0.0, 1.0, 10.0, 100.0])], log=True)
    assert "1 not positive" in text(partly.strips)
    assert partly.frame is not None
    assert partly.frame.log


def test_seeds_become_a_mean_with_a_band_and_what_one_has_beyond_is_still_read_out() -> None:
    curves = [
        curve("base-s0", [1.0, 2.0, 3.0, 4.0], group="base"),
        curve("base-s1", [3.0, 4.0, 5.0], group="base"),
    ]
    at_common = text(picture(curves, 100, 20, cursor=30.0).strips).splitlines()[1]
    assert "base ×2 4.0000 (3.0000 – 5.0000)" in at_common
    beyond = text(picture(curves, 100, 20, cursor=40.0).strips).splitlines()[1]
    assert "base ×2 4.0000 (1 of 2 seeds)" in beyond


def test_a_band_shades_the_cells_between_the_lowest_and_the_highest() -> None:
    curves = [curve("base-s0", [1.0] * 30, group="base"), curve("base-s1", [3.0] * 30, group="base")]
    tinted = picture(curves, 80, 20)
    assert tinted.frame is not None
    rows = [
        y - tinted.frame.top
        for y, strip in enumerate(tinted.strips)
        if any(segment.style and segment.style.bgcolor for segment in strip)
    ]
    assert rows == list(range(tinted.frame.row(3.0), tinted.frame.row(1.0) + 1))
    assert "░" in text(picture(curves, 80, 20, DrawingMode("16")).strips)
    assert ":" in "".join(strip.text for strip in picture(curves, 80, 20, ASCII).strips[2:-2])


@pytest.mark.parametrize("axis", ["step", "epoch", "time"])
def test_the_axis_names_what_it_counts(axis: XAxis) -> None:
    last = picture([curve("base", falling(300))], 100, 20, axis=axis).strips[-1].text
    assert last.rstrip().endswith(axis)
    assert {"step": "1000", "epoch": "10", "time": "10m"}[axis] in last


def test_hostile_labels_are_shown_and_never_obeyed() -> None:
    for label in HOSTILE:
        for mode in (TRUE, ASCII):
            bad = Curve(label, label, label, [1.0, 2.0], [1.0, 2.0], marker=label)
            drawn = picture([bad], 120, 20, mode, title=label, y_label=label, empty=label)
            shown = text(drawn.strips)
            assert not any(ord(c) < 32 or 127 <= ord(c) < 160 for c in shown.replace("\n", ""))
            assert "\u202e" not in shown
            assert [strip.cell_length for strip in drawn.strips] == [120] * 20
    assert "acc[/bold]" in text(picture([Curve("a", "acc[/bold]", "a", [1.0], [1.0])]).strips)


def test_many_curves_are_counted_where_the_legend_is_full() -> None:
    curves = [curve(f"run-{i}", [float(i)] * 10) for i in range(200)]
    lines = text(picture(curves, 80, 24).strips).splitlines()
    assert any(part.startswith("+") and part[1:].isdigit() for part in lines[4].split())


def test_only_the_part_asked_for_is_shown_and_y_follows_it() -> None:
    values = [100.0] * 50 + [1.0, 2.0] * 25
    zoomed = picture([curve("base", values)], x=Span(600.0, 900.0))
    assert zoomed.frame is not None
    assert (zoomed.frame.x.lower, zoomed.frame.x.upper) == (600.0, 900.0)
    assert zoomed.frame.y.upper < 3
    assert "zoomed" in text(zoomed.strips)


def test_the_end_of_the_axis_stands_still_while_a_few_points_arrive() -> None:
    ends = {picture([curve("base", falling(n))]).frame.x.upper for n in range(101, 105)}  # type: ignore[union-attr]
    assert len(ends) == 1
