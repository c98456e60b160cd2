"""Shown beside the verdict without deciding it: bootstrap interval, sign-flip test, seeds needed."""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tui_attn.compare.t_test import ERROR_RATE, Interval, differences
from tui_attn.compare.verdicts import critical_value

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


BOOTSTRAP_FROM = 10
"""Seeds from which on a bootstrap interval is shown."""
SIGN_FLIP_FROM = 7
"""Seeds from which on a sign-flip test is shown."""

_EXACT_UP_TO = 36
"""Differences up to which all 2**n flips are counted."""
_DRAWS = 99_999


@dataclass(frozen=True, slots=True)
class Beside:
    """Other views on paired accuracies; None where there are too few seeds for one."""

    bootstrap: Interval | None
    sign_flip: float | None
    """p-value of the sign-flip test."""


def beside(base: Sequence[float], other: Sequence[float], comparisons: int = 1) -> Beside:
    """The views beside the verdict on `other` against `base`, paired by position.

    The interval has level 1 - 0.05/`comparisons` and the p-value is multiplied likewise, as those of the verdict.
    Raises `ValueError` for no pairs, unequal lengths or values that aren't finite.
    """
    found = differences(base, other)
    flips = sign_flip(found) if len(found) >= SIGN_FLIP_FROM else None
    return Beside(
        bootstrap=bootstrap(found, 1 - ERROR_RATE / comparisons) if len(found) >= BOOTSTRAP_FROM else None,
        sign_flip=None if flips is None else min(1.0, comparisons * flips),
    )


def bootstrap(values: Sequence[float], level: float = 1 - ERROR_RATE, *, resamples: int = 9_999) -> Interval:
    """Percentile bootstrap interval of the mean of `values`; the same values give the same interval.

    B. Efron, Bootstrap Methods: Another Look at the Jackknife, Annals of Statistics 7 (1979).
    """
    import numpy as np

    sample = np.asarray(values, dtype=np.float64)
    rng = np.random.default_rng(0)
    block = max(1, 2_000_000 // sample.size)
    sizes = [min(block, resamples - start) for start in range(0, resamples, block)]
    drawn = [sample[rng.integers(0, sample.size, (size, sample.size))].mean(axis=1) for size in sizes]
    means = np.concatenate(drawn)
    low, high = np.quantile(means, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def sign_flip(values: Sequence[float]) -> float:
    """Two-sided p-value of the mean of paired differences: were all signs a coin's, how often would it be as far off?

    Exact up to 36 differences; from there on 99,999 seeded draws, the observed signs counted in, so that the p-value
    is never too small. R. A. Fisher, The Design of Experiments (1935), section 21.
    """
    import numpy as np

    sizes = np.abs(np.asarray(values, dtype=np.float64))
    # Sums of the same differences in another order differ in their last bits and must count as equal.
    bound = abs(math.fsum(values)) - 1e-9 * max(1.0, float(sizes.sum()))
    if sizes.size > _EXACT_UP_TO:
        rng = np.random.default_rng(0)
        hits = 0
        for start in range(0, _DRAWS, 9_999):
            signs = rng.integers(0, 2, (min(9_999, _DRAWS - start), sizes.size)) * 2 - 1
            hits += int((np.abs(signs @ sizes) >= bound).sum())
        return (1 + hits) / (1 + _DRAWS)
    # All sums of one half of the differences meet all sums of the other: 2 * 2**(n/2) numbers stand for 2**n.
    first, second = _signed_sums(sizes[: sizes.size // 2]), np.sort(_signed_sums(sizes[sizes.size // 2 :]))
    above = second.size - np.searchsorted(second, bound - first, side="left")
    below = np.searchsorted(second, -bound - first, side="right")
    extreme = int(above.sum()) + int(below.sum()) if bound > 0 else 2**sizes.size
    return min(1.0, float(extreme / 2**sizes.size))


def _signed_sums(sizes: NDArray[np.float64]) -> NDArray[np.float64]:
    """The sums of `sizes` under all 2**n choices of signs."""
    import numpy as np

    sums = np.zeros(1)
    for size in sizes:
        sums = np.concatenate([sums - size, sums + size])
    return sums


MOST_SEEDS = 1_000_000
"""Above this `seeds_needed` returns None."""


def seeds_needed(
    spread: float,
    difference: float = 0.01,
    power: float = 0.8,
    level: float = 1 - ERROR_RATE,
    looks: Sequence[int] | None = None,
    *,
    equal: bool = False,
) -> int | None:
    """How many seeds in all would show `difference` with probability `power`, by an interval of `level`.

    With `equal`: would show that there is no difference above `difference`, if there is none at all.
    `spread` is the standard deviation of the differences between the two models, a fraction like `difference`.
    `looks` as for a verdict: the answer is one of the planned numbers of seeds, or lies beyond them.
    None for more than a million. Raises `ValueError` for what makes no sense.
    """
    if not (math.isfinite(spread) and spread >= 0):
        raise ValueError("the spread must be a number of at least 0")
    if not (math.isfinite(difference) and difference > 0):
        raise ValueError("the difference to show must be above 0")
    if not 0 < 1 - level < power < 1:
        raise ValueError("level must lie between 0 and 1, and power between 1 - level and 1")

    def enough(seeds: int) -> bool:
        critical = critical_value(seeds, 1 - level, looks)
        return critical is not None and (
            spread == 0 or power_of(seeds, difference * math.sqrt(seeds) / spread, critical, equal=equal) >= power
        )

    planned = next((seeds for seeds in looks or () if enough(seeds)), None)
    if planned is not None:
        return planned
    numbers = range(max(looks, default=1) + 1 if looks else 2, MOST_SEEDS + 1)
    place = bisect_left(numbers, True, key=enough)
    return numbers[place] if place < len(numbers) else None


def detectable(seeds: int, spread: float, power: float, critical: float) -> float:
    """The difference that a look at so many seeds shows with probability `power`."""
    low, high = 0.0, 1.0
    while power_of(seeds, high, critical) < power:
        low, high = high, 2 * high
    for _ in range(40):
        middle = (low + high) / 2
        low, high = (low, middle) if power_of(seeds, middle, critical) >= power else (middle, high)
    return high * spread / math.sqrt(seeds)


def spread_limit(spread: float, pairs: int) -> float:
    """The upper 80 % limit of a spread that was measured over so many pairs, at least two."""
    from scipy.special import chdtri

    return spread * math.sqrt((pairs - 1) / float(chdtri(pairs - 1, 0.8)))


def power_of(seeds: int, shift: float, critical: float, *, equal: bool = False) -> float:
    """Probability that an interval of `critical` standard errors excludes 0, if the true mean is `shift` of them.

    With `equal`: that it lies within +-`shift` standard errors if the true mean is 0, their estimate taken for exact.
    """
    from scipy.special import nctdtr, stdtr

    if equal:
        return 1 - 2 * float(stdtr(seeds - 1, critical - shift)) if shift > critical else 0.0
    ends = nctdtr(seeds - 1, shift, [critical, -critical])
    below_upper, below_lower = (float(each) if math.isfinite(each) else 0.0 for each in ends)
    return 1 - below_upper + below_lower  # where scipy's series gives up (NaN), a tail is below 1e-12
