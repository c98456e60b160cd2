"""How far a network's confidence can be trusted: negative log-likelihood and expected calibration error."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from tui_attn.compare.t_test import ERROR_RATE, Interval, mean_interval

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from tui_attn.compare.predictions import Predictions

BINS = 15
"""Bins of equal width in confidence, as in the paper."""
_RESAMPLES = 999


@dataclass(frozen=True, slots=True)
class RunCalibration:
    """The calibration of one trained network on the test images.

    C. Guo et al., On Calibration of Modern Neural Networks, ICML 2017, section 2.
    """

    nll: float
    """Mean negative log-likelihood of the labels, nats."""
    images: NDArray[np.int64]
    """[BINS], images by confidence: the largest softmax probability, bins (0, 1/15], ..., (14/15, 1]."""
    confidence: NDArray[np.float64]
    """[BINS], sum of the confidences."""
    right: NDArray[np.int64]
    """[BINS], images classified correctly."""
    variance: NDArray[np.float64]
    """[BINS], sum of confidence * (1 - confidence)."""
    interval: Interval | None = None
    """95 % interval of `ece` over the test images; None where it was not asked for."""

    @property
    def ece(self) -> float:
        """Expected calibration error, a fraction: mean over the images of |accuracy - confidence| of their bin."""
        return _ece(self.images, self.confidence, self.right)

    @property
    def floor(self) -> float:
        """Mean of `ece` over samples of so many images, if each is classified correctly with probability confidence.

        No sample of a perfectly calibrated network has an error of 0: each bin's is the absolute value of a nearly
        normal variable. The comparison is that of J. Bröcker and L. A. Smith, Increasing the Reliability of Reliability
        Diagrams, Weather and Forecasting 22 (2007).
        """
        return float(((2 / math.pi * self.variance) ** 0.5).sum() / self.images.sum())


@dataclass(frozen=True, slots=True)
class Calibration:
    """The calibration of a model's runs; means over the runs."""

    runs: tuple[RunCalibration, ...]
    nll: float
    ece: float
    ece_interval: Interval | None
    """95 %: over the seeds where there are several, else over the test images."""

    @property
    def floor(self) -> float:
        """Mean `ece` of calibrated networks with the same confidences."""
        return math.fsum(run.floor for run in self.runs) / len(self.runs)

    @property
    def points(self) -> list[tuple[float, float, int]]:
        """(mean confidence, accuracy, images) of each bin that holds images, all runs together."""
        import numpy as np

        columns = np.sum([(run.confidence, run.right, run.images) for run in self.runs], axis=0).T
        return [(float(sure / images), float(right / images), int(images)) for sure, right, images in columns if images]


def run_calibration(found: Predictions, *, interval: bool = False) -> RunCalibration:
    """The calibration of one run. `interval`: compute the interval over the test images, too."""
    import numpy as np

    logits = found.logits.astype(np.float64)
    logits -= logits.max(axis=1, keepdims=True)
    log_sums = np.log(np.exp(logits).sum(axis=1))
    nll = float((log_sums - logits[np.arange(len(logits)), found.labels]).mean())
    confidence = np.exp(-log_sums)  # the largest logit is 0
    bins = np.clip(np.ceil(confidence * BINS).astype(np.int64) - 1, 0, BINS - 1)
    counts = _counts(bins, confidence, found.right)
    variance = np.bincount(bins, weights=confidence * (1 - confidence), minlength=BINS).astype(np.float64)
    return RunCalibration(nll, *counts, variance, _over_images(bins, confidence, found.right) if interval else None)


def summarise_calibration(runs: Sequence[RunCalibration]) -> Calibration:
    """The calibration of a model from that of its runs, at least one."""
    errors = [run.ece for run in runs]
    nll = math.fsum(run.nll for run in runs) / len(runs)
    mean, over_seeds = mean_interval(errors)
    if over_seeds is not None:
        over_seeds = (max(0.0, over_seeds[0]), min(1.0, over_seeds[1]))
    return Calibration(tuple(runs), nll, mean, over_seeds if len(runs) > 1 else runs[0].interval)


def _counts(
    bins: NDArray[np.int64], confidence: NDArray[np.float64], right: NDArray[np.bool_]
) -> tuple[NDArray[np.int64], NDArray[np.float64], NDArray[np.int64]]:
    import numpy as np

    count = partial(np.bincount, minlength=BINS)
    return count(bins), count(bins, weights=confidence).astype(np.float64), count(bins[right])


def _ece(images: NDArray[np.int64], confidence: NDArray[np.float64], right: NDArray[np.int64]) -> float:
    return float(abs(right - confidence).sum() / images.sum())


def _over_images(bins: NDArray[np.int64], confidence: NDArray[np.float64], right: NDArray[np.bool_]) -> Interval:
    """Basic bootstrap interval of the error over the images; the same predictions give the same interval.

    The error of a sample is biased upwards, and that of a resample once more: the basic interval (Davison and Hinkley,
    Bootstrap Methods and their Application, 1997, section 5.2) reflects the resamples and so takes one bias off.
    """
    import numpy as np

    rng = np.random.default_rng(0)
    error = _ece(*_counts(bins, confidence, right))
    chosen = (rng.integers(0, len(bins), len(bins)) for _ in range(_RESAMPLES))
    draws = [_ece(*_counts(bins[each], confidence[each], right[each])) for each in chosen]
    low, high = np.quantile(draws, [ERROR_RATE / 2, 1 - ERROR_RATE / 2])
    return max(0.0, 2 * error - float(high)), max(0.0, 2 * error - float(low))
