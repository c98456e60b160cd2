"""Training rate of the whole program, compared with common alternatives.

    python benchmarks/throughput.py --peers-python PEERS/bin/python --out throughput.json
    python benchmarks/throughput.py --quick                     a smoke run, a minute or two

For each program the training rate from two wall clocks: (images of a long run - images of a short run) / (time of
the long - time of the short). Both runs are the whole program from start to end, with evaluation after every epoch and
logs; the difference excludes what happens once: imports, reading the data, compiling kernels. The short run is one
epoch of 1,280 images with 256 test images; in an epoch of the long run there are six training images to a test image,
as in the whole data set. Rounds are interleaved, so that other load on the machine affects all alike, and medians over
the rounds are compared.

The peers train the same networks on the same images in batches of 128 by Adam with float32 weights: a plain PyTorch
script (0 and 2 DataLoader workers), PyTorch Lightning, and Keras 3. They live in an environment of their own:

    python -m venv PEERS && PEERS/bin/pip install torch torchvision "pytorch-lightning>=2.6.6" keras jax

Beside the rates stands the machine's own: the rate of multiplying two matrices, measured in every round too.
Multiplications of a training step: those of the forward pass, and twice as many backward, save for the gradient
with respect to the image, which nobody needs.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).resolve().parent.parent
MODELS = ("base", "se", "self-attention")
SHORT_IMAGES, SHORT_TEST = 1_280, 256
"""What the short run trains on and is tested on: ten batches, so that nothing is compiled in the long run only."""
MATMUL = """
import sys, time, torch
dtype, n = getattr(torch, sys.argv[1]), 2048
device = "cuda" if torch.cuda.is_available() else "cpu"
a, b = torch.randn(n, n, device=device).to(dtype), torch.randn(n, n, device=device).to(dtype)
wait = torch.cuda.synchronize if device == "cuda" else lambda: None
times = []
for _ in range(24):
    wait(); begin = time.perf_counter(); a @ b; wait(); times.append(time.perf_counter() - begin)
