"""How long a waiting thread should spin: training steps with several GOMP_SPINCOUNTs, alone and beside a busy loop.

    python benchmarks/spinning.py [--repeats 5] [--seconds 2]

Prints medians of interleaved repeats, in milliseconds a step; "beside" means that one core is taken by a busy loop.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys

COUNTS = ("default", "0", "1000", "5000", "20000", "100000")

STEPS = """
import sys, time, torch
from tui_attn.models import MODELS
from tui_attn.train.step import Stepper, choose_precision
torch.set_num_threads(int(sys.argv[2]))
device = torch.device("cpu")
images = torch.randint(0, 256, (128, 1, 28, 28), dtype=torch.uint8)
labels = torch.randint(0, 10, (128,))
for name in ("base", "se", "self-attention"):
    stepper = Stepper(MODELS[name](), device, choose_precision("auto", device), lr=1e-3, mean=(0.3,), std=(0.35,))
    for _ in range(5):
        stepper.train_step(images, labels)
    begin, steps = time.perf_counter(), 0
    while time.perf_counter() - begin < float(sys.argv[1]):
        stepper.train_step(images, labels)
        steps += 1
    print(name, 1000 * (time.perf_counter() - begin) / steps)
"""


def measure(count: str, seconds: float, threads: int) -> dict[str, float]:
    """Milliseconds a step, by model."""
    environment = {name: value for name, value in os.environ.items() if name != "GOMP_SPINCOUNT"}
    environment["OMP_NUM_THREADS"] = str(threads)
    if count != "default":
        environment["GOMP_SPINCOUNT"] = count
    command = [sys.executable, "-P", "-c", STEPS, str(seconds), str(threads)]
    done = subprocess.run(command, env=environment, check=True, capture_output=True, text=True)
    return {line.split()[0]: float(line.split()[1]) for line in done.stdout.splitlines()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=2.0)
    arguments = parser.parse_args()
    threads = len(os.sched_getaffinity(0))
    for where in ("alone", "beside"):
        busy = subprocess.Popen([sys.executable, "-c", "while True: pass"]) if where == "beside" else None
        found: dict[str, dict[str, list[float]]] = {}
        try:
            for _ in range(arguments.repeats):
                for count in COUNTS:
                    for model, value in measure(count, arguments.seconds, threads).items():
                        found.setdefault(count, {}).setdefault(model, []).append(value)
        finally:
            if busy is not None:
                busy.kill()
                busy.wait()
        for count, by_model in found.items():
            figures = "  ".join(f"{model} {statistics.median(values):7.2f}" for model, values in by_model.items())
            print(f"{where:<7} spin {count:>8}: {figures}  ms (n={arguments.repeats}, {threads} threads)", flush=True)


if __name__ == "__main__":
    main()
