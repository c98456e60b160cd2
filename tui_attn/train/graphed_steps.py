"""The training steps between two points of the log as one function of static tensors, captured as graphs on CUDA.

A step of these networks is dozens of small kernels, which a GPU computes faster than a process can launch them. A CUDA
graph launches all kernels of several steps at once. It takes no arguments, so everything that changes from step to step
lies on the device: the order of the images, a cursor into it, and how each image is augmented.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from tui_attn.system.text import safe_text
from tui_attn.train import fused_pooling, rng
from tui_attn.train.accelerator import HostCopy, no_graphs_on, pinned
from tui_attn.train.progress import DeviceStopwatch
from tui_attn.train.step import Stepper
from tui_attn.train.tensors import Draws, Images, augment

Proofs = dict[tuple[Any, ...], str | None]
"""The kinds of graphs that have given the bits of single steps in this process, and their `GraphedSteps.unfused`."""
Graphs = dict[tuple[int, int], tuple[Any, Tensor]]
"""By number of steps and size of the batches: a graph, and what it writes, as `Results.packed`."""
MOST_STEPS = 16
"""Steps of one graph, whose images lie on the device as float32 at once."""
TRIALS = 5
"""Replays of a graph by which it is timed."""


@dataclass(frozen=True, slots=True)
class Results:
    """Losses and correct predictions of the steps since the last point, on their way to the host."""

    packed: HostCopy
    """int32 (2, at least `steps`): the bits of each step's mean loss (float32), and its correct predictions."""
    steps: int

    def read(self) -> tuple[list[float], list[int]]:
        """Mean loss and number of correct predictions of each step; waits for these steps alone."""
        losses, corrects = self.packed.get()[:, : self.steps]
        return losses.view(torch.float32).tolist(), corrects.tolist()


