"""One run in training: its network, its place in the data, its log. A worker gives each of its sessions a turn."""

from __future__ import annotations

import contextlib
import math
import os
import resource
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from safetensors.torch import save as to_safetensors
from torch import Tensor

from tui_attn.faults import fault
from tui_attn.runs import ExperimentDir, Manifest, RunDir
from tui_attn.train import checkpoint, networks, probe, rng
from tui_attn.train.journal import Journal
from tui_attn.train.step import Stepper
from tui_attn.train.tensors import Images, augment
from tui_attn.train.weights import plain_weights, weights_sha256

POINTS_PER_EPOCH = 50
CHECKPOINT_EVERY = 60.0
"""Seconds of an epoch after which it is checkpointed in its middle."""
EVALUATION_SHARE = 10_000
"""Test images between two signs of life."""


class NotFiniteError(Exception):
    """The loss became NaN or infinite."""


@dataclass(slots=True)
class Progress:
    """How far a run is; all of it goes into its checkpoints."""

    step: int = 0
    """Steps trained, over all epochs."""
    epoch: int = 0
    """Epochs completed and evaluated."""
    position: int = 0
    """Steps trained of the epoch in progress."""
    images: int = 0
    train_seconds: float = 0.0
    loss_sum: float = 0.0
    """Of the epoch in progress, over its images."""
    correct: int = 0
    """Of the epoch in progress."""


