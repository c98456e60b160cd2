"""Is the picture real? What a heatmap of gates or of attention shows, beside that of the untrained network.

An untrained network has a heatmap, too, because images of different classes differ, so that whatever is computed from
them does. Measured on 200 untrained lab networks on Fashion-MNIST, the class explains 35 % of the variance of a gate in
the first SE layer and 30 % in the second. Hence the strength of a pattern is compared with that before training, in the
spirit of Adebayo et al., Sanity Checks for Saliency Maps, NeurIPS 2018 (https://arxiv.org/abs/1810.03292), and where
there is a twin, the same network trained on random labels, with its pattern as well. A network that memorises random
labels for long has strong patterns, too, which only the twin shows.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from tui_attn.compare.archives import ArchiveError, read_archive
from tui_attn.experiment.folders import ID, ExperimentDir, run_id
from tui_attn.experiment.model_info import gate_range_of, twin_name
from tui_attn.experiment.reducer import RunState

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Matrix = NDArray[np.float64]
    Arrays = Mapping[str, NDArray[Any]]

FACTOR = 3.0
"""How many times as strong as before training, and as the twin's, a pattern must be to count as learned.

Below 1/3 of that before training it is flattened. "Learned" is one-sided and says that at least one of two patterns is
stronger. Of all ordered pairs among 60 untrained networks of se, self-attention and eca each, on Fashion-MNIST and on
the synthetic data, at least one is in 0.5 to 3 % of the pairs of a layer, so both patterns together keep below 5 %. A
test that permutes channels between two networks would be wrong far more often: the channels of one network share its
hidden layer and are not independent.
"""
FOLLOWS = 0.5
"""Rank correlation from which on a pattern is said to follow the random start."""

Change = Literal["stronger", "as with random labels", "new", "flattened", "similar"]
"""`stronger` than before training and than the twin's; `new`: absent before training, and there is no twin."""


@dataclass(frozen=True, slots=True)
class Pattern:
    """How strong one pattern of a heatmap is: a root mean square, in units of gates or of attention weights."""

    strength: float
    untrained: float | None
    """The same of the untrained network of that seed; None where it isn't known."""
    twin: float | None = None
    """The same of the network of that seed that was trained on random labels; None without one."""

    @property
    def ratio(self) -> float | None:
        """Strength as a multiple of the untrained network's; None where that isn't known or is 0."""
        return self.strength / self.untrained if self.untrained else None

    @property
    def change(self) -> Change | None:
        """How it compares with the untrained network's; None where that isn't known."""
        if self.untrained is None:
            return None
        if self.strength > 0 and self.strength >= FACTOR * self.untrained:
            if self.twin is None:
                return "stronger" if self.untrained else "new"
            return "stronger" if self.strength >= FACTOR * self.twin else "as with random labels"
        return "flattened" if self.ratio is not None and self.ratio <= 1 / FACTOR else "similar"


@dataclass(frozen=True, slots=True)
class HeatmapFacts:
    """What a heatmap shows, in numbers."""

    layer: str
    """ "se1", "se2", "attention"."""
    saturated: tuple[float, float] | None
    """Of gates, the shares below and above `saturation_limits`. Of rows of attention weights, the shares that give no
    channel more than twice its even share, and that give one channel more than half."""
    between: NDArray[np.float64] | None
    """[C], the share of each channel's variance over the images that lies between classes; see `between_classes`."""
    between_untrained: NDArray[np.float64] | None
    chance: float | None
    """What `between` would be on average if the class of an image made no difference."""
    effective_rank: float
    """Of the classes x channels matrix, each channel's mean subtracted; at most classes - 1."""
    effective_rank_untrained: float | None
    most_rank: int
    levels: Pattern
    """What is common to all classes: how much the channels' mean gates differ from each other; for attention, how much
    the heads' mean weights differ from uniform ones."""
    classes: Pattern
    """What differs between classes: how much a class's mean gates differ from the mean over the classes."""
    follows_start: float | None
    """Spearman's rank correlation of the classes' deviations with the untrained network's: 1 is the same pattern."""

    @property
    def learned(self) -> bool | None:
        """Whether at least one pattern is stronger than before training, and than the twin's; None where unknown."""
        known = [pattern.change for pattern in (self.levels, self.classes)]
        return None if None in known else True if "stronger" in known else None if "new" in known else False


def saturation_limits(layer: str) -> tuple[float, float]:
    """Below and above which the gates of a layer count as saturated: within 5 % of an end of their range."""
    low, high = gate_range_of(layer)
    return low + 0.05 * (high - low), high - 0.05 * (high - low)


