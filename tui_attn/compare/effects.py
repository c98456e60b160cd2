"""The interventions on all runs of a model together, in numbers and in sentences."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from math import fsum
from typing import Any

from tui_attn.compare.interventions import (
    ANOTHER_IMAGE,
    KINDS,
    LAYERS,
    MEAN,
    PIXELS_ONLY,
    TUNED,
    Interventions,
    InterventionsError,
    load_interventions,
)
from tui_attn.compare.t_test import Interval
from tui_attn.compare.verdicts import verdict
from tui_attn.compare.wording import UNKNOWN, interval_points, named, points
from tui_attn.experiment.follower import Follower
from tui_attn.experiment.model_info import MODELS, attention_of, joined, replaced_words
from tui_attn.system.text import command_line, percent, safe_text
from tui_attn.system.textfit import cells, columns, cut, wrap

ENOUGH = 4
"""Networks from which on there is a t interval: below, its few degrees of freedom would hide what each one shows."""


@dataclass(frozen=True, slots=True)
class Effect:
    """One intervention over all runs of a model that have results. Fractions of the test images."""

    kind: str
    layer: str
    accuracy: float
    delta: float
    """Mean over the runs."""
    ci95: Interval
    """Of `delta`; with `ENOUGH` runs over the seeds (paired t interval), with fewer over the test images.

    The mean of two or three networks' intervals is at least as wide as the interval of their mean change would be.
    """
    deltas: tuple[float, ...]
    """By run, in the order of the seeds."""
    intervals: tuple[Interval, ...] = ()
    """The networks' own, over the test images, likewise."""
    changed: float | None = None
    """Share of the images whose predicted class changes, mean over the runs; None where a run's file lacks it."""
    loss: float | None = None
    """Mean test loss in nats, likewise."""


@dataclass(frozen=True, slots=True)
class Effects:
    """What the interventions did to one model."""

    model: str
    runs: tuple[Interventions, ...]
    """By seed; at least one."""
    effects: tuple[Effect, ...]
    """In the order of `KINDS`, then of `LAYERS`."""
    control: str | None = None
    """The model's blind control, where tuning its constants has been tried, too."""
    control_gain: float = 0.0
    """What the control gains by that, a fraction."""

    @property
    def few(self) -> bool:
        """Whether there are several networks, but too few for an interval over the seeds."""
        return 1 < len(self.runs) < ENOUGH

    @property
    def accuracy(self) -> float:
        """With its own attention, mean over the runs."""
        return fsum(found.accuracy for found in self.runs) / len(self.runs)

    @property
    def loss(self) -> float | None:
        """Mean test loss with its own attention, nats; None where a run's file lacks it."""
        return _mean([found.loss for found in self.runs])

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
    custom = f"is a custom model: only the attention of {joined(KINDS)} can be replaced"
    problems += [f"{own.name} {custom}" for own in config.custom_models if own.name in probed]
    problems += [f"{model} {PIXELS_ONLY}" for model in config.models if attention_of(model) == "pixel gates"]
    if missing:
        what = "what the accuracy becomes when the attention is replaced"
        problems.append(f"no interventions on {named(missing)} yet: {probe} computes {what}")
    together = [over_runs(found[model]) for model in config.models if model in found]
    tuned = {item.model: effect.delta for item in together if (effect := item.get(TUNED)) is not None}
    for place, item in enumerate(together):
        control = MODELS[item.model].blind_control
        if control in tuned:
            together[place] = replace(item, control=control, control_gain=tuned[control])
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
    low, high = (fsum(item.ci95[end] for item in known) / len(known) for end in (0, 1))
    ci95 = low, high
    if len(known) >= ENOUGH:
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
        intervals=tuple(item.ci95 for item in known),
        changed=_mean([item.changed for item in known]),
        loss=_mean([item.loss for item in known]),
    )


def _mean(values: Sequence[float | None]) -> float | None:
    """None where one of them isn't known."""
    known = [value for value in values if value is not None]
    return fsum(known) / len(known) if len(known) == len(values) else None


