"""The comparison of an experiment: what tables, panels and reports show, and the object of `compare --json`."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any

from tui_attn.compare.pairs import (
    BASE,
    Experiment,
    Pair,
    PairedRuns,
    blind_control,
    comparisons,
    final_accuracy,
    fraction,
    pair_by_seed,
    runs_of,
    same_seed,
    why_not_paired,
)
from tui_attn.compare.predictions import Predictions, PredictionsError, load_predictions, mcnemar
from tui_attn.compare.t_test import ERROR_RATE, Interval, mean_interval
from tui_attn.compare.verdicts import Verdict
from tui_attn.experiment.folders import ExperimentDir, run_id
from tui_attn.experiment.model_info import twin_of
from tui_attn.experiment.reducer import EXPERIMENT_ENDED, EpochResult, RunState

_TOLERANCE = 0.005
"""Largest difference between the accuracy of saved predictions and the logged one; more means another network."""
_STEPS = 200
"""Accuracies that can be common to all runs, in one: half a per cent apart."""


@dataclass(frozen=True, slots=True)
class RunSummary:
    """One run. Accuracies are fractions, times seconds; None for what is not known."""

    run: str
    seed: int
    state: str
    epoch: int
    test_accuracy: float | None
    """Of the last evaluated epoch, whatever the state."""
    test_loss: float | None
    train_seconds: float | None
    images_per_second: float | None
    weights_sha256: str | None
    reason: str | None
    """Why it ended as it did."""
    peak_memory: int | None
    """Bytes."""
    counts: bool
    """Whether it enters means and verdicts."""
    diverged: bool
    """Whether its training diverged: it counts with the accuracy of guessing."""


@dataclass(frozen=True, slots=True)
class NetworkTest:
    """The exact McNemar test on the two networks of one seed."""

    p_value: float
    seed: int
    base_only: int
    """Test images that only base's network classifies correctly."""
    other_only: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Versus(Verdict):
    """One model against base or against its blind control, at the newest look.

    Controls against base, and experiments compared together, have an interval and neither p-value nor verdict.
    """

    these_networks: NetworkTest | None
    """Of the first seed whose predictions allow it."""
    seeds: tuple[int, ...]  # of the pairs
    level: float
    """At which the interval holds, at all looks together."""
    looks: tuple[int, ...] | None
    """The planned numbers of seeds; empty without a plan, None where the number of seeds was fixed."""
    next_look: int | None
    """The number of seeds of the next planned look; None after the last, and without a plan."""
    missing: tuple[int, ...]
    """Seeds of this look that ended without a pair, or had none yet when it was taken."""
    margin_set_afterwards: bool
    comparisons: int
    """Number of models that share the error rate."""
    decides: bool
    """Whether there may be a verdict."""
    against: str


@dataclass(frozen=True, slots=True)
class ModelSummary:
    """One model and its runs."""

    model: str
    class_name: str
    parameters: int | None
    macs: int | None
    """Multiply-accumulates of an image's forward pass as the network is written."""
    macs_as_run: int | None
    """As its device ran it, layers in a row made one; None in runs of 0.1.0."""
    runs: tuple[RunSummary, ...]
    """By seed, those that have not been queued yet included."""
    accuracy: float | None
    """Mean test accuracy of the runs that count."""
    ci95: Interval | None
    """Of `accuracy`; None with fewer than two runs."""
    versus_base: Versus | None
    """None for base itself, and without a pair of runs that may be compared."""
    versus_control: Versus | None
    """The same against its blind control; None where the experiment has none for it."""
    code_sha256: str | None
    """Digest of the file of a custom model."""

    @property
    def counted(self) -> list[RunSummary]:
        """The runs that enter means and verdicts."""
        return [run for run in self.runs if run.counts]

    @property
    def accuracies(self) -> dict[int, float]:
        """Seed -> test accuracy of the runs that count, in the order of the seeds."""
        return {run.seed: run.test_accuracy for run in self.counted if run.test_accuracy is not None}


