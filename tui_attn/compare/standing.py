"""Where the models of an experiment stand against base, at a glance: without reading whole logs."""

from __future__ import annotations

import math
from dataclasses import dataclass

from tui_attn.compare.counting import counts, why_not_paired
from tui_attn.compare.paired import verdict
from tui_attn.experiment.folders import run_id
from tui_attn.experiment.manifest import Manifest
from tui_attn.experiment.reducer import ExperimentState, RunState

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


@dataclass(frozen=True, slots=True)
class Pairing:
    """The paired test accuracies of one model and base, from which its standing is decided."""

    model: str
    base: tuple[float, ...]
    other: tuple[float, ...]
    """Fractions, seed by seed; one at least."""
    comparisons: int
    """How many models are compared with base."""
    resolution: float | None
    """The least difference that the test set can show."""

    @property
    def delta(self) -> float:
        """Mean difference, a fraction."""
        return math.fsum(b - a for a, b in zip(self.base, self.other, strict=True)) / len(self.base)

    @property
    def undecided(self) -> Standing:
        """The standing without its verdict, which takes a library that is slow to load."""
        return Standing(self.model, self.delta, len(self.base), None)

    def decide(self) -> Standing:
        """The standing with its verdict, where several seeds allow one."""
        if len(self.base) == 1:
            return self.undecided
        found = verdict(self.base, self.other, self.comparisons, resolution=self.resolution)
        return Standing(self.model, found.delta, len(self.base), found.verdict)


def best_pairing(state: ExperimentState, manifest: Manifest) -> Pairing | None:
    """The model of an experiment with the greatest difference from base; None while there is no pair of runs.

    The differences and verdicts are those of `summarise`; a state without curves is enough for them.
    """
    models = manifest.config.models
    others = [model for model in models if model != _BASE]
    found = [_pairing(state, manifest, model, len(others)) for model in others if _BASE in models]
    return max((pairing for pairing in found if pairing), key=lambda pairing: pairing.delta, default=None)


def _pairing(state: ExperimentState, manifest: Manifest, model: str, comparisons: int) -> Pairing | None:
    pairs = [
        (base, other)
        for seed in sorted({run.seed for run in state.runs.values()})
        if (base := _counted(state, manifest, _BASE, seed)) and (other := _counted(state, manifest, model, seed))
        if why_not_paired(base, other) is None
    ]
    if not pairs:
        return None
    sizes = [run.about.get("test_size") for pair in pairs for run in pair]
    known = [size for size in sizes if isinstance(size, int) and size > 0]
    return Pairing(
        model,
        tuple(base.epochs[-1].test_accuracy for base, _ in pairs),
        tuple(other.epochs[-1].test_accuracy for _, other in pairs),
        comparisons,
        1 / min(known) if known else None,
    )


def _counted(state: ExperimentState, manifest: Manifest, model: str, seed: int) -> RunState | None:
    run = state.runs.get(run_id(model, seed))
    if run is None or (run.model, run.seed) != (model, seed) or not counts(run, manifest.config.epochs):
        return None
    return run if math.isfinite(run.epochs[-1].test_accuracy) else None