class GraphedSteps:
    """Trains a `Stepper`'s network along an epoch of `data`, with a point after every `interval` steps.

    Steps run one by one until `capture`, and where that is refused; the bits are the same.
    """

    def __init__(self, stepper: Stepper, data: Images, batch: int, interval: int, kinds: tuple[str, ...]) -> None:
        """`kinds`: how images are augmented, as for `tensors.draw`."""
        self._stepper, self._data = stepper, data
        self._batch, self._interval = batch, interval
        self._device = device = stepper.device
        size = len(data.train_labels)
        self._order = torch.arange(size, device=device)
        self._cursor = torch.zeros((), dtype=torch.int64, device=device)
        self._range = torch.arange(min(interval, MOST_STEPS) * batch, device=device)
        self._draws = Draws(
            torch.zeros((2, size), dtype=torch.int64, device=device) if "crop" in kinds else None,
            torch.zeros(size, dtype=torch.bool, device=device) if "flip" in kinds else None,
        )
        self._results = torch.zeros((2, interval), dtype=torch.int32, device=device)
        self._count = 0
        """Steps in `_results`."""
        self._graphs: Graphs = {}
        self.graphed = False
        self.unfused: str | None = None
        """Why graphs don't pool by one kernel (`fused_pooling`), in words; None where they do."""

    # ---- an epoch

    def begin_epoch(self, order: Tensor, draws: Draws | None, position: int) -> None:
        """Take the images in `order`, int64 (N,) on the CPU, augmented by `draws`, from step `position` on."""
        self._order.copy_(pinned(order, self._device), non_blocking=True)
        for mine, given in zip(self._draws.tensors(), () if draws is None else draws.tensors(), strict=True):
            mine.copy_(pinned(given, self._device), non_blocking=True)
        self._cursor.fill_(position * self._batch)

    def next_steps(self, position: int) -> tuple[int, int]:
        """The number of steps to train at once from `position` on, and their batch size."""
        full, rest = divmod(len(self._order), self._batch)
        if position >= full:
            return 1, rest
        if not self.graphed:
            return 1, self._batch
        return min(MOST_STEPS, self._interval - position % self._interval, full - position), self._batch

    def train(self, count: int, batch: int) -> None:
        """Train the next `count` batches of `batch` images each, without waiting for the device."""
        known = (count, batch) in self._graphs
        found = self._replay((count, batch)) if known else self._steps(count, batch)
        self._results[:, self._count : self._count + count] = found
        self._count += count

    def _steps(self, count: int, batch: int) -> Tensor:
        """Train `count` batches from the cursor on: int32 (2, count), as `Results.packed`.

        It only reads and writes tensors at fixed addresses, so that it can be captured.
        """
        where = self._range[: count * batch] + self._cursor
        chosen = self._order.index_select(0, where)
        images = self._data.train_images.index_select(0, chosen)
        labels = self._data.train_labels.index_select(0, chosen)
        if self._draws.tensors():
            images = augment(images, self._draws.of(where))
        x = self._stepper.normalize(images)
        made = [
            self._stepper.update(*part) for part in zip(torch.split(x, batch), torch.split(labels, batch), strict=True)
        ]
        losses, logits = zip(*made, strict=True)
        right = torch.stack(logits).argmax(2).eq(labels.view(count, batch)).sum(1, dtype=torch.int32)
        self._cursor.add_(count * batch)
        return torch.stack([torch.stack(losses).view(torch.int32), right])

    def take_results(self) -> Results:
        """The results of the steps since the last call, at least one."""
        steps, self._count = self._count, 0
        return Results(HostCopy(self._results), steps)  # whole: a part would be copied on the device first

    # ---- checkpoints

    def state_dict(self) -> dict[str, Tensor]:
        """Results of the steps since the last point: `losses` float32 (steps,) and `corrects` int64 (steps,)."""
        losses, corrects = self._results[:, : self._count].clone()
        return {"losses": losses.view(torch.float32), "corrects": corrects.long()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """The inverse of `state_dict`, which may hold more. Raises `KeyError`, and what torch raises, on damage."""
        losses, corrects = state["losses"].float(), state["corrects"].int()
        self._results[:, : len(losses)] = torch.stack([losses.view(torch.int32), corrects]).to(self._device)
        self._count = len(losses)

    # ---- graphs

    def capture(self, proofs: Proofs | None = None) -> str | None:
        """Train by graphs from now on; returns the reason where that is impossible.

        All graphs of an epoch are tried on its first steps and must give the bits of single steps. Graphs that pool by
        one kernel are tried too, and kept where they are faster. `proofs` holds what is known of the same network,
        batches and precision, and is added to. Weights and random streams stay as they are.
        """
        reason = no_graphs_on(self._device)
        if reason is not None:
            return reason
        streams, fresh = rng.capture(self._device), not self._stepper.has_stepped
        saved = self._copied()
        self._steps(1, min(self._batch, len(self._order)))  # allocates Adam's averages and what libraries keep
        if fresh:
            self._stepper.forget_steps()
            saved += self._copied()[len(saved) :]
        self._restore(saved, streams)
        model, kind = self._stepper.model, (type(self._stepper.model), self._stepper.dtype, self._device, *self._keys())
        try:
            if proofs is not None and kind in proofs:
                self.unfused = proofs[kind]
                fused_pooling.fuse(model, self.unfused is None)
                reason = self._try(self._capture)
            else:
                reason = self._prove(saved, streams)
        finally:
            self._restore(saved, streams)
            self.graphed = reason is None
            if reason is not None:
                self._graphs.clear()
                self._stepper.drop_copies()
                fused_pooling.fuse(model, False)
            elif proofs is not None:
                proofs[kind] = self.unfused
        return reason

    def _prove(self, saved: list[Tensor], streams: dict[str, Any]) -> str | None:
        """Capture the graphs and compare their results with those of single steps; returns what is wrong with them."""
        before = _attributes(self._stepper.model)
        results = [self._steps(1, batch) for count, batch in self._keys() for _ in range(count)]
        expected = [torch.cat(results, dim=1), *self._copied()]
        if _attributes(self._stepper.model) != before:
            return "its forward changes attributes of the network, which a graph can't repeat"
        if not rng.host_is_at(streams):
            return "its forward draws random numbers on the CPU, which a graph can't repeat"

        def differ() -> str | None:
            self._restore(saved, streams)
            self._capture()
            self._restore(saved, streams)
            found = [self._replay(key).clone() for key in self._graphs]
            same = _same_bits([torch.cat(found, dim=1), *self._copied()], expected)
            return None if same else "as graphs they don't give the same bits on this device"

        reason = self._try(differ)
        if reason is None:
            self._choose_pooling(differ)
        return reason

    def _choose_pooling(self, differ: Callable[[], str | None]) -> None:
        """Capture graphs that pool by one kernel, and keep those if they prove themselves and are faster."""
        stepper, plain = self._stepper, self._graphs
        self.unfused = fused_pooling.unavailable(stepper.model, self._device, stepper.dtype)
        if self.unfused is not None:
            return
        self._graphs = {}
        fused_pooling.fuse(stepper.model, True)
        self.unfused = self._try(differ) or self._try(lambda: self._is_slower(plain))
        if self.unfused is not None:
            self._graphs = plain
            fused_pooling.fuse(stepper.model, False)

    def _is_slower(self, others: Graphs) -> str | None:
        """Whether the graphs take at least as long as `others`, in words: medians of replays in turn."""
        times: list[list[float]] = [[], []]
        key = next(iter(others))
        for _ in range(TRIALS):
            for graphs, taken in zip((self._graphs, others), times, strict=True):
                self._cursor.zero_()
                stopwatch = DeviceStopwatch()
                graphs[key][0].replay()
                stopwatch.stop()
                taken.append(stopwatch.seconds())
        mine, theirs = map(statistics.median, times)
        return None if mine < theirs else "torch's own operators were as fast in a trial"

    def _try(self, work: Callable[[], str | None]) -> str | None:
        """What is wrong with the graphs, as `work` finds, or that it failed."""
        try:
            return work()
        except Exception as error:  # of any library or custom model: steps do without graphs
            torch.cuda.synchronize(self._device)  # raises where the device itself has failed
            text = safe_text((str(error).strip().splitlines() or [""])[0], one_line=True)
            return f"capturing them failed: {type(error).__name__}: {text[:200]}"

    def _capture(self) -> None:
        self._stepper.keep_copies(self._stepper.normalize(self._data.train_images[:2]))
        current = torch.cuda.current_stream(self._device)
        # Each network captures on its own stream: libraries keep a workspace for each stream.
        stream = None if current == torch.cuda.default_stream(self._device) else current
        pool = None
        for count, batch in self._keys():
            self._cursor.zero_()
            self._steps(1, batch)
            self._cursor.zero_()
            graph = torch.cuda.CUDAGraph()
            # Another thread may copy a checkpoint meanwhile.
            with torch.cuda.graph(graph, pool=pool, stream=stream, capture_error_mode="thread_local"):
                found = self._steps(count, batch)
            pool = graph.pool()
            self._graphs[count, batch] = graph, found

    def _replay(self, key: tuple[int, int]) -> Tensor:
        graph, found = self._graphs[key]
        graph.replay()
        return found

    def _keys(self) -> list[tuple[int, int]]:
        """The distinct groups of steps of an epoch: their number and batch size."""
        keys, position, steps = [], 0, -(-len(self._order) // self._batch)
        self.graphed = True
        while position < steps:
            keys.append(self.next_steps(position))
            position += keys[-1][0]
        return list(dict.fromkeys(keys))

    def _copied(self) -> list[Tensor]:
        return [tensor.detach().clone() for tensor in self._stepper.tensors()]

    @torch.no_grad()
    def _restore(self, saved: list[Tensor], streams: dict[str, Any]) -> None:
        for tensor, before in zip(self._stepper.tensors(), saved, strict=True):
            tensor.copy_(before)
        self._stepper.renew_copies()
        self._cursor.zero_()
        rng.restore(streams, self._device)


def _attributes(model: nn.Module) -> dict[tuple[str, str], object]:
    """Attributes of the modules of a network that are plain values."""
    return {
        (name, key): value
        for name, module in model.named_modules()
        for key, value in vars(module).items()
        if isinstance(value, int | float | str | bool | None)
    }


def _same_bits(some: list[Tensor], others: list[Tensor]) -> bool:
    """Whether two lists of tensors are equal, NaN to NaN."""

    def bits(tensor: Tensor) -> Tensor:
        return tensor.view(torch.int32) if tensor.dtype is torch.float32 else tensor

    return all(torch.equal(bits(one), bits(other)) for one, other in zip(some, others, strict=True))
