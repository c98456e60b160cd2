"""Training steps on this CPU: a plain script, Lightning, Keras and ours in turn.

    python -m benchmarks.cpu_peers --peers-python PEERS/bin/python --json peers.json
    python -m benchmarks.cpu_peers --profile                    where the time of our step goes

Images a second of steps at batch 128 after the first ones, DataLoader and logs of each included, evaluation and imports
not (benchmarks/throughput.py times whole programs). Each round starts every contestant anew, which trains the three
networks one after another. Beside the rates stands that of multiplying matrices, measured in our own process.
`ATEN_CPU_CAPABILITY=avx2 ONEDNN_MAX_CPU_ISA=AVX2` in the environment stand in for a CPU without AVX-512.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).resolve().parent.parent
LAB = ("base", "se", "self-attention")
BATCH, WARM_UP = 128, 4
"""Images of a step, and steps before the clock starts."""
OURS = 8
"""Times as many of our steps, which are shorter, so that the clock runs about as long."""
KINDS = {
    "convolutions": ("convolution",),
    "matrix products": ("addmm", "aten::mm", "bmm", "linear"),
    "pooling": ("max_pool",),
    "changes of layout and precision": ("copy_", "to_mkldnn", "to_dense", "contiguous", "reorder", "_to_copy"),
    "Adam": ("adam",),
}
"""Kinds of operators, by words in their names; all others are element-wise."""


def timed(step: Callable[[], object], steps: int) -> float:
    """Images a second of `steps` steps."""
    for _ in range(WARM_UP):
        step()
    begin = time.perf_counter()
    for _ in range(steps):
        step()
    return steps * BATCH / (time.perf_counter() - begin)


class Clock:
    """The rate of steps that another program takes: call `tick` after each."""

    def __init__(self) -> None:
        self._times: list[float] = []

    def tick(self, *_: Any, **__: Any) -> None:
        self._times.append(time.perf_counter())

    @property
    def rate(self) -> float:
        times = self._times[WARM_UP - 1 :]
        return (len(times) - 1) * BATCH / (times[-1] - times[0])


def ours(precision: str) -> Callable[[str, int, str], float]:
    """By the trainer of a worker, points of the log included."""

    def rate(model: str, steps: int, data_dir: str) -> float:
        trainer = _trainer(model, precision, steps * OURS + WARM_UP, data_dir)
        interrupted = [False]

        def step() -> None:
            interrupted[0] = True
            point = trainer.train_to_point(lambda: interrupted[0])
            if point is not None:
                point()

        return timed(step, steps * OURS)

    return rate


def _trainer(model: str, precision: str, steps: int, data_dir: str) -> Any:
    import torch

    from tui_attn import data
    from tui_attn.experiment.config import ExperimentConfig
    from tui_attn.experiment.folders import ExperimentDir
    from tui_attn.experiment.kernels import cpu_kind, fastest
    from tui_attn.train import tensors
    from tui_attn.train.step import choose_precision
    from tui_attn.train.trainer import Trainer
    from tui_attn.train.worker_context import be_reproducible

    be_reproducible()
    cpu = torch.device("cpu")
    located = data.ensure("fashion-mnist", Path(data_dir), offline=True)
    found = tensors.on_device("fashion-mnist", data.load(located, max(512, steps * BATCH), 10), cpu)
    config, kernels = ExperimentConfig(models=(model,)), fastest(cpu_kind(), precision)
    trainer = Trainer(ExperimentDir(Path()), config, model, 0, found, cpu, choose_precision(precision, cpu), kernels)
    trainer.build()
    trainer._interval = 9  # as with all 60,000 images
    return trainer


def _loader(steps: int, data_dir: str) -> Any:
    from torch.utils.data import DataLoader, Subset
    from torchvision import datasets, transforms

    from benchmarks.peers.common import MEAN, STD

    transform = transforms.Compose([transforms.ToTensor(), transforms.Normalize((MEAN,), (STD,))])
    images = datasets.FashionMNIST(data_dir, train=True, transform=transform)
    return DataLoader(Subset(images, range((steps + WARM_UP) * BATCH)), batch_size=BATCH, shuffle=True)


def student(model: str, steps: int, data_dir: str) -> float:
    import torch
    from torch.nn import functional as F

    from benchmarks.peers.networks import NETWORKS

    network = NETWORKS[model]()
    optimizer = torch.optim.Adam(network.parameters(), lr=0.001)
    clock, total = Clock(), 0.0
    for images, labels in _loader(steps, data_dir):
        optimizer.zero_grad()
        loss = F.cross_entropy(network(images), labels)
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        total += loss.item()
        clock.tick()
    return clock.rate


def lightning(model: str, steps: int, data_dir: str) -> float:
    import pytorch_lightning as pl  # type: ignore[import-not-found]

    from benchmarks.peers.lightning_ import Lit

    clock = Clock()

    class Watch(pl.Callback):  # type: ignore[misc]
        on_train_batch_end = clock.tick

    quiet = {"enable_progress_bar": False, "enable_checkpointing": False, "enable_model_summary": False}
    trainer = pl.Trainer(max_epochs=1, accelerator="cpu", logger=False, callbacks=[Watch()], **quiet)
    trainer.fit(Lit(model), _loader(steps, data_dir))
    return clock.rate


def keras(model: str, steps: int, data_dir: str) -> float:
    import keras as library  # type: ignore[import-not-found]

    from benchmarks.peers.keras_ import build, read

    x, y = read(data_dir, "train", (steps + WARM_UP) * BATCH)
    network, clock = build(model), Clock()
    loss = library.losses.SparseCategoricalCrossentropy(from_logits=True)
    network.compile(optimizer=library.optimizers.Adam(0.001), loss=loss, metrics=["accuracy"])
    watch = library.callbacks.LambdaCallback(on_train_batch_end=clock.tick)
    network.fit(x, y, batch_size=BATCH, epochs=1, verbose=0, callbacks=[watch])
    return clock.rate


CONTESTANTS: dict[str, Callable[[str, int, str], float]] = {
    "ours": ours("auto"),
    "ours fp32": ours("fp32"),
    "student": student,
    "Lightning": lightning,
    "Keras on torch": keras,
}


def multiplies_bf16() -> bool:
    """Whether this CPU, or the one that the environment has stand in for another, multiplies bf16 fast."""
    from tui_attn.experiment.kernels import cpu_kind

    return cpu_kind() in {"amx", "avx512-bf16"}


def matrix_products() -> dict[str, float]:
    """Operations a second of products of two 2048 x 2048 matrices, by precision."""
    import torch

    found = {}
    for name in ("float32", "bfloat16") if multiplies_bf16() else ("float32",):  # a product takes minutes elsewhere
        one = torch.rand(2048, 2048).to(getattr(torch, name))
        found[name] = 2 * 2048**3 / BATCH * timed(lambda one=one: one @ one, 8)  # type: ignore[misc]
    return found


def profile(data_dir: str) -> None:
    """Print where the time of our steps goes, by the operators' own time on one thread."""
    import torch
    from torch.profiler import ProfilerActivity
    from torch.profiler import profile as profiler

    torch.set_num_threads(1)
    for precision in ("bf16", "fp32") if multiplies_bf16() else ("fp32",):
        for model in LAB:
            trainer = _trainer(model, precision, 40, data_dir)
            trainer.train_to_point(lambda: False)()
            with profiler(activities=[ProfilerActivity.CPU]) as trace:
                trainer.train_to_point(lambda: False)()
            spent: Counter[str] = Counter()
            for event in trace.key_averages():
                kinds = (kind for kind, words in KINDS.items() if any(word in event.key for word in words))
                spent[next(kinds, "element-wise and the rest")] += event.self_cpu_time_total
            shares = ", ".join(f"{kind} {time / spent.total():.0%}" for kind, time in spent.most_common())
            print(f"{trainer.precision} {model}: {spent.total() / 9000:.2f} ms a step; {shares}", flush=True)


