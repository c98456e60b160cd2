"""What a GPU makes of the program: `python benchmarks/gpu.py`, at most five minutes.

First whether graphs give the bits of a plain loop, then launches, kernels and waits of a step, then how fast everything
is, beside a student's script, Lightning and `torch.compile`. `--pretend` counts on the pretended GPU of the tests, and
measures no time. `--json FILE` writes `{"fast_path": [...]}`, a row a model and precision, and whatever was measured.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # as workers have it
REPOSITORY = Path(__file__).resolve().parent.parent
sys.path.append(str(REPOSITORY))  # last: an installed tui-attn comes first

import torch  # noqa: E402
from torch import Tensor, nn  # noqa: E402
from torch.nn import functional as F  # noqa: E402

from tui_attn.models import MODELS  # noqa: E402
from tui_attn.train.accelerator import on_stream, stream  # noqa: E402
from tui_attn.train.graphed_steps import GraphedSteps  # noqa: E402
from tui_attn.train.step import PrecisionError, Stepper, choose_precision  # noqa: E402
from tui_attn.train.tensors import Images  # noqa: E402
from tui_attn.train.worker_context import be_reproducible  # noqa: E402

LAB, PRECISIONS = ("base", "se", "self-attention"), ("fp32", "bf16")
MEAN, STD, LR, INTERVAL = 0.286, 0.353, 1e-3, 9
EPOCHS = 15
LIMIT = 270.0
"""Seconds after which nothing more is begun."""
WAITS = ("cudaStreamSynchronize", "cudaDeviceSynchronize", "cudaEventSynchronize", "hipStreamSynchronize")
LAUNCHES = ("cudaLaunchKernel", "cuLaunchKernel", "cudaGraphLaunch", "cudaMemcpyAsync", "cudaMemsetAsync")


@dataclass(frozen=True, slots=True)
class Counts:
    """Of one training step, between two points of the log."""

    launches: float
    """Calls that give work to the device."""
    kernels: float
    """At least; of a graph all that are in it."""
    syncs: float
    """Times that the host waits for the device."""


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

    def equal(self, name: str, precision: str, points: int) -> tuple[str | None, bool]:
        """Why there are no graphs, and whether losses, weights and Adam's averages have the bits of a plain loop."""
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
        return reason, same

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
        from torch.profiler import ProfilerActivity, profile

        with profile(activities=[ProfilerActivity.CPU, ProfilerActivity.CUDA]) as trace:
            work()
        self.wait()
        events = list(trace.events() or [])
        launches = sum(event.name.startswith(LAUNCHES) for event in events)
        waits = sum(event.name in WAITS for event in events)
        kernels = sum(event.device_type.name == "CUDA" for event in events)
        return Counts(launches / INTERVAL, kernels / INTERVAL, waits / INTERVAL)

    # ---- times

    def rates(self, name: str, precision: str, rounds: int) -> dict[str, float]:
        """Images a second of each way to train, medians of interleaved rounds."""
        points = len(self.order) // self.batch // INTERVAL
        steps, _ = self.steps(name, precision)
        steps.capture()
        eager, _ = self.steps(name, precision)
        plain = self.plain(name, precision)

        def as_a_student_does() -> None:
            for _ in range(points * INTERVAL):
                plain.step().item()

        ways: dict[str, Callable[[], object]] = {
            "plain loop, .item() every step": as_a_student_does,
            "steps one by one": lambda: self.run(eager, points),
            "graphs": lambda: self.run(steps, points),
        }
        with contextlib.suppress(Exception):  # no compiler here
            compiled = self.plain(name, precision, compiled=True)
            compiled.step()
            ways["torch.compile, max-autotune"] = lambda: [compiled.step() for _ in range(points * INTERVAL)]
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
        for name in LAB * seeds:
            with on_stream(own := stream(self.device)):
                steps, _ = self.steps(name, precision)
                steps.capture()
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
        """Seconds for 10,000 images."""
        _, stepper = self.steps(name, precision)
        images = self.data.test_images[:10_000]
        return statistics.median(self.timed(lambda: stepper.evaluate(images)) for _ in range(5))

    def checkpoint(self, name: str, precision: str) -> float:
        """Seconds for which training waits for a checkpoint."""
        steps, stepper = self.steps(name, precision)
        steps.capture()
        return statistics.median(self.timed(lambda: torch.save(stepper.state_dict(), io.BytesIO())) for _ in range(5))


class Plain:
    """The loop that anybody would write for data on the device, apart from the program's own."""

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


