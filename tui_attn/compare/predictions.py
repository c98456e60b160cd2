"""What the predictions on the test set say: accuracy by class, confusions, two networks image by image."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tui_attn.compare.archives import ArchiveError, read_archive
from tui_attn.compare.calibration import Calibration, run_calibration, summarise_calibration
from tui_attn.compare.pairs import counts
from tui_attn.compare.t_test import ERROR_RATE, Interval
from tui_attn.experiment.follower import Follower
from tui_attn.experiment.model_info import twin_of
from tui_attn.experiment.reducer import RunState
from tui_attn.system.text import safe_text

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
        """Fraction of the images that are classified correctly."""
        return float(self.right.mean())


def load_predictions(path: Path) -> Predictions:
    """Read and check `path`: no pickles, no symlinks, no array beyond a gigabyte. Raises `PredictionsError`."""
    try:
        arrays = read_archive(path, ("logits", "labels"))
    except ArchiveError as error:
        raise PredictionsError(str(error)) from None
    import numpy as np

    logits, labels = arrays["logits"], arrays["labels"]
    if logits.dtype.kind != "f" or logits.ndim != 2 or logits.shape[0] < 1 or logits.shape[1] < 2:
        raise PredictionsError("holds logits of a wrong shape or type")
    if labels.dtype.kind not in "iu" or labels.shape != logits.shape[:1]:
        raise PredictionsError("holds labels that don't fit its logits")
    if not np.isfinite(logits).all():
        raise PredictionsError("holds logits that are not numbers")
    if labels.min() < 0 or labels.max() >= logits.shape[1]:
        raise PredictionsError("holds labels of classes that it has no logits for")
    return Predictions(np.asarray(logits, dtype=np.float32), labels.astype(np.int64))


@dataclass(frozen=True, slots=True)
class Disagreements:
    """Indices of the test images that two networks put into different classes, ascending."""

    first_right: NDArray[np.int64]
    second_right: NDArray[np.int64]
    both_wrong: NDArray[np.int64]


def mcnemar(first_right: NDArray[np.bool_], second_right: NDArray[np.bool_]) -> tuple[int, int, float]:
    """How many images only the first and only the second network gets right, and the two-sided p-value of that.

    Both arrays [N], in the same order. The exact test on two trained networks: it says nothing of other seeds of the
    same models. Q. McNemar, Psychometrika 12 (1947), with the binomial distribution itself instead of chi squared.
    Without any such image p is 1. Raises `ValueError` for unequal lengths.
    """
    if first_right.shape != second_right.shape:
        raise ValueError("two networks can only be compared on the same images")
    from scipy.special import bdtr

    first_only = int((first_right & ~second_right).sum())
    second_only = int((second_right & ~first_right).sum())
    one_sided = float(bdtr(min(first_only, second_only), first_only + second_only, 0.5))
    return first_only, second_only, min(1.0, 2 * one_sided)


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

    with np.errstate(invalid="ignore"):
        found: NDArray[np.float64] = confusion.diagonal() / confusion.sum(axis=1)
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


@dataclass(frozen=True, slots=True)
class ClassResults:
    """The predictions of a model's runs, class by class."""

    model: str
    runs: tuple[str, ...]
    names: tuple[str, ...]
    """Of the K classes, made safe."""
    confusion: NDArray[np.int64]
    """[K, K], images of class i (row) that were taken for class j (column), summed over the runs."""
    accuracy: NDArray[np.float64]
    """[R, K], of each run and class; NaN for a class without images."""
    calibration: Calibration


def class_results(follower: Follower) -> tuple[list[ClassResults], list[str]]:
    """The models whose finished runs have usable predictions, in their order, and in words which have none.

    Runs of a model whose predictions have other numbers of classes than its first are left out as well.
    """
    import numpy as np

    epochs = follower.manifest.config.epochs
    found: list[ClassResults] = []
    problems: list[str] = []
    for model in (model for model in follower.manifest.config.models if twin_of(model) is None):
        read: list[tuple[RunState, Predictions, NDArray[np.int64]]] = []
        for run in sorted(follower.state.runs.values(), key=lambda run: run.seed):
            if run.model != model or run.diverged or not counts(run, epochs):
                continue
            try:
                saved = load_predictions(follower.folder.run(run.id).predictions)
                matrix = confusion(saved.logits, saved.labels)
                if read and matrix.shape != read[0][2].shape:
                    raise PredictionsError("has other classes: left out")
            except PredictionsError as error:
                problems.append(f"{safe_text(run.id, one_line=True)}/predictions.npz {error}")
            else:
                read.append((run, saved, matrix))
        if read:
            matrices = [matrix for _, _, matrix in read]
            result = ClassResults(
                model=model,
                runs=tuple(run.id for run, _, _ in read),
                names=class_names(read[0][0], len(matrices[0])),
                confusion=np.sum(matrices, axis=0),
                accuracy=np.array([per_class(matrix) for matrix in matrices]),
                calibration=summarise_calibration(
                    [run_calibration(saved, interval=len(read) == 1) for _, saved, _ in read]
                ),
            )
            found.append(result)
    return found, problems


def class_names(run: RunState, count: int) -> tuple[str, ...]:
    """What the classes are called, made safe; by their numbers where the run doesn't say it."""
    names = run.about.get("class_names")
    if not isinstance(names, list | tuple) or len(names) != count:
        return tuple(f"class {index}" for index in range(count))
    return tuple(safe_text(name, one_line=True)[:40] for name in names)


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
    """Images that were classified correctly and no longer are, mean over the draws."""
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
