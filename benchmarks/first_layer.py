"""What rows as channels save with AVX2: `python -m benchmarks.first_layer [--threads 1] [--rounds 9]`.

Steps of the lab's networks with the gradient of the first layer's weights as `train/fast.py` computes it with AVX2, and
as oneDNN does by itself, in turn, from equal weights, which must stay equal. Without AVX-512, or with
`ATEN_CPU_CAPABILITY=avx2 ONEDNN_MAX_CPU_ISA=AVX2` in the environment.
"""

import argparse
import statistics
import time
from unittest import mock

import torch

from benchmarks.cpu_kernels import BATCH, steppers
from tui_attn.experiment.model_info import DEFAULT_MODELS

STEPS = 5


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=9)
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    clock = time.thread_time if given.threads == 1 else time.perf_counter
    made = [
        {
            model: stepper
            for (model, kernels), stepper in steppers("fp32", DEFAULT_MODELS).items()
            if kernels == "onednn"
        }
        for _ in range(2)
    ]
    images = torch.randint(0, 256, (BATCH, 1, 28, 28), dtype=torch.uint8)
    labels = torch.randint(0, 10, (BATCH,))
    times: dict[tuple[str, int], list[float]] = {(model, way): [] for model in DEFAULT_MODELS for way in range(2)}
    for number in range(given.rounds + 1):
        for model in DEFAULT_MODELS:
            for way in sorted(range(2), reverse=bool(number % 2)):
                capability = ["AVX512", "AVX2"][way]  # with the first, the gradient is oneDNN's own
                with mock.patch("torch.backends.cpu.get_cpu_capability", return_value=capability):
                    begin = clock()
                    for _ in range(STEPS):
                        made[way][model].train_step(images, labels)
                    if number:  # the first round warms up
                        times[model, way].append((clock() - begin) / STEPS * 1e3)
    for model in DEFAULT_MODELS:
        ratio = statistics.median(b / a for a, b in zip(times[model, 0], times[model, 1], strict=True))
        weights = [list(steps[model].model.parameters()) for steps in made]
        same = all(map(torch.equal, *weights))
        before, after = (statistics.median(times[model, way]) for way in range(2))
        print(f"{model:<16} {before:6.2f} ms, rows as channels {after:6.2f} ms  ({ratio:.3f})  equal bits: {same}")


if __name__ == "__main__":
    main()
