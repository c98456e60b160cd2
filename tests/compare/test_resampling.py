"""Bootstrap, sign-flip test and P(A > B)."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from tui_attn.compare.resampling import beside, bootstrap, sign_flip

# Differences in height, in eighths of an inch, of Darwin's 15 pairs of maize plants:
# R. A. Fisher, The Design of Experiments, section 21, counts 863 of 32,768 in each tail.
MAIZE = [49, -67, 8, 16, 6, 23, 28, 41, 14, 29, 56, 24, 75, 60, -48]


def counted(values: list[int]) -> float:
    """The p-value by counting how often each sum of whole numbers occurs, one number after the other."""
    total = sum(map(abs, values))
    ways = np.zeros(2 * total + 1)
    ways[total] = 1
    for value in map(abs, values):
        ways = np.roll(ways, value) + np.roll(ways, -value)
    sums = np.arange(-total, total + 1)
    return float(ways[np.abs(sums) >= abs(sum(values))].sum() / 2.0 ** len(values))


def test_fishers_example() -> None:
    assert sign_flip(MAIZE) == 2 * 863 / 32768


@pytest.mark.parametrize("count", [7, 8, 13, 20, 30, 36])
def test_exact_p_values_are_those_of_counting(count: int) -> None:
    values = np.random.default_rng(count).integers(-40, 60, count).tolist()
    assert sign_flip([value / 10_000 for value in values]) == pytest.approx(counted(values), rel=1e-12)


def test_many_differences_are_drawn_instead_of_counted() -> None:
    values = np.random.default_rng(1).integers(-40, 50, 45).tolist()
    exact = counted(values)
    drawn = sign_flip([value / 10_000 for value in values])
    assert drawn == pytest.approx(exact, abs=5 * (exact * (1 - exact) / 99_999) ** 0.5 + 1e-5)
    assert drawn == sign_flip([value / 10_000 for value in values])
    assert sign_flip([0.01] * 45) == pytest.approx(1e-5), "never 0"


def test_the_smallest_and_the_largest_p_value() -> None:
    assert sign_flip([0.001 * value for value in range(1, 8)]) == 2 / 2**7
    assert sign_flip([0.1] * 8) == 2 / 2**8
    assert sign_flip([0.0] * 8) == 1
    assert sign_flip([0.1, -0.1] * 5) == 1


def test_the_bootstrap_is_scipys_percentile_one() -> None:
    values = np.random.default_rng(3).normal(0.002, 0.003, 12)
    low, high = bootstrap(values.tolist(), 0.975)
    judge = stats.bootstrap((values,), np.mean, confidence_level=0.975, method="percentile", rng=5).confidence_interval
    assert low == pytest.approx(judge.low, abs=2e-4)
    assert high == pytest.approx(judge.high, abs=2e-4)
    assert bootstrap(values.tolist(), 0.975) == (low, high)


@pytest.mark.parametrize(
    ("seeds", "has_sign_flip", "has_bootstrap"), [(1, 0, 0), (6, 0, 0), (7, 1, 0), (9, 1, 0), (10, 1, 1)]
)
def test_each_view_waits_for_enough_seeds(seeds: int, has_sign_flip: bool, has_bootstrap: bool) -> None:
    found = beside([0.9] * seeds, [0.91 + 0.001 * seed for seed in range(seeds)])
    assert (found.sign_flip is not None) == has_sign_flip
    assert (found.bootstrap is not None) == has_bootstrap


def test_several_comparisons_adjust_the_views_as_well() -> None:
    base = [0.9] * 10
    other = [0.9 + 0.001 * value for value in (1, 2, 3, -1, 4, 2, 5, 3, -2, 1)]
    one, two = beside(base, other), beside(base, other, 2)
    assert one.sign_flip is not None and two.sign_flip is not None
    assert two.sign_flip == 2 * one.sign_flip
    assert one.bootstrap is not None and two.bootstrap is not None
    assert two.bootstrap[0] < one.bootstrap[0] < one.bootstrap[1] < two.bootstrap[1]
