"""Debiased exponential smoothing over a whole series, point after point."""

from __future__ import annotations

import math
from collections.abc import Iterable


class Smoother:
    """The exponential moving average with bias correction, as TensorBoard and Adam use it (Kingma and Ba, 2015).

    After n finite values x_1 ... x_n and weight w the result is (1 - w) * sum(w^(n-i) * x_i) / (1 - w^n): the
    first value is x_1 itself, not drawn towards 0. A value that is not finite is passed through where it happened
    and leaves what follows as if it had not been there.
    """

    __slots__ = ("_average", "_decay", "weight")

    def __init__(self, weight: float) -> None:
        """`weight` of the past, in [0, 1); 0 changes nothing."""
        if not 0 <= weight < 1:
            raise ValueError(f"the smoothing weight must be in [0, 1), not {weight}")
        self.weight = weight
        self._average = 0.0
        self._decay = 1.0

    def extend(self, values: Iterable[float]) -> list[float]:
        """Take in further `values` and return one smoothed value for each."""
        weight, rest = self.weight, 1 - self.weight
        average, decay = self._average, self._decay
        smoothed = []
        for value in values:
            if math.isfinite(value):
                average = weight * average + rest * value
                decay *= weight
                smoothed.append(average / (1 - decay))
            else:
                smoothed.append(value)
        self._average, self._decay = average, decay
        return smoothed
