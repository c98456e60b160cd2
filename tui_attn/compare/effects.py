"""The interventions on all runs of a model together, in numbers and in sentences."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import fsum
from typing import Any

from tui_attn.compare.interventions import (
    ANOTHER_IMAGE,
    KINDS,
    LAYERS,
    MEAN,
    Interventions,
    InterventionsError,
    load_interventions,
)
from tui_attn.compare.textfit import cells, columns, cut, wrap
from tui_attn.compare.verdicts import Interval, verdict
from tui_attn.compare.wording import UNKNOWN, interval_points, percent, points
from tui_attn.experiment.follower import Follower
from tui_attn.experiment.model_info import joined, replaced_words
from tui_attn.system.text import command_line, safe_text


@dataclass(frozen=True, slots=True)
class Effect:
    """One intervention over all runs of a model that have results. Fractions of the test images."""

    kind: str
    layer: str
    accuracy: float
    delta: float
    """Mean over the runs."""
    ci95: Interval
    """Of `delta`; with one run over its test images, with several over the seeds (paired t interval)."""
    deltas: tuple[float, ...]
    """By run, in the order of the seeds."""


@dataclass(frozen=True, slots=True)
class Effects:
    """What the interventions did to one model."""

    model: str
    runs: tuple[Interventions, ...]
    """By seed; at least one."""
    effects: tuple[Effect, ...]
    """In the order of `KINDS`, then of `LAYERS`."""

    @property
    def accuracy(self) -> float:
        """With its own attention, mean over the runs."""
        return fsum(found.accuracy for found in self.runs) / len(self.runs)

    @property
    def complete(self) -> bool:
        """Whether the two that say how much depends on the attention are there."""
        return self.get(MEAN) is not None and self.get(ANOTHER_IMAGE) is not None

    def get(self, kind: str, layer: str | None = None) -> Effect | None:
        """The one called so, or None; `layer` None: in all layers at once."""
        where = LAYERS[self.model][-1] if layer is None else layer
        return next((effect for effect in self.effects if (effect.kind, effect.layer) == (kind, where)), None)


def effects_of(follower: Follower, only: str | None = None) -> tuple[list[Effects], list[str]]:
    """What is known of the interventions on each model of an experiment, or on one run, and in words what is missing.

    Only finished runs whose results speak of their final weights enter; nothing is computed here but means and
    intervals. A model without any results is left out of the list.
    """
    probe = f"'{command_line('probe', follower.folder.path)}'"
    found: dict[str, list[Interventions]] = {}
    problems: list[str] = []
    missing: list[str] = []
    for run in sorted(follower.state.runs.values(), key=lambda run: run.seed):
        if run.model not in KINDS or run.state != "finished" or only not in {None, run.id}:
            continue
        try:
            results = load_interventions(follower.folder.run(run.id), run.weights_sha256)
        except InterventionsError as error:
            if str(error) == "is missing":
                missing.append(run.id)
            else:
                name = safe_text(run.id, one_line=True)
                problems.append(f"{name}/probes/interventions.json {error}: {probe} computes it anew")
        else:
            found.setdefault(run.model, []).append(results)
    config = follower.manifest.config
    probed = {run.model for run in follower.state.runs.values() if run.probes and only in {None, run.id}}
    for model in (own.name for own in config.custom_models if own.name in probed):
        problems.append(f"{model} is a model of one's own: only the attention of {joined(KINDS)} can be replaced")
    if missing:
        what = "what the accuracy becomes when the attention is replaced"
        problems.append(f"no interventions on {_some(missing)} yet: {probe} computes {what}")
    together = [over_runs(found[model]) for model in KINDS if model in found]
    problems += [
        f"interventions on {item.model} are incomplete: {probe} computes them" for item in together if not item.complete
    ]
    return together, problems


def over_runs(runs: Sequence[Interventions]) -> Effects:
    """The interventions on the runs of one model, by seed, as one. Raises `ValueError` for no runs."""
    if not runs:
        raise ValueError("there are no runs")
    model = runs[0].model
    pairs = [(kind, layer) for kind in KINDS[model] for layer in LAYERS[model]]
    found = [_effect(kind, layer, runs) for kind, layer in pairs]
    return Effects(model, tuple(runs), tuple(effect for effect in found if effect is not None))


def _effect(kind: str, layer: str, runs: Sequence[Interventions]) -> Effect | None:
    """None where not every run has this intervention."""
    items = [run.get(kind, layer) for run in runs]
    known = [item for item in items if item is not None]
    if len(known) < len(items):
        return None
    ci95 = known[0].ci95
    if len(known) > 1:
        before = [run.accuracy for run in runs]
        after = [item.accuracy for item in known]
        ci95 = verdict(before, after, resolution=1 / min(run.test_size for run in runs)).ci95 or ci95
    return Effect(
        kind=kind,
        layer=layer,
        accuracy=fsum(item.accuracy for item in known) / len(known),
        delta=fsum(item.delta for item in known) / len(known),
        ci95=ci95,
        deltas=tuple(item.delta for item in known),
    )


def dependence_sentence(found: Effects) -> str:
    """How much of a model's accuracy depends on its attention being about the image at hand, in plain words."""
    own, other = found.get(MEAN), found.get(ANOTHER_IMAGE)
    if own is None or other is None:
        return f"{found.model}: its interventions are incomplete"
    what = replaced_words(found.model)
    several = len(found.runs) > 1
    over = f"{len(found.runs)} seeds" if several else f"{found.runs[0].run}, {found.runs[0].test_size:,} test images"
    given = f"{found.model} ({over}): with the mean {what} of all images in the place of each image's own, its accuracy"
    interval = f"95 % interval {interval_points(own.ci95)}"
    rest = f"with those of another image it changes by {points(other.delta)} points ({interval_points(other.ci95)})"
    if own.ci95[1] < 0:
        lost = f"{abs(100 * own.delta):.2f} points"
        share = f"so much of its {percent(found.accuracy)} % depends on their being about this image"
        return f"{given} falls by {lost} ({interval}): {share}; {rest}"
    if own.ci95[0] > 0:
        return f"{given} rises by {abs(100 * own.delta):.2f} points ({interval}): it is better off without; {rest}"
    unknown = "" if _narrow(own.ci95) else ", though the interval leaves room for it"
    return (
        f"{given} changes by {points(own.delta)} points ({interval}): no part of it is shown to depend on their being "
        f"about this image{unknown}; {rest}"
    )


