"""One run in training: its network and its log. The sessions of a worker take turns."""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import torch

from tui_attn.experiment.model_info import twin_of
from tui_attn.system.fault_injection import fault
from tui_attn.train import checkpoint, description, epoch_results
from tui_attn.train.accelerator import on_stream, peak_memory, reset_peak_memory
from tui_attn.train.epoch_results import EpochResults, Probe, RunFiles
from tui_attn.train.progress import Point, Progress
from tui_attn.train.run_writer import RunWriter
from tui_attn.train.step import PrecisionError, choose_precision
from tui_attn.train.tensors import with_random_labels
from tui_attn.train.trainer import NotFiniteError, Trainer

if TYPE_CHECKING:
    from tui_attn.train.worker_context import WorkerContext

CHECKPOINT_EVERY = 1.0
"""Seconds between two checkpoints within an epoch. A kill costs at most twice that, if the disk keeps up."""


class PrecisionChangedError(Exception):
    """A run's good checkpoints are of a precision that this device can't compute in; the message is one line."""


class Session:
    """Trains one run. Raises `BlockingIOError` when another process writes it, `OSError` when it can't be written."""

    def __init__(self, context: WorkerContext, run: str, should_abort: Callable[[], bool]) -> None:
        """`should_abort` tells whether to stop waiting for room on a full disk."""
        manifest, (model, _, seed) = context.manifest, run.rpartition("-s")
        self.config, self._context, self._probes = manifest.config, context, context.probes
        self._writer = RunWriter(context.folder.run(run), should_abort)
        self.folder = self._writer.folder
        images = context.images if twin_of(model) is None else with_random_labels(context.images, int(seed))
        device, precision = context.device, context.precision
        self._trainer = Trainer(
            context.folder, self.config, model, int(seed), images, device, precision, manifest.kernels
        )
        self._since_checkpoint = time.monotonic()
        self._unread: Callable[[], Point] | None = None
        """Returns the point that the device is computing."""
        self._epoch: tuple[dict[str, Any], Future[EpochResults]] | None = None
        """The known part of an epoch's results, and the rest, which another thread computes."""
        self._points: list[dict[str, Any]] = []
        """Points to record after the results of that epoch."""
        self._files: RunFiles | None = None
        self._beside = ThreadPoolExecutor(1, thread_name_prefix="evaluation")

    @property
    def progress(self) -> Progress:
        """How far the run is."""
        return self._trainer.progress

    @property
    def done(self) -> bool:
        """Whether every epoch is trained and evaluated."""
        return self.progress.epoch >= self.config.epochs

    @property
    def complete(self) -> bool:
        """Whether the run is done and `finish` would not wait for other threads."""
        computing = self._epoch is not None and not self._epoch[1].done()
        return self.done and not (self.side_by_side and (computing or self._writer.checkpointing))

    @property
    def side_by_side(self) -> bool:
        """Whether the device trains this network concurrently with others; they take turns of one point each."""
        return self._trainer.graphed

    # ---- beginning

    def begin(self) -> None:
        """Record what this run is, and continue from its newest good checkpoint, if any."""
        with on_stream(self._trainer.stream):
            self._trainer.build()
            fresh = self._writer.fresh
            self._record_start()
            if not fresh:
                self._resume()
            fault("start")
            if self.progress.step == 0:
                self._record_probe(0, epoch_results.probe_of(self._trainer, self._probes, whole=True)())
            self._capture()

    def _capture(self) -> None:
        reason = None if self.done else self._trainer.capture(self._context.proofs)
        if reason is not None and self._trainer.device.type == "cuda":
            self._writer.record("warning", message=f"its steps are launched one by one: {reason}")
        elif self._trainer.graphed:
            reason = self._trainer.unfused
            self._writer.record("pooling", kernels="torch" if reason else "fused", reason=reason)

    def _record_start(self) -> None:
        context = self._context
        about = description.of_run(self._trainer, context.called)
        version = str(context.manifest.data.get("version"))
        self._writer.record("started", worker=context.token, data_version=version, **about)

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
            except Exception as error:  # torch and numpy raise many kinds on foreign content
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
        """Continue in the precision of a checkpoint from another device. Raises `PrecisionChangedError`."""
        try:
            self._trainer.precision = choose_precision(precision, self._trainer.device)
        except PrecisionError:
            raise PrecisionChangedError(
                f"its checkpoints are in {precision}, which {self._context.called} can't compute: resume it where it"
                " was begun; they are kept"
            ) from None
        self._trainer.build()
        self._record_start()

    def _identity(self) -> dict[str, Any]:
        """What a checkpoint must have in common with the run that continues from it."""
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

        On an asynchronous device the previous point is recorded meanwhile. Raises the same as `train_epoch`.
        """
        trainer = self._trainer
        due = time.monotonic() - self._since_checkpoint > CHECKPOINT_EVERY and not self._writer.checkpointing
        if due and self.progress.step > 0 and not trainer.at_end_of_epoch:
            self.settle()
            self._checkpoint()
        if self.done:
            self._record_due()
            return
        if self.progress.position == 0:
            reset_peak_memory(trainer.device)
        with on_stream(trainer.stream):
            if trainer.at_end_of_epoch:
                self.settle()
                trainer.take_streams()
                self._end_epoch()
                return
            if trainer.graphed:  # another network may have drawn numbers since
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
        """Record all queued results."""
        before, self._unread = self._unread, None
        if before is not None:
            self._finish_point(before())
        self._record_due(wait=True)

    def _finish_point(self, point: Point) -> None:
        self._points.append(
            {
                "epoch": self.progress.epoch + 1,
                "step": [point.step],
                **{name: [round(value, 6)] for name, value in point.metrics.items()},
                "train_seconds": round(self.progress.train_seconds, 4),
            }
        )
        finite = math.isfinite(point.loss)
        self._record_due(wait=not finite)
        if not finite:
            what = "NaN" if math.isnan(point.loss) else "infinite"
            raise NotFiniteError(f"the loss became {what} at step {point.step}: a smaller --lr may help")
        self._writer.beat()
        self._writer.look_at_checkpoint()

    def _record_due(self, *, wait: bool = False) -> None:
        """Record the epoch's results, once they are computed, and then the points after it."""
        if self._epoch is not None:
            about, computing = self._epoch
            if not (wait or computing.done()):
                return
            self._epoch = None
            try:
                self._record_epoch(about, computing.result())
            except NotFiniteError:
                self.progress.epoch = about["epoch"] - 1
                raise
            if self.done:
                self._checkpoint()
            else:
                self._since_checkpoint = -math.inf  # the next one is due
        points, self._points = self._points, []
        for point in points:
            self._writer.record("metrics", **point)
            fault("append")

    def _end_epoch(self) -> None:
        trainer, number = self._trainer, self.progress.epoch + 1
        if number % self.config.evaluate_every and number < self.config.epochs:
            trainer.end_epoch()
            return
        evaluation = trainer.evaluate(self._writer.beat)
        if not trainer.graphed:
            found = evaluation()
            evaluation = lambda: found  # noqa: E731
        train_loss, train_accuracy = trainer.end_epoch()
        about = {
            "epoch": number,
            "step": self.progress.step,
            "train_loss": train_loss,
            "train_accuracy": train_accuracy,
            "test_loss": None,
            "test_accuracy": None,
            "images": self.progress.images,
            "train_seconds": round(self.progress.train_seconds, 4),
            "peak_memory": peak_memory(trainer.device),
        }
        compute = epoch_results.end_of_epoch(trainer, self._probes, evaluation, last=self.done)
        if trainer.graphed:
            self._epoch = about, self._beside.submit(compute)
        else:
            self._record_epoch(about, compute())
            self._checkpoint()

    def _record_epoch(self, about: dict[str, Any], found: EpochResults) -> None:
        tested = {"test_loss": found.evaluation.loss, "test_accuracy": found.evaluation.accuracy}
        self._writer.record("epoch", **about | tested)
        self._record_probe(about["epoch"], found.probe)
        self._files = found.files

    def _record_probe(self, epoch: int, probed: Probe | None) -> None:
        if probed is not None:
            name = f"epoch-{epoch:05d}.npz"
            self._writer.write(self.folder.probes / name, probed.file, sync=False)
            self._writer.record("probe", epoch=epoch, file=name, gates=probed.glance)

    def _checkpoint(self) -> None:
        self._since_checkpoint = time.monotonic()
        with on_stream(self._trainer.stream):
            self._writer.checkpoint(self._state(), step=self.progress.step, epoch=self.progress.epoch)

    def _state(self) -> dict[str, Any]:
        return {"format": 1, "identity": self._identity(), **self._trainer.state_dict()}

    # ---- ending

    def finish(self) -> None:
        """Save predictions and weights of the last epoch, and record that the run is finished."""
        self.settle()
        if self._files is None:  # the last epoch was evaluated by another process
            with on_stream(self._trainer.stream):
                self._files = epoch_results.files_of(self._trainer, self._trainer.evaluate(self._writer.beat))()
        self._writer.finish_checkpoint()
        fault("end")
        self._writer.write(self.folder.predictions, self._files.predictions)
        self._writer.write(self.folder.weights, self._files.weights)
        self._end("finished", None, digest=self._files.digest)

    def leave(self, how: str) -> None:
        """Write a checkpoint and record that the run is `how`: stopped or skipped."""
        self.save()
        self._end(how, None)

    def fail(self, reason: str, traceback: str | None) -> None:
        """Record why the run failed. Raises `OSError` when that can't be recorded."""
        self._writer.reopen()
        with contextlib.suppress(Exception):  # results from before the failure
            self._record_due(wait=True)
        with contextlib.suppress(OSError):
            self._writer.finish_checkpoint()
        self._end("failed", reason, traceback=traceback)

    def suspend(self) -> None:
        """Write a checkpoint and close the run, so that another worker can continue it."""
        self.save()
        self.close()

    def save(self) -> None:
        """Write a checkpoint and wait until it is on disk.

        On a full disk nothing waits for room: the previous checkpoint counts.
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
        """Close the run's files."""
        self._beside.shutdown(wait=False, cancel_futures=True)
        self._writer.close()
