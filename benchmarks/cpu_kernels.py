"""Which kernels train fastest on a kind of CPU: `python -m benchmarks.cpu_kernels [--models se,gct] [--json FILE]`.

Times a training step of the lab's networks, or of others beside the first of them, by the oneDNN pass of
`train/fast.py` and by PyTorch's own layers, in turn, and prints the row of this kind of CPU for the table in
`tui_attn/experiment/kernels.py`. It uses one thread and its processor time,
which other programs affect less than wall time. `ATEN_CPU_CAPABILITY=avx2 ONEDNN_MAX_CPU_ISA=AVX2` in the environment
simulates a CPU without AVX-512.
"""

import argparse
import json
import os
import statistics
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from tui_attn.experiment.kernels import KERNELS, cpu_kind
from tui_attn.experiment.model_info import DEFAULT_MODELS
from tui_attn.models import MODELS
from tui_attn.train.step import Stepper, choose_precision

BATCH = 128


def steppers(precision: str, models: Sequence[str]) -> dict[tuple[str, str], Stepper]:
    """One for each network and variant, with equal weights."""
    made = {}
    for model in models:
        for kernels in KERNELS:
            torch.manual_seed(0)
            made[model, kernels] = Stepper(
                MODELS[model](), torch.device("cpu"), precision, lr=1e-3, mean=(0.286,), std=(0.353,), kernels=kernels
            )
    return made


def measure(precision: str, models: Sequence[str], rounds: int, steps: int) -> dict[str, Any]:
    """Milliseconds of a step by network and variant, and the ratios of each round."""
    made = steppers(precision, models)
    images = torch.randint(0, 256, (BATCH, 1, 28, 28), dtype=torch.uint8)
    labels = torch.randint(0, 10, (BATCH,))
    times: dict[tuple[str, str], list[float]] = {key: [] for key in made}
    for number in range(rounds + 1):
        for key in sorted(made, reverse=bool(number % 2)):
            begin = time.thread_time()
            for _ in range(steps):
                made[key].train_step(images, labels)
            if number:  # the first round warms up
                times[key].append((time.thread_time() - begin) / steps * 1e3)
    found: dict[str, Any] = {}
    for model in models:
        ours, plain = times[model, "onednn"], times[model, "plain"]
        best = [min(pair) for pair in zip(ours, plain, strict=True)]
        first = [min(pair) for pair in zip(times[models[0], "onednn"], times[models[0], "plain"], strict=True)]
        found[model] = {
            "onednn_ms": statistics.median(ours),
            "plain_ms": statistics.median(plain),
            "plain_over_onednn": statistics.median(b / a for a, b in zip(ours, plain, strict=True)),
            "step_over_first": statistics.median(a / b for a, b in zip(best, first, strict=True)),
        }
    return found


def gflops(rounds: int) -> float:
    """The rate of a product of large float32 matrices, by the thread's time: the median of `rounds`."""
    one = torch.rand(1024, 1024)
    rates = []
    for _ in range(rounds):
        begin = time.thread_time()
        one @ one
        rates.append(2 * 1024**3 / (time.thread_time() - begin) / 1e9)
    return statistics.median(rates)


def main() -> None:
    """Measure, print a table, and write JSON where asked to."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--models", default=",".join(DEFAULT_MODELS))
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--steps", type=int, default=8)
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    torch.set_num_threads(1)
    kind = cpu_kind()
    print(f"CPU kind {kind}, torch {torch.__version__} ({torch.backends.cpu.get_cpu_capability()}), one thread")
    print(f"float32 matrix product: {gflops(given.rounds):.0f} GFLOP/s")
    result: dict[str, Any] = {"kind": kind, "rounds": given.rounds, "isa": os.environ.get("ATEN_CPU_CAPABILITY")}
    for precision in dict.fromkeys(["fp32", choose_precision("auto", torch.device("cpu"))]):
        found = result[precision] = measure(precision, given.models.split(","), given.rounds, given.steps)
        for model, row in found.items():
            print(
                f"{precision} {model:<16} onednn {row['onednn_ms']:6.2f} ms  plain {row['plain_ms']:6.2f} ms"
                f"  plain/onednn {row['plain_over_onednn']:.2f}  step/first {row['step_over_first']:.2f}"
            )
        ratio = statistics.geometric_mean(row["plain_over_onednn"] for row in found.values())
        best = "onednn" if ratio > 1 else "plain"
        print(f'table: ("{kind}", "{precision}"): "{best}"  # plain/onednn {ratio:.2f}, n = {given.rounds}')
    if given.json:
        given.json.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
