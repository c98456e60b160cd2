"""How often the rule of the verdict is wrong, and how often it finds a difference: simulated experiments.

    python benchmarks/verdicts.py [EXPERIMENTS]

Every simulated experiment has independent normal differences between two models and base, looked at after each seed. A
verdict is false where it says better or worse and there is no difference. Prints tables in Markdown.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from tui_attn.compare.verdicts import critical_values, verdict

SEEDS = 30
"""Largest number of seeds in an experiment."""
RULES: dict[str, Sequence[int]] = {"plan 3, 6": (3, 6), "plan 5, 10": (5, 10), "plan 10, 20": (10, 20), "no plan": ()}


def decided(differences: NDArray[np.float64], comparisons: int, looks: Sequence[int] | None) -> NDArray[np.bool_]:
    """Whether each comparison is decided after so many seeds: bool (experiments, seeds + 1); looked at every time.

    `differences` (experiments, seeds), in units of their standard deviation.
    """
    experiments, seeds = differences.shape
    found = np.zeros((experiments, seeds + 1), dtype=bool)
    for number, critical in critical_values(seeds, comparisons, looks):
        sample = differences[:, :number]
        error = sample.std(axis=1, ddof=1) / np.sqrt(number)
        found[:, number] = np.abs(sample.mean(axis=1)) > critical * error
    # Contradicting looks give no verdict; they are counted as if the first one stood, which is never too few.
    return np.logical_or.accumulate(found, axis=1)


def share(found: NDArray[np.bool_]) -> str:
    """Per cent, with its standard error where it is small."""
    value = found.mean()
    return f"{100 * value:.1f}" if value < 0.2 else f"{100 * value:.0f}"


def main(experiments: int) -> None:
    """Print the tables."""
    rng = np.random.default_rng(20240229)
    first, second = rng.standard_normal((2, experiments, SEEDS))
    agreement(first[:200])
    print(f"{experiments:,} experiments of two independent comparisons, looked at after every seed up to {SEEDS}\n")
    print("| rule | false verdict in either, % | the same in one comparison alone, % |")
    print("| --- | --- | --- |")
    for name, looks in RULES.items():
        either = decided(first, 2, looks)[:, -1] | decided(second, 2, looks)[:, -1]
        print(f"| {name} | {share(either)} | {share(decided(first, 1, looks)[:, -1])} |")
    print("\nPower of one of two comparisons, %, by difference / standard deviation and seeds\n")
    print("| rule | difference | 5 | 10 | 20 | 30 |")
    print("| --- | --- | --- | --- | --- | --- |")
    for name, looks in RULES.items():
        for difference in (0.5, 1.0, 2.0):
            found = decided(first + difference, 2, looks)
            print(f"| {name} | {difference:g} | {' | '.join(share(found[:, seeds]) for seeds in (5, 10, 20, 30))} |")


def agreement(differences: NDArray[np.float64]) -> None:
    """Check the fast computation against the rule itself."""
    for looks in RULES.values():
        for row, found in zip(differences[:, :12], decided(differences[:, :12] + 0.8, 2, looks), strict=True):
            said = verdict([0.0] * 12, list(row + 0.8), 2, looks=looks)
            assert said.contradiction or (said.verdict in {"better", "worse"}) == found[-1], (looks, row)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 50_000)
