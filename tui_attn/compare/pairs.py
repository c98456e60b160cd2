"""Which runs count in means and verdicts, which are paired, and the first result they give."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate
from typing import TYPE_CHECKING, Any, TypeAlias

from tui_attn.compare.t_test import differences
from tui_attn.compare.verdicts import MARGIN, Label, Verdict, judge, without_look
from tui_attn.experiment.config import ExperimentConfig
from tui_attn.experiment.folders import run_id
from tui_attn.experiment.manifest import Manifest
from tui_attn.experiment.model_info import MODELS, is_control, twin_of
from tui_attn.experiment.reducer import ExperimentState, RunState
from tui_attn.system.text import safe_text

if TYPE_CHECKING:
    from tui_attn.compare.pooled import PooledExperiment
    from tui_attn.experiment.follower import Follower

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
    "steps": "steps",
    "batch_size": "batch size",
    "precision": "precision",
    "torch": "torch",
    "device_name": "model of device",
    "kernels": "kernels",
}
"""What a run says of itself when it starts, and must be the same for two runs to be compared."""

_SETTINGS = {
    "dataset": "data set",
    "train_limit": "--train-limit",
    "validation": "--validation",
    "test_limit": "--test-limit",
    "epochs": "epochs",
    "steps": "steps",
    "batch_size": "batch size",
    "lr": "learning rate",
    "augment": "augmentation",
}


Experiment: TypeAlias = "Follower | PooledExperiment"
"""What a comparison reads: the logs of an experiment, or of several as one."""


def fraction(value: float | None) -> float | None:
    """`value` where it can be an accuracy, else None."""
    return value if value is not None and math.isfinite(value) and 0 <= value <= 1 else None


def why_left_out(run: RunState, epochs: int) -> str | None:
    """Why a finished `run` of an experiment of `epochs` epochs doesn't count; None when it does.

    What a run that did not finish had reached says nothing of what it would have come to.
    """
    trained = run.about.get("epochs", epochs)
    if trained != epochs:
        return f"was trained for {safe_text(trained, one_line=True)} epochs, not {epochs}"
    if run.epoch != epochs:
        return f"has no result of its last epoch in its log (the newest is of epoch {run.epoch} of {epochs})"
    if fraction(run.epochs[-1].test_accuracy) is None:
        return "has a test accuracy that is not a fraction"
    return None


def final_accuracy(run: RunState, epochs: int) -> float | None:
    """The accuracy with which `run` enters means and verdicts; None where it has no result.

    That of its last epoch; a run that diverged has the accuracy of guessing.
    """
    if run.diverged:
        classes = run.about.get("class_names")
        return 1 / len(classes) if isinstance(classes, list | tuple) and classes else None
    return run.epochs[-1].test_accuracy if run.state == "finished" and why_left_out(run, epochs) is None else None


def counts(run: RunState, epochs: int) -> bool:
    """Whether `run` enters means and verdicts."""
    return final_accuracy(run, epochs) is not None


def why_not_paired(base: RunState, other: RunState) -> str | None:
    """Why two runs of one seed may not be compared; None when they may, or when a damaged log doesn't tell."""
    for key, name in _ALIKE.items():
        first, second = base.about.get(key), other.about.get(key)
        if key == "dataset" and same_folder(first, second):
            continue  # where the images are doesn't matter, and data_version tells whether they are the same
        if key == "device_name" and any(run.about.get("mix_devices") is True for run in (base, other)):
            continue
        if first is not None and second is not None and first != second:
            return f"{name}: {_short(second)} against {_short(first)}"
    return None


def same_folder(first: Any, second: Any) -> bool:
    """Whether both are image folders, which may have been moved."""
    return all(isinstance(name, str) and name.startswith("folder:") for name in (first, second))


def same_data(first: Manifest, second: Manifest) -> bool:
    """Whether both experiments use the same images."""
    one, two = first.config.dataset, second.config.dataset
    return (one == two or same_folder(one, two)) and first.data.get("version") == second.data.get("version")


