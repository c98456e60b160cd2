"""Where the models of an experiment stand against base, at a glance: without reading whole logs."""

from __future__ import annotations

import math
from dataclasses import dataclass

from tui_attn.compare.counting import counts, why_not_paired
from tui_attn.compare.paired import verdict
from tui_attn.runs import Manifest, run_id
from tui_attn.state import ExperimentState, RunState

_BASE = "base"


@dataclass(frozen=True, slots=True)
class Standing:
    """One model against base, over the seeds that count in both."""

    model: str
    delta: float
    """Mean difference of the test accuracies, a fraction."""
    seeds: int
    verdict: str | None
    """better, worse, no difference shown; None with one seed."""


def best_standing(state: ExperimentState, manifest: Manifest) -> Standing | None:
    """The model of an experiment with the greatest difference from base; None while there is no pair of runs.

    The differences and verdicts are those of `summarise`; a state without curves is enough for them.
    """
    models = manifest.config.models
    others = [model for model in models if model != _BASE]
    found = [_standing(state, manifest, model, len(others)) for model in others if _BASE in models]
    return max((standing for standing in found if standing), key=lambda standing: standing.delta, default=None)


def _standing(state: ExperimentState, manifest: Manifest, model: str, comparisons: int) -> Standing | None:
    pairs = [
        (base, other)
        for seed in sorted({run.seed for run in state.runs.values()})
        if (base := _counted(state, manifest, _BASE, seed)) and (other := _counted(state, manifest, model, seed))
        if why_not_paired(base, other) is None
    ]
    if not pairs:
        return None
    first = [base.epochs[-1].test_accuracy for base, _ in pairs]
    second = [other.epochs[-1].test_accuracy for _, other in pairs]
    if len(pairs) == 1:
        return Standing(model, second[0] - first[0], 1, None)
    sizes = [run.about.get("test_size") for pair in pairs for run in pair]
    known = [size for size in sizes if isinstance(size, int) and size > 0]
    found = verdict(first, second, comparisons, resolution=1 / min(known) if known else None)
    return Standing(model, found.delta, len(pairs), found.verdict)


def _counted(state: ExperimentState, manifest: Manifest, model: str, seed: int) -> RunState | None:
    run = state.runs.get(run_id(model, seed))
    if run is None or (run.model, run.seed) != (model, seed) or not counts(run, manifest.config.epochs):
        return None
    return run if math.isfinite(run.epochs[-1].test_accuracy) else None