class Session:
    """Trains one run. Raises `BlockingIOError` when another process writes it, `OSError` when it can't be written."""

    def __init__(
        self,
        folder: RunDir,
        manifest: Manifest,
        model: str,
        seed: int,
        data: Images,
        device: torch.device,
        precision: str,
        *,
        probes: probe.ProbeSet | None,
        hurried: Callable[[], bool] = lambda: False,
    ) -> None:
        """`hurried` tells whether there is no time any more to wait for room on a full disk."""
        self.folder = folder
        self.model_name, self.seed = model, seed
        self.config = manifest.config
        self._data_version = str(manifest.data.get("version"))
        self._data = data
        self._device = device
        self._precision = precision
        self._probes = probes
        self._journal = Journal(folder, hurried)
        size = len(data.train_labels)
        self.steps_per_epoch = -(-size // self.config.batch_size)
        self._interval = max(1, round(self.steps_per_epoch / POINTS_PER_EPOCH))
        self._order: Tensor | None = None
        self._losses: list[Tensor] = []
        self._corrects: list[Tensor] = []
        self._since_checkpoint = time.monotonic()
        self.progress = Progress()

    def _build(self) -> None:
        """The network as its seed makes it, and nothing trained."""
        data, model = self._data, self.model_name
        folder = ExperimentDir(self.folder.path.parent)
        seed = rng.derive_seed(self.seed, "init")
        self._network = networks.make(folder, self.config, model, data, seed=seed)
        self._stepper = Stepper(
            self._network,
            self._device,
            self._precision,
            lr=self.config.lr,
            mean=data.mean,
            std=data.std,
            channels_last=networks.keeps_layout(model),
        )
        rng.seed_all(rng.derive_seed(self.seed, "train"))
        self._rng = rng.capture(self._device)
        self.progress = Progress()
        self._losses, self._corrects = [], []

    @property
    def done(self) -> bool:
        """Whether every epoch is trained and evaluated."""
        return self.progress.epoch >= self.config.epochs

    # ---- beginning

    def begin(self) -> None:
        """Say what this run is, and go on from the newest good checkpoint if it was begun before."""
        self._build()
        fresh = self._journal.fresh
        self._journal.record(
            "started",
            model=self.model_name,
            **{"class": self.config.class_name(self.model_name)},
            seed=self.seed,
            worker=os.getpid(),
            device=str(self._device),
            device_name=_device_name(self._device),
            precision=self._precision,
            threads=torch.get_num_threads(),
            epochs=self.config.epochs,
            steps_per_epoch=self.steps_per_epoch,
            batch_size=self.config.batch_size,
            train_size=len(self._data.train_labels),
            test_size=len(self._data.test_labels),
            parameters=networks.count_parameters(self._network),
            macs=networks.macs(self.model_name, self._network, self._data),
            class_names=list(self._data.class_names),
            dataset=self.config.dataset,
            data_version=self._data_version,
            torch=torch.__version__,
        )
        if not fresh:
            self._resume()
        fault("start")
        if self.progress.step == 0:
            self._probe()

    def _resume(self) -> None:
        folder = self.folder.checkpoints
        skipped: list[str] = []
        taken = None
        for name, state in checkpoint.newest_first(folder, skipped):
            try:
                self._restore(state)
                taken = name
                break
            except (MemoryError, torch.OutOfMemoryError):
                raise
            except Exception as error:  # torch and numpy raise many kinds on what a checkpoint shouldn't hold
                skipped.append(f"{name} ({error if isinstance(error, ValueError) else type(error).__name__})")
                self._build()
        if taken is not None:
            self._journal.patiently(lambda: checkpoint.adopt(folder, taken, epoch=self.progress.epoch))
        self._journal.record("resumed", from_step=self.progress.step, epoch=self.progress.epoch, skipped=skipped)

    def _restore(self, state: dict[str, Any]) -> None:
        if state["identity"] != self._identity():
            raise ValueError("of another run or configuration")
        progress = Progress(**state["progress"])
        self._stepper.load_state_dict(state["stepper"])
        rng.restore(state["rng"], self._device)
        self._rng = rng.capture(self._device)
        self._losses = list(state["losses"].to(self._device))
        self._corrects = list(state["corrects"].to(self._device))
        self.progress = progress

    def _identity(self) -> dict[str, Any]:
        """What a checkpoint must share with the run that takes it up."""
        config = self.config
        code = {model.name: {"code": model.sha256} for model in config.own_models}
        return {
            "model": self.model_name,
            "seed": self.seed,
            "dataset": config.dataset,
            "batch_size": config.batch_size,
            "lr": config.lr,
            "augment": list(config.augment),
            "precision": self._precision,
            "train_size": len(self._data.train_labels),
            **code.get(self.model_name, {}),
        }

    # ---- training

    def turn(self, interrupted: Callable[[], bool]) -> None:
        """Train to the end of the epoch and evaluate, or until `interrupted` says to leave after a step.

        Raises `NotFiniteError`, and whatever torch raises.
        """
        rng.restore(self._rng, self._device)
        self._journal.beat(now=True)
        try:
            while not self.done:
                self._train_until_point(interrupted)
                self._rng = rng.capture(self._device)
                if self.progress.position == self.steps_per_epoch:
                    self._end_epoch()
                    rng.restore(self._rng, self._device)  # as a worker would that takes up the checkpoint
                    return
                if interrupted():
                    return
        finally:
            self._rng = rng.capture(self._device)

    def _train_until_point(self, interrupted: Callable[[], bool]) -> None:
        """Train to the next point of the log, at most; a point is the mean over the steps since the one before."""
        progress = self.progress
        size, batch = len(self._data.train_labels), self.config.batch_size
        if self._order is None:
            self._order = rng.permutation(self.seed, progress.epoch + 1, size).to(self._device)
        begin = time.perf_counter()
        while progress.position < self.steps_per_epoch:
            first = progress.position * batch
            chosen = self._order[first : first + batch]
            images, labels = self._data.train_images[chosen], self._data.train_labels[chosen]
            if self.config.augment:
                seed = rng.derive_seed(self.seed, "augment", progress.epoch + 1, progress.position)
                images = augment(images, self.config.augment, seed)
            loss, correct = self._stepper.train_step(images, labels)
            fault("forward")
            self._losses.append(loss)
            self._corrects.append(correct)
            progress.step += 1
            progress.position += 1
            progress.images += len(labels)
            at_point = progress.position % self._interval == 0 or progress.position == self.steps_per_epoch
            if at_point or interrupted():
                break
        at_point = progress.position % self._interval == 0 or progress.position == self.steps_per_epoch
        if not at_point:
            self._synchronise()
            progress.train_seconds += time.perf_counter() - begin
            return
        self._point(begin)

    def _point(self, begin: float) -> None:
        progress = self.progress
        losses = torch.stack(self._losses).tolist()  # waits for the device
        corrects = torch.stack(self._corrects).sum().item()
        progress.train_seconds += time.perf_counter() - begin
        for step, loss in enumerate(losses, progress.step - len(losses) + 1):
            if not math.isfinite(loss):
                self._record_point(step, loss, math.nan)
                what = "NaN" if math.isnan(loss) else "infinite"
                raise NotFiniteError(f"the loss became {what} at step {step}: a smaller --lr may help")
        batch, size = self.config.batch_size, len(self._data.train_labels)
        start = (progress.position - len(losses)) * batch
        sizes = [min(batch, size - start - index * batch) for index in range(len(losses))]
        seen = sum(sizes)
        loss_sum = sum(loss * weight for loss, weight in zip(losses, sizes, strict=True))
        progress.loss_sum += loss_sum
        progress.correct += int(corrects)
        self._losses, self._corrects = [], []
        self._record_point(progress.step, loss_sum / seen, corrects / seen)
        self._journal.beat()
        self._journal.look_at_checkpoint()
        if time.monotonic() - self._since_checkpoint > CHECKPOINT_EVERY:
            self._rng = rng.capture(self._device)
            self._checkpoint()

    def _record_point(self, step: int, loss: float, accuracy: float) -> None:
        self._journal.record(
            "metrics",
            epoch=self.progress.epoch + 1,
            step=[step],
            loss=[round(loss, 6)],
            accuracy=[round(accuracy, 6)],
            train_seconds=round(self.progress.train_seconds, 4),
        )
        fault("append")

    def _end_epoch(self) -> None:
        progress = self.progress
        size = len(self._data.train_labels)
        _, test_loss, test_accuracy = self._evaluate()
        train_loss, train_accuracy = progress.loss_sum / size, progress.correct / size
        progress.epoch += 1
        progress.position, progress.loss_sum, progress.correct = 0, 0.0, 0
        self._order = None
        self._journal.record(
            "epoch",
            epoch=progress.epoch,
            step=progress.step,
            train_loss=train_loss,
            train_accuracy=train_accuracy,
            test_loss=test_loss,
            test_accuracy=test_accuracy,
            images=progress.images,
            train_seconds=round(progress.train_seconds, 4),
            peak_memory=_peak_memory(self._device),
        )
        self._probe()
        self._checkpoint()

    def _evaluate(self) -> tuple[Tensor, float, float]:
        """Logits float32 (M, classes) on the CPU, mean loss and accuracy on the test set."""
        parts = []
        for first in range(0, len(self._data.test_labels), EVALUATION_SHARE):
            images = self._data.test_images[first : first + EVALUATION_SHARE]
            parts.append(self._stepper.evaluate(images).float().cpu())
            self._journal.beat()
        logits = torch.cat(parts)
        labels = self._data.test_labels.cpu()
        loss = torch.nn.functional.cross_entropy(logits.double(), labels).item()
        accuracy = (logits.argmax(1) == labels).double().mean().item()
        return logits, loss, accuracy

    def _probe(self) -> None:
        if self._probes is None:
            return
        arrays, glance = probe.collect(self._network, self._probes)
        if not arrays:
            return
        name = f"epoch-{self.progress.epoch:05d}.npz"
        packed = probe.pack(arrays)
        self._journal.write(self.folder.probes / name, packed, sync=False)
        self._journal.record("probe", epoch=self.progress.epoch, file=name, gates=glance)

    # ---- ending

    def finish(self) -> None:
        """Save the predictions and the weights of the last epoch, and record that the run is finished."""
        logits, _, _ = self._evaluate()
        predictions = {"logits": logits.numpy(), "labels": self._data.test_labels.cpu().numpy().astype(np.int64)}
        packed = probe.pack(predictions)
        self._journal.finish_checkpoint()
        fault("end")
        self._journal.write(self.folder.predictions, packed)
        weights = plain_weights(self._network)
        self._journal.write(self.folder.weights, to_safetensors(weights))
        self._end("finished", None, digest=weights_sha256(weights))

    def leave(self, how: str) -> None:
        """Keep what there is and record that the run is `how`: stopped or skipped."""
        self.save()
        self._end(how, None)

    def fail(self, reason: str, traceback: str | None) -> None:
        """Record why the run failed. Raises `OSError` when that can't be recorded."""
        self._journal.reopen()
        with contextlib.suppress(OSError):
            self._journal.finish_checkpoint()
        self._end("failed", reason, traceback=traceback)

    def suspend(self) -> None:
        """Keep what there is and let go, for another worker to go on."""
        self.save()
        self.close()

    def save(self) -> None:
        """Put all there is into a checkpoint, and wait until it is on disk.

        On a full disk it isn't waited for room: then the checkpoint before counts.
        """
        if self.progress.step > 0 and not self._journal.behind:
            self._journal.save(self._state(), step=self.progress.step, epoch=self.progress.epoch)

    def _end(self, how: str, reason: str | None, *, traceback: str | None = None, digest: str | None = None) -> None:
        self._journal.check()
        self._journal.record(
            "ended",
            state=how,
            reason=reason,
            traceback=traceback,
            epoch=self.progress.epoch,
            step=self.progress.step,
            weights_sha256=digest,
        )
        self._journal.sync()
        self.close()

    def close(self) -> None:
        """Let go of the run's files."""
        self._journal.close()

    def _state(self) -> dict[str, Any]:
        return {
            "format": 1,
            "identity": self._identity(),
            "progress": {field: getattr(self.progress, field) for field in Progress.__slots__},
            "stepper": self._stepper.state_dict(),
            "losses": torch.stack(self._losses) if self._losses else torch.zeros(0),
            "corrects": torch.stack(self._corrects) if self._corrects else torch.zeros(0),
            "rng": self._rng,
        }

    def _checkpoint(self) -> None:
        self._since_checkpoint = time.monotonic()
        self._journal.checkpoint(self._state(), step=self.progress.step, epoch=self.progress.epoch)

    def _synchronise(self) -> None:
        if self._device.type == "cuda":
            torch.cuda.synchronize(self._device)
        elif self._device.type == "mps":
            torch.mps.synchronize()


def _peak_memory(device: torch.device) -> int | None:
    """Bytes: of the device's allocator on CUDA, of the whole worker process on the CPU."""
    if device.type == "cuda":
        return int(torch.cuda.max_memory_allocated(device))
    if device.type == "mps":
        return int(torch.mps.driver_allocated_memory())
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return int(peak) if sys.platform == "darwin" else int(peak) * 1024


def _device_name(device: torch.device) -> str:
    return torch.cuda.get_device_name(device) if device.type == "cuda" else device.type
