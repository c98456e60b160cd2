"""Everything that is known of an experiment's results, read once for a report or for tables."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tui_attn.compare.archives import ArchiveError
from tui_attn.compare.cautions import control_checks, skewed, still_rising
from tui_attn.compare.effects import Effects, effects_of
from tui_attn.compare.heatmaps import Probes, load_probes
from tui_attn.compare.interventions import KINDS, TUNED
from tui_attn.compare.pairs import runs_of
from tui_attn.compare.predictions import ClassResults, class_names, class_results
from tui_attn.compare.remarks import find_remarks
from tui_attn.compare.summary import ModelSummary, Summary, summarise
from tui_attn.experiment.follower import Follower
from tui_attn.experiment.manifest import Manifest
from tui_attn.experiment.model_info import MODELS, joined, twin_name
from tui_attn.experiment.reducer import RunState
from tui_attn.system.text import safe_text


@dataclass(frozen=True, slots=True)
class ModelHeatmaps:
    """The newest heatmaps of all finished runs of one model."""

    model: str
    runs: tuple[tuple[RunState, Probes], ...]
    """By seed; at least one."""
    classes: tuple[str, ...]
    intervened: frozenset[str] = frozenset()
    """The ids of the runs with interventions."""

    @property
    def shown(self) -> tuple[RunState, Probes]:
        """The run whose pictures are shown: the first with interventions, where one has them."""
        return next((pair for pair in self.runs if pair[0].id in self.intervened), self.runs[0])


@dataclass(frozen=True, slots=True)
class Results:
    """An experiment's results as its files stand."""

    manifest: Manifest
    folder: Path
    """Of the experiment."""
    summary: Summary
    remarks: tuple[str, ...]
    """What is missing or odd, unreadable files included."""
    runs: Mapping[str, tuple[RunState, ...]]
    """By model and seed, those that have begun."""
    classes: tuple[ClassResults, ...]
    class_problems: tuple[str, ...]
    """Predictions that can't be used, and why."""
    heatmaps: tuple[ModelHeatmaps, ...]
    effects: tuple[Effects, ...]
    effect_problems: tuple[str, ...]
    """Interventions that are missing, and why."""
    checks: Mapping[str, str]
    """By model, why the verdict against its blind control is no evidence; see `control_checks`."""

    @property
    def title(self) -> str:
        """The experiment's name, or its id."""
        return safe_text(self.manifest.config.name or self.manifest.id, one_line=True)

    @property
    def begun(self) -> dict[str, RunState]:
        """The runs that have begun, by id."""
        return {run.id: run for runs in self.runs.values() for run in runs}


def step_seconds(results: Results, entry: ModelSummary) -> list[float]:
    """Mean seconds of a training step in each run of a model that counts; without those of which it isn't known."""
    begun = results.begun
    runs = [begun[run.run] for run in entry.counted if run.run in begun]
    return [run.train_seconds / run.step for run in runs if run.step and run.train_seconds]


def read_results(follower: Follower) -> Results:
    """Read everything."""
    summary = summarise(follower)
    begun = {
        model: tuple(run for run in runs if run.steps or run.epochs)
        for model, runs in runs_of(follower.state, follower.manifest.config).items()
    }
    classes, class_problems = class_results(follower)
    effects, effect_problems = effects_of(follower)
    intervened = frozenset(run.run for found in effects for run in found.runs)
    heatmaps, heatmap_problems = _heatmaps(follower, begun, intervened)
    remarks = [*find_remarks(follower, summary), *_not_run(summary, effects), *skewed(summary)]
    remarks += [*still_rising(summary, follower.state.runs), *class_problems, *heatmap_problems]
    checks = control_checks(follower, summary)
    return Results(
        manifest=follower.manifest,
        folder=follower.folder.path,
        summary=summary,
        remarks=tuple(dict.fromkeys(text for text in remarks if text not in checks.values())),
        runs=begun,
        classes=tuple(classes),
        class_problems=tuple(class_problems),
        heatmaps=tuple(heatmaps),
        effects=tuple(effects),
        effect_problems=tuple(effect_problems),
        checks=checks,
    )


def _not_run(summary: Summary, effects: Sequence[Effects]) -> Iterable[str]:
    """Which further trainings and probes would tell causes apart, and are missing."""
    names, twins = summary.names, [each.model for each in summary.twins]
    found, unknown = [], []
    controls = {name: [each for each in MODELS[name].controls if each not in names] for name in names if name in MODELS}
    found += [f"the controls {joined(missing)} of {model}" for model, missing in controls.items() if missing]
    missing = [control for each in controls.values() for control in each]
    if any(control.startswith("base-wide") for control in missing):
        unknown.append("how much is due to more parameters")
    if not all(control.startswith("base-wide") for control in missing):
        unknown.append("how much is due to scale, learned constants or a residual connection, not to the image")
    if untwinned := [model for model in names if (twin := twin_name(model)) and twin not in twins]:
        found.append(f"random-label twins of {joined(untwinned)}")
        unknown.append("which heatmaps random labels would give, too")
    if untuned := [each.model for each in effects if each.get(TUNED) is None]:
        found.append(f"constants tuned on training images for {joined(untuned)}")
        unknown.append("what the best constants would lose")
    if found:
        yield f"not run: {'; '.join(found)}. So it stays open {', and '.join(unknown)}"


def _heatmaps(
    follower: Follower, runs: Mapping[str, Sequence[RunState]], intervened: frozenset[str]
) -> tuple[list[ModelHeatmaps], list[str]]:
    found: list[ModelHeatmaps] = []
    problems: list[str] = []
    for model in (model for model in runs if any(run.probes for run in runs[model]) or model in KINDS):
        read: list[tuple[RunState, Probes]] = []
        for run in (run for run in runs[model] if run.state == "finished"):
            try:
                probes = load_probes(follower.folder, run)
            except ArchiveError as error:
                problems.append(f"the heatmaps of {run.id} can't be shown: {error}")
                continue
            if probes.facts:
                read.append((run, probes))
        if read:
            run, probes = read[0]
            names = class_names(run, len(probes.trained[f"{probes.facts[0].layer}/by_class"]))
            found.append(ModelHeatmaps(model, tuple(read), names, intervened))
    return found, problems
