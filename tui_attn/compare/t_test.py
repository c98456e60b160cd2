"""The verdict on two models: the paired t interval of their difference over the seeds.

Student (W. S. Gosset), The Probable Error of a Mean, Biometrika 6 (1908); several comparisons after O. J. Dunn,
Multiple Comparisons Among Means, JASA 56 (1961). Seeds are paired because both models of a seed see the same batches
in the same order; see Bouthillier et al., Accounting for Variance in Machine Learning Benchmarks, MLSys 2021.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

ERROR_RATE = 0.05
"""Share of experiments without any difference in which a verdict other than "no difference shown" is tolerated."""

Interval = tuple[float, float]
VerdictLabel = Literal["better", "worse", "no difference shown"]

_DIGITS = 12
"""Decimals of a difference of accuracies that mean something; what comes after is the arithmetic's."""


@dataclass(frozen=True, slots=True)
class PairedTest:
    """What the seeds say about `other` against `base`."""

    delta: float
    """Mean over the seeds of other - base, a fraction."""
    ci95: Interval | None
    """The interval that decides, lower and upper end; None with one seed.

    With m comparisons its level is 1 - 0.05/m, so that all m intervals hold at once in 95 % of experiments. There is
    no second, narrower interval: what a reader sees never contradicts the verdict.
    """
    p_value: float | None
    """Two-sided, of the same paired t test, times m and at most 1: below 0.05 where the interval excludes 0."""
    verdict: VerdictLabel | None
    """None with one seed."""
    spread: float | None
    """Standard deviation of the differences, that of the resolution at least; None with one seed."""
    seeds: int
    level: float
    """Level of `ci95`."""


def differences(base: Sequence[float], other: Sequence[float]) -> list[float]:
    """other - base, pair by pair. Raises `ValueError` for no pairs, unequal lengths or values that aren't finite."""
    if len(base) != len(other):
        raise ValueError(f"{len(base)} accuracies of base and {len(other)} of the other model can't be paired")
    if not len(base):
        raise ValueError("there are no accuracies to compare: give at least one pair")
    pairs = [(float(first), float(second)) for first, second in zip(base, other, strict=True)]
    if not all(math.isfinite(value) for pair in pairs for value in pair):
        raise ValueError("an accuracy is not a number: leave out the runs that have none, in both models")
    return [round(second - first, _DIGITS) for first, second in pairs]


def paired_t_test(
    base: Sequence[float], other: Sequence[float], comparisons: int = 1, *, resolution: float | None = None
) -> PairedTest:
    """What equally long sequences of accuracies, paired by position, say of `other` against `base`.

    `comparisons` is m, the number of models that are compared with base. "better" or "worse" where the paired t
    interval at level 1 - 0.05/m excludes 0.

    One pair: `ci95`, `p_value` and `verdict` are None, for nothing tells how much another seed would change.
    Differences that are all equal have a spread of 0 and an interval of one point: all 0 is "no difference shown" with
    p = 1; all the same and not 0 is "better" or "worse" with p = 0, the limit of the t test. That limit trusts a
    coincidence where accuracies are counted in coarse steps. `resolution`, that step (1 / number of test images), is
    therefore taken into account where it is given: the difference of two numbers rounded to it has a variance of
    resolution**2 / 6, and the spread is never taken for less.

    Raises `ValueError` for no pairs, unequal lengths, values that aren't finite, and `comparisons` below 1.
    """
    if comparisons < 1:
        raise ValueError(f"comparisons must be at least 1, not {comparisons}")
    found = differences(base, other)
    count, level = len(found), 1 - ERROR_RATE / comparisons
    delta = math.fsum(found) / count
    if count == 1:
        return PairedTest(delta, None, None, None, None, 1, level)
    spread = standard_deviation(found)
    if resolution is not None and any(found):
        spread = max(spread, resolution / math.sqrt(6))
    if spread == 0:
        certain = min(found)
        ends, p_value = (certain, certain), 0.0 if certain else 1.0
    else:
        ends, p_value = _t_interval(delta, spread, count, level)
    label: VerdictLabel = "better" if ends[0] > 0 else "worse" if ends[1] < 0 else "no difference shown"
    return PairedTest(delta, ends, min(1.0, comparisons * p_value), label, spread, count, level)


def mean_interval(values: Sequence[float], level: float = 1 - ERROR_RATE) -> tuple[float, Interval | None]:
    """Mean of `values` and its t interval, None with one value. Raises `ValueError` for none and for NaN."""
    if not len(values) or not all(math.isfinite(value) for value in values):
        raise ValueError("a mean needs at least one value, and only finite ones")
    mean = math.fsum(values) / len(values)
    if len(values) == 1:
        return mean, None
    spread = standard_deviation(values)
    return mean, _t_interval(mean, spread, len(values), level)[0] if spread else (mean, mean)


def standard_deviation(values: Sequence[float]) -> float:
    """Of a sample of at least two, with n - 1; exactly 0 for equal values."""
    if min(values) == max(values):
        return 0.0
    mean = math.fsum(values) / len(values)
    return math.sqrt(math.fsum((value - mean) ** 2 for value in values) / (len(values) - 1))


def _t_interval(mean: float, spread: float, count: int, level: float) -> tuple[Interval, float]:
    """The t interval of a mean, and the two-sided p-value of its being 0."""
    from scipy.special import stdtr, stdtrit

    error = spread / math.sqrt(count)
    half = float(stdtrit(count - 1, (1 + level) / 2)) * error
    return (mean - half, mean + half), 2 * float(stdtr(count - 1, -abs(mean) / error))
