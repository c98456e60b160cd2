from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tui_attn.ui.charts.geometry import Frame, Span, history, nice, padded
from tui_attn.ui.charts.ticks import clock, linear_ticks, log_ticks, short, time_ticks

numbers = st.floats(-1e12, 1e12)
spans = st.builds(lambda lower, width: Span(lower, lower + width), st.floats(-1e6, 1e6), st.floats(1e-3, 1e6))


@given(spans, st.floats(0.1, 10), st.floats(0, 1))
def test_zooming_keeps_the_anchor_in_its_place(span: Span, factor: float, share: float) -> None:
    anchor = span.at(share)
    zoomed = span.zoomed(factor, anchor)
    assert zoomed.width == pytest.approx(span.width * factor, rel=1e-6)
    assert zoomed.share(anchor) == pytest.approx(share, abs=1e-4)


@given(spans, st.floats(-2, 2))
def test_panning_back_and_forth_changes_nothing(span: Span, share: float) -> None:
    back = span.panned(share).panned(-share)
    assert (back.lower, back.upper) == pytest.approx((span.lower, span.upper), rel=1e-9, abs=1e-6)


@given(spans, spans)
def test_a_view_held_within_the_history_lies_in_it(view: Span, whole: Span) -> None:
    held = view.within(whole)
    assert whole.lower <= held.lower < held.upper <= whole.upper or held == whole
    assert held.width <= whole.width * (1 + 1e-9)


def test_zooming_stops_before_floats_run_out() -> None:
    span = Span(1.0, 2.0)
    for _ in range(200):
        span = span.zoomed(0.5, 1.5)
    assert span.lower < 1.5 < span.upper
    for _ in range(5000):
        span = span.zoomed(2.0, 1.5)
    assert math.isfinite(span.width)


@given(st.floats(allow_nan=False, allow_infinity=False), st.floats(allow_nan=False, allow_infinity=False))
def test_a_padded_range_is_a_range_around_it(one: float, other: float) -> None:
    lower, upper = min(one, other), max(one, other)
    span = padded(lower, upper)
    assert math.isfinite(span.width)
    assert span.width > 0
    assert span.lower <= max(lower, -1e300)
    assert span.upper >= min(upper, 1e300)


def test_padding_does_not_cross_zero() -> None:
    assert padded(0.01, 2.0).lower == 0.0
    assert padded(-2.0, -0.01).upper == 0.0


@given(st.integers(0, 10**7), st.integers(1, 10**7))
def test_the_history_holds_everything_and_little_more(start: int, length: int) -> None:
    span = history(float(start), float(start + length))
    assert span.lower == start
    assert start + length <= span.upper <= start + length * 1.15


@given(st.floats(1e-280, 1e280))
def test_nice_numbers_are_1_2_5_and_next_above(step: float) -> None:
    found = nice(step)
    assert step * (1 - 1e-6) <= found <= step * 2.5 * (1 + 1e-6)
    assert round(found / 10 ** math.floor(math.log10(found) + 1e-9)) in {1, 2, 5}


@given(st.floats(-1e9, 1e9), st.floats(1e-6, 1e9), st.integers(2, 12))
def test_ticks_lie_in_the_range_and_say_different_things(lower: float, width: float, count: int) -> None:
    span = Span(lower, lower + width)
    ticks = linear_ticks(span, count)
    assert len(ticks) <= count + 1
    slack = width * 1e-6 + abs(lower) * 1e-9
    assert all(span.lower - slack <= at <= span.upper + slack for at, _ in ticks)
    if width > abs(lower) * 1e-3:
        assert len({label for _, label in ticks}) == len(ticks)


def test_labels_of_ticks_are_short_and_alike() -> None:
    def labels(lower: float, upper: float, **how: bool) -> list[str]:
        return [label for _, label in linear_ticks(Span(lower, upper), 5, **how)]

    assert labels(0, 2.4) == ["0.0", "0.5", "1.0", "1.5", "2.0"]
    assert labels(0, 7035, whole=True) == ["0", "2000", "4000", "6000"]
    assert labels(0, 48000, whole=True) == ["0", "10k", "20k", "30k", "40k"]
    assert labels(0.85, 0.93, percent=True) == ["86%", "88%", "90%", "92%"]
    assert labels(0, 3, whole=True) == ["0", "1", "2", "3"]
    assert labels(0, 4e-5) == ["0", "1e-5", "2e-5", "3e-5", "4e-5"]
    assert labels(-1, 1) == ["-1.0", "-0.5", "0.0", "0.5", "1.0"]


@given(st.floats(-200, 200), st.floats(1e-3, 60), st.integers(2, 8))
def test_ticks_of_a_log_axis_lie_where_they_say(lower: float, width: float, count: int) -> None:
    ticks = log_ticks(Span(lower, lower + width), count)
    for at, label in ticks:
        assert lower - 1e-6 <= at <= lower + width + 1e-6
        if width > 0.2:
            assert math.log10(float(label.replace("k", "e3").replace("M", "e6"))) == pytest.approx(at, abs=0.02)


def test_ticks_of_a_log_axis_are_decades_or_round_numbers() -> None:
    assert [label for _, label in log_ticks(Span(-3.2, 1.1), 5)] == ["0.001", "0.01", "0.1", "1", "10"]
    assert [label for _, label in log_ticks(Span(-0.8, 0.5), 4)] == ["0.3", "1", "3"]


def test_times_are_said_in_round_units() -> None:
    assert [label for _, label in time_ticks(Span(0, 600), 5)] == ["0s", "2m", "4m", "6m", "8m", "10m"]
    assert [label for _, label in time_ticks(Span(0, 7200), 4)] == ["0s", "30m", "1h", "1h30m", "2h"]
    assert [label for _, label in time_ticks(Span(0, 1.5), 3)] == ["0.0s", "0.5s", "1.0s", "1.5s"]
    assert clock(3600 * 49 + 61) == "2d1h"


@pytest.mark.parametrize(
    ("value", "said"),
    [(0, "0"), (0.05, "0.05"), (12000, "12k"), (123456, "123.5k"), (2.5e7, "2.5e7"), (3e-7, "3e-7"), (-2.5, "-2.5")],
)
def test_short_numbers(value: float, said: str) -> None:
    assert short(value) == said


@given(st.integers(2, 200), st.integers(2, 60), st.booleans(), st.data())
def test_columns_and_places_agree(width: int, height: int, ascii_only: bool, data: st.DataObject) -> None:
    frame = Frame(5, 2, width, height, Span(10.0, 20.0), Span(-1.0, 1.0), ascii=ascii_only)
    column = data.draw(st.integers(0, width - 1))
    assert frame.column(frame.x_at(column)) == column
    assert (frame.column(10.0), frame.column(20.0)) == (0, width - 1)
    assert (frame.row(1.0), frame.row(-1.0)) == (0, height - 1)
    assert not 0 <= frame.column(40.0) < width
    assert not 0 <= frame.row(-4.0) < height