_BLIND = {info.blind_control for info in MODELS.values()}


def dependence_sentence(found: Effects) -> str:
    """How much of a model's accuracy depends on its attention being about the image at hand, in plain words."""
    own, other = found.get(MEAN), found.get(ANOTHER_IMAGE)
    if own is None or other is None:
        return f"{found.model}: its interventions are incomplete"
    what = replaced_words(found.model)
    if found.model in _BLIND:
        same = f"{found.model}: its {what} are the same for every image"
        return f"{same}, so their mean and those of another image change nothing; other constants may"
    many = len(found.runs) >= ENOUGH
    names = joined(run.run for run in found.runs)
    over = f"{len(found.runs)} seeds" if many else f"{names}, {found.runs[0].test_size:,} test images"
    given = f"{found.model} ({over}): with the mean {what} of all images in place of each image's own, its accuracy"
    changed = "" if own.changed is None else f", {percent(own.changed)} % of its predictions change"
    swapped = f"{points(other.delta)} points ({interval_words(found, other)}, unadjusted)"
    with_other = "those of another image do harm:" if other.ci95[1] < 0 else "with those of another image it changes by"
    rest = f"{_tuned_words(found, what)}{with_other} {swapped}"
    size = f"{abs(100 * own.delta):.2f} points ({interval_words(found, own)}){changed}"
    if own.ci95[1] < 0:
        most = f"{abs(100 * own.ci95[0]):.2f} points"
        share = f"at most about {most} of its {percent(found.accuracy)} % come from the individual image"
        return f"{given} falls by {size}: {share}; {rest}"
    if own.ci95[0] > 0:
        return f"{given} rises by {size}: it is better off without; {rest}"
    return (
        f"{given} changes by {points(own.delta)} points ({interval_words(found, own)}){changed}."
        f" Its own {what} aren't shown to be worth more than constant ones"
        f" (at most about {abs(100 * own.ci95[0]):.2f} points){_layers_alone(found)}; {rest}"
    )


def interval_words(found: Effects, effect: Effect) -> str:
    """The interval of a change; of two or three networks each one's change and interval."""
    if not found.few:
        return f"95 % interval {interval_points(effect.ci95)}"
    each = zip(found.runs, effect.deltas, effect.intervals, strict=True)
    return "; ".join(f"{run.run} {points(delta)}, 95 % interval {interval_points(ends)}" for run, delta, ends in each)


def _layers_alone(found: Effects) -> str:
    """The layers in which the mean alone changes the accuracy, though in all of them at once it isn't shown to."""
    layers = [effect for layer in LAYERS[found.model][:-1] if (effect := found.get(MEAN, layer)) is not None]
    clear = [effect for effect in layers if effect.ci95[0] > 0 or effect.ci95[1] < 0]
    said = [f"in {each.layer} by {points(each.delta)} ({interval_points(each.ci95)})" for each in clear]
    return f", although alone it changes {joined(said)}, one of {len(layers)} unadjusted intervals" if said else ""


def gain_sentence(found: Effects, delta: float) -> str:
    """Where a gain of `delta` over base comes from, when nothing shows that the model uses the individual image.

    Empty where the model gains nothing or depends on the image.
    """
    own = found.get(MEAN)
    if own is None or delta <= 0 or own.ci95[1] < 0:
        return ""
    kept = delta + own.delta
    if kept < delta / 2:
        return f"These runs can't show how much of {found.model}'s gain depends on the individual image."
    remain = f"{min(100 * kept, 100 * delta):.2f} of its {100 * delta:.2f} points remain with the average"
    return f"It isn't shown that {found.model}'s gain depends on the individual image: {remain}."