def table(measured: dict[str, dict[str, list[float]]], products: dict[str, list[float]]) -> str:
    """The rates of all contestants as lines of text."""
    from tui_attn.models import MODELS, macs

    lines, first = [], next(iter(measured.values()))
    for model in LAB:
        network: Any = MODELS[model]()
        operations = 2 * (3 * (macs(model) or 0) - network.conv1.weight.numel() * network.height * network.width)
        for name, rates in measured.items():
            found = rates[model]
            ratios = [mine / other for mine, other in zip(first[model], found, strict=True)]
            times = f"the first is {statistics.median(ratios):5.2f} times ({min(ratios):.2f}-{max(ratios):.2f})"
            done = statistics.median(found) * operations / 1e9
            shares = [
                f"{done / statistics.median(each) * 1e9:.0%} of {kind}" for kind, each in products.items() if each
            ]
            rate = f"{statistics.median(found):8,.0f} images/s ({min(found):,.0f}-{max(found):,.0f})"
            lines.append(f"{model:16}{name:16}{rate:40}{times:34}{done:5.0f} GFLOP/s: {', '.join(shares)}")
    return "\n".join(lines)


def main() -> None:
    """Measure in turn; with --child, be a contestant."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--peers-python", default=sys.executable, metavar="PATH", help="has Lightning and Keras")
    parser.add_argument("--data-dir", default=str(Path.home() / ".cache/tui-attn/data"), help="holds FashionMNIST/raw")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--steps", type=int, default=12)
    parser.add_argument("--seconds", type=float, default=1e9, help="begin no round after these")
    parser.add_argument("--json", type=Path, metavar="FILE", help="its rounds are added to those already there")
    parser.add_argument("--profile", action="store_true")
    parser.add_argument("--child", choices=CONTESTANTS)
    args = parser.parse_args()
    if args.profile:
        profile(args.data_dir)
        return
    if args.child:
        found = {model: CONTESTANTS[args.child](model, args.steps, args.data_dir) for model in LAB}
        own = matrix_products() if args.child == "ours fp32" else {}
        print(json.dumps({"rates": found, "products": own}))
        return
    names = [name for name in CONTESTANTS if name != "ours" or multiplies_bf16()]
    measured: dict[str, dict[str, list[float]]] = {name: {model: [] for model in LAB} for name in names}
    products: dict[str, list[float]] = {"float32": [], "bfloat16": []}
    if args.json and args.json.exists():
        before = json.loads(args.json.read_text())
        measured, products = before["rates"], before["products"]
    begin = time.monotonic()
    for number in range(args.rounds):
        if time.monotonic() - begin > args.seconds:
            break
        told = {}
        for name in names:
            python = sys.executable if name.startswith("ours") else args.peers_python
            command = [python, "-m", "benchmarks.cpu_peers", "--child", name, "--steps", str(args.steps)]
            command += ["--data-dir", args.data_dir]
            environment = os.environ | {"KERAS_BACKEND": "torch"}
            done = subprocess.run(
                command,
                cwd=REPOSITORY,
                env=environment,
                stdout=subprocess.PIPE,
                check=True,
            )
            told[name] = json.loads(done.stdout.splitlines()[-1])
        for name, found in told.items():
            for model, rate in found["rates"].items():
                measured[name][model].append(rate)
            for kind, rate in found["products"].items():
                products[kind].append(rate)
        print(f"round {number + 1}: {time.monotonic() - begin:.0f} s", flush=True)
        if args.json:
            args.json.write_text(json.dumps({"rates": measured, "products": products}) + "\n")
    print(table(measured, products))


if __name__ == "__main__":
    main()
