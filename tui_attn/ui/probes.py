"""What a run's probes hold, read from its folder: gates by class, and attention between channels."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from tui_attn.experiment.folders import ExperimentDir
from tui_attn.experiment.reducer import RunState

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from tui_attn.compare.heatmaps import HeatmapFacts


@dataclass(frozen=True, slots=True)
class Matrix:
    """One matrix to show: rows by columns, and what they are."""

    name: str
    values: NDArray[Any]
    rows: list[str]
    row_title: str
    column_title: str
    unit: bool
    """Whether the values are gates, from 0 to 1."""
    layer: str
    reference: NDArray[Any] | None = None
    """The mean over all classes or heads, where the matrix is that of one of them."""
    part: str = ""
    """The name of the same over all images, where the matrix is that of one class."""
    group: str = ""
    """That class."""


@dataclass(frozen=True, slots=True)
class Probed:
    """A probe of one epoch, beside that of the untrained network."""

    matrices: list[Matrix]
    untrained: dict[str, Matrix]
    """By the names of `matrices`; empty where the untrained network's probe is missing or damaged."""
    facts: dict[str, HeatmapFacts]
    """By layer."""

    @property
    def parts(self) -> list[Matrix]:
        """The matrices over all images."""
        return [matrix for matrix in self.matrices if not matrix.group]

    def groups(self, part: Matrix) -> list[str]:
        """The classes of which the layer of `part` has matrices of their own."""
        return list(dict.fromkeys(found.group for found in self.matrices if found.group and found.layer == part.layer))

    def of_group(self, part: Matrix, group: str) -> Matrix | None:
        """The same as `part` over the images of one class; None where it wasn't recorded."""
        found = (matrix for matrix in self.matrices if (matrix.part, matrix.group) == (part.name, group))
        return next(found, None)


def read_probe(folder: ExperimentDir, run: RunState, epoch: int) -> Probed:
    """The matrices of `run` after `epoch`, gates first. Raises `ArchiveError` when they can't be read."""
    from tui_attn.compare.heatmaps import load_probes

    found = load_probes(folder, run, epoch)
    classes = [str(name) for name in run.about.get("class_names", ())]
    before = matrices(found.untrained, classes) if found.untrained is not None else []
    return Probed(
        matrices(found.trained, classes),
        {matrix.name: matrix for matrix in before},
        {facts.layer: facts for facts in found.facts},
    )


def largest_difference(*found: Matrix | None) -> float:
    """The largest distance of a value from its reference, or from the mean of its column, in any of these."""
    import numpy as np

    largest = 0.0
    for matrix in found:
        if matrix is not None:
            mean = matrix.values.mean(axis=0) if matrix.reference is None else matrix.reference
            distances = abs(matrix.values - mean)
            largest = max(largest, float(distances.max(where=np.isfinite(distances), initial=0.0)))
    return largest


def matrices(arrays: Mapping[str, NDArray[Any]], classes: list[str]) -> list[Matrix]:
    """The matrices in the arrays of a probe, gates first; arrays of unknown names or shapes are skipped."""
    found: list[Matrix] = []
    for name, values in arrays.items():
        found += _shown(name, values, classes)
    names = {matrix.name for matrix in found}
    # A matrix of one class whose matrix over all images is missing is listed by itself.
    found = [
        matrix if not matrix.part or matrix.part in names else replace(matrix, part="", group="") for matrix in found
    ]
    return sorted(found, key=lambda matrix: not matrix.unit)


def _shown(name: str, values: NDArray[Any], classes: list[str]) -> list[Matrix]:
    layer, _, kind = name.partition("/")
    if values.dtype.kind != "f" or 0 in values.shape:
        return []
    if layer == "attention" and values.ndim == 3 and kind == "by_head":
        heads = [_attention(_head(at), matrix, values.mean(axis=0)) for at, matrix in enumerate(values)]
        return [_attention(_MEAN, values.mean(axis=0), None), *heads]
    if layer == "attention" and values.ndim == 3 and kind == "by_class":
        return _of_classes(_MEAN, values, classes)
    if layer == "attention" and values.ndim == 4 and kind == "by_class_and_head":
        whole = values.astype("float32")
        return [found for at in range(values.shape[1]) for found in _of_classes(_head(at), whole[:, at], classes)]
    if values.ndim == 2 and kind in {"", "by_class"} and layer != "attention":
        return [Matrix(f"gates of {layer}", values, _names(classes, len(values)), "class", "channel", True, layer)]
    return []


_MEAN = "mean over heads"


def _head(at: int) -> str:
    return f"head {at + 1}"


def _attention(label: str, values: NDArray[Any], reference: NDArray[Any] | None, group: str = "") -> Matrix:
    numbers = [str(index) for index in range(len(values))]
    part = f"attention, {label}"
    name = f"{part}, {group}" if group else part
    of = part if group else ""
    return Matrix(name, values, numbers, "from", "to channel", False, "attention", reference, of, group)


def _of_classes(label: str, values: NDArray[Any], classes: list[str]) -> list[Matrix]:
    """The matrices of a head, or of the mean over them, for each class: `values` [classes, C, C]."""
    mean = values.mean(axis=0)
    named = zip(_names(classes, len(values)), values, strict=True)
    return [_attention(label, matrix, mean, group) for group, matrix in named]


def _names(classes: list[str], count: int) -> list[str]:
    return classes if len(classes) == count else [f"class {index}" for index in range(count)]
