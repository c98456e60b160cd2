"""How far a run is: its place in the data, and what its steps came to since the last point of the log."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor


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


class Tally:
    """Losses and right answers of single steps, on the device until somebody asks: reading them waits for it."""

    def __init__(self) -> None:
        self._losses: list[Tensor] = []
        self._corrects: list[Tensor] = []

    def add(self, loss: Tensor, correct: Tensor) -> None:
        """Note a step's mean loss, float32 (), and its right answers, int64 ()."""
        self._losses.append(loss)
        self._corrects.append(correct)

    def read(self) -> tuple[list[float], int]:
        """The loss of each step that was noted, and all right answers. Needs one step at least."""
        correct = torch.stack(self._corrects).sum().to(torch.int32)
        packed = torch.cat([torch.stack(self._losses).view(torch.int32), correct[None]]).cpu()  # waits but once
        return packed[:-1].view(torch.float32).tolist(), int(packed[-1])

    def clear(self) -> None:
        """Begin anew."""
        self._losses, self._corrects = [], []

    def state_dict(self) -> dict[str, Tensor]:
        """`losses` float32 (steps,) and `corrects` int64 (steps,)."""
        return {
            "losses": torch.stack(self._losses) if self._losses else torch.zeros(0),
            "corrects": torch.stack(self._corrects) if self._corrects else torch.zeros(0),
        }

    def load_state_dict(self, state: dict[str, Any], device: torch.device) -> None:
        """The inverse of `state_dict`, which may hold more. Raises `KeyError`, and what torch raises, on damage."""
        self._losses = list(state["losses"].to(device))
        self._corrects = list(state["corrects"].to(device))
