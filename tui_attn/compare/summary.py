"""The comparison as one object: what `tui-attn compare --json` prints and every table and panel shows."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from tui_attn.compare.counting import counts, fraction, why_not_paired
from tui_attn.compare.networks import these_networks
from tui_attn.compare.paired import mean_interval, verdict
from tui_attn.experiment.config import ExperimentConfig
from tui_attn.experiment.folders import run_id
from tui_attn.experiment.follower import Follower
from tui_attn.experiment.reducer import RunState

BASE = "base"
"""The model with which the others are compared."""


def summarise(follower: Follower) -> dict[str, Any]:
    """The comparison of an experiment as its logs stand, in plain JSON types; None for what is not known yet.

    The object of design.md's `compare --json`: models in the order of `--models`, their runs in the order of the
    seeds. Accuracies are fractions, times seconds.

    - `test_accuracy` of a run is that of its last evaluated epoch, whatever its state. Means and verdicts are over
      runs that finished and whose last epoch is in their log, and over nothing else; a model without any has a mean
      of None.
    - `versus_base` pairs the runs of base and of the model by seed, over the seeds that count in both; it is None
      for base itself, without base, and while there is no such pair. Its interval has level 1 - 0.05/m, its p-value
      is multiplied by m, with m the number of models of the experiment that are compared with base, whether or not
      all of them have results: see `verdict`. `these_networks` is of the first seed that allows it.

    Keys beyond design.md's, all of them after its own: `name` and `seeds` of the experiment; `code_sha256` of a model
    of one's own, the digest of its file; `reason` (why the run
    ended as it did), `peak_memory` (bytes) and `counts` (whether it enters the means) of a run; `seeds`, `level` and
    `spread` (standard deviation of the differences) of `versus_base`; `seed`, `base_only` and `other_only` of
    `these_networks`.
    """
    manifest, config = follower.manifest, follower.manifest.config
    situation = follower.situation()
    by_model = _by_model(follower)
    seeds = sorted({*config.seed_list, *(run.seed for found in by_model.values() for run in found)})
    missing = "lost" if situation.experiment == "lost" else "queued"
    models = []
    for model in config.models:
        have = {run.seed: run for run in by_model[model]}
        lines = [
            _run(have[seed], situation.runs[have[seed].id], config.epochs)
            if seed in have
            else _run(RunState(run_id(model, seed), model, seed), missing, config.epochs)
            for seed in seeds
        ]
        models.append(_model(config, model, by_model[model], lines))
    for entry in models:
        entry["versus_base"] = _versus_base(follower, by_model, entry["model"])
    return {
        "experiment": manifest.id,
        "state": situation.experiment,
        "dataset": config.dataset,
        "epochs": config.epochs,
        "models": models,
        "name": config.name,
        "seeds": seeds,
    }


def accuracies(summary: Mapping[str, Any], model: str, seeds: Sequence[int] | None = None) -> list[float]:
    """The test accuracies of `model` that count, in the order of the seeds, or those of `seeds`."""
    entry = next(entry for entry in summary["models"] if entry["model"] == model)
    found = {run["seed"]: run["test_accuracy"] for run in entry["runs"] if run["counts"]}
    return [found[seed] for seed in (found if seeds is None else seeds)]


def comparisons(models: Sequence[str]) -> int:
    """m, the number of `models` that are compared with base; at least 1."""
    return max(1, sum(model != BASE for model in models))


def paired_runs(follower: Follower, model: str) -> list[tuple[RunState, RunState]]:
    """The runs of base and of `model` with one seed, where both count, in the order of the seeds."""
    epochs = follower.manifest.config.epochs
    by_model = _by_model(follower)
    base = {run.seed: run for run in by_model.get(BASE, []) if counts(run, epochs)}
    return [(base[run.seed], run) for run in by_model[model] if run.seed in base and counts(run, epochs)]


def _by_model(follower: Follower) -> dict[str, list[RunState]]:
    """The runs that were queued, by model, in the order of the seeds; foreign ones are passed over."""
    found: dict[str, list[RunState]] = {model: [] for model in follower.manifest.config.models}
    for run in sorted(follower.state.runs.values(), key=lambda run: run.seed):
        if run.id == run_id(run.model, run.seed) and run.model in found:
            found[run.model].append(run)
    return found


def _run(run: RunState, state: str, epochs: int) -> dict[str, Any]:
    last = run.epochs[-1] if run.epochs else None
    memory = [result.peak_memory for result in run.epochs if result.peak_memory is not None]
    return {
        "run": run.id,
        "seed": run.seed,
        "state": state,
        "epoch": run.epoch,
        "test_accuracy": fraction(last.test_accuracy) if last else None,
        "test_loss": _finite(last.test_loss) if last else None,
        "train_seconds": _finite(run.train_seconds) if run.steps or last else None,
        "images_per_second": _finite(run.images_per_second),
        "weights_sha256": run.weights_sha256 if run.ended else None,
        "reason": run.reason,
        "peak_memory": max(memory, default=None),
        "counts": counts(run, epochs),
    }


def _model(
    config: ExperimentConfig, model: str, begun: Sequence[RunState], lines: list[dict[str, Any]]
) -> dict[str, Any]:
    about: Mapping[str, Any] = next((run.about for run in begun if run.about), {})
    found = [line["test_accuracy"] for line in lines if line["counts"]]
    mean, ci95 = mean_interval(found) if found else (None, None)
    return {
        "model": model,
        "class": config.class_name(model),
        "parameters": about.get("parameters"),
        "macs": about.get("macs"),
        "runs": lines,
        "test_accuracy": {"mean": mean, "ci95": None if ci95 is None else list(ci95)},
        "versus_base": None,
        "code_sha256": next((own.sha256 for own in config.custom_models if own.name == model), None),
    }


def _versus_base(follower: Follower, by_model: Mapping[str, Sequence[RunState]], model: str) -> dict[str, Any] | None:
    if model == BASE or BASE not in by_model:
        return None
    pairs = [pair for pair in paired_runs(follower, model) if why_not_paired(*pair) is None]
    if not pairs:
        return None
    found = verdict(
        [base.epochs[-1].test_accuracy for base, _ in pairs],
        [other.epochs[-1].test_accuracy for _, other in pairs],
        comparisons(follower.manifest.config.models),
        resolution=_resolution(pairs),
    )
    networks, _ = these_networks(follower.folder, pairs)
    return {
        "delta": found.delta,
        "ci95": None if found.ci95 is None else list(found.ci95),
        "p_value": found.p_value,
        "verdict": found.verdict,
        "these_networks": networks,
        "seeds": [base.seed for base, _ in pairs],
        "level": found.level,
        "spread": found.spread,
    }


def _resolution(pairs: Sequence[tuple[RunState, RunState]]) -> float | None:
    """The step in which the accuracies are counted: one image of the smallest test set."""
    sizes = [run.about.get("test_size") for pair in pairs for run in pair]
    known = [size for size in sizes if isinstance(size, int) and size > 0]
    return 1 / min(known) if known else None


def _finite(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None
