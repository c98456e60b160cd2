"""Means and t intervals of accuracies and of their differences.

Student (W. S. Gosset), The Probable Error of a Mean, Biometrika 6 (1908); several comparisons after O. J. Dunn,
Multiple Comparisons Among Means, JASA 56 (1961). Seeds are paired because both models of a seed see the same batches
in the same order; see Bouthillier et al., Accounting for Variance in Machine Learning Benchmarks, MLSys 2021.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

ERROR_RATE = 0.05
"""Share of experiments without any difference in which a verdict "better" or "worse" is tolerated."""

Interval = tuple[float, float]

_DIGITS = 12
"""Decimals of a difference of accuracies that mean something; what comes after is the arithmetic's."""


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


def mean_interval(values: Sequence[float], level: float = 1 - ERROR_RATE) -> tuple[float, Interval | None]:
    """Mean of `values` and its t interval, None with one value. Raises `ValueError` for none and for NaN."""
    if not len(values) or not all(math.isfinite(value) for value in values):
        raise ValueError("a mean needs at least one value, and only finite ones")
    mean = math.fsum(values) / len(values)
    if len(values) == 1:
        return mean, None
    from scipy.special import stdtrit

    half = float(stdtrit(len(values) - 1, (1 + level) / 2)) * standard_deviation(values) / math.sqrt(len(values))
    return mean, (mean - half, mean + half)


def standard_deviation(values: Sequence[float]) -> float:
    """Of a sample of at least two, with n - 1; exactly 0 for equal values."""
    if min(values) == max(values):
        return 0.0
    mean = math.fsum(values) / len(values)
    return math.sqrt(math.fsum((value - mean) ** 2 for value in values) / (len(values) - 1))
