"""The rule of the verdict on two models, valid however often one looks and goes on.

Planned looks share nine tenths of the error rate, by the union bound. The last tenth is for what comes after the plan:
a t interval that is valid at all numbers of pairs together, the normal mixture with a right-Haar prior on the spread
(T. L. Lai, On Confidence Sequences, Annals of Statistics 4 (1976); H. Wang and A. Ramdas, Anytime-valid t-tests and
confidence sequences for Gaussian means with unknown variance, arXiv:2310.03722).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

from tui_attn.compare.t_test import ERROR_RATE, Interval, differences, standard_deviation

MARGIN = 0.005
"""Differences up to this, a fraction, count as too small to matter, unless another margin is set before training."""
PLANNED_SHARE = 0.9
"""Of the error rate; the rest is for what comes after the plan."""

Label = Literal["better", "worse", "no difference above margin", "undecided"]
Differences = Sequence[float | None]
"""other - base by seed, fractions in the order of the seeds; None for a seed that ended without a pair."""


@dataclass(frozen=True, slots=True)
class Look:
    """Which of the planned looks the newest one is."""

    number: int
    of: int


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the pairs so far say of `other` against `base`; before the first look only `delta` and `pairs` are known."""

    delta: float
    """Mean of other - base at the newest look, a fraction; over all pairs before the first."""
    ci95: Interval | None
    """The intersection of the intervals of all looks so far; None also where it is empty, or infinite.

    At 95 % for all looks and comparisons together, so that of one look is wider than a single 95 % interval.
    """
    p_value: float | None
    """The smallest so far, adjusted for comparisons and looks; below 0.05 exactly where a model is better or worse."""
    verdict: Label | None
    look: Look | None
    """The newest planned look; None without a plan."""
    pairs: int
    """Complete pairs at the newest look; all of them before the first."""
    margin: float
    seeds_at_look: int = 0
    """Seeds at the newest look, those without a pair included; 0 before the first."""
    spread: float | None = None
    """Standard deviation of the differences at the newest look, that of the resolution at least."""
    contradiction: bool = False
    """Whether the intervals of the looks exclude each other, so that there is no verdict."""
    limits_at: tuple[int, int] = (0, 0)
    """The numbers of seeds at the looks that the lower and the upper limit come from."""

    @property
    def within_margin(self) -> bool:
        """Whether the interval excludes differences above the margin, also for a model that is better or worse."""
        return self.ci95 is not None and -self.margin < self.ci95[0] <= self.ci95[1] < self.margin


def verdict(
    base: Sequence[float],
    other: Sequence[float],
    comparisons: int = 1,
    *,
    looks: Sequence[int] | None = None,
    margin: float = MARGIN,
    missing: int = 0,
    resolution: float | None = None,
) -> Verdict:
    """`judge` for accuracies that are paired by position, in the order of the seeds, as simulations have them.

    `missing`: pairs that are missing among the first `len(base) + missing` seeds; which ones isn't known, so every look
    takes them for missing. See `judge` for the rest. Raises `ValueError` for no pairs, unequal lengths, values that
    aren't finite, and arguments out of range.
    """
    found = differences(base, other)
    if missing < 0:
        raise ValueError("missing must be at least 0")
    return judge([*[None] * missing, *found], comparisons, looks=looks, margin=margin, resolution=resolution)


def judge(
    found: Differences,
    comparisons: int = 1,
    *,
    looks: Sequence[int] | None = None,
    margin: float = MARGIN,
    resolution: float | None = None,
    counts_from: Sequence[int] | None = None,
) -> Verdict:
    """The verdict on the differences of all seeds that have ended: what every comparison shows.

    `comparisons`: the number of models that share the error rate of 5 %. `looks`: the numbers of seeds at which the
    comparison was planned to be looked at, ascending; empty where there was no plan; None where the number of seeds was
    fixed beforehand. `margin`: see `MARGIN`. With k of the first n pairs missing, the complete ones are tested at the
    level divided by C(n, k). That holds at any one look, whatever they are missing for. `counts_from`: for each seed,
    the number of seeds at the first look in which its difference counts, by default any. A pair that came after a look
    was taken stays missing in it: to test that look again would be one more look. `resolution`: 1 / number of test
    images; the spread is never taken for less than rounding to it causes.

    Raises `ValueError` where no pair is complete, and for arguments out of range.
    """
    complete = [value for value in found if value is not None]
    if comparisons < 1 or not 0 <= margin < math.inf or not complete:
        raise ValueError("comparisons must be at least 1, margin at least 0, and one pair complete")
    plan = None if looks is None else [int(look) for look in looks]
    if plan and (plan[0] < 2 or any(first >= second for first, second in pairwise(plan))):
        raise ValueError(f"looks must be ascending numbers of at least 2 seeds, not {plan}")
    low, high, p_value, spread = -math.inf, math.inf, 1.0, 0.0
    newest: _Stage | None = None
    limits_at = (0, 0)
    sample = complete
    first = [math.inf if value is None else 1 for value in found]
    if plan is not None and counts_from is not None:
        first = [max(pair) for pair in zip(first, counts_from, strict=False)]
    for stage in _stages(first, comparisons, plan):
        newest = stage
        known = zip(found[: stage.seeds], first, strict=False)
        sample = [value for value, look in known if value is not None and look <= stage.seeds]
        spread = max(standard_deviation(sample), resolution / math.sqrt(6) if resolution else 0.0)
        mean, error = math.fsum(sample) / stage.pairs, spread / math.sqrt(stage.pairs)
        critical = stage.critical
        if critical is not None:
            ends = mean - critical * error, mean + critical * error
            limits_at = (
                stage.seeds if ends[0] > low else limits_at[0],
                stage.seeds if ends[1] < high else limits_at[1],
            )
            low, high = max(low, ends[0]), min(high, ends[1])
        p_value = min(p_value, stage.p_value(abs(mean) / error if error else math.inf if mean else 0.0))
    if newest is None:
        return without_look(complete, margin)
    taken = sum(number <= newest.seeds for number in plan or ())
    return Verdict(
        delta=math.fsum(sample) / newest.pairs,
        ci95=None if low > high or math.isinf(low) else (low, high),
        p_value=p_value,
        verdict=None if low > high else _label(low, high, margin),
        look=Look(taken, len(plan)) if plan and taken else None,
        pairs=newest.pairs,
        margin=margin,
        seeds_at_look=newest.seeds,
        spread=spread,
        contradiction=low > high,
        limits_at=limits_at,
    )


