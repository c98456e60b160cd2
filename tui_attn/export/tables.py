"""The tables of an experiment as CSV files, for export and for the report.

A heading ends in its unit where it has one: losses are in nats, accuracies and gates fractions of 1, training times in
seconds, points in time in unix seconds. The headings without a unit are fractions or counts. A cell is empty where its
value isn't known.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from statistics import median
from typing import TYPE_CHECKING, Any

from tui_attn.compare.archives import ArchiveError, read_archive
from tui_attn.compare.predictions import class_names
from tui_attn.compare.results import Results, read_results
from tui_attn.compare.summary import Versus, time_to_accuracy
from tui_attn.experiment.events import STEP_METRICS
from tui_attn.experiment.follower import Follower
from tui_attn.experiment.reducer import RunState
from tui_attn.export.outfolder import OutFolder
from tui_attn.system.csv_text import csv_blocks

if TYPE_CHECKING:
    from numpy.typing import NDArray

Row = Sequence[object]
Table = tuple[Sequence[str], Iterable[Row]]
"""The headings, and the rows, which can be read once."""
_RUN = ("run", "model", "seed")
_RUNS = (
    "experiment",
    "experiment_name",
    "dataset",
    *_RUN,
    "state",
    "counts",
    "epochs_done",
    "epochs_planned",
    "batch_size",
    "learning_rate",
    "augment",
    "train_images",
    "test_images",
    "parameters",
    "macs",
    "device",
    "precision",
    "test_accuracy_fraction",
    "test_loss_nats",
    "train_time_s",
    "images_per_s",
    "peak_memory_bytes",
    "began_unix_s",
    "weights_sha256",
    "time_to_threshold_s",
    "threshold_accuracy_fraction",
)
_EPOCHS = (
    *_RUN,
    "epoch",
    "step",
    "ended_unix_s",
    "train_loss_nats",
    "train_accuracy_fraction",
    "test_loss_nats",
    "test_accuracy_fraction",
    "images",
    "train_time_s",
    "peak_memory_bytes",
)
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
_CLASSES = ("model", "run", "class", "accuracy")
_SEEN = ("predictions_changed", "loss_nats")
_EFFECTS = ("model", "run", "kind", "layer", "accuracy", "delta", "delta_low", "delta_high", "interval_over", *_SEEN)
_POINTS = (*_RUN, "step", "train_time_s", *(f"train_{metric.name}_{metric.unit}" for metric in STEP_METRICS))
_GATES = (*_RUN, "epoch", "layer", "class", "channel", "gate_mean_fraction", "gate_sd_fraction")


def write_tables(follower: Follower, out: OutFolder, only: str | None = None) -> list[str]:
    """Write the tables of all runs, or of the run called `only`, into `out`, and return what could not be read."""
    results = read_results(follower)
    problems: list[str] = []
    for name, (head, rows) in csv_tables(follower, results, problems, only).items():
        with out.file(name) as file:
            for block in csv_blocks(head, rows):
                file.write(block)
    return [*problems, *results.class_problems]


def csv_tables(
    follower: Follower, results: Results, problems: list[str], only: str | None = None, *, curves: bool = True
) -> dict[str, Table]:
    """The tables by file name, of all runs or of the run called `only`; what can't be read is added to `problems`.

    Without `curves` there are no points of the training curves, and gates of the first and the newest probe only.
    """
    begun = [run for run in _in_order(follower) if only in {None, run.id} and (run.steps or run.epochs or run.probes)]
    tables: dict[str, Table] = {
        "runs.csv": (_RUNS, _runs(follower, results, only)),
        "epochs.csv": (_EPOCHS, _epochs(begun)),
        "gates.csv": (_GATES, _gates(follower, begun, problems, every=curves)),
    }
    if curves:
        tables["points.csv"] = (_POINTS, _points(begun))
    if results.classes:
        tables["classes.csv"] = (_CLASSES, _classes(results, only))
    if results.heatmaps:
        tables["heatmaps.csv"] = (_HEATMAPS, _heatmaps(results, only))
    if results.effects:
        tables["interventions.csv"] = (_EFFECTS, _effects(results, only))
    if only is None:
        tables["models.csv"] = (_MODELS, _models(results))
        for found in results.classes:
            matrix = zip(found.names, found.confusion.tolist(), strict=True)
            tables[f"confusion-{found.model}.csv"] = (("class", *found.names), ([name, *row] for name, row in matrix))
    return tables


def _in_order(follower: Follower) -> list[RunState]:
    models = {model: place for place, model in enumerate(follower.manifest.config.models)}
    return sorted(follower.state.runs.values(), key=lambda run: (models.get(run.model, len(models)), run.seed))


def _named(run: RunState) -> Row:
    return run.id, run.model, run.seed


def _runs(follower: Follower, results: Results, only: str | None) -> Iterator[Row]:
    summary, config = results.summary, follower.manifest.config
    threshold = summary.common_accuracy
    for entry in summary.models:
        for told in entry.runs:
            if only not in {None, told.run}:
                continue
            run = follower.state.runs.get(told.run)
            about: dict[str, Any] = run.about if run is not None else {}
            yield [
                summary.experiment,
                config.name,
                config.dataset,
                told.run,
                entry.model,
                told.seed,
                told.state,
                int(told.counts),
                told.epoch,
                config.epochs,
                config.batch_size,
                config.lr,
                ",".join(config.augment),
                about.get("train_size"),
                about.get("test_size"),
                entry.parameters,
                entry.macs,
                about.get("device"),
                about.get("precision"),
                *(getattr(told, key) for key in ("test_accuracy", "test_loss", "train_seconds")),
                *(getattr(told, key) for key in ("images_per_second", "peak_memory")),
                None if run is None else run.started_at,
                told.weights_sha256,
                None if run is None or threshold is None else time_to_accuracy(run.epochs, threshold),
                threshold,
            ]


def _epochs(begun: Iterable[RunState]) -> Iterator[Row]:
    keys = ("epoch", "step", "t", "train_loss", "train_accuracy", "test_loss", "test_accuracy", "images")
    for run in begun:
        for result in run.epochs:
            values = (getattr(result, key) for key in (*keys, "train_seconds", "peak_memory"))
            yield [*_named(run), *values]


def _points(begun: Iterable[RunState]) -> Iterator[Row]:
    for run in begun:
        for step, *values in zip(run.steps, run.times, *run.metrics.values(), strict=True):
            yield [*_named(run), int(step), *values]


def _gates(follower: Follower, begun: Iterable[RunState], problems: list[str], *, every: bool) -> Iterator[Row]:
    """The gates of the SE layers at each probe, or at the first and the newest; epoch 0 is before training."""
    for run in begun:
        probes = run.probes if every else [*run.probes[:1], *run.probes[1:][-1:]]
        for epoch, file in probes if run.gates else ():
            names = [f"{layer}/{what}" for layer in run.gates for what in ("by_class", "within")]
            try:
                arrays = read_archive(follower.folder.run(run.id).probes / file, names)
            except ArchiveError as error:
                problems.append(f"{run.id}: {file} {error}: its gates are left out")
                continue
            for layer in run.gates:
                for row in _gates_of(run, arrays[f"{layer}/by_class"], arrays[f"{layer}/within"]):
                    yield [*_named(run), epoch, layer, *row]


def _gates_of(run: RunState, mean: NDArray[Any], sd: NDArray[Any]) -> Iterator[Row]:
    """Class, channel, mean and standard deviation between images; nothing from arrays of any other shape."""
    if mean.ndim != 2 or mean.shape != sd.shape or mean.dtype.kind != "f" or sd.dtype.kind != "f":
        return
    names = class_names(run, len(mean))
    for name, means, sds in zip(names, mean.tolist(), sd.tolist(), strict=True):
        for channel, (value, spread) in enumerate(zip(means, sds, strict=True)):
            yield name, channel, round(value, 6), round(spread, 6)


def _models(results: Results) -> Iterator[Row]:
    for entry in results.summary.models:
        yield [
            entry.model,
            entry.class_name,
            entry.parameters,
            entry.macs,
            len(entry.counted),
            entry.accuracy,
            *(entry.ci95 or (None, None)),
            *_versus(entry.versus_base),
        ]


def _versus(versus: Versus | None) -> Row:
    if versus is None:
        return [None] * 7
    ends = versus.ci95 or (None, None)
    return [versus.delta, *ends, versus.level, versus.p_value, versus.verdict, len(versus.seeds)]


def _classes(results: Results, only: str | None) -> Iterator[Row]:
    for found in results.classes:
        for run, accuracies in zip(found.runs, found.accuracy.tolist(), strict=True):
            for name, accuracy in zip(found.names, accuracies, strict=True) if only in {None, run} else ():
                yield [found.model, run, name, None if accuracy != accuracy else accuracy]  # noqa: PLR0124  NaN


def _heatmaps(results: Results, only: str | None) -> Iterator[Row]:
    found = [pair for heatmaps in results.heatmaps for pair in heatmaps.runs if only in {None, pair[0].id}]
    for run, probes in found:
        for facts in probes.facts:
            yield [
                run.id,
                facts.layer,
                probes.epoch,
                None if facts.learned is None else int(facts.learned),
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


def _median(values: NDArray[Any] | None) -> float | None:
    return None if values is None or not len(values) else median(values.tolist())


def _effects(results: Results, only: str | None) -> Iterator[Row]:
    for found in results.effects:
        for effect in found.effects if only is None else ():
            over = "seeds" if len(found.runs) > 1 else "images"
            yield [
                found.model,
                "mean",
                effect.kind,
                effect.layer,
                effect.accuracy,
                effect.delta,
                *effect.ci95,
                over,
                effect.changed,
                effect.loss,
            ]
        for run in (run for run in found.runs if only in {None, run.run}):
            for item in run.interventions:
                yield [
                    found.model,
                    run.run,
                    item.kind,
                    item.layer,
                    item.accuracy,
                    item.delta,
                    *item.ci95,
                    "images",
                    item.changed,
                    item.loss,
                ]
