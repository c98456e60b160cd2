"""An experiment as tidy tables: one row for each run, epoch, point of the training curves, and gate.

A column's name ends in its unit, where it has one: losses are in nats, accuracies and gates fractions of 1, times of
training in seconds, points in time in unix seconds. A cell is empty where its value isn't known.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from tui_attn.compare.archives import ArchiveError, read_archive
from tui_attn.compare.predictions import class_names
from tui_attn.compare.summary import summarise
from tui_attn.experiment.follower import Follower
from tui_attn.experiment.reducer import RunState
from tui_attn.export.outfolder import OutFolder
from tui_attn.system.csv_text import csv_blocks

if TYPE_CHECKING:
    from numpy.typing import NDArray

Row = Sequence[object]
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
_POINTS = (*_RUN, "step", "train_time_s", "train_loss_nats", "train_accuracy_fraction")
_GATES = (*_RUN, "epoch", "layer", "class", "channel", "gate_mean_fraction", "gate_sd_fraction")


def write_tables(follower: Follower, out: OutFolder, only: str | None = None) -> list[str]:
    """Write the tables of all runs, or of the run called `only`, into `out`, and return what could not be read."""
    problems: list[str] = []
    begun = [run for run in _in_order(follower) if only in {None, run.id} and (run.steps or run.epochs or run.probes)]
    tables: dict[str, tuple[Sequence[str], Callable[[], Iterable[Row]]]] = {
        "runs.csv": (_RUNS, lambda: _runs(follower, only)),
        "epochs.csv": (_EPOCHS, lambda: _epochs(begun)),
        "points.csv": (_POINTS, lambda: _points(begun)),
        "gates.csv": (_GATES, lambda: _gates(follower, begun, problems)),
    }
    for name, (head, rows) in tables.items():
        with out.file(name) as file:
            for block in csv_blocks(head, rows()):
                file.write(block)
    return problems


def _in_order(follower: Follower) -> list[RunState]:
    models = {model: place for place, model in enumerate(follower.manifest.config.models)}
    return sorted(follower.state.runs.values(), key=lambda run: (models.get(run.model, len(models)), run.seed))


def _named(run: RunState) -> Row:
    return run.id, run.model, run.seed


def _runs(follower: Follower, only: str | None) -> Iterator[Row]:
    summary, config = summarise(follower), follower.manifest.config
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
            ]


def _epochs(begun: Iterable[RunState]) -> Iterator[Row]:
    keys = ("epoch", "step", "t", "train_loss", "train_accuracy", "test_loss", "test_accuracy", "images")
    for run in begun:
        for result in run.epochs:
            values = (getattr(result, key) for key in (*keys, "train_seconds", "peak_memory"))
            yield [*_named(run), *values]


def _points(begun: Iterable[RunState]) -> Iterator[Row]:
    for run in begun:
        for step, *values in zip(run.steps, run.times, run.losses, run.accuracies, strict=True):
            yield [*_named(run), int(step), *values]


def _gates(follower: Follower, begun: Iterable[RunState], problems: list[str]) -> Iterator[Row]:
    """The gates of the SE layers at every probe; epoch 0 is before training."""
    for run in begun:
        for epoch, file in run.probes if run.gates else ():
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
