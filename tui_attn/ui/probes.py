"""What a run's probes hold, read from its folder: gates by class, and attention between channels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tui_attn.runs import ExperimentDir
from tui_attn.state import RunState

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from tui_attn.compare import HeatmapFacts


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


@dataclass(frozen=True, slots=True)
class Probed:
    """A probe of one epoch, beside that of the untrained network."""

    matrices: list[Matrix]
    untrained: dict[str, Matrix]
    """By the names of `matrices`; empty where the untrained network's probe is missing or damaged."""
    facts: dict[str, HeatmapFacts]
    """By layer."""


def read_probe(folder: ExperimentDir, run: RunState, epoch: int) -> Probed:
    """The matrices of `run` after `epoch`, gates first. Raises `ArchiveError` when they can't be read."""
    from tui_attn.compare import load_probes

    found = load_probes(folder, run, epoch)
    classes = [str(name) for name in run.about.get("class_names", ())]
    before = matrices(found.untrained, classes) if found.untrained is not None else []
    return Probed(
        matrices(found.trained, classes),
        {matrix.name: matrix for matrix in before},
        {facts.layer: facts for facts in found.facts},
    )


def matrices(arrays: Mapping[str, NDArray[Any]], classes: list[str]) -> list[Matrix]:
    """What there is to show in a probe's arrays, gates first; arrays of unknown names or shapes are passed over."""
    found: list[Matrix] = []
    for name, values in arrays.items():
        found += _shown(name, values, classes)
    return sorted(found, key=lambda matrix: not matrix.unit)


def _shown(name: str, values: NDArray[Any], classes: list[str]) -> list[Matrix]:
    layer, _, kind = name.partition("/")
    if values.dtype.kind != "f" or 0 in values.shape:
        return []
    if layer == "attention" and values.ndim == 3 and kind in {"by_class", "by_head"}:
        by_class = kind == "by_class"
        names = _names(classes, len(values)) if by_class else [f"head {head + 1}" for head in range(len(values))]
        mean = values.mean(axis=0)
        each = [_attention(label, matrix, mean) for label, matrix in zip(names, values, strict=True)]
        return each if by_class else [_attention("mean over heads and images", mean, None), *each]
    if values.ndim == 2 and kind in {"", "by_class"} and layer != "attention":
        return [Matrix(f"gates of {layer}", values, _names(classes, len(values)), "class", "channel", True, layer)]
    return []


def _attention(label: str, values: NDArray[Any], reference: NDArray[Any] | None) -> Matrix:
    numbers = [str(index) for index in range(len(values))]
    return Matrix(f"attention, {label}", values, numbers, "from", "to channel", False, "attention", reference)


def _names(classes: list[str], count: int) -> list[str]:
    return classes if len(classes) == count else [f"class {index}" for index in range(count)]
