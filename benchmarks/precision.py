"""Does bf16 cost accuracy? The difference of the means of two experiments that differ in precision only.

    tui-attn --no-ui --models base --seeds 5 --epochs 5 --precision bf16 --runs-dir R
    tui-attn --no-ui --models base --seeds 5 --epochs 5 --precision fp32 --runs-dir R
    python benchmarks/precision.py R

Paired by seed, with the 95 % t interval.
"""

from __future__ import annotations

import sys
from pathlib import Path

from tui_attn.compare import verdict
from tui_attn.experiment.finding import experiments
from tui_attn.experiment.follower import read_state


def main() -> None:
    by_precision: dict[str, dict[int, float]] = {}
    for folder in experiments(Path(sys.argv[1])):
        for run in read_state(folder).state.runs.values():
            if run.state == "finished":
                accuracies = by_precision.setdefault(str(run.about["precision"]), {})
                accuracies[run.seed] = run.epochs[-1].test_accuracy
    fp32, bf16 = by_precision["fp32"], by_precision["bf16"]
    seeds = sorted(fp32.keys() & bf16.keys())
    for name, accuracies in by_precision.items():
        values = [accuracies[seed] for seed in seeds]
        print(f"{name}: {', '.join(f'{value:.4f}' for value in values)}   mean {sum(values) / len(values):.4f}")
    found = verdict([fp32[seed] for seed in seeds], [bf16[seed] for seed in seeds])
    print(f"bf16 - fp32: {100 * found.delta:+.3f} points, 95 % interval", end=" ")
    print("none" if found.ci95 is None else f"[{100 * found.ci95[0]:+.3f}, {100 * found.ci95[1]:+.3f}]", end=" ")
    print(f"over {len(seeds)} seeds: {found.verdict}")


if __name__ == "__main__":
    main()
