"""Sentences that keep a reader from concluding more than an experiment shows."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from math import fsum, sqrt
from statistics import stdev

from tui_attn.compare.archives import ArchiveError
from tui_attn.compare.heatmaps import FACTOR, level_spread, load_trained
from tui_attn.compare.pairs import BASE, Experiment
from tui_attn.compare.summary import ModelSummary, Summary
from tui_attn.compare.wording import counted, points, two_digits
from tui_attn.experiment.model_info import attention_of, joined, replaced_words
from tui_attn.experiment.reducer import RunState
from tui_attn.system.text import percent

_FAR = 5
"""Standard deviations of a model's other runs from their mean, beyond which a run is named."""
_OUTLIER_RUNS = 6
"""Runs of a model from which on such runs are looked for."""
_UNLIKE_TIMES = 1.5
"""Longest by shortest training time of one model's runs, from which on times can't be compared."""
_SKEW_SEEDS = 8
"""Seeds from which on skewness is looked at."""
_RISE = 0.001
"""Mean rise in the last epoch, a fraction, from which on accuracy still rises."""
_PROBED = 3
"""Runs of a model whose probes are read."""


def control_checks(experiment: Experiment, summary: Summary) -> dict[str, str]:
    """By model, why the verdict against its blind control is no evidence on looking at the image.

    It is none where the control's gates or weights hardly moved from their start. The probes tell how far.
    """
    found: dict[str, str] = {}
    judged = [(each, each.versus_control) for each in summary.models if each.versus_control and not summary.experiments]
    for entry, versus in judged:
        control = summary.get(versus.against)
        still, moved = (_spread(experiment, each) if versus.verdict else None for each in (control, entry))
        if still is not None and moved is not None and FACTOR * still <= moved:
            found[entry.model] = _check(experiment, entry, control, two_digits(still), two_digits(moved))
    return found


def _check(experiment: Experiment, entry: ModelSummary, control: ModelSummary, still: str, moved: str) -> str:
    what = replaced_words(entry.model)
    steps = max((run.step for run in experiment.state.runs.values() if run.model == control.model), default=0)
    matrix = attention_of(entry.model) == "channel matrix"
    measure = "distance from even weights (root mean square, in even shares)" if matrix else "spread over channels (SD)"
    said = (
        f"{control.model}'s {what} hardly moved in {steps:,} steps: their {measure} is {still}, that of"
        f" {entry.model}'s {moved} (first {_PROBED} seeds at most)"
    )
    if entry.versus_control and entry.versus_control.verdict == "no difference above margin":
        delta = f", {points(control.versus_base.delta)} points from {BASE}," if control.versus_base else ""
        return f"{said}. So {control.model}{delta} shows what the block gives with hardly any pattern of attention"
    return (
        f"{said}. So the comparison mixes looking at the image with how far {what} can move in few steps, and is no"
        " evidence that looking at the image helps"
    )


def _spread(experiment: Experiment, entry: ModelSummary) -> float | None:
    """Root mean square over layers and runs of how far gates differ between channels, or weights from even ones."""
    found = []
    for run in [each for each in entry.counted if each.run in experiment.state.runs][:_PROBED]:
        try:
            arrays = load_trained(experiment.folder, experiment.state.runs[run.run])
        except ArchiveError:
            continue
        for name in (name for name in arrays if name.endswith("/by_class")):
            layer = name.partition("/")[0]
            found.append(level_spread(layer, arrays) * (arrays[name].shape[-1] if layer == "attention" else 1))
    return sqrt(fsum(each**2 for each in found) / len(found)) if found else None