print(2 * n**3 / sorted(times[4:])[10])
"""


class FailedError(Exception):
    """A contestant ended with an error."""


class TooShortError(Exception):
    """What else the machine does took longer than the difference between the runs."""


@dataclass(frozen=True, slots=True)
class Contestant:
    """A program that trains; `command(model, epochs, images, test images)` is its command line."""

    name: str
    command: Callable[[str, int, int, int], list[str]]
    epochs: int
    """Of the long run."""
    environment: dict[str, str] = field(default_factory=dict)


@dataclass(slots=True)
class Measured:
    """What the rounds gave for one contestant and model."""

    rates: list[float] = field(default_factory=list)
    """Training images a second."""
    accuracies: list[float] = field(default_factory=list)
    """On the test set after the long run."""


def ours(precision: str, args: argparse.Namespace) -> Contestant:
    def command(model: str, count: int, images: int, tested: int) -> list[str]:
        options = f"--no-ui --models {model} --epochs {count} --train-limit {images} --precision {precision}"
        return [
            *(sys.executable, "-m", "tui_attn", *options.split(), "--test-limit", str(tested)),
            *("--data-dir", args.data_dir),
        ]

    return Contestant("tui-attn" if precision == "auto" else f"tui-attn {precision}", command, args.epochs)


def peer(name: str, module: str, options: str, args: argparse.Namespace, **environment: str) -> Contestant:
    def command(model: str, count: int, images: int, tested: int) -> list[str]:
        return [
            *(args.peers_python, "-m", f"benchmarks.peers.{module}", "--model", model, "--epochs", str(count)),
            *("--train-limit", str(images), "--test-limit", str(tested), "--data", args.data_dir),
            *options.split(),
        ]

    return Contestant(name, command, args.peer_epochs, environment)


PARAMETERS = {"base": 50_186, "se": 53_258, "self-attention": 128_955}
"""By which one sees that all contestants train the same network."""


def contestants(args: argparse.Namespace) -> list[Contestant]:
    """Ours and, where there is an environment for them, the peers; those that `--only` names, or all."""
    found = [ours("auto", args), ours("fp32", args)]
    if args.peers_python:
        found += [
            peer("student, 0 workers", "student", "--workers 0", args),
            peer("student, 2 workers", "student", "--workers 2", args),
            peer("Lightning", "lightning_", "--workers 2", args),
            peer("Lightning bf16", "lightning_", "--workers 2 --precision bf16", args),
            peer("Keras on torch", "keras_", "", args, KERAS_BACKEND="torch"),
            peer("Keras on JAX", "keras_", "", args, KERAS_BACKEND="jax"),
        ]
    if args.only:
        found = [one for one in found if _named(one, args.only)]
    return [one for one in found if not (args.without and _named(one, args.without))]


def _named(one: Contestant, words: str) -> bool:
    return any(word.lower() in one.name.lower() for word in words.split(","))


def run(contestant: Contestant, model: str, epochs: int, images: int, tested: int) -> tuple[float, int, float]:
    """Wall seconds, parameters, and test accuracy of one run from its start to its end."""
    with tempfile.TemporaryDirectory() as runs:
        command = contestant.command(model, epochs, images, tested)
        is_ours = contestant.name.startswith("tui-attn")
        if is_ours:
            command += ["--runs-dir", runs]
        begin = time.perf_counter()
        done = subprocess.run(
            command,
            cwd=REPOSITORY,
            env=os.environ | contestant.environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        seconds = time.perf_counter() - begin
        if done.returncode != 0:
            last = (done.stderr.strip() or done.stdout.strip()).splitlines()[-5:]
            raise FailedError(f"{contestant.name} on {model}: exit code {done.returncode}\n" + "\n".join(last))
        if not is_ours:
            result = json.loads(done.stdout.strip().splitlines()[-1])
            return seconds, int(result["parameters"]), float(result["test_accuracy"])
        asked = [sys.executable, "-m", "tui_attn", "compare", "--json", "--runs-dir", runs]
        table = subprocess.run(asked, cwd=REPOSITORY, capture_output=True, text=True, check=True)
        row = json.loads(table.stdout)["models"][0]
        return seconds, int(row["parameters"]), float(row["runs"][0]["test_accuracy"])


def measure(contestant: Contestant, model: str, images: int, tested: int, into: Measured) -> None:
    """One round: the short run and the long one."""
    short_seconds, _, _ = run(contestant, model, 1, SHORT_IMAGES, SHORT_TEST)
    long_seconds, parameters, accuracy = run(contestant, model, contestant.epochs, images, tested)
    if long_seconds <= short_seconds:
        raise TooShortError(
            f"{contestant.name} on {model}: the long run was over before the short one, try more --epochs"
        )
    if parameters != PARAMETERS[model]:
        raise FailedError(f"{contestant.name} on {model}: another network, of {parameters:,} parameters")
    into.rates.append((contestant.epochs * images - SHORT_IMAGES) / (long_seconds - short_seconds))
    into.accuracies.append(accuracy)


def matmul_rate(dtype: str) -> float:
    """Floating-point operations a second of multiplying two 2048 x 2048 matrices, the median of 20."""
    done = subprocess.run(
        [sys.executable, "-c", MATMUL, dtype], capture_output=True, text=True, check=True, stdin=subprocess.DEVNULL
    )
    return float(done.stdout)


def operations(model: str) -> int:
    """Floating-point operations of training on one image: two for each multiply-accumulate."""
    code = (
        "import sys; from tui_attn.models import macs, MODELS; n = MODELS[sys.argv[1]]();"
        "print(3 * macs(sys.argv[1]) - n.conv1.weight.numel() * n.height * n.width)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, model], cwd=REPOSITORY, capture_output=True, text=True, check=True
    )
    return 2 * int(done.stdout)


def table(model: str, images: int, measured: dict[str, Measured], matmul: dict[str, list[float]]) -> str:
    """The rates of all contestants on one model as lines of text."""
    lines = [
        f"{model}: {images:,} images an epoch",
        f"{'':22}{'images/s':>10}{'range':>20}{'ours is':>9}{'accuracy':>10}",
    ]
    measured = {name: found for name, found in measured.items() if found.rates}
    own = statistics.median(measured["tui-attn"].rates) if "tui-attn" in measured else None
    for name, found in measured.items():
        rate = statistics.median(found.rates)
        spread = f"{min(found.rates):,.0f} - {max(found.rates):,.0f}"
        times = f"{own / rate:8.2f}x" if own is not None else ""
        accuracy = statistics.median(found.accuracies)
        lines.append(f"{name:22}{rate:10,.0f}{spread:>20}{times:>9}{accuracy:10.3f}")
    if own is not None:
        done = own * operations(model)
        for dtype, rates in matmul.items():
            rate = statistics.median(rates)
            lines.append(f"  {done / 1e9:,.0f} GFLOP/s, {done / rate:.1%} of the {rate / 1e9:,.0f} of a {dtype} matmul")
    return "\n".join(lines)


def options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--peers-python", metavar="PATH", help="the interpreter of the peers' environment")
    parser.add_argument("--data-dir", metavar="DIR", help="holds FashionMNIST/raw; as tui-attn finds it by default")
    parser.add_argument("--models", default=",".join(MODELS), metavar="LIST")
    parser.add_argument("--only", metavar="WORDS", help="contestants with one of these in their names")
    parser.add_argument("--without", metavar="WORDS", help="no contestants with one of these in their names")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--epochs", type=int, default=4, help="of our long run")
    parser.add_argument("--peer-epochs", type=int, default=1, help="of the peers' long runs")
    parser.add_argument("--images", type=int, help="an epoch; default 60,000, and 12,000 for self-attention")
    parser.add_argument("--out", type=Path, metavar="FILE", help="write all figures there, as JSON")
    parser.add_argument("--quick", action="store_true", help="one round of 5,120 images an epoch: does it all work?")
    args = parser.parse_args()
    if args.peers_python:
        args.peers_python = str(Path(args.peers_python).absolute())  # not resolved: a venv's python is a link
    if args.data_dir is None:
        from tui_attn import data

        args.data_dir = str(data.ensure("fashion-mnist", None).root)
    args.data_dir = str(Path(args.data_dir).absolute())
    return args


def main() -> int:
    args = options()
    everyone = contestants(args)
    models = args.models.split(",")
    sizes = {m: args.images or (5_120 if args.quick else 12_000 if m == "self-attention" else 60_000) for m in models}
    measured: dict[str, dict[str, Measured]] = {model: {} for model in models}
    matmul: dict[str, list[float]] = {"bfloat16": [], "float32": []}
    failed: set[tuple[str, str]] = set()
    for number in range(1 if args.quick else args.rounds):
        for dtype, rates in matmul.items():
            rates.append(matmul_rate(dtype))
        for model in models:
            for contestant in everyone:
                if (contestant.name, model) in failed:
                    continue
                found = measured[model].setdefault(contestant.name, Measured())
                try:
                    measure(contestant, model, sizes[model], sizes[model] // 6, found)
                except TooShortError as error:
                    print(error, file=sys.stderr)
                    continue
                except FailedError as error:
                    print(error, file=sys.stderr)
                    failed.add((contestant.name, model))
                    measured[model].pop(contestant.name)
                    continue
                who = f"{model:16}{contestant.name:22}"
                print(f"round {number + 1}  {who}{found.rates[-1]:10,.0f} images/s", flush=True)
    for model in models:
        print("\n" + table(model, sizes[model], measured[model], matmul))
    if args.out:
        args.out.write_text(json.dumps(result(args, sizes, measured, matmul), indent=1) + "\n")
    return 1 if failed else 0


def result(
    args: argparse.Namespace,
    sizes: dict[str, int],
    measured: dict[str, dict[str, Measured]],
    matmul: dict[str, list[float]],
) -> dict[str, Any]:
    """All figures, for a program."""
    return {
        "machine": {"processor": _processor(), "cpus": os.cpu_count(), "python": platform.python_version()},
        "rounds": 1 if args.quick else args.rounds,
        "matmul_flops": matmul,
        "models": {
            model: {
                "images_per_epoch": sizes[model],
                "operations_per_image": operations(model),
                "parameters": PARAMETERS[model],
                "contestants": {
                    name: {
                        "images_per_second": found.rates,
                        "median": statistics.median(found.rates),
                        "test_accuracy": found.accuracies,
                    }
                    for name, found in measured[model].items()
                    if found.rates
                },
            }
            for model in sizes
        },
    }


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    return next(
        (line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), platform.processor()
    )


if __name__ == "__main__":
    raise SystemExit(main())
