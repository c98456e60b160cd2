"""The state of one run by its events, and derived figures: progress, speed."""

from __future__ import annotations

import math
from array import array
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from tui_attn.experiment.events import STEP_METRICS, number

RUN_ENDED = frozenset({"finished", "stopped", "skipped", "failed"})
NOT_FINITE = ("not finite", "the loss became")
"""Words in the reason of a failed run whose training diverged."""
RUN_LIVE = frozenset({"starting", "running", "paused"})
RUN_OPEN = frozenset({"queued", "starting", "running"})


def _series() -> array[float]:
    return array("d")


@dataclass(slots=True)
class EpochResult:
    """One evaluated epoch. Accuracies are fractions, times seconds since the run's start, memory bytes."""

    epoch: int
    step: int
    t: float
    train_loss: float
    train_accuracy: float
    test_loss: float
    test_accuracy: float
    images: int
    train_seconds: float
    peak_memory: int | None


@dataclass(slots=True)
class RunState:
    """The state of one run by its events."""

    id: str
    model: str
    seed: int
    state: str = "queued"
    reason: str | None = None
    traceback: str | None = None
    device: str | None = None
    worker: int | None = None
    attempt: int = 0
    begun_by: int | None = None
    """The worker that last began the run by its log; None where unknown."""
    writer: object = None
    """The token of the last writer of `started` in the run's log; None in logs without tokens."""
    displaced: list[object] = field(default_factory=list)
    """Those of the writers before."""
    job: str | None = None
    """The scheduler's job that has the run, such as `slurm 4711`."""
    waits: str | None = None
    """Why it waits in the scheduler's queue."""
    about: dict[str, Any] = field(default_factory=dict)
    """The payload of `started`: parameters, macs, steps_per_epoch, precision, class_names, ..."""
    started_at: float | None = None
    """When training began or was last resumed, unix seconds."""
    unpaused_at: float | None = None
    """When its last pause ended, unix seconds."""
    ended_at: float | None = None
    settled_at: float | None = None
    """When it first ended other than as stopped, unix seconds; planned looks that wait for it are taken then."""
    steps: array[float] = field(default_factory=_series)
    metrics: dict[str, array[float]] = field(default_factory=lambda: {each.name: _series() for each in STEP_METRICS})
    """By name, as long as `steps`."""
    times: array[float] = field(default_factory=_series)
    """Seconds of training at each point; pauses, evaluation and time between resumes not counted."""
    epochs: list[EpochResult] = field(default_factory=list)
    gates: dict[str, list[float]] = field(default_factory=dict)
    """The newest mean gate of each channel, by layer."""
    probes: list[tuple[int, str]] = field(default_factory=list)
    """Epoch and file name of each probe, oldest first."""
    checkpoint: tuple[int, int] | None = None
    """Step and epoch of the newest checkpoint."""
    resumed_from: int | None = None
    """The step from which training was last resumed; None when it never was."""
    points_since_resume: int = 0
    warnings: list[str] = field(default_factory=list)
    weights_sha256: str | None = None
    last_t: float = 0.0
    """Time stamp of the newest event of this run, unix seconds."""
    since: float = -math.inf
    """When the supervisor last queued or assigned this run; earlier events of its log are of past attempts."""
    behind_pause: str = "queued"
    """The state to which it returns after a pause."""
    last_words: tuple[float, str | None] = (-math.inf, None)
    """When its worker last recorded an end, and with what traceback."""

    @property
    def losses(self) -> array[float]:
        """The training loss at each point."""
        return self.metrics["loss"]

    @property
    def accuracies(self) -> array[float]:
        """The training accuracy at each point."""
        return self.metrics["accuracy"]

    @property
    def step(self) -> int:
        """The last step known to be trained."""
        return max(int(self.steps[-1]) if self.steps else 0, self.epochs[-1].step if self.epochs else 0)

    @property
    def epoch(self) -> int:
        """Number of epochs completed and evaluated."""
        return self.epochs[-1].epoch if self.epochs else 0

    @property
    def total_steps(self) -> int | None:
        """Steps of the whole run; None before the worker has said it."""
        per_epoch, epochs, steps = (self.about.get(key, 0) for key in ("steps_per_epoch", "epochs", "steps"))
        if type(steps) is int and steps > 0:
            return steps
        return per_epoch * epochs if per_epoch > 0 and epochs > 0 else None

    @property
    def progress(self) -> float:
        """Fraction of the run's steps that are done, in [0, 1]."""
        total = self.total_steps
        return 1.0 if self.state == "finished" else min(self.step / total, 1.0) if total else 0.0

    @property
    def train_seconds(self) -> float:
        """Seconds spent in training steps so far."""
        return max(self.times[-1] if self.times else 0.0, self.epochs[-1].train_seconds if self.epochs else 0.0)

    @property
    def images_per_second(self) -> float | None:
        """Training images over training seconds, over the whole run; None before anything was measured."""
        if self.epochs and self.epochs[-1].train_seconds > 0:
            return self.epochs[-1].images / self.epochs[-1].train_seconds
        if self.times and self.times[-1] > 0:
            return self.steps[-1] * float(self.about.get("batch_size", 0)) / self.times[-1]
        return None

    @property
    def diverged(self) -> bool:
        """Whether it ended because its loss, weights or logits became NaN or infinite."""
        if self.state == "failed":
            return any(words in (self.reason or "") for words in NOT_FINITE)
        return self.state == "finished" and bool(self.epochs) and not math.isfinite(self.epochs[-1].test_loss)

    @property
    def ended(self) -> bool:
        """Whether it has ended in any way."""
        return self.state in RUN_ENDED

    @property
    def place(self) -> str:
        """Host, scheduler's job and number of the start; empty for the first start of a local run."""
        starts = f"start {self.attempt}" if self.attempt > 1 else ""
        host = str(self.about.get("host", "")) if self.job is not None and self.waits is None else ""
        return " · ".join(text for text in (host, self.job or "", starts) if text)

    def add_points(self, data: Mapping[str, Any]) -> None:
        """Add the points of a `metrics` event, except known steps; damaged blocks are ignored."""
        try:
            steps = [*map(number, data["step"])]
            columns = {
                metric.name: [*map(number, data[metric.name])] if metric.name in data else [math.nan] * len(steps)
                for metric in STEP_METRICS
            }
            seconds = number(data["train_seconds"])
        except (TypeError, ValueError):
            return
        if any(len(values) != len(steps) for values in columns.values()):
            return
        last = self.steps[-1] if self.steps else 0.0
        known = 0
        if steps and not steps[0] > last:
            known = next((index for index, step in enumerate(steps) if step > last), len(steps))
            steps = steps[known:]
        newest = last
        for step in steps:
            if not newest < step < math.inf:
                return
            newest = step
        if not steps:
            return
        before = self.times[-1] if self.times else 0.0
        spent = seconds - before if before <= seconds < math.inf else 0.0
        span = newest - last
        self.times.extend([before + spent * ((step - last) / span) for step in steps])
        self.steps.extend(steps)
        for name, values in columns.items():
            self.metrics[name].extend(values[known:])
        self.points_since_resume += len(steps)

    def traceback_since(self, t: float) -> str | None:
        """The traceback of an end that the run's worker recorded at `t` (unix seconds) or later."""
        return self.last_words[1] if self.last_words[0] >= t else None
