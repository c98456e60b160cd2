"""One run in training: its network and its log. A worker gives each of its sessions a turn."""

from __future__ import annotations

import contextlib
import math
import os
import socket
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from safetensors.torch import save as to_safetensors

from tui_attn.experiment.folders import ExperimentDir, RunDir
from tui_attn.experiment.manifest import Manifest
from tui_attn.experiment.model_info import twin_of
from tui_attn.system import machine
from tui_attn.system.fault_injection import fault
from tui_attn.train import checkpoint, fast, networks, probe
from tui_attn.train.accelerator import device_name, gpu_facts, on_stream, peak_memory, reset_peak_memory
from tui_attn.train.networks import plain_weights, weights_sha256
from tui_attn.train.progress import Point, Progress
from tui_attn.train.run_writer import RunWriter
from tui_attn.train.step import PrecisionError, choose_precision
from tui_attn.train.tensors import Images, with_random_labels
from tui_attn.train.trainer import NotFiniteError, Trainer

CHECKPOINT_EVERY = 1.0
"""Seconds between two checkpoints within an epoch: a kill costs twice that at most, where the disk keeps up."""


class PrecisionChangedError(Exception):
    """A run's good checkpoints are of a precision that this device can't compute in; the message is one line."""


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
        called: str,
        probes: probe.ProbeSet | None,
        worker: int = 0,
        should_abort: Callable[[], bool] = lambda: False,
    ) -> None:
        """`called`: the device's name in the experiment; `worker`: the worker's token.

        `should_abort` tells whether to stop waiting for room on a full disk.
        """
        self.config, self._called, self._worker = manifest.config, called, worker
        self._data_version = str(manifest.data.get("version"))
        self._probes = probes
        self._writer = RunWriter(folder, should_abort)
        self.folder = self._writer.folder
        experiment = ExperimentDir(folder.path.parent)
        data = data if twin_of(model) is None else with_random_labels(data, seed)
        self._trainer = Trainer(experiment, manifest.config, model, seed, data, device, precision)
        self._trainer.kernels = manifest.kernels
        self._since_checkpoint = time.monotonic()
        self._logits: torch.Tensor | None = None
        self._unread: Callable[[], Point] | None = None
        """Gives the point that the device computes meanwhile."""

    @property
    def progress(self) -> Progress:
        """How far the run is."""
        return self._trainer.progress

    @property
    def done(self) -> bool:
        """Whether every epoch is trained and evaluated."""
        return self.progress.epoch >= self.config.epochs

    @property
    def side_by_side(self) -> bool:
        """Whether the device computes this network beside others, so that they take turns of a point each."""
        return self._trainer.graphed

    # ---- beginning

    def begin(self) -> None:
        """Say what this run is, and go on from the newest good checkpoint if it was begun before."""
        with on_stream(self._trainer.stream):
            self._trainer.build()
            fresh = self._writer.fresh
            self._writer.record("started", **self._about())
            if not fresh:
                self._resume()
            fault("start")
            if self.progress.step == 0:
                self._probe()
            self._capture()

    def _capture(self) -> None:
        reason = None if self.done else self._trainer.capture()
        if reason is not None and self._trainer.device.type == "cuda":
            self._writer.record("warning", message=f"its steps are launched one by one: {reason}")

    def _about(self) -> dict[str, Any]:
        """What this run is, as its log tells it."""
        trainer = self._trainer
        data = trainer.data
        return {
            "model": trainer.model,
            "class": self.config.class_name(trainer.model),
            "seed": trainer.seed,
            "worker": self._worker,
            "pid": os.getpid(),
            "host": socket.gethostname(),
            "cpu": machine.cpu_model(),
            "cpu_capability": torch.backends.cpu.get_cpu_capability(),
            "device": self._called,
            **({"mix_devices": True} if self.config.mix_devices else {}),
            **({"kernels": trainer.kernels_used} if trainer.kernels_used else {}),
            "device_name": device_name(trainer.device),
            **gpu_facts(trainer.device),
            "precision": trainer.precision,
            "threads": torch.get_num_threads(),
            "epochs": self.config.epochs,
            **({} if self.config.steps is None else {"steps": self.config.steps}),
            **({} if self.config.validation is None else {"validation": self.config.validation}),
            "steps_per_epoch": trainer.steps_per_epoch,
            "batch_size": self.config.batch_size,
            "train_size": len(data.train_labels),
            "test_size": len(data.test_labels),
            "parameters": networks.count_parameters(trainer.network),
            **self._macs(),
            "class_names": list(data.class_names),
            "dataset": self.config.dataset,
            "data_version": self._data_version,
            "torch": torch.__version__,
            **self._start(),
            **({} if twin_of(trainer.model) is None else {"labels": "random"}),
        }

    def _macs(self) -> dict[str, Any]:
        """Multiply-accumulates of one image's forward pass: of the module as written, and as this device runs it."""
        trainer = self._trainer
        written = networks.macs(trainer.model, trainer.network, trainer.data)
        merged = fast.macs(trainer.network) if trainer.kernels_used == "onednn" else None
        return {"macs": written, "macs_as_run": written if merged is None else merged}

    def _start(self) -> dict[str, Any]:
        """The digest of the weights that a custom model begins with: its seeds may all begin alike."""
        if networks.keeps_layout(self._trainer.model):
            return {}
        return {"start_sha256": weights_sha256(plain_weights(self._trainer.network))}

    def _resume(self) -> None:
        folder = self.folder.checkpoints
        skipped: list[str] = []
        taken = None
        for name, state in checkpoint.newest_first(folder, skipped):
            try:
                self._restore(state)
                taken = name
                break
            except (MemoryError, torch.OutOfMemoryError, PrecisionChangedError):
                raise
            except Exception as error:  # torch and numpy raise many kinds on what a checkpoint shouldn't hold
                skipped.append(f"{name} ({error if isinstance(error, ValueError) else type(error).__name__})")
                self._trainer.build()
        if taken is not None:
            self._writer.retry(lambda: checkpoint.adopt(folder, taken, epoch=self.progress.epoch))
        self._writer.record("resumed", from_step=self.progress.step, epoch=self.progress.epoch, skipped=skipped)

    def _restore(self, state: dict[str, Any]) -> None:
        identity, precision = self._identity(), state["identity"].get("precision")
        if precision != identity["precision"] and state["identity"] == identity | {"precision": precision}:
            self._go_on_in(precision)
            identity = self._identity()
        if state["identity"] != identity:
            raise ValueError("of another run or configuration")
        self._trainer.load_state_dict(state)

    def _go_on_in(self, precision: str) -> None:
        """Train in the precision of a checkpoint from another device. Raises `PrecisionChangedError`."""
        try:
            self._trainer.precision = choose_precision(precision, self._trainer.device)
        except PrecisionError:
            raise PrecisionChangedError(
                f"its checkpoints are in {precision}, which {self._called} can't compute: resume it where it"
                " was begun; they are kept"
            ) from None
        self._trainer.build()
        self._writer.record("started", **self._about())

    def _identity(self) -> dict[str, Any]:
        """What a checkpoint must share with the run that takes it up."""
        config, trainer = self.config, self._trainer
        code = {model.name: {"code": model.sha256} for model in config.custom_models}
        return {
            "model": trainer.model,
            "seed": trainer.seed,
            "dataset": config.dataset,
            "batch_size": config.batch_size,
            "lr": config.lr,
            "augment": list(config.augment),
            "precision": trainer.precision,
            "train_size": len(trainer.data.train_labels),
            **({} if config.validation is None else {"validation": config.validation}),
            **code.get(trainer.model, {}),
        }

    # ---- training

    def train_epoch(self, interrupted: Callable[[], bool]) -> None:
        """Train to the end of the epoch and evaluate, or until `interrupted` says to leave after a step.

        Raises `NotFiniteError`, and whatever torch raises.
        """
        epoch = self.progress.epoch
        self._trainer.take_streams()
        self._writer.beat(now=True)
        while not self.done and self.progress.epoch == epoch:
            self.train_to_point(interrupted)
            if not self._trainer.at_end_of_epoch and interrupted():
                break
        self.settle()

    def train_to_point(self, interrupted: Callable[[], bool]) -> None:
        """Train to the next point of the log, or evaluate at the end of an epoch.

        On a device that computes while the host does something else, the point before is recorded meanwhile. Raises as
        `train_epoch`.
        """
        trainer = self._trainer
        due = time.monotonic() - self._since_checkpoint > CHECKPOINT_EVERY and not self._writer.checkpointing
        if due and self.progress.step > 0 and not trainer.at_end_of_epoch:
            self.settle()
            self._checkpoint()
        if self.progress.position == 0:
            reset_peak_memory(trainer.device)
        with on_stream(trainer.stream):
            if trainer.at_end_of_epoch:
                self.settle()
                trainer.take_streams()
                self._end_epoch()
                return
            if trainer.graphed:  # another network may have drawn since
                trainer.take_streams()
            try:
                point = trainer.train_to_point(interrupted)
            finally:
                trainer.keep_streams()
        before, self._unread = self._unread, point
        if before is not None:
            self._finish_point(before())
        if not trainer.graphed:
            self.settle()

    def settle(self) -> None:
        """Record the point that is queued, if any."""
        before, self._unread = self._unread, None
        if before is not None:
            self._finish_point(before())

    def _finish_point(self, point: Point) -> None:
        self._record_point(point)
        if not math.isfinite(point.loss):
            what = "NaN" if math.isnan(point.loss) else "infinite"
            raise NotFiniteError(f"the loss became {what} at step {point.step}: a smaller --lr may help")
        self._writer.beat()
        self._writer.look_at_checkpoint()

    def _record_point(self, point: Point) -> None:
        self._writer.record(
            "metrics",
            epoch=self.progress.epoch + 1,
            step=[point.step],
            **{name: [round(value, 6)] for name, value in point.metrics.items()},
            train_seconds=round(self.progress.train_seconds, 4),
        )
        fault("append")

    def _end_epoch(self) -> None:
        epoch = self.progress.epoch + 1
        if epoch % self.config.evaluate_every and epoch < self.config.epochs:
            self._trainer.end_epoch()
            return
        self._logits, test_loss, test_accuracy = self._trainer.evaluate(self._writer.beat)
        train_loss, train_accuracy = self._trainer.end_epoch()
        progress = self.progress
        self._writer.record(
            "epoch",
            epoch=progress.epoch,
            step=progress.step,
            train_loss=train_loss,
            train_accuracy=train_accuracy,
            test_loss=test_loss,
            test_accuracy=test_accuracy,
            images=progress.images,
            train_seconds=round(progress.train_seconds, 4),
            peak_memory=peak_memory(self._trainer.device),
        )
        self._probe()
        self._checkpoint()

    def _probe(self) -> None:
        if self._probes is None:
            return
        ends = self.progress.epoch == 0 or self.done  # what takes much room is kept of these two only
        arrays, glance = probe.collect(self._trainer.network, self._probes, whole=ends)
        if not arrays:
            return
        name = f"epoch-{self.progress.epoch:05d}.npz"
        packed = probe.pack(arrays)
        self._writer.write(self.folder.probes / name, packed, sync=False)
        self._writer.record("probe", epoch=self.progress.epoch, file=name, gates=glance)

    def _checkpoint(self) -> None:
        self._since_checkpoint = time.monotonic()
        with on_stream(self._trainer.stream):
            self._writer.checkpoint(self._state(), step=self.progress.step, epoch=self.progress.epoch)

    def _state(self) -> dict[str, Any]:
        return {"format": 1, "identity": self._identity(), **self._trainer.state_dict()}

    # ---- ending

    def finish(self) -> None:
        """Save the predictions and the weights of the last epoch, and record that the run is finished."""
        self.settle()
        logits = self._logits  # of the last epoch, unless that was evaluated by another process
        if logits is None:
            with on_stream(self._trainer.stream):
                logits, _, _ = self._trainer.evaluate(self._writer.beat)
        predictions = {
            "logits": logits.numpy(),
            "labels": self._trainer.data.test_labels.cpu().numpy().astype(np.int64),
        }
        packed = probe.pack(predictions)
        self._writer.finish_checkpoint()
        fault("end")
        self._writer.write(self.folder.predictions, packed)
        weights = plain_weights(self._trainer.network)
        self._writer.write(self.folder.weights, to_safetensors(weights))
        self._end("finished", None, digest=weights_sha256(weights))

    def leave(self, how: str) -> None:
        """Keep what there is and record that the run is `how`: stopped or skipped."""
        self.save()
        self._end(how, None)

    def fail(self, reason: str, traceback: str | None) -> None:
        """Record why the run failed. Raises `OSError` when that can't be recorded."""
        self._writer.reopen()
        with contextlib.suppress(OSError):
            self._writer.finish_checkpoint()
        self._end("failed", reason, traceback=traceback)

    def suspend(self) -> None:
        """Keep what there is and let go, for another worker to go on."""
        self.save()
        self.close()

    def save(self) -> None:
        """Put all there is into a checkpoint, and wait until it is on disk.

        On a full disk it isn't waited for room: then the checkpoint before counts.
        """
        if self.progress.step > 0 and not self._writer.behind:
            self.settle()
            with on_stream(self._trainer.stream):
                self._writer.save(self._state(), step=self.progress.step, epoch=self.progress.epoch)

    def _end(self, how: str, reason: str | None, *, traceback: str | None = None, digest: str | None = None) -> None:
        self._writer.check()
        self._writer.record(
            "ended",
            state=how,
            reason=reason,
            traceback=traceback,
            epoch=self.progress.epoch,
            step=self.progress.step,
            weights_sha256=digest,
        )
        self._writer.sync()
        self.close()

    def close(self) -> None:
        """Let go of the run's files."""
        self._writer.close()
