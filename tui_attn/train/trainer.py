"""The training of one network, without its files: weights, optimiser, random numbers, the way through the data."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from tui_attn.experiment.config import ExperimentConfig
from tui_attn.experiment.events import STEP_METRICS
from tui_attn.experiment.folders import ExperimentDir
from tui_attn.experiment.kernels import KERNELS
from tui_attn.system.fault_injection import fault
from tui_attn.train import networks, rng
from tui_attn.train.accelerator import synchronise
from tui_attn.train.progress import Point, Progress, Tally
from tui_attn.train.step import Stepper
from tui_attn.train.stopwatch import Stopwatch
from tui_attn.train.tensors import Draws, Images, augment, draw

POINTS_PER_EPOCH = 50
EVALUATION_SHARE = 10_000
"""Test images between two signs of life."""


class NotFiniteError(Exception):
    """The loss or the logits became NaN or infinite; the message is one line for the user."""


class Trainer:
    """Trains the network called `model` with `seed`, from `build` on. Equal seeds give equal bits on equal devices."""

    network: nn.Module
    kernels = KERNELS[0]
    """On a CPU: see `tui_attn.experiment.kernels`."""
    _stepper: Stepper
    _rng: dict[str, Any]
    """The random streams as they were when this network trained last: others of the worker draw from them too."""

    def __init__(
        self,
        folder: ExperimentDir,
        config: ExperimentConfig,
        model: str,
        seed: int,
        data: Images,
        device: torch.device,
        precision: str,
    ) -> None:
        self._folder = folder
        self.config, self.model, self.seed = config, model, seed
        self.data, self.device, self.precision = data, device, precision
        self.steps_per_epoch = -(-len(data.train_labels) // config.batch_size)
        self.total_steps = config.steps or config.epochs * self.steps_per_epoch
        self._interval = max(1, round(self.steps_per_epoch / POINTS_PER_EPOCH))
        self._order: Tensor | None = None
        self._draws: Draws | None = None
        self._tally = Tally()
        self.progress = Progress()

    def build(self) -> None:
        """Make the network as its seed makes it, with nothing trained.

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
            kernels=self.kernels,
        )
        rng.seed_all(rng.derive_seed(self.seed, "train"))
        self.keep_streams()
        self.progress = Progress()
        self._order = self._draws = None
        self._tally.clear()

    @property
    def kernels_used(self) -> str | None:
        """Which kernels compute, where there is a choice for such a network."""
        return self._stepper.kernels if self.device.type == "cpu" else None

    # ---- the random streams, which all networks of a worker share

    def take_streams(self) -> None:
        """Go on drawing random numbers where this network left off."""
        rng.restore(self._rng, self.device)

    def keep_streams(self) -> None:
        """Remember where this network leaves off."""
        self._rng = rng.capture(self.device)

    # ---- checkpoints

    def state_dict(self) -> dict[str, Any]:
        """All that training needs to go on to the same bits, in plain types."""
        return {
            "progress": {field: getattr(self.progress, field) for field in Progress.__slots__},
            "stepper": self._stepper.state_dict(),
            **self._tally.state_dict(),
            "rng": self._rng,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """The inverse of `state_dict`. Torch and numpy raise many kinds on damage, and then `build` must clean up."""
        progress = Progress(**state["progress"])
        self._stepper.load_state_dict(state["stepper"])
        rng.restore(state["rng"], self.device)
        self.keep_streams()
        self._tally.load_state_dict(state, self.device)
        self.progress = progress

    # ---- training

    @property
    def at_end_of_epoch(self) -> bool:
        """Whether all steps of the epoch in progress are trained."""
        return self.progress.position == self.steps_per_epoch or self.progress.step == self.total_steps

    @property
    def _at_point(self) -> bool:
        return self.progress.position % self._interval == 0 or self.at_end_of_epoch

    def train_to_point(self, interrupted: Callable[[], bool]) -> Point | None:
        """Train to the next point of the log, or until `interrupted` says to leave after a step: then None."""
        progress = self.progress
        if self._order is None:
            size = len(self.data.train_labels)
            self._order = rng.permutation(self.seed, progress.epoch + 1, size).to(self.device)
        stopwatch = Stopwatch(progress)
        while not self.at_end_of_epoch:
            images, labels = self._batch(self._order)
            loss, correct = self._stepper.train_step(images, labels)
            fault("forward")
            self._tally.add(loss, correct)
            progress.step += 1
            progress.position += 1
            progress.images += len(labels)
            if self._at_point or interrupted():
                break
        if self._at_point:
            return self._point(stopwatch)
        synchronise(self.device)
        stopwatch.add_to(progress)
        return None

    def _batch(self, order: Tensor) -> tuple[Tensor, Tensor]:
        """Images uint8 (B, K, H, W) and labels int64 (B,) of the next step."""
        progress, batch = self.progress, self.config.batch_size
        chosen = order[progress.position * batch : (progress.position + 1) * batch]
        images, labels = self.data.train_images[chosen], self.data.train_labels[chosen]
        if self.config.augment:
            if self._draws is None:
                self._draws = self._draw()
            begin = progress.position * batch
            images = augment(images, self._draws.part(begin, begin + len(labels)))
        return images, labels

    def _draw(self) -> Draws:
        """How the images of the epoch in progress are augmented. Each step has a seed of its own, as it always had."""
        steps, batch, size = range(self.steps_per_epoch), self.config.batch_size, len(self.data.train_labels)
        sizes = [min(batch, size - step * batch) for step in steps]
        seeds = [rng.derive_seed(self.seed, "augment", self.progress.epoch + 1, step) for step in steps]
        return draw(sizes, self.config.augment, seeds, self.device)

    def _point(self, stopwatch: Stopwatch) -> Point:
        progress = self.progress
        losses, correct = self._tally.read()  # waits for the device
        stopwatch.add_to(progress)
        for step, loss in enumerate(losses, progress.step - len(losses) + 1):
            if not math.isfinite(loss):
                return Point(step, dict.fromkeys((metric.name for metric in STEP_METRICS), math.nan) | {"loss": loss})
        batch, size = self.config.batch_size, len(self.data.train_labels)
        start = (progress.position - len(losses)) * batch
        sizes = [min(batch, size - start - index * batch) for index in range(len(losses))]
        loss_sum = sum(loss * weight for loss, weight in zip(losses, sizes, strict=True))
        progress.loss_sum += loss_sum
        progress.correct += correct
        self._tally.clear()
        return Point(progress.step, {"loss": loss_sum / sum(sizes), "accuracy": correct / sum(sizes)})

    def end_epoch(self) -> tuple[float, float]:
        """Mean loss and accuracy of the epoch's training steps, whose epoch is complete by this."""
        progress = self.progress
        size = min(len(self.data.train_labels), progress.position * self.config.batch_size)
        loss, accuracy = progress.loss_sum / size, progress.correct / size
        progress.epoch += 1
        progress.position, progress.loss_sum, progress.correct = 0, 0.0, 0
        self._order = self._draws = None
        return loss, accuracy

    def evaluate(self, beat: Callable[[], None]) -> tuple[Tensor, float, float]:
        """Logits float32 (M, classes) on the CPU, mean loss and accuracy on the test set; it calls `beat` meanwhile.

        Raises `NotFiniteError` for weights or logits that are not finite: an accuracy of them would mean nothing.
        """
        odd = sum(not parameter.isfinite().all() for parameter in self.network.parameters())
        if odd:  # oneDNN's ReLU makes 0 of NaN, so that the logits may hide it
            raise NotFiniteError(f"{odd} of its weight tensors are not finite: a smaller --lr may help")
        parts = []
        for first in range(0, len(self.data.test_labels), EVALUATION_SHARE):
            images = self.data.test_images[first : first + EVALUATION_SHARE]
            parts.append(self._stepper.evaluate(images).float().cpu())
            beat()
        logits = torch.cat(parts)
        odd = int((~logits.isfinite().all(1)).sum())
        if odd:
            raise NotFiniteError(
                f"its logits in evaluation are not finite for {odd:,} of {len(logits):,} test images, so there is no"
                " result: a smaller --lr may help"
            )
        labels = self.data.test_labels.cpu()
        loss = torch.nn.functional.cross_entropy(logits.double(), labels).item()
        accuracy = (logits.argmax(1) == labels).double().mean().item()
        return logits, loss, accuracy
