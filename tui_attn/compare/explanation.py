"""Where a difference in accuracy comes from: contrasts of two networks that differ in one thing, paired by seed.

Each contrast has a t interval over the seeds (`tui_attn.compare.t_test`). The intervals are 95 % each, not together,
and give no verdict.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tui_attn.compare.archives import ArchiveError
from tui_attn.compare.heatmaps import load_probes
from tui_attn.compare.pairs import BASE, final_accuracy
from tui_attn.compare.t_test import Interval, differences, mean_interval
from tui_attn.experiment.config import ExperimentConfig
from tui_attn.experiment.folders import ExperimentDir
from tui_attn.experiment.follower import read_state
from tui_attn.experiment.reducer import RunState

CONTRASTS: tuple[tuple[str, str, str], ...] = (
    ("half", "base", "the scale of the signal: maps halved after each layer, no attention"),
    ("static", "half", "learned constants: gates that are trained, but the same for every image"),
    ("se", "static", "the image: gates computed anew for each"),
    ("se2x", "se", "the scale undone: gates near 1 at the start"),
    ("self-attention", "self-attention-lab", "the residual connection around the attention"),
    ("self-attention", "self-attention-static", "the image: weights computed anew for each"),
)
"""Pairs of models, and what the first has that the second lacks."""

MODELS = tuple(dict.fromkeys(model for first, second, _ in CONTRASTS for model in (second, first)))
"""All models of the contrasts."""
MOST_EPOCHS = 8
"""Columns of the table over epochs."""


@dataclass(frozen=True, slots=True)
class Contrast:
    """One difference of test accuracies, paired by seed."""

    first: str
    second: str
    what: str
    pairs: int
    """Seeds with a result of both."""
    delta: float | None
    """Mean of first - second; None without pairs."""
    ci95: Interval | None
    """None with fewer than two pairs."""


@dataclass(frozen=True, slots=True)
class Development:
    """A number that a probe gives, after some epochs, mean over the seeds."""

    model: str
    what: str
    values: Mapping[int, float]
    """By epoch; 0 is the untrained network."""


@dataclass(frozen=True, slots=True)
class Explanation:
    """All contrasts of one configuration."""

    config: ExperimentConfig
    experiments: tuple[str, ...]
    """Ids of those whose runs are used."""
    seeds: int
    contrasts: tuple[Contrast, ...]
    against_base: tuple[Contrast, ...]
    """Of all other models with base."""
    developments: tuple[Development, ...]

    @property
    def epochs(self) -> list[int]:
        """Some of the epochs of the developments, the first and the last among them."""
        known = sorted({epoch for found in self.developments for epoch in found.values})
        if len(known) <= MOST_EPOCHS:
            return known
        step = (len(known) - 1) / (MOST_EPOCHS - 1)
        return [known[round(step * index)] for index in range(MOST_EPOCHS)]


def same_settings(one: ExperimentConfig, other: ExperimentConfig) -> bool:
    """Whether a model and seed trained under either gives comparable results."""
    names = "dataset epochs steps batch_size lr augment precision train_limit test_limit validation"
    return all(getattr(one, name) == getattr(other, name) for name in names.split())


Runs = Mapping[tuple[str, int], tuple[ExperimentDir, RunState]]
"""By model and seed, a run and the experiment that it belongs to."""


def finished_runs(folders: Iterable[ExperimentDir], config: ExperimentConfig) -> Runs:
    """The runs with a result; of two of one model and seed, that of the earlier folder."""
    found: dict[tuple[str, int], tuple[ExperimentDir, RunState]] = {}
    for folder in folders:
        for run in read_state(folder).state.runs.values():
            if run.model in MODELS and final_accuracy(run, config.epochs) is not None:
                found.setdefault((run.model, run.seed), (folder, run))
    return found


def explain(folders: Sequence[ExperimentDir], config: ExperimentConfig, seeds: int) -> Explanation:
    """The contrasts over the first `seeds` seeds of `config`, from the finished runs in `folders`."""
    wanted = range(config.seed, config.seed + seeds)
    runs = {key: run for key, run in finished_runs(folders, config).items() if key[1] in wanted}
    found = {key: final_accuracy(run, config.epochs) for key, (_, run) in runs.items()}
    accuracy = {key: value for key, value in found.items() if value is not None}
    return Explanation(
        config=config,
        experiments=tuple(folder.id for folder in folders),
        seeds=seeds,
        contrasts=tuple(_contrast(*contrast, accuracy) for contrast in CONTRASTS),
        against_base=tuple(_contrast(model, BASE, "altogether", accuracy) for model in MODELS if model != BASE),
        developments=tuple(_developments(runs)),
    )


def _contrast(first: str, second: str, what: str, accuracy: Mapping[tuple[str, int], float]) -> Contrast:
    seeds = sorted(seed for model, seed in accuracy if model == first and (second, seed) in accuracy)
    if not seeds:
        return Contrast(first, second, what, 0, None, None)
    found = differences([accuracy[second, seed] for seed in seeds], [accuracy[first, seed] for seed in seeds])
    return Contrast(first, second, what, len(seeds), *mean_interval(found))


def _developments(runs: Runs) -> Iterable[Development]:
    found: dict[tuple[str, str], dict[int, list[float]]] = {}
    for (model, _), (folder, run) in runs.items():
        for epoch, _file in run.probes:
            try:
                arrays = load_probes(folder, run, epoch).trained
            except ArchiveError:
                continue
            for what, value in _numbers(arrays):
                found.setdefault((model, what), {}).setdefault(epoch, []).append(value)
    for model in MODELS:
        for (of, what), values in found.items():
            if of == model:
                yield Development(model, what, {at: math.fsum(some) / len(some) for at, some in values.items()})


def _numbers(arrays: Mapping[str, Any]) -> Iterable[tuple[str, float]]:
    """What a probe says in single numbers: standard deviations of gates, entropy of rows, effective rank of tokens."""
    for name, values in arrays.items():
        layer, _, kind = name.partition("/")
        within = arrays.get(f"{layer}/within")
        if kind == "by_class" and layer != "attention" and within is not None and within.shape == values.shape:
            variance = float((within.astype("float64") ** 2).mean() + values.astype("float64").var())
            yield f"spread of the gates, {layer}", math.sqrt(variance)
    if "attention/entropy" in arrays:
        yield "entropy of the attention's rows, 1 is uniform", float(arrays["attention/entropy"].mean())
    if "attention/rank" in arrays:
        yield "effective rank of the tokens", float(arrays["attention/rank"].mean())
