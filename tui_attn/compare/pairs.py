"""Which runs count in means and verdicts, which are paired, and the first result they give."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Protocol

from tui_attn.compare.t_test import PairedTest, VerdictLabel, paired_t_test
from tui_attn.experiment.config import ExperimentConfig
from tui_attn.experiment.folders import ExperimentDir, run_id
from tui_attn.experiment.follower import Situation
from tui_attn.experiment.manifest import Manifest
from tui_attn.experiment.reducer import ExperimentState, RunState
from tui_attn.system.text import safe_text

Pair = tuple[RunState, RunState]
"""A run of base and one of another model."""
BASE = "base"
"""The model that the others are compared with."""

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


class Experiment(Protocol):
    """What a comparison reads: the logs of an experiment, or of several as one."""

    @property
    def manifest(self) -> Manifest:
        """How it was started."""

    @property
    def folder(self) -> ExperimentDir:
        """Where its files are."""

    @property
    def state(self) -> ExperimentState:
        """What its logs say."""

    def situation(self) -> Situation:
        """The states of its runs now."""

    def troubles(self) -> list[str]:
        """What is wrong with its logs, safe to show."""


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
    loss = run.epochs[-1].test_loss
    if loss is not None and not math.isfinite(loss):
        return "has a test loss that is not finite: its logits are no result"
    return None


def counts(run: RunState, epochs: int) -> bool:
    """Whether `run` enters means and verdicts."""
    return run.state == "finished" and why_left_out(run, epochs) is None


def why_not_paired(base: RunState, other: RunState) -> str | None:
    """Why two runs of one seed may not be compared; None when they may, or when a damaged log doesn't tell."""
    for key, name in _ALIKE.items():
        first, second = base.about.get(key), other.about.get(key)
        if key == "dataset" and _same_folder(first, second):
            continue  # where the images are doesn't matter, and data_version tells whether they are the same
        if first is not None and second is not None and first != second:
            return f"{name}: {_short(second)} against {_short(first)}"
    return None


def _same_folder(first: Any, second: Any) -> bool:
    """Whether both are image folders, which may have been moved."""
    return all(isinstance(name, str) and name.startswith("folder:") for name in (first, second))


def comparable(first: Manifest, second: Manifest) -> list[str]:
    """Why two experiments may not be compared with each other, a phrase for each reason; empty when they may.

    Accuracies on different data, under other settings or from other versions of the software differ for those
    reasons alone.
    """
    one, two = first.data.get("version"), second.data.get("version")
    moved = one is not None and one == two and _same_folder(first.config.dataset, second.config.dataset)
    found = _differences(first.config, replace(second.config, dataset=first.config.dataset) if moved else second.config)
    if first.precision != second.precision:
        found.append(_versus("precision", first.precision, second.precision))
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


# ---- pairs of runs


@dataclass(frozen=True, slots=True)
class QuickResult:
    """One model against base in a list of experiments."""

    model: str
    delta: float
    """Mean difference of the test accuracies, a fraction."""
    seeds: int
    verdict: str | None
    """A `VerdictLabel`; None with one seed."""


@dataclass(frozen=True, slots=True)
class PairedRuns:
    """The test accuracies of one model and of base, paired by seed."""

    model: str
    seeds: tuple[int, ...]
    """Ascending; at least one."""
    base: tuple[float, ...]
    other: tuple[float, ...]
    """Fractions, in the order of `seeds`."""
    comparisons: int
    """Number of models that are compared with base."""
    resolution: float | None
    """1 / number of test images: the smallest difference that the test set can show."""

    @property
    def delta(self) -> float:
        """Mean difference, a fraction."""
        return math.fsum(b - a for a, b in zip(self.base, self.other, strict=True)) / len(self.base)

    def test(self) -> PairedTest:
        """The paired t test. It imports scipy where there are several seeds."""
        return paired_t_test(self.base, self.other, self.comparisons, resolution=self.resolution)

    def without_verdict(self) -> QuickResult:
        """The result without its verdict, which needs scipy."""
        return QuickResult(self.model, self.delta, len(self.seeds), None)

    def result(self) -> QuickResult:
        """The result with its verdict."""
        label: VerdictLabel | None = self.test().verdict
        return QuickResult(self.model, self.delta, len(self.seeds), label)


def comparisons(models: Iterable[str]) -> int:
    """m, the number of `models` that are compared with base; at least 1."""
    return max(1, sum(model != BASE for model in models))


def runs_of(state: ExperimentState, config: ExperimentConfig) -> dict[str, list[RunState]]:
    """The runs of each model of the experiment by seed, as far as they were queued; foreign runs are left out."""
    found: dict[str, list[RunState]] = {model: [] for model in config.models}
    for run in sorted(state.runs.values(), key=lambda run: run.seed):
        if run.id == run_id(run.model, run.seed) and run.model in found:
            found[run.model].append(run)
    return found


def same_seed(state: ExperimentState, config: ExperimentConfig, model: str) -> list[Pair]:
    """The runs of base and of `model` that have one seed and both count, by seed."""
    runs = runs_of(state, config)
    base = {run.seed: run for run in runs.get(BASE, []) if counts(run, config.epochs)}
    return [(base[run.seed], run) for run in runs[model] if run.seed in base and counts(run, config.epochs)]


def pair_by_seed(state: ExperimentState, config: ExperimentConfig, model: str) -> PairedRuns | None:
    """The pairs of `model` and base that may be compared; None where there are none, and for base itself."""
    pairs = [pair for pair in same_seed(state, config, model) if why_not_paired(*pair) is None]
    if not pairs or model == BASE:
        return None
    sizes = [run.about.get("test_size") for pair in pairs for run in pair]
    known = [size for size in sizes if isinstance(size, int) and size > 0]
    return PairedRuns(
        model=model,
        seeds=tuple(base.seed for base, _ in pairs),
        base=tuple(base.epochs[-1].test_accuracy for base, _ in pairs),
        other=tuple(other.epochs[-1].test_accuracy for _, other in pairs),
        comparisons=comparisons(config.models),
        resolution=1 / min(known) if known else None,
    )


def best_pair(state: ExperimentState, config: ExperimentConfig) -> PairedRuns | None:
    """The model of an experiment with the greatest difference from base; None without a pair.

    A state without curves is enough.
    """
    found = [pair_by_seed(state, config, model) for model in config.models]
    return max((pair for pair in found if pair), key=lambda pair: pair.delta, default=None)
