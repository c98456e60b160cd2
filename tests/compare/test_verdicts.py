"""The rule of the verdict: worked examples, scipy as a judge, and what it promises whenever one looks."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import integrate, stats

from benchmarks.verdicts import PLANS, decided, false_equalities, false_verdicts, without_the_worst
from tui_attn.compare import verdict
from tui_attn.compare.verdicts import Look, critical_values

BASE = [0.0] * 40
differences = st.lists(st.floats(-0.5, 0.5).map(lambda value: round(value, 4)), min_size=1, max_size=16)
plans = st.sampled_from([None, (), (2, 4), (3, 6), (5, 10)])


def drawn(count: int, mean: float = 0.002, spread: float = 0.003, seed: int = 0) -> list[float]:
    return [round(float(value), 6) for value in np.random.default_rng(seed).normal(mean, spread, count)]


@pytest.mark.parametrize("comparisons", [1, 2, 5])
@pytest.mark.parametrize("seeds", [2, 3, 5, 10])
def test_a_fixed_number_of_seeds_is_one_t_interval(seeds: int, comparisons: int) -> None:
    sample = drawn(seeds)
    found = verdict(BASE[:seeds], sample, comparisons)
    judge = stats.ttest_1samp(sample, 0)
    ends = judge.confidence_interval(1 - 0.05 / comparisons)
    assert found.ci95 == pytest.approx((ends.low, ends.high))
    assert found.p_value == pytest.approx(min(1, comparisons * judge.pvalue))
    assert (found.look, found.pairs) == (None, seeds)
    assert found.delta == pytest.approx(np.mean(sample))


def test_before_the_first_look_nothing_is_said() -> None:
    for found in (verdict(BASE[:4], drawn(4), looks=(5, 10)), verdict([0.9], [0.91])):
        assert (found.ci95, found.p_value, found.verdict, found.look) == (None, None, None, None)
    assert found.delta == pytest.approx(0.01)


def test_each_planned_look_has_its_share_and_the_newest_counts() -> None:
    sample = drawn(10)
    for seeds, number in ((5, 1), (7, 1), (10, 2)):
        found = verdict(BASE[:seeds], sample[:seeds], 2, looks=(5, 10))
        assert (found.look, found.pairs) == (Look(number, 2), 5 * number)
        assert found.delta == pytest.approx(np.mean(sample[: 5 * number]))
    tests = [stats.ttest_1samp(sample[:seeds], 0) for seeds in (5, 10)]
    ends = [test.confidence_interval(1 - 0.45 * 0.05 / 2) for test in tests]
    assert found.ci95 == pytest.approx((max(end.low for end in ends), min(end.high for end in ends)))
    assert found.p_value == pytest.approx(min(1, *(2 * test.pvalue / 0.45 for test in tests)))


def test_uneven_plans_spend_in_proportion_to_their_seeds() -> None:
    ((_, first), (_, second)) = critical_values(10, 1, (3, 10))
    assert first == pytest.approx(stats.t.ppf(1 - 0.9 * 0.3 * 0.05 / 2, 2))
    assert second == pytest.approx(stats.t.ppf(1 - 0.9 * 0.7 * 0.05 / 2, 9))


@pytest.mark.parametrize("looks", [(), (5, 10)])
def test_beyond_the_plan_the_interval_is_that_of_the_mixture(looks: tuple[int, ...]) -> None:
    """The e-value at the interval's end is the Bayes factor of a t statistic under a normal mixture."""
    share = 0.1 if looks else 1.0
    for n, critical in critical_values(30, 3, looks)[len(looks) :]:
        evidence, _ = integrate.quad(
            lambda shift, n=n, t=critical: stats.nct.pdf(t, n - 1, math.sqrt(n) * shift) * stats.norm.pdf(shift),
            -12,
            12,
            limit=400,
            points=(0, critical / math.sqrt(n)),
        )
        assert evidence / stats.t.pdf(critical, n - 1) == pytest.approx(3 / (share * 0.05), rel=1e-3), n


@given(differences, st.integers(1, 3), plans)
def test_p_is_below_5_per_cent_exactly_where_it_is_decided(found: list[float], comparisons: int, looks: object) -> None:
    said = verdict(BASE[: len(found)], found, comparisons, looks=looks)  # type: ignore[arg-type]
    if said.p_value is not None and not said.contradiction and abs(said.p_value - 0.05) > 1e-9:
        assert (said.verdict in {"better", "worse"}) == (said.p_value < 0.05)
    if said.ci95 is not None:
        assert (said.verdict == "better") == (said.ci95[0] > 0)
        assert (said.verdict == "worse") == (said.ci95[1] < 0)