def without_look(complete: Sequence[float], margin: float) -> Verdict:
    """What the differences say before the first look."""
    return Verdict(math.fsum(complete) / len(complete), None, None, None, None, len(complete), margin)


def critical_values(
    seeds: int, comparisons: int = 1, looks: Sequence[int] | None = None, missing: int = 0
) -> list[tuple[int, float]]:
    """For each look with an interval: the complete pairs, and half the interval's width in standard errors."""
    stages = _stages([math.inf if place < missing else 1 for place in range(seeds)], comparisons, looks)
    return [(stage.pairs, critical) for stage in stages if (critical := stage.critical) is not None]


def critical_value(seeds: int, error_rate: float, looks: Sequence[int] | None) -> float | None:
    """Half the interval's width in standard errors at a look at so many seeds, none missing.

    `error_rate`: of all looks together. None where no look is planned, and where the interval is infinite.
    """
    share, anytime = 1.0, False
    if looks is not None and seeds in looks:
        share = PLANNED_SHARE * (seeds - max((look for look in looks if look < seeds), default=0)) / looks[-1]
    elif looks is not None:
        if seeds < max(looks, default=2):
            return None
        share, anytime = 1 - PLANNED_SHARE if looks else 1.0, True
    return _Stage(seeds, seeds, share * error_rate, share, anytime).critical


def _label(low: float, high: float, margin: float) -> Label:
    if low > 0 or high < 0:
        return "better" if low > 0 else "worse"
    return "no difference above margin" if -margin < low and high < margin else "undecided"


@dataclass(frozen=True, slots=True)
class _Stage:
    """One look: how many seeds have ended, how many pairs are complete, and at which level they are tested."""

    seeds: int
    pairs: int
    level: float
    """Two-sided error rate of this look, divided by the comparisons and for missing pairs."""
    share: float
    """`level` as a share of the error rate: what the p-value is divided by."""
    anytime: bool
    """Whether it is valid at all numbers of pairs together."""

    @property
    def critical(self) -> float | None:
        """Half the interval's width in standard errors; None where the interval would be infinite."""
        from scipy.special import stdtrit

        n = self.pairs
        if not self.anytime:
            return float(stdtrit(n - 1, 1 - self.level / 2))
        x = 1 + n
        a = math.exp(2 / n * (0.5 * math.log(x) - math.log(self.level)))
        return math.sqrt((n - 1) * (a - 1) * x / (x - a)) if a < x else None

    def p_value(self, t: float) -> float:
        """Of the t statistic's absolute value, adjusted."""
        from scipy.special import stdtr

        n = self.pairs
        if not self.anytime:
            return min(1.0, 2 * float(stdtr(n - 1, -t)) / self.share)
        x = 1 + n
        a = x if math.isinf(t) else x * (n - 1 + t * t) / ((n - 1) * x + t * t)
        log_evidence = n / 2 * math.log(a) - 0.5 * math.log(x)
        return min(1.0, math.exp(-log_evidence) / self.share)


def _stages(first: Sequence[float], comparisons: int, plan: Sequence[int] | None) -> Iterator[_Stage]:
    """The looks at seeds that have ended; `first`: the look from which on each has a pair, infinite without one."""

    def stage(number: int, share: float, *, anytime: bool = False) -> Iterator[_Stage]:
        without = sum(look > number for look in first[:number])
        if number - without >= 2:
            share /= comparisons * math.comb(number, without)
            yield _Stage(number, number - without, share * ERROR_RATE, share, anytime)

    seeds = len(first)
    if plan is None:
        yield from stage(seeds, 1.0)
        return
    before = 0
    for number in plan:
        if number <= seeds:
            yield from stage(number, PLANNED_SHARE * (number - before) / plan[-1])
        before = number
    rest = 1 - PLANNED_SHARE if plan else 1.0
    for number in range(before + 1, seeds + 1):
        yield from stage(number, rest, anytime=True)
