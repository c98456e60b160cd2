"""Error rates and power of the rule for verdicts, by simulated experiments.

    python benchmarks/verdicts.py [EXPERIMENTS] [coverage | missing]

Every simulated experiment has two independent comparisons with base, whose differences are noise of mean 0 and standard
deviation 1, plus a true difference. All verdicts are those of `tui_attn.compare.verdict`. Its p-value is the smallest
of all looks so far, so that p < 0.05 after n seeds means that a look at n seeds or fewer said better or worse, as if
one looked after every seed. A verdict is false exactly where an interval does not cover the true difference of 0, so
the coverage of both intervals at all looks together is 100 % minus the false verdicts. With `coverage` it is simulated
apart, at each look and beyond the plan, for one of two comparisons with a true difference of half a standard deviation.
Prints tables in Markdown.
"""

from __future__ import annotations

import os
import platform
import sys
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from tui_attn.compare import verdict
from tui_attn.compare.verdicts import critical_values

SEEDS = 30
"""Largest number of seeds in an experiment."""
AFTER = (3, 5, 10, 20, 30)
"""Numbers of seeds after which shares are told."""
PLANS: dict[str, Sequence[int]] = {"5, 10": (5, 10), "3, 5, 10": (3, 5, 10), "10": (10,), "none": ()}
NOISE: dict[str, Callable[[np.random.Generator, int], NDArray[np.float64]]] = {
    "normal": lambda rng, count: rng.standard_normal((count, 2, SEEDS)),
    "heavy-tailed (t, 3 degrees)": lambda rng, count: rng.standard_t(3, (count, 2, SEEDS)) / np.sqrt(3),
    "skewness 1": lambda rng, count: (rng.gamma(4, size=(count, 2, SEEDS)) - 4) / 2,
    "skewness -1": lambda rng, count: (4 - rng.gamma(4, size=(count, 2, SEEDS))) / 2,
}


def decided(found: Sequence[float], looks: Sequence[int], *, missing: int = 0, comparisons: int = 2) -> bool:
    """Whether any look at these differences said better or worse."""
    p = verdict([0.0] * len(found), found, comparisons, looks=looks, missing=missing).p_value
    return p is not None and p < 0.05


def false_verdicts(noise: NDArray[np.float64], looks: Sequence[int], after: Sequence[int] = AFTER) -> list[float]:
    """Share of experiments with a false verdict in either comparison after so many seeds, looked at one by one."""
    found = np.zeros(len(after))
    for pair in noise.tolist():
        found += [any(decided(row[:seeds], looks) for row in pair) for seeds in after]
    return list(found / len(noise))


def without_the_worst(noise: NDArray[np.float64], looks: Sequence[int]) -> float:
    """The same where at every look the worst pair of each comparison so far is missing."""
    at = [seeds for seeds in range(3, SEEDS + 1) if seeds in looks or seeds > max(looks, default=2)]
    fooled = np.zeros(len(noise), dtype=bool)
    for seeds in at:
        kept = np.arange(seeds) != noise[..., :seeds].argmin(axis=-1)[..., None]
        rest = noise[..., :seeds][kept].reshape(*noise.shape[:2], seeds - 1)
        # Verdicts are asked for only where a t statistic is near a critical value: elsewhere there is none.
        near = np.zeros(rest.shape[:2], dtype=bool)
        for pairs, critical in critical_values(seeds, 2, looks, missing=1):
            first = rest[..., :pairs]
            errors = first.std(axis=-1, ddof=1) / np.sqrt(pairs)
            near |= abs(first.mean(axis=-1)) >= 0.999 * critical * errors
        for experiment, comparison in np.argwhere(near & ~fooled[:, None]):
            fooled[experiment] |= decided(rest[experiment, comparison].tolist(), looks, missing=1)
    return float(fooled.mean())


def false_equalities(noise: NDArray[np.float64], looks: Sequence[int], margin: float) -> float:
    """Share of experiments in which either interval lies within the margin, and the true difference is the margin."""
    return float(
        np.mean(
            [
                any(
                    verdict(
                        [0.0] * SEEDS, [value + margin for value in row], 2, looks=looks, margin=margin
                    ).within_margin
                    for row in pair
                )
                for pair in noise.tolist()
            ]
        )
    )


