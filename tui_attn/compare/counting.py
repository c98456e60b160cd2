"""Which runs count in means and verdicts, and which pairs may be compared."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from tui_attn.experiment.config import ExperimentConfig
from tui_attn.experiment.manifest import Manifest
from tui_attn.experiment.reducer import RunState
from tui_attn.system.text import safe_text

_ALIKE = {
    "dataset": "data set",
    "data_version": "data set's version",
    "train_size": "training images",
    "test_size": "test images",
    "class_names": "classes",
    "epochs": "epochs",
    "batch_size": "batch size",
    "precision": "precision",
    "torch": "torch",
}
"""What a run says of itself when it starts, and must be the same for two runs to be compared."""

_SETTINGS = {
    "dataset": "data set",
    "train_limit": "--train-limit",
    "test_limit": "--test-limit",
    "epochs": "epochs",
    "batch_size": "batch size",
    "lr": "learning rate",
    "augment": "augmentation",
}


def fraction(value: float | None) -> float | None:
    """`value` where it can be an accuracy, else None."""
    return value if value is not None and math.isfinite(value) and 0 <= value <= 1 else None


def why_left_out(run: RunState, epochs: int) -> str | None:
    """Why a finished `run` of an experiment of `epochs` epochs doesn't count; None when it does.

    Only finished runs count at all: what a stopped run had reached says nothing of what it would have come to.
    """
    trained = run.about.get("epochs", epochs)
    if trained != epochs:
        return f"was trained for {safe_text(trained, one_line=True)} epochs, not {epochs}"
    if run.epoch != epochs:
        return f"has no result of its last epoch in its log (the newest is of epoch {run.epoch} of {epochs})"
    if fraction(run.epochs[-1].test_accuracy) is None:
        return "has a test accuracy that is not a fraction"
    return None


def counts(run: RunState, epochs: int) -> bool:
    """Whether `run` enters means and verdicts."""
    return run.state == "finished" and why_left_out(run, epochs) is None


def why_not_paired(base: RunState, other: RunState) -> str | None:
    """Why two runs of one seed may not be compared; None when they may, or when a damaged log doesn't tell."""
    for key, name in _ALIKE.items():
        first, second = base.about.get(key), other.about.get(key)
        if first is not None and second is not None and first != second:
            return f"{name}: {_short(second)} against {_short(first)}"
    return None


def comparable(first: Manifest, second: Manifest) -> list[str]:
    """Why two experiments may not be compared with each other, a phrase for each reason; empty when they may.

    Accuracies on different data, under other settings or from other versions of the software differ for those
    reasons alone.
    """
    found = _differences(first.config, second.config)
    if first.precision != second.precision:
        found.append(_versus("precision", first.precision, second.precision))
    one, two = first.data.get("version"), second.data.get("version")
    if first.config.dataset == second.config.dataset and one != two:
        found.append(_versus("version of the data set", one, two))
    for name in ("tui-attn", "torch"):
        one, two = first.versions.get(name), second.versions.get(name)
        if one != two:
            found.append(_versus(f"version of {name}", one, two))
    return found


def _differences(first: ExperimentConfig, second: ExperimentConfig) -> list[str]:
    one: Mapping[str, Any] = first.to_json()
    two: Mapping[str, Any] = second.to_json()
    return [
        _versus(name, *("none" if value is None else value for value in (one[key], two[key])))
        for key, name in _SETTINGS.items()
        if one[key] != two[key]
    ]


def _versus(name: str, first: object, second: object) -> str:
    return f"{name}: {_short(first)} and {_short(second)}"


def _short(value: object) -> str:
    if value is None:
        return "unknown"
    if isinstance(value, list | tuple):
        value = ", ".join(str(item) for item in value) or "none"
    text = safe_text(value, one_line=True)
    return text if len(text) <= 40 else f"{text[:39]}…"
