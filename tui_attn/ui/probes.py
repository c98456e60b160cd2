"""What a run's probes hold, read from its folder: gates by class, and attention between channels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tui_attn.runs import ExperimentDir
from tui_attn.state import RunState

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_LARGEST = 1 << 26
"""Bytes; a larger file is none of ours."""


@dataclass(frozen=True, slots=True)
class Matrix:
    """One matrix to show: rows by columns, and what they are."""

    name: str
    values: NDArray[np.float32]
    rows: list[str]
    row_title: str
    column_title: str
    unit: bool
    """Whether the values are gates, from 0 to 1."""


def matrices(folder: ExperimentDir, run: RunState, file: str) -> list[Matrix]:
    """The matrices in a probe of `run`, gates first. Raises `OSError` or `ValueError` when it can't be read."""
    from tui_attn.compare.archives import read_archive

    path = folder.run(run.id).probes / file
    if path.name != file or path.stat(follow_symlinks=False).st_size > _LARGEST:
        raise ValueError("not a probe")
    classes = [str(name) for name in run.about.get("class_names", ())]
    found: list[Matrix] = []
    for name, values in read_archive(path).items():
        found += _shown(name, values, classes)
    return sorted(found, key=lambda matrix: not matrix.unit)


def _shown(name: str, values: NDArray[Any], classes: list[str]) -> list[Matrix]:
    layer, _, kind = name.partition("/")
    if values.dtype.kind != "f" or 0 in values.shape:
        return []
    if layer == "attention" and values.ndim == 3:
        by_class = kind == "by_class"
        names = _names(classes, len(values)) if by_class else [f"head {head + 1}" for head in range(len(values))]
        mean = Matrix("attention, mean", values.mean(axis=0), _numbers(values.shape[1]), "from", "to channel", False)
        each = [
            Matrix(f"attention, {label}", matrix, _numbers(matrix.shape[0]), "from", "to channel", False)
            for label, matrix in zip(names, values, strict=True)
        ]
        return each if by_class else [mean, *each]
    if values.ndim == 2 and kind in {"", "by_class"} and layer != "attention":
        return [Matrix(f"gates of {layer}", values, _names(classes, len(values)), "class", "channel", True)]
    return []


def _names(classes: list[str], count: int) -> list[str]:
    return classes if len(classes) == count else [f"class {index}" for index in range(count)]


def _numbers(count: int) -> list[str]:
    return [str(index) for index in range(count)]