def heatmap_facts(arrays: Arrays, untrained: Arrays | None = None, twin: Arrays | None = None) -> list[HeatmapFacts]:
    """The facts of every heatmap in the `arrays` of a probe, beside those of the `untrained` network and of the `twin`.

    What an earlier version didn't store is None. Arrays that don't fit each other are passed over.
    """
    layers = list(dict.fromkeys(name.partition("/")[0] for name in arrays if name.endswith("/by_class")))
    found = [_facts(layer, arrays, untrained, twin) for layer in layers]
    return [facts for facts in found if facts is not None]


def _facts(layer: str, arrays: Arrays, untrained: Arrays | None, twin: Arrays | None) -> HeatmapFacts | None:
    now = _centred(layer, arrays)
    if now is None:
        return None
    start, other = (None if each is None else _centred(layer, each, now.shape) for each in (untrained, twin))
    before = {} if untrained is None or start is None else untrained
    beside = {} if twin is None or other is None else twin
    size = float(abs(arrays[f"{layer}/by_class"]).max())
    images = _images(arrays, len(now))
    total = 0.0 if images is None else float(images.sum())
    return HeatmapFacts(
        layer=layer,
        saturated=_saturated(layer, arrays),
        between=_between(layer, arrays),
        between_untrained=_between(layer, before),
        chance=None if total < 2 else (len(now) - 1) / (total - 1),
        effective_rank=effective_rank(now),
        effective_rank_untrained=None if start is None else effective_rank(start),
        most_rank=len(now) - 1,
        levels=Pattern(
            level_spread(layer, arrays), *(level_spread(layer, each) if each else None for each in (before, beside))
        ),
        classes=Pattern(_rms(now, size), *(None if each is None else _rms(each, size) for each in (start, other))),
        follows_start=None if start is None else rank_correlation(now, start),
    )


def between_classes(by_class: Matrix, within: Matrix, images: Matrix | None = None) -> Matrix:
    """The share of each channel's variance over the images that lies between classes, eta squared: [C].

    `by_class` [classes, C] are the classes' means and `within` [classes, C] the standard deviations (with n, not n - 1)
    between the images of a class; `images` [classes] are how many, by default equally many. Then it is exactly the sum
    of squares between classes over that of all images. Where a channel has M values (its row of attention weights),
    `by_class` is [classes, C, M], `within` the root mean square of their M deviations, and the sums of squares are
    added up over the M. Of a channel that never varies it is 0.
    """
    import numpy as np

    means = by_class.reshape(*by_class.shape[:2], -1)  # [classes, C, M]
    weights = np.ones(len(means)) if images is None else images
    shares = weights / weights.sum()
    overall = np.einsum("k,kcm->cm", shares, means)
    between = np.einsum("k,kcm->c", shares, (means - overall) ** 2) / means.shape[2]
    total = between + np.einsum("k,kc->c", shares, within**2)
    found: Matrix = np.divide(between, total, out=np.zeros_like(total), where=total > 0)
    return found


def effective_rank(matrix: Matrix) -> float:
    """How many dimensions a matrix makes use of: the exponential of the entropy of its normalised singular values.

    O. Roy and M. Vetterli, The Effective Rank: a Measure of Effective Dimensionality, EUSIPCO 2007. 0 for a matrix of
    zeros.
    """
    import numpy as np

    values = np.linalg.svd(matrix, compute_uv=False)
    if not values.size or values[0] <= 0:
        return 0.0
    shares = values / values.sum()
    shares = shares[shares > 0]
    return float(np.exp(-(shares * np.log(shares)).sum()))


def rank_correlation(first: Matrix, second: Matrix) -> float | None:
    """Spearman's rank correlation of the elements of two matrices; None where one is constant."""
    import numpy as np
    from scipy.stats import rankdata

    one, two = rankdata(first), rankdata(second)
    if one.min() == one.max() or two.min() == two.max():
        return None
    return float(np.corrcoef(one, two)[0, 1])


# ---- reading a probe's arrays


@dataclass(frozen=True, slots=True)
class Probes:
    """The arrays of a run's probes, by the names that `tui_attn.train.probe.compute` gives them."""

    epoch: int
    """Of the newest probe."""
    trained: dict[str, NDArray[Any]]
    untrained: dict[str, NDArray[Any]] | None
    """Of epoch 0; None where it is missing or damaged."""
    facts: list[HeatmapFacts]
    """By layer."""


