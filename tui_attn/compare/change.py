"""What replacing something in one trained network changes: accuracy before and after, on the same test images."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tui_attn.compare.paired import ERROR_RATE, Interval

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Change:
    """How the accuracy of one network changed. Fractions of the test images."""

    before: float
    after: float
    """Mean over the draws where the replacement is drawn at random."""
    delta: float
    """after - before."""
    ci95: Interval
    """Of `delta`, over test images; it says nothing of other seeds."""
    lost: float
    """Images that were classified rightly and no longer are, mean over the draws."""
    gained: float


def paired_change(before: NDArray[np.bool_], after: NDArray[np.bool_], level: float = 1 - ERROR_RATE) -> Change:
    """The change from `before` [N] to `after`, [N] or [D, N] for D draws of a random replacement.

    The interval is that of Bonett and Price, Adjusted Wald Confidence Interval for a Difference of Binomial
    Proportions Based on Paired Data, J. Educ. Behav. Stat. 37 (2012): the normal interval of the mean of the images'
    changes (-1, 0 or 1) after one image lost and one image gained are added to them. It is short, keeps its level also
    where hardly any image changes, in which the plain normal interval fails and is 0 wide without any, and is one of
    those that Fagerland, Lydersen and Laake recommend (Stat. Med. 33, 2014). Unlike score intervals such as Tango's it
    carries over to the mean of several draws, when an image's change is a fraction: it is then the share of the
    draws, and its variance over the images holds what the draws leave of their own randomness.

    Raises `ValueError` for no images and for unlike lengths.
    """
    import numpy as np
    from scipy.special import ndtri

    draws = np.atleast_2d(after)
    if before.ndim != 1 or not before.size or draws.shape[1:] != before.shape or not len(draws):
        raise ValueError("the same images, at least one of them, are needed before and after")
    lost, gained = (before & ~draws).mean(axis=0), (~before & draws).mean(axis=0)
    change = gained - lost
    count = change.size + 2
    middle = float(change.sum()) / count
    spread = math.sqrt(max(0.0, (float((change**2).sum()) + 2) / count - middle**2))
    half = float(ndtri((1 + level) / 2)) * spread / math.sqrt(count)
    ends = (max(-1.0, middle - half), min(1.0, middle + half))
    return Change(
        before=float(before.mean()),
        after=float(draws.mean()),
        delta=float(change.mean()),
        ci95=ends,
        lost=float(lost.mean()),
        gained=float(gained.mean()),
    )
