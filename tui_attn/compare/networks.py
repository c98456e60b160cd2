"""The two networks of one seed, compared on the images of the test set."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tui_attn.compare.counting import why_not_paired
from tui_attn.compare.images import mcnemar
from tui_attn.compare.predictions import Predictions, PredictionsError, load_predictions
from tui_attn.experiment.folders import ExperimentDir
from tui_attn.experiment.reducer import RunState

_TOLERANCE = 0.005
"""By how much the accuracy of saved predictions may differ from the logged one; more is another network's."""


def these_networks(
    folder: ExperimentDir, pairs: Sequence[tuple[RunState, RunState]]
) -> tuple[dict[str, Any] | None, list[str]]:
    """The exact McNemar test on the first of `pairs` (base, other) whose predictions can be used.

    The first value has the keys `test`, `p_value`, `seed`, `base_only` and `other_only` (images that only one of the
    two gets right), or is None without such a pair; the second says in words why earlier pairs couldn't be used.
    """
    problems: list[str] = []
    for base, other in pairs:
        if why_not_paired(base, other) is not None:
            continue
        first, second = _load(folder, base, problems), _load(folder, other, problems)
        if first is None or second is None:
            continue
        if first.logits.shape != second.logits.shape or (first.labels != second.labels).any():
            problems.append(f"the predictions of {base.id} and {other.id} are on different test images: not compared")
            continue
        test = mcnemar(first.right, second.right)
        found = {"test": "mcnemar", "p_value": test.p_value, "seed": base.seed}
        return {**found, "base_only": test.first_only, "other_only": test.second_only}, problems
    return None, problems


def _load(folder: ExperimentDir, run: RunState, problems: list[str]) -> Predictions | None:
    """The predictions of `run`, or None and another problem."""
    try:
        found = load_predictions(folder.run(run.id).predictions)
        if abs(found.accuracy - run.epochs[-1].test_accuracy) > _TOLERANCE:
            raise PredictionsError(
                f"doesn't belong to this run (accuracy {found.accuracy:.4f}, logged {run.epochs[-1].test_accuracy:.4f})"
            )
    except PredictionsError as error:
        problems.append(f"{run.id}/predictions.npz {error}")
        return None
    return found