def _tuned_words(found: Effects, what: str) -> str:
    """What the network loses against constants tuned on training images; empty where a run's file lacks it."""
    tuned = found.get(TUNED)
    if tuned is None:
        return ""
    size, interval = f"{abs(100 * tuned.delta):.2f} points", interval_words(found, tuned)
    steps = "the network had no such steps"
    if found.control is not None and found.control_gain > 0:
        gain = f"gains {100 * found.control_gain:.2f} points by them"
        steps += f", and {found.control}, which has constants already, {gain}"
    given = "with constants tuned on training images in 200 further steps it"
    if tuned.ci95[1] < 0:
        return f"{given} falls by {size} ({interval}): so much are {what} worth that are computed for each image; "
    if tuned.ci95[0] > 0:
        return f"{given} rises by {size} ({interval}), but {steps}, so this does not show that constants are better; "
    beside = f"; {steps}" if tuned.delta > 0 else ""
    return (
        f"{given} changes by {points(tuned.delta)} points ({interval}): its own {what} aren't shown to be worth more"
        f"{beside}; "
    )


def layer_words(layer: str) -> str:
    """`se1`, `both` for the two SE layers at once, `attention`."""
    return "both" if layer == "all" else layer


def kind_words(model: str, kind: str) -> str:
    """What is put in the place of the gates or weights: `their mean over all images`."""
    return KINDS[model][kind]


def effect_rows(found: Effects) -> list[list[str]]:
    """A table: a title row, one for the network's own attention, then one for each intervention.

    Columns: what, where, accuracy, change in points, its interval, share of predictions that change, loss; without the
    last two where no file holds them.
    """
    what = f"{replaced_words(found.model).split()[-1]} replaced by"
    rows = [[what, "in", "accuracy, %", "points", "95 % interval", "changed, %", "loss"]]
    rows.append(["their own", UNKNOWN, percent(found.accuracy), UNKNOWN, UNKNOWN, UNKNOWN, loss_text(found.loss)])
    for effect in found.effects:
        where = [kind_words(found.model, effect.kind), layer_words(effect.layer), percent(effect.accuracy)]
        change = [points(effect.delta), interval_points(effect.ci95)]
        rows.append([*where, *change, percent(effect.changed), loss_text(effect.loss)])
    known = any(effect.changed is not None for effect in found.effects)
    return rows if known else [row[:5] for row in rows]


def loss_text(value: float | None) -> str:
    """A loss as people read it."""
    return UNKNOWN if value is None else f"{value:.4f}"


def effects_lines(found: Sequence[Effects], problems: Sequence[str], width: int) -> list[str]:
    """All interventions as plain text, in lines of at most `width` cells (20 at least)."""
    width, lines = max(width, 20), list[str]()
    for item in found:
        lines += [cut(f"{item.model}, runs: {len(item.runs)}", width), *_table(effect_rows(item), width)]
        lines += ["", *wrap(dependence_sentence(item), width), ""]
    lines += [line for problem in problems for line in wrap(problem, width, first="- ", rest="  ")]
    return [line.rstrip() for line in lines]


def _table(rows: Sequence[Sequence[str]], width: int) -> list[str]:
    """All columns where they fit, else fewer, else what is replaced on a line of its own."""
    for kept in ((0, 1, 2, 3, 4, 5, 6), (0, 1, 3, 4, 5, 6), (0, 1, 3, 4, 5), (0, 1, 3, 4)):
        lines = columns([[row[index] for index in kept if index < len(row)] for row in rows])
        if max(map(cells, lines)) <= width:
            return lines
    lines, heading = list[str](), ""
    for line, row in zip(columns([[f"  {row[1]}", *row[3:5]] for row in rows]), rows, strict=True):
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
        "loss": found.loss,
        "sentence": dependence_sentence(found),
        "runs": [{"run": run.run, "seed": run.seed, "accuracy": run.accuracy} for run in found.runs],
        "interventions": [_effect_json(effect) for effect in found.effects],
    }


def _effect_json(effect: Effect) -> dict[str, Any]:
    values = asdict(effect) | {"ci95": list(effect.ci95), "deltas": list(effect.deltas)}
    del values["intervals"]
    return values
