"""A run's progress, the points of its log, and its training time."""

from __future__ import annotations

import signal
import time
from dataclasses import dataclass

import torch


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


@dataclass(frozen=True, slots=True)
class Point:
    """A point of the log: means over the images of the steps since the one before."""

    step: int
    """The last of these steps; of a loss that is not finite, the first step that had one."""
    metrics: dict[str, float]
    """By name, `STEP_METRICS`; all but the loss are NaN where the loss is not finite."""

    @property
    def loss(self) -> float:
        """The loss."""
        return self.metrics["loss"]


# ---- training time


class _Stops:
    """Counts how often this process was stopped and continued, once `install` was called."""

    def __init__(self) -> None:
        self.count = 0

    def install(self) -> None:
        """Handle SIGCONT; only in the main thread."""
        signal.signal(signal.SIGCONT, self._continued)

    def _continued(self, signum: int, frame: object) -> None:
        self.count += 1


stops = _Stops()


class Stopwatch:
    """Measures some steps, from its creation on."""

    def __init__(self, progress: Progress) -> None:
        self._step, self._trained = progress.step, progress.train_seconds
        self._stops = stops.count
        self._begin = time.perf_counter()

    def stop(self) -> None:
        """Nothing to do: `add_to` is called when the steps are done."""

    def add_to(self, progress: Progress) -> None:
        """Add the time of the steps since then to `progress.train_seconds`.

        If the process was stopped meanwhile, the steps count with the average time of earlier ones.
        """
        spent = time.perf_counter() - self._begin
        if stops.count > self._stops and self._step > 0:
            spent = min(spent, self._trained / self._step * (progress.step - self._step))
        progress.train_seconds += spent


class DeviceStopwatch:
    """Measures steps that CUDA computes asynchronously."""

    def __init__(self) -> None:
        self._begin, self._end = (torch.cuda.Event(enable_timing=True) for _ in range(2))  # type: ignore[no-untyped-call]
        self._begin.record()

    def stop(self) -> None:
        """The steps are queued."""
        self._end.record()

    def seconds(self) -> float:
        """The time of the steps; waits for them."""
        self._end.synchronize()
        return float(self._begin.elapsed_time(self._end)) / 1000

    def add_to(self, progress: Progress) -> None:
        """Add the time of the steps, which the device must have done, to `progress.train_seconds`."""
        progress.train_seconds += self._begin.elapsed_time(self._end) / 1000
