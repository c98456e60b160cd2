from __future__ import annotations

import math
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.ui.chart_helpers import ASCII, HOSTILE, INF, MODES, NAN, TRUE, curve, styles, text
from tui_attn.ui.charts.geometry import Span
from tui_attn.ui.charts.plot import MIN_HEIGHT, MIN_WIDTH, Picture, View, compose
from tui_attn.ui.charts.series import Curve, CurveStore, XAxis
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
    lines = CurveStore().lines(curves, axis, log=bool(options.get("log_x")), smoothing=smoothing)
    view = View(lines, "Loss", axis=axis, smoothing=smoothing)
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
    assert text(picture(curves, 40, 12, ASCII, cursor=30.0, fit=False).strips).splitlines() == [
        "Loss  - train        step 30  full range",
        "o base 2.0000  + se 2.0000",
        "4 +ooo               |               +++",
        "  |   oooo           |           ++++",
        "  |       ooooo      |      +++++",
        "  |            oooo  |  ++++",
        "2 +              ++oo+oooo",
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


def canvas(drawn: Picture) -> list[str]:
    """The lines between the axes, with the values at the ends of lines."""
    assert drawn.frame is not None
    return text(drawn.strips).splitlines()[drawn.frame.top : drawn.frame.top + drawn.frame.height]


def places_of(glyph: str, drawn: Picture) -> set[tuple[int, int]]:
    """Column and row on the canvas of every `glyph`."""
    frame = drawn.frame
    assert frame is not None
    return {
        (x - frame.left, y)
        for y, line in enumerate(canvas(drawn))
        for x, found in enumerate(line[: frame.left + frame.width])
        if found == glyph
    }


def test_a_marker_stands_in_the_legend_and_at_the_end_of_its_line_and_nowhere_else() -> None:
    curves = [curve("base", falling()), curve("se", [3.0] * 60), curve("self-attention", [5.0] * 30)]
    drawn = picture(curves, 100, 30)
    legend = text(drawn.strips).splitlines()[1]
    assert all(f"{marker} {name}" in legend for marker, name in (("●", "base"), ("▲", "se"), ("■", "self-attention")))
    frame = drawn.frame
    assert frame is not None
    for each, marker in zip(curves, "●▲■", strict=True):
        x, y = float(each.steps[-1]), float(each.values[-1])
        assert places_of(marker, drawn) == {(frame.column(x), frame.row(y))}


def test_values_stand_at_the_ends_of_lines_apart_from_each_other() -> None:
    curves = [curve("base", [1.0, 0.9101]), curve("se", [1.0, 0.9102]), curve("self-attention", [1.0, 0.2])]
    drawn = picture(curves, 80, 20, percent=True)
    ends = [line.rstrip()[-7:] for line in canvas(drawn) if line.rstrip().endswith("%")]
    assert ends == ["▲91.02%", "●91.01%", "■20.00%"]
    assert "91.02" not in text(drawn.strips).splitlines()[1], "nothing is told twice"


def test_a_narrow_chart_has_its_values_in_the_legend() -> None:
    drawn = picture([curve("base", [1.0, 0.9101])], 40, 20, percent=True)
    assert "● base 91.01%" in text(drawn.strips).splitlines()[1]
    assert not any("91.01%" in line for line in canvas(drawn))


def test_more_curves_than_rows_keep_the_values_of_the_selected() -> None:
    curves = [curve(f"run-{i}", [1.0, i / 100]) for i in range(60)]
    for each in curves[:-1]:
        each.dimmed = True
    drawn = picture(curves, 80, 20, percent=True)
    ends = [line for line in canvas(drawn) if line.rstrip().endswith("%")]
    assert len(ends) == len(canvas(drawn))
    assert "59.00%" in "".join(ends)


def test_a_single_point_is_seen() -> None:
    few = Curve.of("t", "test", "base", [200.0], [1.0])
    assert len(places_of("▲", picture([few, curve("se", falling())], 80, 24))) == 1
    assert len(places_of("●", picture([few, curve("se", falling())], 80, 24))) == 1


@pytest.mark.parametrize("mode", MODES, ids=str)
def test_the_selected_curve_lies_over_the_others(mode: DrawingMode) -> None:
    curves = [curve("base", falling()), curve("se", falling()), curve("self-attention", falling())]
    for chosen in range(3):
        for index, each in enumerate(curves):
            each.dimmed = index != chosen
        dressed = styles(mode)
        drawn = picture(curves, 80, 20, mode, fit=False)
        frame = drawn.frame
        assert frame is not None
        front = dressed.curve(curves[chosen].color)
        on_canvas = [
            segment.style
            for strip in drawn.strips[frame.top : frame.top + frame.height]
            for segment in strip.crop(frame.left, frame.left + frame.width)
            if segment.text.strip(" ┈") and segment.style
        ]
        assert {style.color for style in on_canvas} == {front.color}
        marker = dressed.marker(curves[chosen].color)
        assert places_of(marker, drawn)


def test_what_is_faint_lies_under_everything_and_has_no_marker_and_no_value() -> None:
    test, train = curve("base", [1.0] * 60), curve("base-train", [1.0] * 60)
    train.faint = True
    drawn = picture([train, test], 80, 20)
    assert places_of("●", drawn)
    legend = text(drawn.strips).splitlines()[1]
    assert "base-train" not in legend
    assert sum("1.0000" in line for line in canvas(drawn)) == 1


@pytest.mark.parametrize(
    ("smooth", "faint", "said"), [(True, False, "━ train, smoothed 0.9"), (False, False, "━ test")]
)
def test_the_key_says_what_lines_are(smooth: bool, faint: bool, said: str) -> None:
    line = curve("base", falling())
    line.smooth, line.faint = smooth, faint
    assert said in text(picture([line], 80, 20, smoothing=0.9).strips)


def test_the_key_names_test_training_seeds_and_what_is_not_finite() -> None:
    curves = [curve(f"se-s{seed}", [1.0, 2.0, NAN, 2.0], group="se") for seed in range(2)]
    train = [curve(f"se-s{seed} train", [3.0] * 9, group="se") for seed in range(2)]
    for each in curves:
        each.smooth = False
    for each in train:
        each.faint = True
    head = text(picture([*curves, *train], 120, 24, smoothing=0.9, fit=False).strips)
    assert "Loss  ━ test  ━ train, smoothed 0.9  ░ all seeds  ✗ not finite" in head
    ascii_head = text(picture([*curves, *train], 120, 24, ASCII, smoothing=0.9, fit=False).strips)
    assert "- test  . train, smoothed 0.9  : all seeds  ! not finite" in ascii_head


def test_bands_that_overlap_keep_their_own_colours() -> None:
    curves = [
        curve(f"{model}-s{seed}", [1.0 + seed + shift] * 30, group=model)
        for model, shift in (("base", 0.0), ("se", 0.3))
        for seed in range(2)
    ]
    for each in curves[:2]:
        each.dimmed = True
    dressed = styles()
    tints = {
        segment.style.bgcolor.triplet
        for strip in picture(curves, 80, 20).strips
        for segment in strip
        if segment.style and segment.style.bgcolor and segment.style.bgcolor.triplet
    }
    assert {tuple(tint) for tint in tints} == {dressed.tint("base", 0.12), dressed.tint("se", 0.25)}


def test_a_narrow_chart_still_names_its_lines_and_has_every_value() -> None:
    curves = [curve("base", falling()), curve("se", falling()), curve("self-attention", falling())]
    curves[0].smooth = False
    head = text(picture(curves, 39, 10, percent=True, smoothing=0.9, fit=False).strips).splitlines()[:2]
    assert head == ["Loss  ━ test  ━ train        full range", "● 32.04%  ▲ 41.58%  ■ 41.58%"]


@pytest.mark.parametrize("rows", [12, 16, 24, 40])
def test_a_scale_has_more_than_one_label(rows: int) -> None:
    lines = text(picture([curve("base", [0.21, 1.3, 2.4])], 60, rows).strips).splitlines()
    assert sum("┤" in line for line in lines) >= 2


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
    ((column, row),) = places_of("✗", drawn)
    assert abs(drawn.frame.x_at(column) - 410) < 20
    assert canvas(drawn)[row][drawn.frame.left + column + 3] not in " ┈"


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
            bad = Curve.of(label, label, label, [1.0, 2.0], [1.0, 2.0])
            drawn = picture([bad], 120, 20, mode, title=label, empty=label)
            shown = text(drawn.strips)
            assert not any(ord(c) < 32 or 127 <= ord(c) < 160 for c in shown.replace("\n", ""))
            assert "\u202e" not in shown
            assert [strip.cell_length for strip in drawn.strips] == [120] * 20
    assert "acc[/bold]" in text(picture([Curve.of("a", "acc[/bold]", "a", [1.0], [1.0])]).strips)


def test_many_curves_are_counted_where_the_legend_is_full() -> None:
    curves = [curve(f"run-{i}", [float(i)] * 10) for i in range(200)]
    lines = text(picture(curves, 80, 24).strips).splitlines()
    assert any(part.startswith("+") and part[1:].isdigit() for part in lines[4].split())


def test_lines_that_meet_are_seen_by_turns_where_names_stand_at_their_ends() -> None:
    both = [curve("base", falling()), curve("se", falling())]
    for names, seen in ((False, 1), (True, 2)):
        drawn = picture(both, 100, 20, names=names)
        segments = [segment for strip in drawn.strips for segment in strip if re.search("[⠁-⣿]", segment.text)]
        assert len({segment.style.color for segment in segments if segment.style}) == seen
        assert ("base" in text(drawn.strips).splitlines()[1]) != names, "the legend"
