from __future__ import annotations

import math
from array import array

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.ui.chart_helpers import INF, NAN, curve
from tui_attn.ui.charts.series import Curve, CurveStore, Smoother, convert, known_axes

finite = st.floats(-1e6, 1e6)
weights = st.floats(0, 0.99)


def textbook(values: list[float], weight: float) -> list[float]:
    """The debiased average written as the weighted mean that it is."""
    result = []
    for n in range(1, len(values) + 1):
        shares = [weight ** (n - i) for i in range(1, n + 1)]
        result.append(math.fsum(s * v for s, v in zip(shares, values, strict=False)) / math.fsum(shares))
    return result


@given(st.lists(finite, max_size=40), weights)
def test_smoothing_is_the_textbook_formula(values: list[float], weight: float) -> None:
    assert Smoother(weight).extend(values) == pytest.approx(textbook(values, weight), rel=1e-9, abs=1e-6)


@given(st.lists(st.floats(), max_size=40), weights, st.integers(0, 40))
def test_smoothing_in_two_goes_is_smoothing_in_one(values: list[float], weight: float, at: int) -> None:
    parts = Smoother(weight)
    assert np.array_equal(parts.extend(values[:at]) + parts.extend(values[at:]), Smoother(weight).extend(values), True)


def test_the_first_smoothed_value_is_the_first_value() -> None:
    assert Smoother(0.99).extend([5.0, 5.0, 5.0]) == pytest.approx([5.0, 5.0, 5.0])


def test_what_is_not_finite_stays_where_it_is_and_poisons_nothing() -> None:
    smoothed = Smoother(0.9).extend([1.0, NAN, 2.0, INF, -INF, 3.0])
    assert math.isnan(smoothed[1])
    assert smoothed[3:5] == [INF, -INF]
    assert [smoothed[0], smoothed[2], smoothed[5]] == pytest.approx(textbook([1.0, 2.0, 3.0], 0.9))


@pytest.mark.parametrize("weight", [-0.1, 1.0, NAN])
def test_weights_outside_the_range_are_refused(weight: float) -> None:
    with pytest.raises(ValueError, match="weight"):
        Smoother(weight)


def test_a_growing_curve_is_smoothed_as_one_and_its_arrays_are_not_copied() -> None:
    store = CurveStore()
    for n in range(2, 50):
        steps, values = array("d", range(n)), array("d", (i * i for i in range(n)))
        shown = Curve.of("a", "a", "base", steps, values)
        assert np.shares_memory(shown.values, np.frombuffer(values))
        (line,) = store.lines([shown], "step", smoothing=0.5)
        assert line.y.tolist() == Smoother(0.5).extend(values)


def test_a_resume_that_cut_the_series_and_grew_again_is_smoothed_anew() -> None:
    store = CurveStore()
    store.lines([curve("base", [1.0, 2.0, 3.0, 4.0])], "step", smoothing=0.5)
    after = [1.0, 2.0, 30.0, 40.0]
    assert store.lines([curve("base", after)], "step", smoothing=0.5)[0].y.tolist() == Smoother(0.5).extend(after)
    assert store.lines([curve("base", after[:2])], "step", smoothing=0.5)[0].y.tolist() == Smoother(0.5).extend(
        after[:2]
    )


def test_smoothed_values_of_the_past_never_change_as_points_arrive() -> None:
    values = [math.sin(i) for i in range(100)]
    store = CurveStore()
    early = store.lines([curve("base", values[:60])], "step", smoothing=0.9)[0].y.copy()
    assert np.array_equal(store.lines([curve("base", values)], "step", smoothing=0.9)[0].y[:60], early)


def test_values_of_an_epoch_are_never_smoothed() -> None:
    per_epoch = Curve.of("t", "t", "se", [1.0, 2.0], [1.0, 3.0], smooth=False)
    (line,) = CurveStore().lines([per_epoch], "step", smoothing=0.9)
    assert (line.y.tolist(), line.raw) == ([1.0, 3.0], None)


def test_raw_values_stand_under_the_selected_curve_only() -> None:
    curves = [curve("base", [1.0, 3.0]), curve("se", [1.0, 3.0])]
    curves[1].dimmed = True
    first, second = CurveStore().lines(curves, "step", smoothing=0.5)
    assert first.raw is not None
    assert second.raw is None
    assert CurveStore().lines(curves, "step", smoothing=0.5, show_raw=False)[0].raw is None


