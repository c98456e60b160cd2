"""How many seeds a difference needs."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from tui_attn.compare import verdict
from tui_attn.compare.resampling import power_of, seeds_needed, spread_limit
from tui_attn.compare.verdicts import critical_value


def power(seeds: int, spread: float, difference: float, level: float = 0.95) -> float:
    """Of a t interval of `level` whose number of seeds was fixed."""
    return power_of(seeds, difference * math.sqrt(seeds) / spread, float(stats.t.ppf((1 + level) / 2, seeds - 1)))


@pytest.mark.parametrize(("effect", "needed"), [(0.2, 199), (0.5, 34), (0.8, 15)])
def test_cohens_small_medium_and_large_effects(effect: float, needed: int) -> None:
    """The sample sizes that G*Power gives for a paired, two-sided t test at 0.05 with 80 % power."""
    assert seeds_needed(1.0, effect) == needed


@pytest.mark.parametrize(
    ("points", "spread", "at_80", "at_95"),
    [(1, 0.2, 3, 3), (1, 0.3, 3, 4), (1, 1.0, 10, 16), (0.5, 0.7, 18, 28), (0.3, 0.5, 24, 39), (0.2, 1.0, 199, 327)],
)
def test_the_numbers_for_networks(points: float, spread: float, at_80: int, at_95: int) -> None:
    assert seeds_needed(spread / 100, points / 100) == at_80
    assert seeds_needed(spread / 100, points / 100, 0.95) == at_95


@pytest.mark.parametrize("level", [0.95, 0.975])
@pytest.mark.parametrize("spread", [0.0005, 0.0013, 0.003, 0.009])
def test_it_is_the_least_number_with_that_power(spread: float, level: float) -> None:
    needed = seeds_needed(spread, 0.01, 0.8, level)
    assert needed is not None
    assert power(needed, spread, 0.01, level) >= 0.8
    assert needed == 2 or power(needed - 1, spread, 0.01, level) < 0.8


def test_two_seeds_are_rarely_enough() -> None:
    """The lower tail of the noncentral t is where the series of scipy gives up."""
    shift, critical = math.sqrt(2) / 0.127, stats.t.ppf(0.9875, 1)
    spread = np.linspace(0, 10, 200_001)  # of two values, in units of their standard deviation
    excludes_0 = stats.norm.cdf(shift - critical * spread) + stats.norm.cdf(-shift - critical * spread)
    expected = np.trapezoid(2 * stats.norm.pdf(spread) * excludes_0, spread)
    assert power(2, 0.00127, 0.01, 0.975) == pytest.approx(expected, abs=1e-8)
    assert expected < 0.4
    assert seeds_needed(0.00127, 0.01, 0.8, 0.975) == 3


@pytest.mark.parametrize("seeds", [2, 3, 5, 10, 100, 5000])
@pytest.mark.parametrize("shift", [0.1, 1, 2.8, 6.9, 7.1, 11, 40, 1e4])
def test_the_power_is_a_probability_and_that_of_the_noncentral_t(seeds: int, shift: float) -> None:
    found = power(seeds, 1.0, shift / math.sqrt(seeds))
    critical = stats.t.ppf(0.975, seeds - 1)
    assert 0 <= found <= 1
    if shift < 7:
        judge = stats.nct.sf(critical, seeds - 1, shift) + stats.nct.cdf(-critical, seeds - 1, shift)
        assert found == pytest.approx(judge, abs=1e-6)


def test_the_power_is_what_simulation_finds() -> None:
    values = np.random.default_rng(0).normal(0.01, 0.008, (20_000, 6))
    error = values.std(axis=1, ddof=1) / math.sqrt(6)
    share = (np.abs(values.mean(axis=1)) > stats.t.ppf(0.975, 5) * error).mean()
    assert power(6, 0.008, 0.01) == pytest.approx(share, abs=0.015)


@pytest.mark.parametrize("spread", [0.03, 0.0533, 0.08])
def test_it_is_the_least_number_beyond_a_plan_also_where_the_lower_tail_is_lost(spread: float) -> None:
    """The series of scipy gives up on tails that are far below any probability that matters."""
    needed = seeds_needed(spread, 0.01, looks=())
    assert needed is not None
    for seeds, enough in ((needed - 1, False), (needed, True), (needed + 79, True), (2 * needed, True)):
        critical = critical_value(seeds, 0.05, ())
        assert critical is not None
        shift = 0.01 * math.sqrt(seeds) / spread
        judge = float(stats.norm.sf(critical * (1 - 1 / (4 * seeds)), shift, math.sqrt(1 + critical**2 / (2 * seeds))))
        assert power_of(seeds, shift, critical) == pytest.approx(judge, abs=1e-5)
        assert (judge >= 0.8) == enough


def test_the_ends() -> None:
    assert seeds_needed(0.0) == 2
    assert seeds_needed(0.5, 1e-4) is None


@pytest.mark.parametrize(
    "arguments", [(-1.0,), (math.nan,), (0.003, 0.0), (0.003, -0.01), (0.003, 0.01, 1.0), (0.003, 0.01, 0.01)]
)
def test_nonsense_is_refused(arguments: tuple[float, ...]) -> None:
    with pytest.raises(ValueError, match="must"):
        seeds_needed(*arguments)  # type: ignore[arg-type]


@pytest.mark.parametrize("seeds", [3, 5, 10])
def test_the_upper_limit_of_a_spread_holds_in_80_percent_of_experiments(seeds: int) -> None:
    measured = np.random.default_rng(1).standard_normal((20_000, seeds)).std(axis=1, ddof=1)
    assert (measured * spread_limit(1.0, seeds) >= 1).mean() == pytest.approx(0.8, abs=0.01)


@pytest.mark.parametrize(("spread", "looks"), [(0.008, (5, 10)), (0.005, (5, 10)), (0.004, ())])
def test_the_number_of_seeds_has_its_power_under_the_rule_with_looks(spread: float, looks: tuple[int, ...]) -> None:
    """Looks before count, too: the power is at least the promised one, and by little."""
    needed = seeds_needed(spread, 0.01, 0.8, 0.975, looks)
    assert needed is not None
    sample = np.random.default_rng(2).normal(0.01, spread, (1000, needed)).tolist()
    found = [verdict([0.0] * needed, row, 2, looks=looks).verdict == "better" for row in sample]
    assert 0.77 <= np.mean(found) <= 0.999
