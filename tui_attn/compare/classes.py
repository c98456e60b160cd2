"""Class by class: what each model gets right and what it mistakes for what, over all of its runs that count."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from tui_attn.compare.counting import counts
from tui_attn.compare.images import confusion, per_class
from tui_attn.compare.predictions import PredictionsError, load_predictions
from tui_attn.experiment.follower import Follower
from tui_attn.experiment.reducer import RunState
from tui_attn.system.text import safe_text

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


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


def class_results(follower: Follower) -> tuple[list[ClassResults], list[str]]:
    """The models whose finished runs have usable predictions, in their order, and in words which have none.

    Runs of a model whose predictions have other numbers of classes than its first are left out as well.
    """
    import numpy as np

    epochs = follower.manifest.config.epochs
    found: list[ClassResults] = []
    problems: list[str] = []
    for model in follower.manifest.config.models:
        runs: list[RunState] = []
        matrices: list[NDArray[np.int64]] = []
        for run in sorted(follower.state.runs.values(), key=lambda run: run.seed):
            if run.model != model or not counts(run, epochs):
                continue
            try:
                saved = load_predictions(follower.folder.run(run.id).predictions)
            except PredictionsError as error:
                problems.append(f"{safe_text(run.id, one_line=True)}/predictions.npz {error}")
                continue
            matrix = confusion(saved.logits, saved.labels)
            if matrices and matrix.shape != matrices[0].shape:
                problems.append(f"{safe_text(run.id, one_line=True)}/predictions.npz has other classes: left out")
                continue
            runs.append(run)
            matrices.append(matrix)
        if runs:
            names = class_names(runs[0], len(matrices[0]))
            total = np.sum(matrices, axis=0)
            by_run = np.array([per_class(matrix) for matrix in matrices])
            found.append(ClassResults(model, tuple(run.id for run in runs), names, total, by_run))
    return found, problems


def class_names(run: RunState, count: int) -> tuple[str, ...]:
    """What the classes are called, made safe; by their numbers where the run doesn't say it."""
    names = run.about.get("class_names")
    if not isinstance(names, list | tuple) or len(names) != count:
        return tuple(f"class {index}" for index in range(count))
    return tuple(safe_text(name, one_line=True)[:40] for name in names)