def comparable(first: Manifest, second: Manifest) -> list[str]:
    """Why two experiments may not be compared with each other, a phrase for each reason; empty when they may.

    Accuracies on different data, under other settings or from other versions of the software differ for those
    reasons alone.
    """
    one, two = first.data.get("version"), second.data.get("version")
    moved = one is not None and one == two and same_folder(first.config.dataset, second.config.dataset)
    settings, others = (
        {key: "none" if value is None else value for key, value in each.config.to_json().items()}
        for each in (first, second)
    )
    facts: list[tuple[str, Any, Any]] = [
        (name, settings[key], others[key]) for key, name in _SETTINGS.items() if key != "dataset" or not moved
    ]
    facts += [("precision", first.precision, second.precision), ("kernels", first.kernels, second.kernels)]
    if first.config.train_limit is not None:
        facts.append(("choice of training images", first.subset, second.subset))
    if first.config.dataset == second.config.dataset:
        facts.append(("version of the data set", one, two))
    for name in ("tui-attn", "torch"):
        facts.append((f"version of {name}", first.versions.get(name), second.versions.get(name)))
    return [f"{name}: {_short(one)} and {_short(two)}" for name, one, two in facts if one != two]


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
    """Pairs that it is of."""
    verdict: Label | None
    """Of the newest look; None before the first."""


@dataclass(frozen=True, slots=True)
class PairedRuns:
    """The test accuracies of two models, seed by seed."""

    model: str
    against: str
    """Base, or the model's blind control."""
    seeds: tuple[int, ...]
    """All of the experiment, in their order."""
    pairs: tuple[tuple[float, float] | None, ...]
    """Of `against` and `model` by seed, fractions; None without a result of both. At least one is complete."""
    ended: int
    """So many of the first seeds have ended, with a result or without; a stopped run may go on and hasn't ended."""
    comparisons: int
    """Number of models that share the error rate."""
    looks: tuple[int, ...] | None
    """Numbers of seeds; empty where none were planned, None where the number of seeds was fixed."""
    margin: float
    decides: bool
    """Whether there may be a verdict; else there is only an interval."""
    resolution: float | None
    """1 / number of test images: the smallest difference that the test set can show."""
    counts_from: tuple[int, ...] | None = None
    """For each seed, the number of seeds at the first look in which its pair counts; see `judge`. None: in any."""

    def complete(self, look: int | None = None) -> tuple[int, ...]:
        """The seeds with a pair, or those that count in a look at so many seeds."""
        start = self.counts_from or range(1, len(self.seeds) + 1)
        known = zip(self.seeds, self.pairs, start, strict=True)
        return tuple(seed for seed, pair, first in known if pair and (look is None or first <= look))

    def test(self) -> Verdict:
        """The verdict at the newest look. It imports scipy from the first look on."""
        found = [None if pair is None else differences(*([value] for value in pair))[0] for pair in self.pairs]
        ended = found[: self.ended] if self.looks is not None or self.ended == len(found) else []
        said = without_look([value for value in found if value is not None], self.margin)
        if any(value is not None for value in ended):
            names = ("comparisons", "looks", "margin", "resolution", "counts_from")
            now = judge(ended, **{name: getattr(self, name) for name in names})
            said = said if now.p_value is None else now
        return said if self.decides else replace(said, verdict=None, p_value=None)

    def result(self, *, verdict: bool = True) -> QuickResult:
        """The result; without its `verdict` it needs no scipy."""
        if verdict:
            found = self.test()
            return QuickResult(self.model, found.delta, found.pairs, found.verdict)
        deltas = [other - base for base, other in filter(None, self.pairs)]
        return QuickResult(self.model, math.fsum(deltas) / len(deltas), len(deltas), None)


def comparisons(models: Iterable[str]) -> int:
    """m, the number of `models` whose verdicts against base share the error rate; at least 1."""
    return max(1, sum(model != BASE and not is_control(model) for model in models))


def blind_control(model: str, models: Collection[str]) -> str | None:
    """The blind control of `model` where it is among `models`."""
    control = MODELS[model].blind_control if model in MODELS else None
    return control if control in models else None