def load_probes(folder: ExperimentDir, run: RunState, epoch: int | None = None) -> Probes:
    """The newest heatmaps of `run`, or those of an epoch, beside the untrained ones.

    Raises `ArchiveError` where there are none, or they can't be read.
    """
    files = dict(run.probes)
    epoch = max(files, default=0) if epoch is None else epoch
    trained = load_trained(folder, run, epoch)
    untrained = _load_if_there(folder, run.id, files[0]) if 0 in files else None
    name = twin_name(run.model)
    twin = _load_if_there(folder, run_id(name, run.seed), files[epoch]) if name and epoch else None
    return Probes(epoch, trained, untrained, heatmap_facts(trained, untrained, twin))


def load_trained(folder: ExperimentDir, run: RunState, epoch: int | None = None) -> dict[str, NDArray[Any]]:
    """The arrays of the newest probe of `run`, or of that of an epoch. Raises `ArchiveError`."""
    files = dict(run.probes)
    epoch = max(files, default=0) if epoch is None else epoch
    if epoch not in files:
        raise ArchiveError("there is no probe of this run" if not files else f"there is no probe of epoch {epoch}")
    return _load(folder, run.id, files[epoch])


def _load(folder: ExperimentDir, run: str, file: str) -> dict[str, NDArray[Any]]:
    if not ID.fullmatch(file):
        raise ArchiveError("is not a probe's name")
    return read_archive(folder.run(run).probes / file, folders=2)


def _load_if_there(folder: ExperimentDir, run: str, file: str) -> dict[str, NDArray[Any]] | None:
    try:
        return _load(folder, run, file)
    except ArchiveError:
        return None


def _centred(layer: str, arrays: Arrays, shape: tuple[int, ...] | None = None) -> Matrix | None:
    """The classes' means less that of all, a row each: gates [classes, C], attention weights [classes, C * C].

    None where they are missing, damaged or not of the `shape` that is asked for.
    """
    import numpy as np

    values = arrays.get(f"{layer}/by_class")
    dimensions = 3 if layer == "attention" else 2
    if values is None or values.dtype.kind != "f" or values.ndim != dimensions or len(values) < 2:
        return None
    if not values.size or not np.isfinite(values).all():
        return None
    matrix: Matrix = values.reshape(len(values), -1).astype(np.float64)
    return matrix - matrix.mean(axis=0) if shape in {None, matrix.shape} else None


def _images(arrays: Arrays, classes: int) -> Matrix | None:
    """How many images of each class were probed; None where an earlier version didn't store it."""
    values = arrays.get("classes/images")
    if values is None or values.shape != (classes,) or not (values > 0).all():
        return None
    return values.astype("float64")


def _between(layer: str, arrays: Arrays) -> Matrix | None:
    by_class, within = arrays.get(f"{layer}/by_class"), arrays.get(f"{layer}/within")
    if by_class is None or within is None or within.shape != by_class.shape[:2] or within.dtype.kind != "f":
        return None
    images = _images(arrays, len(by_class))
    found = between_classes(by_class.astype("float64"), within.astype("float64"), images)
    spread = by_class.max(axis=0) - by_class.min(axis=0)
    widest = spread.reshape(len(spread), -1).max(axis=1)  # [C], how far the classes' means are apart, at most
    rounding = 1e-6 * abs(by_class).max()
    found[(within.max(axis=0) <= rounding) & (widest <= rounding)] = 0
    return found if math.isfinite(found.sum()) else None


def _saturated(layer: str, arrays: Arrays) -> tuple[float, float] | None:
    values = arrays.get(f"{layer}/saturated")
    if values is None or values.shape != (2,) or values.dtype.kind != "f":
        return None
    low, high = (float(value) for value in values)
    return (low, high) if 0 <= low <= 1 and 0 <= high <= 1 else None


def _rms(values: NDArray[Any], beside: float = 0.0) -> float:
    """The root mean square; 0 where it is no more than the rounding of float32 numbers as large as `beside`."""
    found = math.sqrt(float((values**2).mean()))
    return found if found > 1e-6 * beside else 0.0


def level_spread(layer: str, arrays: Arrays) -> float:
    """How much gates differ between channels (SD of their means), or the heads' mean weights from even ones (RMS)."""
    import numpy as np

    if layer == "attention":
        heads = arrays.get("attention/by_head", arrays["attention/by_class"]).astype(np.float64)
        looks = heads > 0  # a head with its own channels can't look at others
        return _rms(heads - looks / np.maximum(looks.sum(-1, keepdims=True), 1))
    return float(arrays[f"{layer}/by_class"].astype(np.float64).mean(axis=0).std())