def test_the_mean_stands_on_the_steps_that_all_seeds_have() -> None:
    curves = [
        curve("se-s0", [1.0, 2.0, 3.0, 4.0], group="se"),
        curve("se-s1", [3.0, 6.0], steps=[20.0, 40.0], group="se"),
        curve("base", [9.0], group=None),
    ]
    mean, alone = CurveStore().lines(curves, "step")
    assert (mean.label, mean.members) == ("se", 2)
    assert mean.x.tolist() == [20.0, 40.0]
    assert mean.y.tolist() == [2.5, 5.0]
    assert mean.low is not None
    assert mean.high is not None
    assert (mean.low.tolist(), mean.high.tolist()) == ([2.0, 4.0], [3.0, 6.0])
    assert (alone.label, alone.members) == ("base", 1)


def test_a_mean_is_dimmed_only_where_none_of_its_seeds_is_selected() -> None:
    curves = [curve(f"{model}-s{seed}", [1.0, 2.0], group=model) for model in ("base", "se") for seed in range(2)]
    for dim in (0, 2, 3):
        curves[dim].dimmed = True
    assert [line.dimmed for line in CurveStore().lines(curves, "step")] == [False, True]


def test_what_a_seed_has_beyond_the_common_steps_is_kept_as_its_tail() -> None:
    curves = [curve("se-s0", [1.0, 2.0, 3.0, 4.0], group="se"), curve("se-s1", [3.0, 4.0], group="se")]
    (mean,) = CurveStore().lines(curves, "step")
    ((x, y),) = mean.tails
    assert (x.tolist(), y.tolist()) == ([20.0, 30.0, 40.0], [2.0, 3.0, 4.0])


def test_a_seed_that_has_not_begun_does_not_empty_the_mean() -> None:
    (line,) = CurveStore().lines([curve("se-s0", [1.0, 2.0], group="se"), curve("se-s1", [], group="se")], "step")
    assert (line.label, line.y.tolist()) == ("se", [1.0, 2.0])


def test_a_mean_with_a_nan_is_nan_there_only() -> None:
    curves = [curve("se-s0", [1.0, NAN, 3.0], group="se"), curve("se-s1", [3.0, 3.0, 3.0], group="se")]
    (mean,) = CurveStore().lines(curves, "step")
    assert np.array_equal(mean.y, [2.0, NAN, 3.0], equal_nan=True)


def test_seeds_can_be_shown_one_by_one() -> None:
    curves = [curve("se-s0", [1.0], group="se"), curve("se-s1", [3.0], group="se")]
    assert [line.label for line in CurveStore().lines(curves, "step", grouped=False)] == ["se-s0", "se-s1"]


def test_axes_are_steps_epochs_and_time() -> None:
    curves, store = [curve("base", [1.0, 2.0]), Curve.of("bare", "bare", "se", [10.0], [1.0])], CurveStore()
    assert [line.x.tolist() for line in store.lines(curves, "step")] == [[10.0, 20.0], [10.0]]
    assert [line.x.tolist() for line in store.lines(curves, "epoch")] == [[0.1, 0.2]]
    assert [line.x.tolist() for line in store.lines(curves, "time")] == [[5.0, 10.0]]
    assert convert(curves, 15.0, ("step", False), ("time", False)) == 7.5
    assert convert(curves, 7.5, ("time", False), ("epoch", False)) == pytest.approx(0.15)
    assert known_axes(curves) == ["step", "epoch", "time"]
    assert known_axes(curves[1:]) == ["step"]


def test_a_logarithmic_axis_has_powers_of_ten_and_leaves_out_what_has_none() -> None:
    curves = [Curve.of("a", "a", "base", [0.0, 1.0, 10.0, 100.0], [1.0, 2.0, 3.0, 4.0])]
    (line,) = CurveStore().lines(curves, "step", log=True)
    assert line.x.tolist() == pytest.approx([0.0, 1.0, 2.0])
    assert line.y.tolist() == [2.0, 3.0, 4.0]
    assert convert(curves, 10.0, ("step", False), ("step", True)) == pytest.approx(1.0)
    assert convert(curves, 1.0, ("step", True), ("step", False)) == pytest.approx(10.0)


@given(st.lists(st.tuples(st.floats(), st.floats()), max_size=20))
def test_lines_always_have_ascending_places(points: list[tuple[float, float]]) -> None:
    found = Curve.of("a", "a", "base", [x for x, _ in points], [y for _, y in points])
    (line,) = CurveStore().lines([found], "step", smoothing=0.5)
    assert np.isfinite(line.x).all()
    assert (np.diff(line.x) >= 0).all()
    assert len(line.x) == len(line.y) == len(line.raw if line.raw is not None else line.x)