def power(noise: NDArray[np.float64], looks: Sequence[int], difference: float, after: Sequence[int]) -> list[float]:
    """Share of first comparisons in which a true difference is found."""
    rows = (noise[:, 0] + difference).tolist()
    return [sum(decided(row[:seeds], looks) for row in rows) / len(rows) for seeds in after]


def coverage(noise: NDArray[np.float64], looks: Sequence[int], seeds: int) -> tuple[float, float]:
    """Share of first comparisons in which intervals cover the true difference after so many seeds.

    The interval of this look alone, and the one that is shown, which is the intersection of all so far.
    """
    truth = 0.5
    rows = noise[:, 0, :seeds] + truth
    [*_, (_, critical)] = critical_values(seeds, 2, looks)
    half = critical * rows.std(axis=1, ddof=1) / np.sqrt(seeds)
    alone = float(np.mean(abs(rows.mean(axis=1) - truth) <= half))
    shown = [verdict([0.0] * seeds, row, 2, looks=looks).ci95 for row in rows.tolist()]
    return alone, sum(ends is not None and ends[0] <= truth <= ends[1] for ends in shown) / len(shown)


def print_coverage(experiments: int) -> None:
    """Print the coverage at each look, and after 20 and 30 seeds."""
    rng = np.random.default_rng(20261130)
    row = table("coverage, %: noise", "plan", "seeds", "of this look alone", "as shown")
    for noise in ("normal", "heavy-tailed (t, 3 degrees)", "skewness 1"):
        sample = NOISE[noise](rng, experiments)
        for name, looks in PLANS.items():
            for seeds in (*(looks or (10,)), 20, SEEDS):
                row(noise, name, str(seeds), *coverage(sample, looks, seeds))


def table(*heading: object) -> Callable[..., None]:
    """Print a heading; what is returned prints a row, fractions in per cent."""

    def row(*cells: object) -> None:
        texts = (f"{100 * cell:.2f}" if isinstance(cell, float) else str(cell) for cell in cells)
        print(f"| {' | '.join(texts)} |", flush=True)

    print()
    row(*heading)
    row(*("---" for _ in heading))
    return row


def main(experiments: int) -> None:
    """Print the tables."""
    rng = np.random.default_rng(20261129)
    normal = NOISE["normal"](rng, experiments)
    row = table("power, %: plan", "difference / sd", *(f"{seeds} seeds" for seeds in AFTER))
    for name, looks in PLANS.items():
        for difference in (0.5, 1.0, 2.0):
            row(name, f"{difference:g}", *power(normal, looks, difference, AFTER))
    row = table("false verdicts in either, %: noise", "plan", *(f"up to {seeds} seeds" for seeds in AFTER))
    for noise, draw in NOISE.items():
        sample = draw(rng, experiments)
        for name, looks in PLANS.items():
            row(noise, name, *false_verdicts(sample, looks))
    row = table('false "no difference above margin", %: plan', "margin / sd", "up to 30 seeds")
    for name, looks in PLANS.items():
        for margin in (0.5, 1.0, 2.0):
            row(name, str(margin), false_equalities(normal, looks, margin))


def print_missing(experiments: int) -> None:
    """Print the false verdicts where the worst pair is always missing."""
    rng = np.random.default_rng(20261201)
    row = table("worst pair missing, false verdicts in either, %: noise", "plan", "looked at one by one to 30")
    for noise, draw in NOISE.items():
        sample = draw(rng, experiments)
        for name, looks in PLANS.items():
            row(noise, name, without_the_worst(sample, looks))


if __name__ == "__main__":
    numbers = [int(word) for word in sys.argv[1:] if word.isdecimal()]
    count = numbers[0] if numbers else 20_000
    print(f"{count:,} experiments a row, two comparisons each; {os.cpu_count()} cores, {platform.machine()}")
    {"coverage": print_coverage, "missing": print_missing}.get(sys.argv[-1], main)(count)
