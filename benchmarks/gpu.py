"""Correctness and speed on a GPU: `python benchmarks/gpu.py`, at most five minutes.

First whether graphs give the same bits as a plain loop, then launches, kernels and waits per step of a plain loop, of
graphs, and of graphs that pool by one kernel, then speeds relative to a student's script, Lightning and
`torch.compile`. `--pretend` uses the pretended GPU of the tests, and measures no time. `--json FILE` writes
`{"fast_path": [...]}`, a row a model and precision, and whatever was measured.
"""

from __future__ import annotations

import argparse
import contextlib
import faulthandler
import io
import json
import os
import statistics
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any
from unittest import mock

os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # as workers have it, and the next line
os.environ.setdefault("CUDA_DEVICE_MAX_CONNECTIONS", "32")
sys.path.append(str(Path(__file__).resolve().parents[1]))  # last: an installed tui-attn comes first

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from benchmarks.gpu_counts import COUNTED, INTERVAL, Counts, counted, shown
from benchmarks.gpu_programs import LAB, programs
from tui_attn.models import MODELS
from tui_attn.train import checkpoint, fused_pooling
from tui_attn.train.accelerator import on_stream, stream
from tui_attn.train.graphed_steps import GraphedSteps, Proofs
from tui_attn.train.step import PrecisionError, Stepper, choose_precision
from tui_attn.train.tensors import Images
from tui_attn.train.worker_context import be_reproducible

PRECISIONS = ("fp32", "bf16")
MEAN, STD, LR = 0.286, 0.353, 1e-3
LIMIT, PROGRAMS = 285.0, 150.0
"""Seconds for all, of which so many are kept for whole programs; nothing goes on after them."""