@dataclass(frozen=True, slots=True)
class Summary:
    """The comparison of an experiment, or of several together, as the logs stand."""

    experiment: str
    state: str
    dataset: str
    epochs: int
    models: tuple[ModelSummary, ...]
    """In the order of `--models`."""
    name: str | None
    seeds: tuple[int, ...]
    experiments: tuple[str, ...] = ()
    """The ids of several experiments that were compared together."""
    twins: tuple[ModelSummary, ...] = ()
    """Models trained on random labels, for their heatmaps: compared with nothing."""

    @property
    def names(self) -> list[str]:
        """The names of the models."""
        return [entry.model for entry in self.models]

    @property
    def runs(self) -> list[RunSummary]:
        """The runs of all models and twins."""
        return [run for entry in (*self.models, *self.twins) for run in entry.runs]

    @property
    def comparisons(self) -> int:
        """m, the number of models that are compared with base; at least 1."""
        return comparisons(self.names)

    @property
    def common_accuracy(self) -> float | None:
        """The largest multiple of half a per cent that every run that counts has reached; None without such a run."""
        reached = [value for entry in self.models for value in entry.accuracies.values()]
        steps = math.floor(min(reached, default=0.0) * _STEPS + 1e-9)
        return steps / _STEPS if steps > 0 else None

    def get(self, model: str) -> ModelSummary:
        """The part on `model`. Raises `KeyError`."""
        return {entry.model: entry for entry in (*self.models, *self.twins)}[model]


def summarise(experiment: Experiment, *, pooled: bool = False) -> Summary:
    """The comparison of an experiment as its logs stand.

    Means and verdicts are over runs that finished and whose last epoch is in their log, and over those that diverged.
    The models that are compared with base and are no controls have the error rate of 5 % together, whether or not all
    of them have results; so have the models that are compared with a blind control. `pooled`: the experiments were
    chosen afterwards, so there are intervals but no verdicts.
    """
    manifest, config = experiment.manifest, experiment.manifest.config
    situation = experiment.situation()
    by_model = runs_of(experiment.state, config)
    seeds = sorted({*config.seed_list, *(run.seed for found in by_model.values() for run in found)})
    missing = "lost" if situation.experiment == "lost" else "queued"
    over = situation.experiment in {*EXPERIMENT_ENDED, "lost"}
    models = []
    for model in config.models:
        have = {run.seed: run for run in by_model[model]}
        # Nobody will train what none of several experiments has.
        wanted = [seed for seed in seeds if seed in have or not pooled]
        begun = [have.get(seed) or RunState(run_id(model, seed), model, seed) for seed in wanted]
        runs = [_run(run, situation.runs.get(run.id, missing), config.epochs) for run in begun]
        about: Mapping[str, Any] = next((run.about for run in by_model[model] if run.about), {})
        accuracies = [run.test_accuracy for run in runs if run.counts and run.test_accuracy is not None]
        mean, ci95 = mean_interval(accuracies) if accuracies else (None, None)
        against = (BASE, blind_control(model, config.models))
        versus_base, versus_control = (
            _versus(experiment, pair_by_seed(experiment.state, manifest, model, name, over=over, pooled=pooled))
            if name
            else None
            for name in against
        )
        entry = ModelSummary(
            model=model,
            class_name=config.class_name(model),
            parameters=about.get("parameters"),
            macs=about.get("macs"),
            macs_as_run=about.get("macs_as_run"),
            runs=tuple(runs),
            accuracy=mean,
            ci95=ci95,
            versus_base=versus_base,
            versus_control=versus_control,
            code_sha256=next((custom.sha256 for custom in config.custom_models if custom.name == model), None),
        )
        models.append(entry)
    return Summary(
        experiment=manifest.id,
        state=situation.experiment,
        dataset=config.dataset,
        epochs=config.epochs,
        models=tuple(entry for entry in models if twin_of(entry.model) is None),
        name=config.name,
        seeds=tuple(seeds),
        twins=tuple(entry for entry in models if twin_of(entry.model) is not None),
    )


def _run(run: RunState, state: str, epochs: int) -> RunSummary:
    last = run.epochs[-1] if run.epochs else None
    accuracy = final_accuracy(run, epochs)
    memory = [result.peak_memory for result in run.epochs if result.peak_memory is not None]
    return RunSummary(
        run=run.id,
        seed=run.seed,
        state=state,
        epoch=run.epoch,
        test_accuracy=fraction(last.test_accuracy) if accuracy is None and last else accuracy,
        test_loss=_finite(last.test_loss) if last else None,
        train_seconds=_finite(run.train_seconds) if run.steps or last else None,
        images_per_second=_finite(run.images_per_second),
        weights_sha256=run.weights_sha256 if run.ended else None,
        reason=run.reason,
        peak_memory=max(memory, default=None),
        counts=accuracy is not None,
        diverged=run.diverged,
    )


