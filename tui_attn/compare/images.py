"""Image by image: two trained networks on one test set, classes, confusions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class McNemar:
    """Exact McNemar test on two trained networks; it says nothing of other seeds of the same models."""

    first_only: int
    """Images that only the first network gets right."""
    second_only: int
    p_value: float
    """Two-sided."""


@dataclass(frozen=True, slots=True)
class Disagreements:
    """Indices of the test images that two networks put into different classes, ascending."""

    first_right: NDArray[np.int64]
    second_right: NDArray[np.int64]
    both_wrong: NDArray[np.int64]


def mcnemar(first_right: NDArray[np.bool_], second_right: NDArray[np.bool_]) -> McNemar:
    """Compare two networks by the images that only one of them gets right; both arrays [N], in the same order.

    Q. McNemar, Psychometrika 12 (1947), with the binomial distribution itself instead of chi squared. Without any
    such image p is 1. Raises `ValueError` for unequal lengths.
    """
    if first_right.shape != second_right.shape:
        raise ValueError("two networks can only be compared on the same images")
    first_only = int((first_right & ~second_right).sum())
    second_only = int((second_right & ~first_right).sum())
    return McNemar(first_only, second_only, _two_sided_coin(min(first_only, second_only), first_only + second_only))


def _two_sided_coin(fewer: int, tosses: int) -> float:
    """Probability that `tosses` of a fair coin fall at least as unevenly as `fewer` to the rest."""
    if not tosses:
        return 1.0
    from scipy.special import bdtr

    return min(1.0, 2 * float(bdtr(fewer, tosses, 0.5)))


def confusion(logits: NDArray[Any], labels: NDArray[Any]) -> NDArray[np.int64]:
    """How many images of class i (row) were taken for class j (column): int64 [K, K] from [N, K] and [N]."""
    import numpy as np

    classes = logits.shape[1]
    pairs = labels.astype(np.int64) * classes + logits.argmax(axis=1)
    found: NDArray[np.int64] = np.bincount(pairs, minlength=classes * classes).reshape(classes, classes)
    return found


def per_class(confusion: NDArray[np.int64]) -> NDArray[np.float64]:
    """Accuracy of each class [K] from a confusion matrix [K, K]; NaN for a class without images."""
    import numpy as np

    images = confusion.sum(axis=1)
    right = confusion.diagonal().astype(np.float64)
    found: NDArray[np.float64] = np.divide(right, images, out=np.full(len(images), np.nan), where=images > 0)
    return found


def disagreements(first_logits: NDArray[Any], second_logits: NDArray[Any], labels: NDArray[Any]) -> Disagreements:
    """The images that two networks put into different classes, from logits [N, K] and labels [N].

    Raises `ValueError` for unequal shapes.
    """
    import numpy as np

    if first_logits.shape != second_logits.shape or len(labels) != len(first_logits):
        raise ValueError("two networks can only be compared on the same images")
    first, second = first_logits.argmax(axis=1), second_logits.argmax(axis=1)
    differ = first != second
    return Disagreements(
        first_right=np.flatnonzero(differ & (first == labels)),
        second_right=np.flatnonzero(differ & (second == labels)),
        both_wrong=np.flatnonzero(differ & (first != labels) & (second != labels)),
    )