class Bench:
    """One device, and how much is trained on it."""

    def __init__(self, device: torch.device, batch: int, size: int, pretended: Any) -> None:
        self.device, self.batch, self.pretended = device, batch, pretended
        generator = torch.Generator().manual_seed(1)
        labels = torch.randint(0, 10, (size,), generator=generator)
        pixels = torch.randint(0, 120, (size, 1, 28, 28), generator=generator)
        for label in range(10):  # something to learn
            pixels[labels == label, :, 2 * label : 2 * label + 6] += 100
        shown = pixels.to(torch.uint8).to(device)
        self.data = Images(shown, labels.to(device), shown, labels.to(device), tuple("0123456789"), (MEAN,), (STD,))
        self.order = torch.randperm(size, generator=generator)
        self.wait()

    def wait(self) -> None:
        torch.cuda.synchronize(self.device)

    def network(self, name: str) -> nn.Module:
        torch.manual_seed(1)
        return MODELS[name]()

    def steps(self, name: str, precision: str) -> tuple[GraphedSteps, Stepper]:
        stepper = Stepper(self.network(name), self.device, precision, lr=LR, mean=(MEAN,), std=(STD,))
        steps = GraphedSteps(stepper, self.data, self.batch, INTERVAL, ())
        return steps, stepper

    def plain(self, name: str, precision: str, compiled: bool = False) -> Plain:
        return Plain(self, self.network(name), precision, compiled)

    # ---- equality

    def equal(self, name: str, precision: str, points: int) -> tuple[GraphedSteps, str | None, bool]:
        """Graphs, why there are none, and whether losses, weights and averages have the bits of a plain loop."""
        plain = self.plain(name, precision)
        wanted = torch.stack([plain.step() for _ in range(points * INTERVAL)]).cpu()
        steps, stepper = self.steps(name, precision)
        reason = steps.capture()
        losses = self.run(steps, points)
        found = stepper.state_dict()
        same = torch.equal(torch.tensor(losses), wanted)
        for key, value in plain.model.state_dict().items():
            same = same and torch.equal(found["model"][key].cpu(), value.cpu())
        for index, state in plain.adam.state_dict()["state"].items():
            mine = found["optimizer"]["state"][index]
            same = same and all(torch.equal(mine[key].cpu(), state[key].cpu()) for key in state)
        return steps, reason, same

    def run(self, steps: GraphedSteps, points: int) -> list[float]:
        """Train so many points, each read when the next is queued, as workers do; the losses."""
        losses: list[float] = []
        before = None
        per_epoch = len(self.order) // self.batch // INTERVAL
        for point in range(points):
            if point % per_epoch == 0:
                steps.begin_epoch(self.order, None, 0)
            self.point(steps, point % per_epoch)
            now = steps.take_results()
            losses += before.read()[0] if before is not None else []
            before = now
        return losses + (before.read()[0] if before is not None else [])

    def point(self, steps: GraphedSteps, point: int) -> None:
        done = 0
        while done < INTERVAL:
            count, batch = steps.next_steps(point * INTERVAL + done)
            steps.train(count, batch)
            done += count

    def row(self, name: str, precision: str, points: int) -> dict[str, Any]:
        """Equality and counts of a plain loop and of graphs with either way of pooling; the last one's count."""
        ways: dict[str, dict[str, float]] = {}
        equal, reason, unfused = True, None, None
        for way in ("torch", "fused"):
            with pooling(fused=way == "fused"):
                steps, reason, same = self.equal(name, precision, points)
                unfused = steps.unfused
                if way == "fused" and unfused is not None:
                    break
                equal = equal and same
                counts = {label: found.rounded() for label, found in self.counts(name, precision).items()}
                ways[way] = counts["ours"]
        return {
            "model": name,
            "precision": precision,
            "graphed": reason is None,
            "equal": equal,
            **ways.get("fused", ways["torch"]),
            "plain": counts["plain"],
            "pooling": ways,
            **({} if reason is None else {"reason": reason}),
            **({} if unfused is None else {"unfused": unfused}),
        }

    # ---- counts

    def counts(self, name: str, precision: str) -> dict[str, Counts]:
        """Of a plain loop and of ours, over one point."""
        plain = self.plain(name, precision)
        steps, _ = self.steps(name, precision)
        steps.capture()
        steps.begin_epoch(self.order, None, 0)

        def ours(point: int) -> None:
            self.point(steps, point)
            steps.take_results()

        found: dict[str, Callable[[], object]] = {
            "plain": lambda: [plain.step() for _ in range(INTERVAL)],
            "ours": lambda: ours(1),
        }
        for warm_up in (found["plain"], lambda: ours(0)):
            warm_up()
        return {label: self._count(work) for label, work in found.items()}

    def _count(self, work: Callable[[], object]) -> Counts:
        self.wait()
        if self.pretended is not None:
            self.pretended.clear()
            work()
            stats = self.pretended.clear()
            return Counts(stats.launches / INTERVAL, stats.kernels / INTERVAL, stats.syncs / INTERVAL)
        from torch.profiler import ProfilerActivity, profile, record_function

        with profile(activities=[ProfilerActivity.CPU, ProfilerActivity.CUDA]) as trace:
            with record_function(COUNTED):
                work()
            self.wait()  # a wait after what is counted, as the profiler itself waits when it stops
        return counted(trace.events() or [])

    # ---- times

    def rates(self, name: str, precision: str, rounds: int) -> dict[str, float]:
        """Images a second of each way to train, medians of interleaved rounds."""
        points = len(self.order) // self.batch // INTERVAL
        steps, _ = self.steps(name, precision)
        steps.capture()
        eager, _ = self.steps(name, precision)
        with pooling(fused=False):
            (unfused, _), (fused, _) = self.steps(name, precision), self.steps(name, precision)
            unfused.capture()
        with pooling(fused=True):
            fused.capture()
        plain = self.plain(name, precision)

        def as_a_student_does() -> None:
            for _ in range(points * INTERVAL):
                plain.step().item()

        ways: dict[str, Callable[[], object]] = {
            "plain loop, .item() every step": as_a_student_does,
            "steps one by one": lambda: self.run(eager, points),
            "graphs as chosen": lambda: self.run(steps, points),
            "graphs, torch's pooling": lambda: self.run(unfused, points),
            **({} if fused.unfused else {"graphs, pooling by one kernel": lambda: self.run(fused, points)}),
        }
        times: dict[str, list[float]] = {label: [] for label in ways}
        for number in range(rounds + 1):
            for label, work in ways.items():
                seconds = self.timed(work)
                if number:  # the first warms up
                    times[label].append(seconds)
        images = points * INTERVAL * self.batch
        return {label: images / statistics.median(found) for label, found in times.items()}

    def timed(self, work: Callable[[], object]) -> float:
        self.wait()
        begin = time.perf_counter()
        work()
        self.wait()
        return time.perf_counter() - begin

    def side_by_side(self, precision: str, seeds: int) -> float:
        """Images a second of the lab's models with so many seeds each, all at once on streams of their own."""
        made = []
        proofs: Proofs = {}
        for name in LAB * seeds:
            with on_stream(own := stream(self.device)):
                steps, _ = self.steps(name, precision)
                steps.capture(proofs)  # as a worker's seeds share them
                steps.begin_epoch(self.order, None, 0)
            made.append((own, steps))
        points = len(self.order) // self.batch // INTERVAL

        def work() -> None:
            for point in range(points):
                for own, steps in made:
                    with on_stream(own):
                        self.point(steps, point)
                        steps.take_results()

        seconds = self.timed(work)
        return len(made) * points * INTERVAL * self.batch / seconds

    def evaluation(self, name: str, precision: str) -> float:
        """Milliseconds for 10,000 images."""
        _, stepper = self.steps(name, precision)
        images = self.data.test_images[:10_000]
        return 1000 * statistics.median(self.timed(lambda: stepper.evaluate(images)) for _ in range(5))

    def checkpoint(self, name: str, precision: str) -> dict[str, float]:
        """Milliseconds for which training waits for a checkpoint, and until a thread has packed it."""
        steps, stepper = self.steps(name, precision)
        steps.capture()
        waited, packed = [], []
        for _ in range(6):
            begin = time.perf_counter()
            copies, copies_are_done = checkpoint.copied(stepper.state_dict())
            waited.append(time.perf_counter() - begin)
            copies_are_done()
            torch.save(copies, io.BytesIO())
            packed.append(time.perf_counter() - begin)
        waited_ms, packed_ms = (1000 * statistics.median(times[1:]) for times in (waited, packed))
        return {"checkpoint: training waits": waited_ms, "checkpoint: until packed": packed_ms}

    def compiled(self, name: str, precision: str, rounds: int) -> float:
        """Images a second of a plain loop whose network is compiled."""
        plain = self.plain(name, precision, compiled=True)
        steps = len(self.order) // self.batch

        def work() -> None:
            for _ in range(steps):
                plain.step()

        times = [self.timed(work) for _ in range(rounds + 1)]
        return steps * self.batch / statistics.median(times[1:])