@given(differences, st.integers(1, 3), plans)
def test_more_seeds_only_narrow_the_interval_and_verdicts_stand(
    found: list[float], comparisons: int, looks: tuple[int, ...] | None
) -> None:
    before = None
    for seeds in range(1, len(found) + 1) if looks is not None else ():
        said = verdict(BASE[:seeds], found[:seeds], comparisons, looks=looks)
        if said.contradiction:
            assert (said.verdict, said.ci95) == (None, None)
            return
        if before is not None and before.ci95 is not None:
            assert said.ci95 is not None
            assert before.ci95[0] <= said.ci95[0] <= said.ci95[1] <= before.ci95[1]
            if before.verdict in {"better", "worse"}:
                assert said.verdict == before.verdict
        before = said


def test_looks_that_exclude_each_other_give_no_verdict() -> None:
    first = [0.02 + 1e-5 * (seed % 2) for seed in range(5)]
    second = [-0.021 + 1e-5 * (seed % 2) for seed in range(45)]
    said = verdict([0.0] * 50, first + second, looks=(5, 50))
    assert said.contradiction
    assert (said.verdict, said.ci95) == (None, None)


def test_the_margin_makes_three_verdicts() -> None:
    close = [0.001, -0.001, 0.0005, -0.0004, 0.0]
    assert verdict(BASE[:5], close).verdict == "no difference above margin"
    assert verdict(BASE[:5], close, margin=0.0005).verdict == "undecided"
    surely = [0.002, 0.0021, 0.0019, 0.002, 0.0022]
    found = verdict(BASE[:5], surely)
    assert (found.verdict, found.within_margin) == ("better", True)
    assert not verdict(BASE[:5], surely, margin=0.001).within_margin


def test_missing_pairs_divide_the_level_by_the_ways_they_may_be_missing() -> None:
    sample = drawn(8)
    found = verdict(BASE[:8], sample, 2, missing=2)
    assert found.pairs == 8
    ends = stats.ttest_1samp(sample, 0).confidence_interval(1 - 0.05 / 2 / math.comb(10, 2))
    assert found.ci95 == pytest.approx((ends.low, ends.high))
    planned = verdict(BASE[:8], sample, looks=(5, 10), missing=2)
    assert (planned.look, planned.pairs) == (Look(2, 2), 8)
    assert verdict(BASE[:1], sample[:1], looks=(3, 6), missing=2).verdict is None


def test_the_resolution_of_the_test_set_bounds_the_spread() -> None:
    equal = [0.01] * 3
    assert verdict(BASE[:3], equal).p_value == 0
    assert verdict(BASE[:3], equal, resolution=0.01).verdict == "undecided"
    assert verdict(BASE[:3], [0.0] * 3, resolution=1e-4).verdict == "no difference above margin"


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"comparisons": 0}, "at least 1"),
        ({"missing": -1}, "at least 0"),
        ({"margin": -0.1}, "at least 0"),
        ({"margin": math.nan}, "at least 0"),
        ({"looks": (1, 5)}, "ascending"),
        ({"looks": (5, 5)}, "ascending"),
    ],
)
def test_nonsense_is_refused(options: dict[str, object], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        verdict(BASE[:5], drawn(5), **options)  # type: ignore[arg-type]


@pytest.mark.parametrize("looks", PLANS.values(), ids=PLANS)
def test_looking_after_every_seed_is_wrong_in_at_most_5_per_cent(looks: tuple[int, ...]) -> None:
    """In 1,000 experiments of two comparisons up to 30 seeds, with 3 standard errors allowed for luck."""
    noise = np.random.default_rng(1).standard_normal((1_000, 2, 30))
    luck = 3 * math.sqrt(0.05 * 0.95 / 1_000)
    assert false_verdicts(noise, looks, [30])[0] <= 0.05 + luck
    assert false_equalities(noise[:300], looks, 1.0) <= 0.05 + 2 * luck


def test_leaving_out_the_worst_pair_makes_no_verdict() -> None:
    noise = np.random.default_rng(2).standard_normal((500, 2, 30))
    assert without_the_worst(noise, (5, 10)) <= 0.05 + 3 * math.sqrt(0.05 * 0.95 / 500)


def test_one_look_at_the_end_is_a_verdict_reached_at_any_look() -> None:
    """The simulation looks once: its p-value must be below 0.05 exactly where some look decided."""
    for row in np.random.default_rng(3).normal(0.6, 1, (100, 15)).tolist():
        labels = [verdict(BASE[:seeds], row[:seeds], 2, looks=(5, 10)).verdict for seeds in range(1, 16)]
        assert decided(row, (5, 10)) == any(label in {"better", "worse"} for label in labels)