def outliers(summary: Summary) -> Iterable[str]:
    """Runs that lie far from all others of their model, and the differences without their seeds."""
    far: dict[int, list[str]] = {}
    for entry in summary.models:
        accuracies = entry.accuracies
        for seed, value in accuracies.items() if len(accuracies) >= _OUTLIER_RUNS else ():
            others = [each for other, each in accuracies.items() if other != seed]
            if abs(value - fsum(others) / len(others)) > _FAR * max(stdev(others), 0.001):
                far.setdefault(seed, []).append(f"{entry.model}-s{seed} ({percent(value)} %)")
    for seed, runs in sorted(far.items()):
        without = [
            f"{entry.model} {points(fsum(rest) / len(rest))}"
            for entry in summary.models
            if entry.versus_base and (rest := [value for at, value in _differences(summary, entry) if at != seed])
        ]
        verb, they = ("lies", "it was") if len(runs) == 1 else ("lie", "they were")
        differences = f"; without seed {seed} the differences from {BASE} are {', '.join(without)}" if without else ""
        yield (
            f"{joined(runs)} {verb} more than {_FAR} standard deviations from the other"
            f" {counted(len(summary.seeds) - 1, 'run')} of the model: {they} kept{differences}"
        )


def _differences(summary: Summary, entry: ModelSummary) -> list[tuple[int, float]]:
    """By seed, of the pairs that count."""
    if entry.versus_base is None:
        return []
    base, other = summary.get(BASE).accuracies, entry.accuracies
    return [(seed, other[seed] - base[seed]) for seed in entry.versus_base.seeds]


def unlike_times(summary: Summary) -> str | None:
    """That training times can't be compared, where those of one model's runs differ much; None elsewhere."""
    widest: tuple[float, str] = (0.0, "")
    for entry in summary.models:
        known = [(run.train_seconds, run.run) for run in entry.counted if run.train_seconds]
        (low, first), (high, last) = (pick(known, key=lambda each: each[0], default=(0.0, "")) for pick in (min, max))
        if high - low >= 1:  # seconds; shorter trainings differ by chance
            said = f"{entry.model}'s from {_seconds(low)} ({first}) to {_seconds(high)} ({last})"
            widest = max(widest, (high / low, said))
    ratio, said = widest
    if ratio < _UNLIKE_TIMES:
        return None
    return (
        f"don't compare times: training times of one model's runs differ {ratio:.1f}-fold, {said};"
        " something else may have run beside them"
    )


def _seconds(value: float) -> str:
    return f"{value:,.0f} s" if value >= 10 else f"{value:.2g} s"


def still_rising(summary: Summary, runs: Mapping[str, RunState]) -> Iterable[str]:
    """Models whose test accuracy rose in the last epoch, in three quarters of the seeds at least."""
    last, found = summary.epochs, []
    for entry in summary.models:
        known = [runs[run.run].epochs for run in entry.counted if run.run in runs]
        curves = [{each.epoch: each.test_accuracy for each in epochs} for epochs in known]
        rises = [curve[last] - curve[last - 1] for curve in curves if {last, last - 1} <= curve.keys()]
        mean = fsum(rises) / max(1, len(rises))
        if mean >= _RISE and sum(rise > 0 for rise in rises) >= 0.75 * len(rises) > 1:
            found.append(f"{entry.model} {points(mean)}")
    if found:
        yield (
            f"test accuracy still rises in the last epoch ({', '.join(found)} points): verdicts hold for this length"
            " of training, and more epochs may change them"
        )


def skewed(summary: Summary) -> Iterable[str]:
    """Differences from base that are far from normal over the seeds."""
    found: list[str] = []
    for entry in summary.models:
        pairs = _differences(summary, entry)
        mean = fsum(value for _, value in pairs) / max(1, len(pairs))
        second, third = (fsum((value - mean) ** power for _, value in pairs) for power in (2, 3))
        if len(pairs) >= _SKEW_SEEDS and second > 0 and abs(skew := third * len(pairs) ** 0.5 / second**1.5) > 1:
            far = max(pairs, key=lambda pair: abs(pair[1] - mean))[0]
            found.append(f"{entry.model} (skewness {skew:.1f}, most extreme: seed {far})")
    if found:
        yield (
            f"the differences from {BASE} are skewed over seeds for {joined(found)}: t intervals assume that they are"
            " roughly normal, and with skewness 1 up to 7.4 % of simulated experiments have a false verdict, not 5 %;"
            " beyond 1 it may be more"
        )
