from __future__ import annotations

import math
from array import array

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.ui.chart_helpers import INF, NAN, curve
from tui_attn.ui.charts.series import SeriesStore, Smoother
from tui_attn.ui.curves import Curve

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


def test_growing_arrays_are_followed_and_never_locked() -> None:
    steps, values = array("d", [1.0]), array("d", [4.0])
    store = SeriesStore()
    shown = [Curve("a", "a", "base", steps, values, revision=0)]
    for n in range(2, 50):
        store.sync(shown)
        store.lines("step", smoothing=0.5)
        steps.append(float(n))  # an exported buffer would refuse this
        values.append(float(n))
    assert store.sync(shown)
    line = store.lines("step", smoothing=0.5)[0]
    assert line.y.tolist() == Smoother(0.5).extend(values)
    assert not store.sync(shown)


def test_a_resume_that_cut_the_series_and_grew_again_is_smoothed_anew() -> None:
    store = SeriesStore()
    before = curve("base", [1.0, 2.0, 3.0, 4.0])
    store.sync([before])
    store.lines("step", smoothing=0.5)
    after = curve("base", [1.0, 2.0, 30.0, 40.0], revision=2)
    assert store.sync([after])
    assert store.lines("step", smoothing=0.5)[0].y.tolist() == Smoother(0.5).extend([1.0, 2.0, 30.0, 40.0])


def test_the_same_points_under_a_new_revision_are_nothing_new() -> None:
    store = SeriesStore()
    assert store.sync([curve("base", [1.0, NAN, 3.0])])
    assert not store.sync([curve("base", [1.0, NAN, 3.0], revision=2)])
    assert store.sync([curve("base", [1.0, NAN, 3.5], revision=3)])


def test_smoothed_values_of_the_past_never_change_as_points_arrive() -> None:
    values = [math.sin(i) for i in range(100)]
    store = SeriesStore()
    store.sync([curve("base", values[:60])])
    early = store.lines("step", smoothing=0.9)[0].y.copy()
    store.sync([curve("base", values, revision=2)])
    assert np.array_equal(store.lines("step", smoothing=0.9)[0].y[:60], early)


def test_the_mean_stands_on_the_steps_that_all_seeds_have() -> None:
    store = SeriesStore()
    store.sync(
        [
            curve("se-s0", [1.0, 2.0, 3.0, 4.0], group="se"),
            curve("se-s1", [3.0, 6.0], steps=[20.0, 40.0], group="se"),
            curve("base", [9.0], group=None),
        ]
    )
    mean, alone = store.lines("step")
    assert (mean.label, mean.members) == ("se", 2)
    assert mean.x.tolist() == [20.0, 40.0]
    assert mean.y.tolist() == [2.5, 5.0]
    assert mean.low is not None
    assert mean.high is not None
    assert (mean.low.tolist(), mean.high.tolist()) == ([2.0, 4.0], [3.0, 6.0])
    assert (alone.label, alone.members) == ("base", 1)


def test_what_a_seed_has_beyond_the_common_steps_is_kept_as_its_tail() -> None:
    store = SeriesStore()
    store.sync([curve("se-s0", [1.0, 2.0, 3.0, 4.0], group="se"), curve("se-s1", [3.0, 4.0], group="se")])
    (mean,) = store.lines("step")
    ((x, y),) = mean.tails
    assert (x.tolist(), y.tolist()) == ([20.0, 30.0, 40.0], [2.0, 3.0, 4.0])


def test_a_seed_that_has_not_begun_does_not_empty_the_mean() -> None:
    store = SeriesStore()
    store.sync([curve("se-s0", [1.0, 2.0], group="se"), curve("se-s1", [], group="se")])
    (line,) = store.lines("step")
    assert (line.label, line.y.tolist()) == ("se", [1.0, 2.0])


def test_a_mean_with_a_nan_is_nan_there_only() -> None:
    store = SeriesStore()
    store.sync([curve("se-s0", [1.0, NAN, 3.0], group="se"), curve("se-s1", [3.0, 3.0, 3.0], group="se")])
    (mean,) = store.lines("step")
    assert np.array_equal(mean.y, [2.0, NAN, 3.0], equal_nan=True)


def test_seeds_can_be_shown_one_by_one() -> None:
    store = SeriesStore()
    store.sync([curve("se-s0", [1.0], group="se"), curve("se-s1", [3.0], group="se")])
    assert [line.label for line in store.lines("step", grouped=False)] == ["se-s0", "se-s1"]


def test_axes_are_steps_epochs_and_time() -> None:
    store = SeriesStore()
    store.sync([curve("base", [1.0, 2.0]), Curve("bare", "bare", "se", [10.0], [1.0])])
    assert [line.x.tolist() for line in store.lines("step")] == [[10.0, 20.0], [10.0]]
    assert [line.x.tolist() for line in store.lines("epoch")] == [[0.1, 0.2]]
    assert [line.x.tolist() for line in store.lines("time")] == [[5.0, 10.0]]
    assert store.convert(15.0, "step", "time") == 7.5
    assert store.convert(7.5, "time", "epoch") == pytest.approx(0.15)
    assert not SeriesStore().knows("epoch")


@given(st.lists(st.tuples(st.floats(), st.floats()), max_size=20))
def test_lines_always_have_ascending_places(points: list[tuple[float, float]]) -> None:
    store = SeriesStore()
    store.sync([Curve("a", "a", "base", [x for x, _ in points], [y for _, y in points])])
    (line,) = store.lines("step", smoothing=0.5)
    assert np.isfinite(line.x).all()
    assert (np.diff(line.x) >= 0).all()
    assert len(line.x) == len(line.y) == len(line.raw if line.raw is not None else line.x)