def _versus(experiment: Experiment, paired: PairedRuns | None) -> Versus | None:
    if paired is None:
        return None
    manifest, found = experiment.manifest, paired.test()
    pairs = same_seed(experiment.state, manifest.config, paired.model, paired.against)
    networks, _ = these_networks(experiment.folder, pairs)
    counted = paired.complete(found.seeds_at_look or None)
    return Versus(
        **{field.name: getattr(found, field.name) for field in fields(found)},
        these_networks=networks,
        seeds=counted[: found.pairs],
        level=1 - ERROR_RATE / paired.comparisons,
        looks=paired.looks,
        next_look=next((look for look in paired.looks or () if look > paired.ended), None),
        missing=tuple(seed for seed in paired.seeds[: found.seeds_at_look or paired.ended] if seed not in counted),
        margin_set_afterwards=manifest.plan is None,
        comparisons=paired.comparisons,
        decides=paired.decides,
        against=paired.against,
    )


def these_networks(folder: ExperimentDir, pairs: Sequence[Pair]) -> tuple[NetworkTest | None, list[str]]:
    """The exact McNemar test on the first of `pairs` whose predictions can be used, and why earlier ones could not."""
    problems: list[str] = []
    for base, other in pairs:
        if why_not_paired(base, other) is not None or base.diverged or other.diverged:
            continue
        first, second = _predictions(folder, base, problems), _predictions(folder, other, problems)
        if first is None or second is None:
            continue
        if first.logits.shape != second.logits.shape or (first.labels != second.labels).any():
            problems.append(f"the predictions of {base.id} and {other.id} are on different test images: not compared")
            continue
        base_only, other_only, p_value = mcnemar(first.right, second.right)
        return NetworkTest(p_value, base.seed, base_only, other_only), problems
    return None, problems


def _predictions(folder: ExperimentDir, run: RunState, problems: list[str]) -> Predictions | None:
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


def time_to_accuracy(epochs: Sequence[EpochResult], accuracy: float) -> float | None:
    """Seconds in training steps until the first evaluated epoch with at least this test accuracy, a fraction.

    None while no epoch has reached it. A later epoch may be below it again.
    """
    return next((result.train_seconds for result in epochs if result.test_accuracy >= accuracy), None)


def _finite(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None


# ---- as JSON


def summary_json(summary: Summary) -> dict[str, Any]:
    """The object of `compare --json` in plain JSON types; the keys and their order are a contract."""
    found: dict[str, Any] = {
        "experiment": summary.experiment,
        "state": summary.state,
        "dataset": summary.dataset,
        "epochs": summary.epochs,
        "models": [_model_json(entry) for entry in summary.models],
        "name": summary.name,
        "seeds": list(summary.seeds),
    }
    twins = [_model_json(entry) | {"twin_of": twin_of(entry.model)} for entry in summary.twins]
    further = {"experiments": list(summary.experiments), "twins": twins}
    return found | {key: each for key, each in further.items() if each}


def _model_json(entry: ModelSummary) -> dict[str, Any]:
    versus, control = entry.versus_base, entry.versus_control
    return {
        "model": entry.model,
        "class": entry.class_name,
        "parameters": entry.parameters,
        "macs": entry.macs,
        "runs": [asdict(run) for run in entry.runs],
        "test_accuracy": {"mean": entry.accuracy, "ci95": entry.ci95 and list(entry.ci95)},
        "versus_base": None if versus is None else _versus_json(versus),
        "versus_control": None if control is None else {"control": control.against} | _versus_json(control),
        "code_sha256": entry.code_sha256,
        "macs_as_run": entry.macs_as_run,
    }


_VERSUS_KEYS = (
    *("delta", "ci95", "p_value", "margin", "look", "pairs", "verdict", "these_networks", "seeds", "level", "spread"),
    *("looks", "next_look", "missing", "margin_set_afterwards", "contradiction", "comparisons", "decides", "limits_at"),
)


def _versus_json(versus: Versus) -> dict[str, Any]:
    values = {name: getattr(versus, name) for name in _VERSUS_KEYS}
    networks = versus.these_networks
    return {name: list(value) if isinstance(value, tuple) else value for name, value in values.items()} | {
        "look": versus.look and asdict(versus.look),
        "these_networks": networks and {"test": "mcnemar", **asdict(networks)},
    }