def _narrow(ends: Interval, points: float = 0.005) -> bool:
    """Whether an interval excludes differences of half a point, so that "not shown" comes close to "isn't so"."""
    return max(abs(end) for end in ends) < points


def layer_words(layer: str) -> str:
    """`se1`, `both` for the two SE layers at once, `attention`."""
    return "both" if layer == "all" else layer


def kind_words(model: str, kind: str) -> str:
    """What is put in the place of the gates or weights: `their mean over all images`."""
    return KINDS[model][kind]


def effect_rows(found: Effects) -> list[list[str]]:
    """A table: a title row, then one row for each intervention: what, where, accuracy, change in points, interval."""
    what = f"{replaced_words(found.model).split()[-1]} replaced by"
    rows = [[what, "in", "accuracy, %", "points", "95 % interval"]]
    own = "their own"
    rows.append([own, "–", percent(found.accuracy), UNKNOWN, UNKNOWN])
    for effect in found.effects:
        rows.append(
            [
                kind_words(found.model, effect.kind),
                layer_words(effect.layer),
                percent(effect.accuracy),
                points(effect.delta),
                interval_points(effect.ci95),
            ]
        )
    return rows


def effects_lines(found: Sequence[Effects], problems: Sequence[str], width: int) -> list[str]:
    """All interventions as plain text, in lines of at most `width` cells (20 at least)."""
    lines: list[str] = []
    for item in found:
        lines += _table(effect_rows(item), max(width, 20))
        lines += ["", *wrap(dependence_sentence(item), max(width, 20)), ""]
    for problem in problems:
        lines += wrap(problem, max(width, 20), first="- ", rest="  ")
    return [line.rstrip() for line in lines]


def _table(rows: Sequence[Sequence[str]], width: int) -> list[str]:
    """All columns where they fit, else without the accuracies, else what is replaced on a line of its own."""
    whole = columns(rows)
    if max(map(cells, whole)) <= width:
        return whole
    shorter = columns([[row[0], row[1], *row[3:]] for row in rows])
    if max(map(cells, shorter)) <= width:
        return shorter
    lines, heading = list[str](), ""
    for line, row in zip(columns([[f"  {row[1]}", *row[3:]] for row in rows]), rows, strict=True):
        if row[0] != heading:
            heading = row[0]
            lines += wrap(heading, width)
        lines.append(cut(line, width))
    return lines


def effects_json(found: Sequence[Effects], problems: Sequence[str]) -> dict[str, Any]:
    """Plain JSON types: `models`, each with `model`, `accuracy`, `sentence`, `runs` and `interventions`; `problems`."""
    return {"models": [_model_json(item) for item in found], "problems": list(problems)}


def _model_json(found: Effects) -> Mapping[str, Any]:
    return {
        "model": found.model,
        "accuracy": found.accuracy,
        "sentence": dependence_sentence(found),
        "runs": [{"run": run.run, "seed": run.seed, "accuracy": run.accuracy} for run in found.runs],
        "interventions": [
            {
                "kind": effect.kind,
                "layer": effect.layer,
                "accuracy": effect.accuracy,
                "delta": effect.delta,
                "ci95": list(effect.ci95),
                "deltas": list(effect.deltas),
            }
            for effect in found.effects
        ],
    }


def _some(names: Sequence[str], most: int = 5) -> str:
    shown = ", ".join(safe_text(name, one_line=True) for name in names[:most])
    return shown if len(names) <= most else f"{shown} and {len(names) - most} more"
