"""How long a run took to become good."""

from __future__ import annotations

from collections.abc import Sequence

from tui_attn.experiment.reducer import EpochResult


def time_to_accuracy(epochs: Sequence[EpochResult], accuracy: float) -> float | None:
    """Training seconds to the first evaluated epoch with at least this test accuracy; None while there is none.

    `accuracy` is a fraction. Seconds in training steps only, as `train_seconds`. The first time it is reached, not the
    time from which on it is kept.
    """
    return next((result.train_seconds for result in epochs if result.test_accuracy >= accuracy), None)