def pooling(*, fused: bool) -> Any:
    """A context in which graphs pool by one kernel, where there is one, or by torch's operators, whatever is faster."""
    if fused:
        return mock.patch.object(GraphedSteps, "_is_slower", return_value=None)
    return mock.patch.object(fused_pooling, "unavailable", return_value="not asked for")


class Plain:
    """A straightforward training loop for data on the device, independent of the program's."""

    def __init__(self, bench: Bench, model: nn.Module, precision: str, compiled: bool) -> None:
        self._bench, self._bf16 = bench, precision == "bf16"
        self.model = model.to(bench.device).to(memory_format=torch.channels_last)
        self._call: Any = torch.compile(self.model, mode="max-autotune") if compiled else self.model
        self.adam = torch.optim.Adam(self.model.parameters(), lr=LR, fused=True)
        scale = torch.tensor(STD, dtype=torch.float64) * 255
        self._scale = (1 / scale).float().to(bench.device)
        self._shift = (-255 * torch.tensor(MEAN, dtype=torch.float64) / scale).float().to(bench.device)
        self._order = bench.order.to(bench.device)
        self._position = 0

    def step(self) -> Tensor:
        """The loss of one batch, before the update."""
        bench = self._bench
        if (self._position + 1) * bench.batch > len(self._order):
            self._position = 0
        chosen = self._order[self._position * bench.batch : (self._position + 1) * bench.batch]
        self._position += 1
        images = bench.data.train_images[chosen].to(torch.float32, memory_format=torch.channels_last)
        x = images * self._scale + self._shift
        with torch.autocast("cuda", torch.bfloat16, enabled=self._bf16):
            logits = self._call(x)
        loss = F.cross_entropy(logits.float(), bench.data.train_labels[chosen])
        self.adam.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        self.adam.step()
        return loss.detach()


