"""One curve, as the dashboard hands it to a chart: references to growing arrays, copied only when they are drawn."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

XAxis = Literal["step", "epoch", "time"]
X_AXES: tuple[XAxis, ...] = ("step", "epoch", "time")


@dataclass(frozen=True, slots=True)
class Curve:
    """A named series of points over training steps.

    `steps`, `values` and `times` may be the growing `array('d')`s of a `RunState`: they are read, never changed or
    kept exported, and may be cut and grow again after a resume. They should be equally long; the shortest counts.
    """

    id: str
    """Stable: smoothing is remembered by it."""
    label: str
    """What the legend says. Data, never markup."""
    color: str
    """A key of the palette, usually the model: `base`, `se`, `self-attention`, or anything else."""
    steps: Sequence[float]
    values: Sequence[float]
    """NaN and infinities are marked where they happened."""
    times: Sequence[float] | None = None
    """Seconds of training at each point; without them the curve isn't drawn over time."""
    steps_per_epoch: float | None = None
    """Without it the curve isn't drawn over epochs."""
    group: str | None = None
    """Curves of one group (the seeds of a model) are drawn as one mean line with a band; None stands alone."""
    revision: int = 0
    """Changes whenever the arrays do. Equal revisions and lengths mean: nothing new."""
    marker: str = ""
    """One character that tells the curve apart without colour; chosen by the chart when empty."""
