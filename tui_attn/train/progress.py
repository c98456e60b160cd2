"""How far a run is: its place in the data, and what its steps came to since the last point of the log."""

from __future__ import annotations

from dataclasses import dataclass


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
