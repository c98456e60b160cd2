"""The report's tables as CSV: numbers as programs want them, fractions and seconds, empty where unknown."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from statistics import median
from typing import Any

from tui_attn.compare.summary import Versus, time_to_accuracy
from tui_attn.report.content import Content
from tui_attn.system.csv_text import csv_blocks

Rows = Iterable[Sequence[object]]


def csv_files(content: Content) -> dict[str, bytes]:
    """All tables by file name."""
    files = {
        "models.csv": _csv(_MODELS, _models(content)),
        "runs.csv": _csv(_RUNS, _runs(content)),
        "epochs.csv": _csv(_EPOCHS, _epochs(content)),
    }
    if content.classes:
        files["classes.csv"] = _csv(("model", "run", "class", "accuracy"), _classes(content))
    for result in content.classes:
        rows = [
            [name, *(int(count) for count in row)] for name, row in zip(result.names, result.confusion, strict=True)
        ]
        files[f"confusion-{result.model}.csv"] = _csv(("class", *result.names), rows)
    if content.heatmaps:
        files["heatmaps.csv"] = _csv(_HEATMAPS, _heatmaps(content))
        files["gates.csv"] = _csv(("run", "layer", "epoch", "class", "channel", "gate"), _gates(content))
    if content.effects:
        files["interventions.csv"] = _csv(_EFFECTS, _effects(content))
    return files


def _csv(head: Sequence[str], rows: Rows) -> bytes:
    return b"".join(csv_blocks(head, rows))


_MODELS = (
    "model",
    "class",
    "parameters",
    "macs",
    "runs_counted",
    "test_accuracy",
    "test_accuracy_low",
    "test_accuracy_high",
    "delta_from_base",
    "delta_low",
    "delta_high",
    "delta_level",
    "p_value",
    "verdict",
    "seeds_paired",
)


def _models(content: Content) -> Rows:
    for entry in content.summary.models:
        yield [
            entry.model,
            entry.class_name,
            entry.parameters,
            entry.macs,
            len(entry.counted),
            entry.accuracy,
            *(entry.ci95 or (None, None)),
            *(_versus(entry.versus_base)),
        ]


def _versus(versus: Versus | None) -> Sequence[object]:
    if versus is None:
        return [None] * 7
    ends = versus.ci95 or (None, None)
    return [versus.delta, *ends, versus.level, versus.p_value, versus.verdict, len(versus.seeds)]


_RUNS = (
    "run",
    "model",
    "seed",
    "state",
    "counts",
    "epoch",
    "test_accuracy",
    "test_loss",
    "train_seconds",
    "images_per_second",
    "peak_memory_bytes",
    "seconds_to_threshold",
    "threshold_accuracy",
    "weights_sha256",
)


def _runs(content: Content) -> Rows:
    begun = {run.id: run for runs in content.runs.values() for run in runs}
    for entry in content.summary.models:
        for run in entry.runs:
            reached = None
            if content.threshold is not None and run.run in begun:
                reached = time_to_accuracy(begun[run.run].epochs, content.threshold)
            keys = ("epoch", "test_accuracy", "test_loss", "train_seconds", "images_per_second", "peak_memory")
            yield [
                run.run,
                entry.model,
                run.seed,
                run.state,
                int(run.counts),
                *(getattr(run, key) for key in keys),
                reached,
                content.threshold,
                run.weights_sha256,
            ]


_EPOCHS = (
    "run",
    "model",
    "seed",
    "epoch",
    "step",
    "train_loss",
    "train_accuracy",
    "test_loss",
    "test_accuracy",
    "train_seconds",
)


def _epochs(content: Content) -> Rows:
    for model, runs in content.runs.items():
        for run in runs:
            for result in run.epochs:
                yield [run.id, model, run.seed, *(getattr(result, name) for name in _EPOCHS[3:])]


def _classes(content: Content) -> Rows:
    for result in content.classes:
        for run, accuracies in zip(result.runs, result.accuracy.tolist(), strict=True):
            for name, accuracy in zip(result.names, accuracies, strict=True):
                yield [result.model, run, name, None if accuracy != accuracy else accuracy]  # noqa: PLR0124  NaN


_HEATMAPS = (
    "run",
    "layer",
    "epoch",
    "learned",
    "levels",
    "levels_untrained",
    "classes",
    "classes_untrained",
    "between_classes_median",
    "between_classes_median_untrained",
    "between_classes_chance",
    "effective_rank",
    "effective_rank_untrained",
    "saturated_low",
    "saturated_high",
    "follows_start",
)


def _heatmaps(content: Content) -> Rows:
    for heatmaps in content.heatmaps:
        for run, probes in heatmaps.runs:
            for facts in probes.facts:
                yield [
                    run.id,
                    facts.layer,
                    probes.epoch,
                    None if facts.told_apart is None else int(facts.told_apart),
                    facts.levels.strength,
                    facts.levels.untrained,
                    facts.classes.strength,
                    facts.classes.untrained,
                    _median(facts.between),
                    _median(facts.between_untrained),
                    facts.chance,
                    facts.effective_rank,
                    facts.effective_rank_untrained,
                    *(facts.saturated or (None, None)),
                    facts.follows_start,
                ]


def _median(values: Any) -> float | None:
    return None if values is None or not len(values) else median(values.tolist())


def _gates(content: Content) -> Rows:
    """The mean gates of all runs, after training and before it."""
    for heatmaps in content.heatmaps:
        for run, probes in heatmaps.runs:
            epochs = [(probes.epoch, probes.trained), (0, probes.untrained or {})]
            for layer in (facts.layer for facts in probes.facts if facts.layer != "attention"):
                for epoch, arrays in epochs:
                    matrix = arrays.get(f"{layer}/by_class")
                    if matrix is None or len(matrix) != len(heatmaps.classes):
                        continue
                    for name, row in zip(heatmaps.classes, matrix.tolist(), strict=True):
                        for channel, gate in enumerate(row):
                            yield [run.id, layer, epoch, name, channel, round(gate, 6)]


_EFFECTS = ("model", "run", "kind", "layer", "accuracy", "delta", "delta_low", "delta_high", "interval_over")


def _effects(content: Content) -> Rows:
    for found in content.effects:
        for effect in found.effects:
            over = "seeds" if len(found.runs) > 1 else "images"
            yield [found.model, "mean", effect.kind, effect.layer, effect.accuracy, effect.delta, *effect.ci95, over]
        for run in found.runs:
            for item in run.interventions:
                yield [found.model, run.run, item.kind, item.layer, item.accuracy, item.delta, *item.ci95, "images"]