def programs(seconds_left: Callable[[], float]) -> Iterator[tuple[str, str]]:
    """Whole programs from start to end, as long as there is time: what, and how long it took."""
    ours = [sys.executable, "-m", "tui_attn", "--no-ui", "--device", "cuda", "--epochs", str(EPOCHS)]
    peers = [sys.executable, "-m"]
    limited = ["--model", "base", "--epochs", "1", "--train-limit", "60000", "--test-limit", "10000"]
    with tempfile.TemporaryDirectory() as folder:
        data_dir: list[str] = []
        with contextlib.suppress(Exception):
            from tui_attn import data

            data_dir = ["--data", str(data.ensure("fashion-mnist", None).root)]
        for what, command in (
            ("the lab, from Enter to the verdict", [*ours, "--runs-dir", f"{folder}/lab"]),
            ("30 seeds of the lab", [*ours, "--seeds", "30", "--runs-dir", f"{folder}/seeds"]),
            ("a student's script, one epoch of base", [*peers, "benchmarks.peers.student", *limited, *data_dir]),
            ("Lightning, one epoch of base", [*peers, "benchmarks.peers.lightning_", *limited, *data_dir]),
        ):
            left = seconds_left()
            if left < 5:
                yield what, "no time was left"
                continue
            begin = time.perf_counter()
            try:
                done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, timeout=left, check=False)
            except subprocess.TimeoutExpired:
                yield what, f"more than {left:.0f} s"
                continue
            last = (done.stderr.decode(errors="replace").strip().splitlines() or ["?"])[-1]
            yield what, f"{time.perf_counter() - begin:.1f} s" if done.returncode == 0 else f"failed: {last[:100]}"


def measure(bench: Bench, precision: str, rounds: int, seconds_left: Callable[[], float]) -> dict[str, Any]:
    """All times, printed as they come."""
    found: dict[str, Any] = {"images_per_second": {}, "evaluation_seconds": {}, "checkpoint_seconds": {}}
    print(f"\nimages/s in {precision}, medians of {rounds} interleaved rounds")
    for name in LAB:
        rates = found["images_per_second"][name] = bench.rates(name, precision, rounds)
        for label, rate in rates.items():
            print(f"| {name} | {label} | {rate:,.0f} |", flush=True)
        found["evaluation_seconds"][name] = bench.evaluation(name, precision)
        found["checkpoint_seconds"][name] = bench.checkpoint(name, precision)
        evaluation, checkpoint = found["evaluation_seconds"][name], found["checkpoint_seconds"][name]
        print(f"| {name} | evaluation of 10,000 images | {1000 * evaluation:.1f} ms |")
        print(f"| {name} | a checkpoint | {1000 * checkpoint:.1f} ms |", flush=True)
    for seeds in (1, 10):
        rate = found[f"side_by_side_{seeds}"] = bench.side_by_side(precision, seeds)
        print(f"| all three, {seeds} seeds each | side by side | {rate:,.0f} |", flush=True)
    found["programs"] = {}
    for what, took in programs(seconds_left):
        found["programs"][what] = took
        print(f"| {what} | {took} |", flush=True)
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pretend", action="store_true", help="count on a pretended GPU; no times")
    parser.add_argument("--json", type=Path, metavar="FILE")
    parser.add_argument("--device", default="cuda:0")
    parser.add_argument("--rounds", type=int, default=5)
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
        device = torch.device(args.device)
        torch.cuda.set_device(device)
        be_reproducible()
        bench = Bench(device, *((8, 8 * INTERVAL * 2) if args.pretend else (128, 60_000)), pretended)
        what = "pretended" if args.pretend else torch.cuda.get_device_name(device)
        print(f"{what}; torch {torch.__version__}; batches of {bench.batch}, a point every {INTERVAL} steps\n")
        print("| model | precision | same bits | launches a step | kernels a step | waits a step |")
        print("| --- | --- | --- | ---: | ---: | ---: |")
        rows: list[dict[str, Any]] = []
        for precision in PRECISIONS:
            try:
                choose_precision(precision, device)
            except PrecisionError as error:
                print(error)
                continue
            for name in LAB:
                reason, equal = bench.equal(name, precision, 2 if args.pretend else 8)
                counts = bench.counts(name, precision)
                before, now = counts["plain"], counts["ours"]
                rows.append(
                    {
                        "model": name,
                        "precision": precision,
                        "graphed": reason is None,
                        "equal": equal,
                        "launches_per_step": round(now.launches, 3),
                        "kernels_per_step": round(now.kernels, 3),
                        "syncs_per_step": round(now.syncs, 3),
                        "plain": {"launches_per_step": round(before.launches, 3), "kernels_per_step": before.kernels},
                        **({} if reason is None else {"reason": reason}),
                    }
                )
                shown = [f"{old:.1f} → {new:.1f}" for old, new in zip(_three(before), _three(now), strict=True)]
                print(f"| {name} | {precision} | {'yes' if equal else 'NO'} | {' | '.join(shown)} |", flush=True)
        result: dict[str, Any] = {"device": what, "torch": torch.__version__, "fast_path": rows}
        if not args.pretend:
            precision = choose_precision("auto", device)
            result |= measure(bench, precision, args.rounds, lambda: LIMIT - (time.monotonic() - begin))
        if args.json is not None:
            args.json.write_text(json.dumps(result, indent=1) + "\n")
    return 0 if all(row["equal"] for row in rows) else 1


def _three(counts: Counts) -> tuple[float, float, float]:
    return counts.launches, counts.kernels, counts.syncs


if __name__ == "__main__":
    raise SystemExit(main())
