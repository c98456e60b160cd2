"""The verdict: worked examples, scipy as a judge, and simulations of what it promises."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from tui_attn.compare import verdict
from tui_attn.compare.t_test import mean_interval

# Hours of sleep gained with two drugs, ten patients: Student, The Probable Error of a Mean (1908).
DEXTRO = [0.7, -1.6, -0.2, -1.2, -0.1, 3.4, 3.7, 0.8, 0.0, 2.0]
LAEVO = [1.9, 0.8, 1.1, 0.1, -0.1, 4.4, 5.5, 1.6, 4.6, 3.4]

DECIDED = {"better", "worse"}

fractions = st.floats(0, 1).map(lambda value: round(value, 4))


def test_students_example() -> None:
    found = verdict(DEXTRO, LAEVO)
    assert found.delta == pytest.approx(1.58)
    assert found.ci95 == pytest.approx((0.7001142, 2.4598858), abs=1e-7)
    assert found.p_value == pytest.approx(0.00283289, abs=1e-8)
    assert found.verdict == "better"
    assert found.spread == pytest.approx(1.2299955)
    assert (found.seeds_at_look, found.pairs) == (10, 10)


def test_the_other_way_round_is_worse() -> None:
    found = verdict(LAEVO, DEXTRO)
    assert found.verdict == "worse"
    assert found.ci95 == pytest.approx((-2.4598858, -0.7001142), abs=1e-7)


@pytest.mark.parametrize("comparisons", [1, 2, 5])
@pytest.mark.parametrize("seeds", [2, 3, 5, 10, 30])
def test_interval_and_p_value_are_the_adjusted_verdicts(seeds: int, comparisons: int) -> None:
    rng = np.random.default_rng(seeds)
    base = rng.normal(0.9, 0.004, seeds)
    other = base + rng.normal(0.002, 0.003, seeds)
    found = verdict(list(base), list(other), comparisons)
    judge = stats.ttest_rel(other, base)
    ends = judge.confidence_interval(1 - 0.05 / comparisons)
    assert found.ci95 == pytest.approx((ends.low, ends.high), abs=1e-10)
    assert found.p_value == pytest.approx(min(1, comparisons * judge.pvalue), abs=1e-8)


def test_more_comparisons_ask_for_more() -> None:
    base, other = [0.90, 0.91, 0.92, 0.90, 0.91], [0.912, 0.914, 0.923, 0.911, 0.912]
    assert verdict(base, other, 1).verdict == "better"
    assert verdict(base, other, 5).verdict == "undecided"


@given(st.lists(st.tuples(fractions, fractions), min_size=2, max_size=12), st.integers(1, 4), st.booleans())
def test_what_is_shown_never_contradicts_the_verdict(
    pairs: list[tuple[float, float]], comparisons: int, counted: bool
) -> None:
    base, other = zip(*pairs, strict=True)
    found = verdict(base, other, comparisons, resolution=1e-4 if counted else None)
    assert found.ci95 is not None and found.p_value is not None
    low, high = found.ci95
    assert low <= found.delta <= high or math.isclose(low, high, abs_tol=1e-12)
    assert found.verdict == (
        "better"
        if low > 0
        else "worse"
        if high < 0
        else "no difference above margin"
        if found.within_margin
        else "undecided"
    )
    assert 0 <= found.p_value <= 1
    if abs(found.p_value - 0.05) > 1e-9:
        assert (found.p_value < 0.05) == (found.verdict in DECIDED)


def test_one_seed_shows_nothing() -> None:
    found = verdict([0.9], [0.95], 2)
    assert found.delta == pytest.approx(0.05)
    assert (found.ci95, found.p_value, found.verdict, found.spread) == (None, None, None, None)


def test_equal_accuracies_are_no_difference() -> None:
    found = verdict([0.91, 0.92, 0.905], [0.91, 0.92, 0.905], resolution=1e-4)
    assert (found.delta, found.p_value, found.verdict) == (0.0, 1.0, "no difference above margin")


def test_the_arithmetics_last_bit_is_no_difference() -> None:
    found = verdict([0.1 + 0.2] * 3, [0.3] * 3)
    assert (found.p_value, found.verdict) == (1.0, "no difference above margin")


def test_differences_that_are_all_the_same() -> None:
    found = verdict([0.90, 0.91, 0.92], [0.91, 0.92, 0.93])
    assert found.ci95 == pytest.approx((0.01, 0.01))
    assert (found.p_value, found.verdict, found.spread) == (0.0, "better", 0.0)


def test_a_coincidence_of_coarse_accuracies_is_not_trusted() -> None:
    one_image_more = verdict([0.90, 0.91, 0.92], [0.91, 0.92, 0.93], resolution=0.01)
    assert one_image_more.verdict == "undecided"
    hundred_images_more = verdict([0.90, 0.91, 0.92], [0.91, 0.92, 0.93], resolution=0.0001)
    assert hundred_images_more.verdict == "better"


@pytest.mark.parametrize(
    ("base", "other", "words"),
    [
        ([], [], "no accuracies"),
        ([0.9], [0.9, 0.91], "1 accuracies of base and 2"),
        ([0.9, math.nan], [0.9, 0.9], "not a number"),
        ([0.9, 0.9], [0.9, math.inf], "not a number"),
    ],
)
def test_what_cannot_be_compared_is_refused(base: list[float], other: list[float], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        verdict(base, other)


def test_no_comparisons_are_refused() -> None:
    with pytest.raises(ValueError, match="comparisons must be at least 1"):
        verdict([0.9], [0.9], 0)


def test_numpy_arrays_will_do() -> None:
    found = verdict(np.array(DEXTRO), np.array(LAEVO))  # type: ignore[arg-type]
    assert found == verdict(DEXTRO, LAEVO)
    assert type(found.delta) is float


def test_mean_and_its_interval() -> None:
    mean, ends = mean_interval(LAEVO)
    judge = stats.ttest_1samp(LAEVO, 0).confidence_interval()
    assert mean == pytest.approx(2.33)
    assert ends == pytest.approx((judge.low, judge.high))
    assert mean_interval([0.9]) == (0.9, None)
    assert mean_interval([0.9, 0.9]) == (0.9, (0.9, 0.9))
    with pytest.raises(ValueError, match="at least one value"):
        mean_interval([])


# ---- what it promises, by simulation

TRIALS = 10_000


def most_by_luck(rate: float) -> float:
    """The share that a true rate of `rate` exceeds once in a thousand simulations."""
    return float(stats.binom.ppf(0.999, TRIALS, rate)) / TRIALS


@pytest.mark.parametrize("seeds", [3, 5, 10])
def test_without_a_difference_at_most_five_in_a_hundred_verdicts_are_false(seeds: int) -> None:
    """Three models that are one and the same: a false verdict on either of two counts, so does neither twice."""
    rng = np.random.default_rng(seeds)
    common = rng.normal(0.91, 0.002, (TRIALS, 1, seeds))
    accuracies = np.round(common + rng.normal(0, 0.002, (TRIALS, 3, seeds)), 4)
    single = family = 0
    for base, first, second in accuracies.tolist():
        single += verdict(base, first, resolution=1e-4).verdict in DECIDED
        family += any(verdict(base, other, 2, resolution=1e-4).verdict in DECIDED for other in (first, second))
    assert single / TRIALS <= most_by_luck(0.05)
    assert family / TRIALS <= most_by_luck(0.05)
    assert single / TRIALS >= 0.02, "so careful that it shows nothing"


@pytest.mark.parametrize("seeds", [2, 3, 5])
@pytest.mark.parametrize("steps", [0.5, 1, 2, 5])
def test_few_test_images_cause_no_false_verdicts(seeds: int, steps: float) -> None:
    """Accuracies of a test set so small that seeds differ by about `steps` images."""
    rng = np.random.default_rng(seeds)
    images = rng.binomial(200, 0.9, (TRIALS, 1, seeds)) + rng.normal(0, steps / math.sqrt(2), (TRIALS, 2, seeds))
    accuracies = np.round(images) / 200
    false = sum(verdict(base, other, resolution=1 / 200).verdict in DECIDED for base, other in accuracies.tolist())
    assert false / TRIALS <= most_by_luck(0.05)


@pytest.mark.parametrize("comparisons", [1, 2])
def test_one_point_at_a_spread_of_a_third_of_one_is_found_with_ten_seeds(comparisons: int) -> None:
    """The spread of 0.3 points is each model's own, so that differences have one of 0.42."""
    rng = np.random.default_rng(10)
    base = rng.normal(0.91, 0.003, (TRIALS, 10))
    other = rng.normal(0.92, 0.003, (TRIALS, 10))
    found = sum(
        verdict(first, second, comparisons, resolution=1e-4).verdict == "better"
        for first, second in zip(base.tolist(), other.tolist(), strict=True)
    )
    assert found / TRIALS >= 0.95
