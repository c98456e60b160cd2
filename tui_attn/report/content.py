"""All that a report says of an experiment, gathered once, before anything is drawn or written."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tui_attn.compare.archives import ArchiveError
from tui_attn.compare.effects import Effects, effects_of
from tui_attn.compare.heatmaps import Probes, load_probes
from tui_attn.compare.interventions import KINDS
from tui_attn.compare.predictions import ClassResults, class_names, class_results
from tui_attn.compare.remarks import find_remarks
from tui_attn.compare.summary import Summary, summarise
from tui_attn.experiment.folders import run_id
from tui_attn.experiment.follower import Follower
from tui_attn.experiment.manifest import Manifest
from tui_attn.experiment.reducer import RunState
from tui_attn.system.text import safe_text


@dataclass(frozen=True, slots=True)
class Heatmaps:
    """The heatmaps of all finished runs of one model."""

    model: str
    runs: tuple[tuple[RunState, Probes], ...]
    """By seed; at least one."""
    classes: tuple[str, ...]

    @property
    def shown(self) -> tuple[RunState, Probes]:
        """The run whose pictures stand for the others'."""
        return self.runs[0]


@dataclass(frozen=True, slots=True)
class Content:
    """An experiment as the report tells it."""

    manifest: Manifest
    summary: Summary
    remarks: tuple[str, ...]
    runs: Mapping[str, tuple[RunState, ...]]
    """By model, by seed; those that were begun."""
    folder: Path
    """Of the experiment."""
    classes: tuple[ClassResults, ...]
    heatmaps: tuple[Heatmaps, ...]
    effects: tuple[Effects, ...]
    missing_effects: tuple[str, ...]
    """What is missing of the interventions, in words."""
    threshold: float | None
    """An accuracy that all runs reach, to compare how long it took them; None while there is none."""

    @property
    def title(self) -> str:
        """The experiment's name, or its id."""
        return safe_text(self.manifest.config.name or self.manifest.id, one_line=True)


def gather(follower: Follower) -> Content:
    """Read all that the report needs. What can't be read is told among the remarks."""
    summary = summarise(follower)
    runs = _runs(follower)
    classes, no_classes = class_results(follower)
    heatmaps, no_heatmaps = _heatmaps(follower, runs)
    effects, no_effects = effects_of(follower)
    remarks = dict.fromkeys([*find_remarks(follower, summary), *no_classes, *no_heatmaps])
    return Content(
        manifest=follower.manifest,
        summary=summary,
        remarks=tuple(remarks),
        runs=runs,
        folder=follower.folder.path,
        classes=tuple(classes),
        heatmaps=tuple(heatmaps),
        effects=tuple(effects),
        missing_effects=tuple(no_effects),
        threshold=summary.common_accuracy,
    )


def _runs(follower: Follower) -> dict[str, tuple[RunState, ...]]:
    found: dict[str, list[RunState]] = {model: [] for model in follower.manifest.config.models}
    for run in sorted(follower.state.runs.values(), key=lambda run: run.seed):
        if run.model in found and run.id == run_id(run.model, run.seed) and (run.steps or run.epochs):
            found[run.model].append(run)
    return {model: tuple(runs) for model, runs in found.items()}


def _heatmaps(follower: Follower, runs: Mapping[str, Sequence[RunState]]) -> tuple[list[Heatmaps], list[str]]:
    found: list[Heatmaps] = []
    problems: list[str] = []
    for model in (model for model in runs if any(run.probes for run in runs[model]) or model in KINDS):
        read: list[tuple[RunState, Probes]] = []
        for run in runs[model]:
            if run.state != "finished":
                continue
            try:
                probes = load_probes(follower.folder, run)
            except ArchiveError as error:
                problems.append(f"the heatmaps of {run.id} can't be shown: {error}")
                continue
            if probes.facts:
                read.append((run, probes))
        if read:
            run, probes = read[0]
            layer = probes.facts[0].layer
            names = class_names(run, len(probes.trained[f"{layer}/by_class"]))
            found.append(Heatmaps(model, tuple(read), names))
    return found, problems
