"""The training of one network, without its files: weights, optimiser, random streams, order of the images."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from tui_attn.experiment.config import ExperimentConfig
from tui_attn.experiment.events import STEP_METRICS
from tui_attn.experiment.folders import ExperimentDir
from tui_attn.models import MODELS
from tui_attn.system.fault_injection import fault
from tui_attn.train import accelerator, networks, rng
from tui_attn.train.accelerator import HostCopy
from tui_attn.train.graphed_steps import GraphedSteps, Proofs, Results
from tui_attn.train.progress import DeviceStopwatch, Point, Progress, Stopwatch
from tui_attn.train.step import Stepper
from tui_attn.train.tensors import Draws, Images, draw

POINTS_PER_EPOCH = 50
EVALUATION_SHARE = 10_000
"""Test images that are evaluated between two heartbeats."""


class NotFiniteError(Exception):
    """The loss or the logits became NaN or infinite; the message is one line for the user."""


class Evaluation(NamedTuple):
    """A network's results on the test set."""

    logits: Tensor
    """float32 (M, classes), on the CPU."""
    loss: float
    """Mean over the images, in nats."""
    accuracy: float


class Trainer:
    """Trains the network called `model` with `seed`, from `build` on. Equal seeds give equal bits on equal devices."""

    network: nn.Module
    _stepper: Stepper
    _steps: GraphedSteps
    _rng: dict[str, Any]
    """The states of the random streams after this network's last turn; all networks of a worker share the streams."""

    def __init__(
        self,
        folder: ExperimentDir,
        config: ExperimentConfig,
        model: str,
        seed: int,
        data: Images,
        device: torch.device,
        precision: str,
        kernels: str,
    ) -> None:
        """`kernels` of a CPU: see `tui_attn.experiment.kernels`."""
        self._folder = folder
        self.config, self.model, self.seed = config, model, seed
        self.data, self.device, self.precision, self._kernels = data, device, precision, kernels
        self.test_labels = data.test_labels.cpu()
        self.steps_per_epoch = -(-len(data.train_labels) // config.batch_size)
        self.total_steps = config.steps or config.epochs * self.steps_per_epoch
        self._interval = max(1, round(self.steps_per_epoch / POINTS_PER_EPOCH))
        self._in_epoch = False
        """Whether the order of the epoch in progress is on the device."""
        self.progress = Progress()
        self.stream = accelerator.stream(device)
        """The stream that this network computes on; None on devices without streams."""

    def build(self) -> None:
        """Create the untrained network from its seed.

        Raises `CustomModelError`, and whatever the code of a custom model raises.
        """
        seed = rng.derive_seed(self.seed, "init")
        self.network = networks.make(self._folder, self.config, self.model, self.data, seed=seed)
        self._stepper = Stepper(
            self.network,
            self.device,
            self.precision,
            lr=self.config.lr,
            mean=self.data.mean,
            std=self.data.std,
            channels_last=networks.keeps_layout(self.model),
            kernels=self._kernels,
        )
        self._steps = GraphedSteps(
            self._stepper, self.data, self.config.batch_size, self._interval, self.config.augment
        )
        rng.seed_all(rng.derive_seed(self.seed, "train"))
        self._rng = rng.capture(self.device)
        self.progress = Progress()
        self._in_epoch = False

    def capture(self, proofs: Proofs) -> str | None:
        """Train by CUDA graphs from now on; returns why that is impossible, if so. Counts as training time.

        `proofs`: as for `GraphedSteps.capture`; a custom model proves its graphs with each seed.
        """
        stopwatch = Stopwatch(self.progress)
        reason = self._steps.capture(proofs if self.model in MODELS else None)
        if self.device.type == "cuda":
            stopwatch.add_to(self.progress)
        return reason

    @property
    def graphed(self) -> bool:
        """Whether CUDA graphs train, so that the host is free meanwhile."""
        return self._steps.graphed

    @property
    def unfused(self) -> str | None:
        """Why graphs don't pool by one kernel, in words; None where they do."""
        return self._steps.unfused

    @property
    def kernels_used(self) -> str | None:
        """Which kernels compute, where there is a choice for such a network."""
        return self._stepper.kernels if self.device.type == "cpu" else None

    # ---- the random streams, which all networks of a worker share

    @property
    def _draws_numbers(self) -> bool:
        return not self.graphed or self.model not in MODELS

    def take_streams(self) -> None:
        """Set the random streams to where this network left them."""
        if self._draws_numbers:
            rng.restore(self._rng, self.device)

    def keep_streams(self) -> None:
        """Save the states of the random streams for this network's next turn."""
        if self._draws_numbers:
            self._rng = rng.capture(self.device)

    # ---- checkpoints

    def state_dict(self) -> dict[str, Any]:
        """All that training needs to continue with the same bits, in plain types."""
        return {
            "progress": {field: getattr(self.progress, field) for field in Progress.__slots__},
            "stepper": self._stepper.state_dict(),
            **self._steps.state_dict(),
            "rng": self._rng,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """The inverse of `state_dict`. Torch and numpy raise many kinds on damage, and then `build` must clean up."""
        progress = Progress(**state["progress"])
        self._stepper.load_state_dict(state["stepper"])
        rng.restore(state["rng"], self.device)
        self._rng = rng.capture(self.device)
        self._steps.load_state_dict(state)
        self.progress = progress

    # ---- training

    @property
    def at_end_of_epoch(self) -> bool:
        """Whether all steps of the epoch in progress are trained."""
        return self.progress.position == self.steps_per_epoch or self.progress.step == self.total_steps

    @property
    def _at_point(self) -> bool:
        return self.progress.position % self._interval == 0 or self.at_end_of_epoch

    def train_to_point(self, interrupted: Callable[[], bool]) -> Callable[[], Point] | None:
        """Train to the next point of the log, or until `interrupted` says to leave after a step: then None.

        The returned function gives the point. If `graphed`, it waits for the device: call it when further steps are
        queued, and before the epoch ends.
        """
        progress = self.progress
        if not self._in_epoch:
            self._begin_epoch()
        graphed = self.graphed
        stopwatch = DeviceStopwatch() if graphed else Stopwatch(progress)
        while not self.at_end_of_epoch:
            count, batch = self._steps.next_steps(progress.position)
            count = min(count, self.total_steps - progress.step)
            self._steps.train(count, batch)
            fault("forward")
            progress.step += count
            progress.position += count
            progress.images += count * batch
            if self._at_point or interrupted():
                break
        stopwatch.stop()
        if self._at_point:
            return partial(self._point, self._steps.take_results(), stopwatch, progress.step, progress.position)
        accelerator.synchronise(self.device)
        stopwatch.add_to(progress)
        return None

    def _begin_epoch(self) -> None:
        epoch, size, batch = self.progress.epoch + 1, len(self.data.train_labels), self.config.batch_size
        order = rng.permutation(self.seed, epoch, size)
        draws: Draws | None = None
        if self.config.augment:  # a seed for each step, part of what makes a run reproducible
            sizes = [min(batch, size - step * batch) for step in range(self.steps_per_epoch)]
            seeds = [rng.derive_seed(self.seed, "augment", epoch, step) for step in range(self.steps_per_epoch)]
            draws = draw(sizes, self.config.augment, seeds)
        self._steps.begin_epoch(order, draws, self.progress.position)
        self._in_epoch = True

    def _point(self, results: Results, stopwatch: Stopwatch | DeviceStopwatch, last_step: int, position: int) -> Point:
        progress = self.progress
        losses, corrects = results.read()  # waits for the device
        stopwatch.add_to(progress)
        for step, loss in enumerate(losses, last_step - len(losses) + 1):
            if not math.isfinite(loss):
                return Point(step, dict.fromkeys((metric.name for metric in STEP_METRICS), math.nan) | {"loss": loss})
        batch, size = self.config.batch_size, len(self.data.train_labels)
        start = (position - len(losses)) * batch
        sizes = [min(batch, size - start - index * batch) for index in range(len(losses))]
        loss_sum = sum(loss * weight for loss, weight in zip(losses, sizes, strict=True))
        correct = sum(corrects)
        progress.loss_sum += loss_sum
        progress.correct += correct
        return Point(last_step, {"loss": loss_sum / sum(sizes), "accuracy": correct / sum(sizes)})

    def end_epoch(self) -> tuple[float, float]:
        """Complete the epoch; returns mean loss and accuracy over its training steps."""
        progress = self.progress
        size = min(len(self.data.train_labels), progress.position * self.config.batch_size)
        loss, accuracy = progress.loss_sum / size, progress.correct / size
        progress.epoch += 1
        progress.position, progress.loss_sum, progress.correct = 0, 0.0, 0
        self._in_epoch = False
        return loss, accuracy

    def evaluate(self, beat: Callable[[], None]) -> Callable[[], Evaluation]:
        """Compute the logits of the test set, calling `beat` meanwhile.

        The returned function waits for them and may be called from any thread. It raises `NotFiniteError` for weights
        or logits that are not finite: their accuracy would mean nothing.
        """
        whole = HostCopy(torch.stack([parameter.isfinite().all() for parameter in self.network.parameters()]))
        parts = []
        for first in range(0, len(self.data.test_labels), EVALUATION_SHARE):
            images = self.data.test_images[first : first + EVALUATION_SHARE]
            parts.append(HostCopy(self._stepper.evaluate(images).float()))
            beat()
        return partial(self._evaluation, whole, parts)

    def _evaluation(self, whole: HostCopy, parts: list[HostCopy]) -> Evaluation:
        odd = int((~whole.get()).sum())
        if odd:  # oneDNN's ReLU makes 0 of NaN, so that the logits may hide it
            raise NotFiniteError(f"{odd} of its weight tensors are not finite: a smaller --lr may help")
        logits = torch.cat([part.get() for part in parts])
        odd = int((~logits.isfinite().all(1)).sum())
        if odd:
            raise NotFiniteError(
                f"its logits in evaluation are not finite for {odd:,} of {len(logits):,} test images, so there is no"
                " result: a smaller --lr may help"
            )
        loss = torch.nn.functional.cross_entropy(logits.double(), self.test_labels).item()
        accuracy = (logits.argmax(1) == self.test_labels).double().mean().item()
        return Evaluation(logits, loss, accuracy)