def measure(bench: Bench, precision: str, rounds: int, seconds_left: Callable[[], float]) -> dict[str, Any]:
    """All times, printed at once; a failure is reported and doesn't affect the others."""
    found: dict[str, Any] = {"precision": precision}

    def note(what: str, how: str, work: Callable[[], Any], unit: str = "images/s") -> None:
        try:
            value = work() if seconds_left() > PROGRAMS else "no time was left"
        except Exception as error:  # whatever the device or its libraries raise
            value = f"failed: {type(error).__name__}: {str(error)[:100]}"
        found.setdefault(what, {})[how] = value
        for label, number in value.items() if isinstance(value, dict) else [(how, value)]:
            shown = f"{number:,.1f} {unit}" if isinstance(number, float) else number
            print(f"| {what} | {label} | {shown} |", flush=True)

    print(f"\nIn {precision}; rates are medians of {rounds} interleaved rounds.\n")
    print("| what | how | |\n| --- | --- | ---: |")
    for name in LAB:
        note(name, "rates", partial(bench.rates, name, precision, rounds))
        note(name, "evaluation of 10,000", partial(bench.evaluation, name, precision), "ms")
        note(name, "checkpoint", partial(bench.checkpoint, name, precision), "ms")
    for seeds in (1, 8):  # a worker has 24 runs at once
        what = f"all three, {seeds} seeds each"
        note(what, "side by side", partial(bench.side_by_side, precision, seeds))
    for what, said in programs(str(bench.device), precision, seconds_left):
        found.setdefault("programs", {})[what] = said
        print(f"| {what} | | {said} |", flush=True)
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pretend", action="store_true", help="count on a pretended GPU; no times")
    parser.add_argument("--json", type=Path, metavar="FILE")
    parser.add_argument("--device", default="cuda:0")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--precision", default="auto", help="of what is timed: auto, fp32 or bf16")
    parser.add_argument("--compiled", choices=LAB, help="only time a plain loop with that network compiled")
    args = parser.parse_args()
    begin = time.monotonic()
    with contextlib.ExitStack() as stack:
        pretended = None
        if args.pretend:
            from tests.pretended_cuda.device import pretend

            torch.set_num_threads(1)
            pretended = stack.enter_context(pretend())
        elif not torch.cuda.is_available():
            print("no CUDA device is here: --pretend counts on a pretended one", file=sys.stderr)
            return 2
        else:
            faulthandler.dump_traceback_later(LIMIT + 14, exit=True)  # whatever hangs
        device = torch.device(args.device)
        torch.cuda.set_device(device)
        if not args.compiled:
            be_reproducible()
        bench = Bench(device, *((8, 8 * INTERVAL * 2) if args.pretend else (128, 60_000)), pretended)
        precision = choose_precision(args.precision, device)
        if args.compiled:
            print(f"{bench.compiled(args.compiled, precision, args.rounds):,.1f} images/s")
            return 0
        what = "pretended" if args.pretend else torch.cuda.get_device_name(device)
        print(f"{what}; torch {torch.__version__}; batches of {bench.batch}, a point every {INTERVAL} steps\n")
        print("| model | precision | same bits | launches a step | kernels a step | waits a step |")
        print("| --- | --- | --- | ---: | ---: | ---: |")
        rows: list[dict[str, Any]] = []
        for each in PRECISIONS:
            try:
                choose_precision(each, device)
            except PrecisionError as error:
                print(error)
                continue
            for name in LAB:
                rows.append(row := bench.row(name, each, 2 if args.pretend else 8))
                print("|", " | ".join(shown(row)), "|", flush=True)
        result: dict[str, Any] = {"device": what, "torch": torch.__version__, "fast_path": rows}
        if not args.pretend:
            result |= measure(bench, precision, args.rounds, lambda: LIMIT - (time.monotonic() - begin))
        if args.json is not None:
            args.json.write_text(json.dumps(result, indent=1) + "\n")
    return 0 if all(row["equal"] for row in rows) else 1


if __name__ == "__main__":
    raise SystemExit(main())
