"""Time spent in training steps, without the time for which the process was stopped (SIGSTOP, SIGTSTP)."""

from __future__ import annotations

import signal
import time
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from tui_attn.train.progress import Progress


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
        """The steps are done once something waits for the device: `add_to` says when."""

    def add_to(self, progress: Progress) -> None:
        """Add the time of the steps since then to `progress.train_seconds`.

        How long a stop took is unknown: the steps around it count as long as the earlier ones took on average.
        """
        spent = time.perf_counter() - self._begin
        if stops.count > self._stops and self._step > 0:
            spent = min(spent, self._trained / self._step * (progress.step - self._step))
        progress.train_seconds += spent


class DeviceStopwatch:
    """Measures some steps that CUDA computes while the host does something else."""

    def __init__(self) -> None:
        self._begin, self._end = (torch.cuda.Event(enable_timing=True) for _ in range(2))  # type: ignore[no-untyped-call]
        self._begin.record()

    def stop(self) -> None:
        """The steps are queued."""
        self._end.record()

    def add_to(self, progress: Progress) -> None:
        """Add the time of the steps, which the device must have done, to `progress.train_seconds`."""
        progress.train_seconds += self._begin.elapsed_time(self._end) / 1000