def runs_of(state: ExperimentState, config: ExperimentConfig) -> dict[str, list[RunState]]:
    """The runs of each model of the experiment by seed, as far as they were queued; foreign runs are left out."""
    found: dict[str, list[RunState]] = {model: [] for model in config.models}
    for run in sorted(state.runs.values(), key=lambda run: run.seed):
        if run.id == run_id(run.model, run.seed) and run.model in found:
            found[run.model].append(run)
    return found


def same_seed(state: ExperimentState, config: ExperimentConfig, model: str, against: str = BASE) -> list[Pair]:
    """The runs of `against` and of `model` that have one seed and both count, by seed."""
    runs = runs_of(state, config)
    base = {run.seed: run for run in runs.get(against, []) if counts(run, config.epochs)}
    return [(base[run.seed], run) for run in runs[model] if run.seed in base and counts(run, config.epochs)]


def pair_by_seed(
    state: ExperimentState, manifest: Manifest, model: str, against: str = BASE, *, over: bool, pooled: bool = False
) -> PairedRuns | None:
    """The pairs of `model` and `against`; None where no seed has one, for a model against itself, and for a twin.

    `over`: whether the experiment has ended, so that no seed is on its way. `pooled`: experiments chosen afterwards.
    """
    config = manifest.config
    pairs = {pair[0].seed: pair for pair in same_seed(state, config, model, against) if why_not_paired(*pair) is None}
    if not pairs or model == against or twin_of(model) is not None:
        return None
    runs = runs_of(state, config)
    plan = None if pooled else manifest.plan
    last = math.inf if plan is None and over else None
    ends = [
        {run.seed: run.settled_at if plan else 0.0 if run.ended else last for run in runs.get(name, [])}
        for name in (against, model)
    ]
    seeds = (
        sorted(pairs) if pooled else sorted({*config.seed_list, *(run.seed for each in runs.values() for run in each)})
    )
    settled = [[each.get(seed, last) for each in ends] for seed in seeds]
    open_ = (place for place, times in enumerate(settled) if None in times)
    sizes = [run.about.get("test_size") for pair in pairs.values() for run in pair]
    known = [size for size in sizes if isinstance(size, int) and size > 0]
    family = sum(blind_control(each, config.models) is not None for each in config.models)
    control = is_control(model) and against == BASE
    return PairedRuns(
        model=model,
        against=against,
        seeds=tuple(seeds),
        pairs=tuple(_accuracies(pairs[seed], config.epochs) if seed in pairs else None for seed in seeds),
        ended=next(open_, len(seeds)),
        comparisons=1 if control else comparisons(config.models) if against == BASE else family,
        looks=plan.looks if plan else () if state.extended and not pooled else None,
        margin=manifest.plan.margin if manifest.plan else MARGIN,
        decides=not pooled and not control,
        resolution=1 / min(known) if known else None,
        counts_from=tuple(_counts_from(settled, [pairs.get(seed) for seed in seeds])) if plan else None,
    )


def _counts_from(settled: Sequence[Sequence[float | None]], pairs: Sequence[Pair | None]) -> Iterable[int]:
    """For each seed the first look that was taken when its pair was there; a later one where it was resumed since."""
    taken = list(accumulate((max((time for time in times if time is not None), default=0.0) for times in settled), max))
    for place, pair in enumerate(pairs):
        there = max((run.ended_at or 0.0 for run in pair), default=0.0) if pair else 0.0
        later = (look for look in range(place, len(taken)) if taken[look] >= there)
        yield 1 + next(later, len(taken))


def _accuracies(pair: Pair, epochs: int) -> tuple[float, float] | None:
    first, second = (final_accuracy(run, epochs) for run in pair)
    return None if first is None or second is None else (first, second)


def best_pair(state: ExperimentState, manifest: Manifest, *, over: bool) -> PairedRuns | None:
    """The model of an experiment, no control, with the greatest difference from base; None without a pair.

    A state without curves is enough.
    """
    models = [model for model in manifest.config.models if not is_control(model)]
    found = [pair_by_seed(state, manifest, model, over=over) for model in models]
    return max((pair for pair in found if pair), key=lambda pair: pair.result(verdict=False).delta, default=None)
