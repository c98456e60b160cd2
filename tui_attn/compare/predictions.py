"""The final logits of a run on the test set, as `predictions.npz` keeps them: checked before anything trusts them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tui_attn.compare.archives import ArchiveError, read_archive

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


class PredictionsError(ValueError):
    """The predictions can't be used; the message says why in a few words, such as "is missing"."""


@dataclass(frozen=True, slots=True)
class Predictions:
    """Final logits and the labels that they should have led to."""

    logits: NDArray[np.float32]
    """[N, K] for N test images and K classes, finite."""
    labels: NDArray[np.int64]
    """[N], from 0 to K - 1."""

    @property
    def right(self) -> NDArray[np.bool_]:
        """[N], whether the class with the largest logit is the label."""
        found: NDArray[np.bool_] = self.logits.argmax(axis=1) == self.labels
        return found

    @property
    def accuracy(self) -> float:
        """Fraction of the images that are classified rightly."""
        return float(self.right.mean())


def load_predictions(path: Path) -> Predictions:
    """Read and check `path`: no pickles, no symlinks, no array beyond a gigabyte. Raises `PredictionsError`."""
    try:
        arrays = read_archive(path, ("logits", "labels"))
    except ArchiveError as error:
        raise PredictionsError(str(error)) from None
    return _checked(arrays["logits"], arrays["labels"])


def _checked(logits: NDArray[Any], labels: NDArray[Any]) -> Predictions:
    import numpy as np

    if logits.dtype.kind != "f" or logits.ndim != 2 or logits.shape[0] < 1 or logits.shape[1] < 2:
        raise PredictionsError("holds logits of a wrong shape or type")
    if labels.dtype.kind not in "iu" or labels.shape != logits.shape[:1]:
        raise PredictionsError("holds labels that don't fit its logits")
    if not np.isfinite(logits).all():
        raise PredictionsError("holds logits that are not numbers")
    if labels.min() < 0 or labels.max() >= logits.shape[1]:
        raise PredictionsError("holds labels of classes that it has no logits for")
    return Predictions(np.asarray(logits, dtype=np.float32), labels.astype(np.int64))
