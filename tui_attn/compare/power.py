"""How many seeds would be needed to show a difference.

By the noncentral t distribution; see J. Cohen, Statistical Power Analysis for the Behavioral Sciences (1988).
"""

from __future__ import annotations

import math

from tui_attn.compare.paired import ERROR_RATE

MOST_SEEDS = 1_000_000
"""More seeds than this nobody trains: `seeds_needed` says None."""


def seeds_needed(
    spread: float, difference: float = 0.01, power: float = 0.8, level: float = 1 - ERROR_RATE
) -> int | None:
    """How many seeds in all would show `difference` with probability `power`, by a paired t interval of `level`.

    `spread` is the standard deviation of the differences between the two models, a fraction like `difference`.
    None for more than a million. Raises `ValueError` for what makes no sense.
    """
    if not (math.isfinite(spread) and spread >= 0):
        raise ValueError("the spread must be a number of at least 0")
    if not (math.isfinite(difference) and difference > 0):
        raise ValueError("the difference to show must be above 0")
    if not 0 < 1 - level < power < 1:
        raise ValueError("level must lie between 0 and 1, and power between 1 - level and 1")
    if spread == 0 or power_of(2, spread, difference, level) >= power:
        return 2
    enough = 4
    while power_of(enough, spread, difference, level) < power:
        enough *= 2
        if enough > MOST_SEEDS:
            return None
    too_few = enough // 2
    while enough - too_few > 1:
        middle = (too_few + enough) // 2
        if power_of(middle, spread, difference, level) < power:
            too_few = middle
        else:
            enough = middle
    return enough


def power_of(seeds: int, spread: float, difference: float, level: float = 1 - ERROR_RATE) -> float:
    """Probability that the paired t interval of `level` over `seeds` (2 or more) seeds excludes 0."""
    from scipy.special import nctdtr, stdtrit

    critical = float(stdtrit(seeds - 1, (1 + level) / 2))
    shift = difference * math.sqrt(seeds) / spread
    # Where scipy's series gives up (NaN), both values are below 1e-12.
    below_upper = float(nctdtr(seeds - 1, shift, critical))
    below_lower = float(nctdtr(seeds - 1, shift, -critical)) if shift < 7 else 0.0
    return 1 - (below_upper if math.isfinite(below_upper) else 0.0) + below_lower
