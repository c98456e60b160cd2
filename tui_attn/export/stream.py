"""Converts the events of a run's log to the records of its TensorBoard event file.

All values are over training steps, so that a resume drops the same points everywhere. The records of an event depend
only on the log up to that event: the same log always gives the same bytes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tui_attn.compare.archives import ArchiveError, read_archive
from tui_attn.experiment.config import ExperimentConfig
from tui_attn.experiment.events import Event
from tui_attn.experiment.folders import RunDir
from tui_attn.experiment.reducer import ExperimentState, RunState
from tui_attn.export import records

if TYPE_CHECKING:
    from numpy.typing import NDArray


class RunStream:
    """The records of one run, from the events of its log in order."""

    def __init__(self, folder: RunDir, run: RunState, experiment: str, config: ExperimentConfig) -> None:
        self._folder, self._experiment, self._config = folder, experiment, config
        self._state = ExperimentState(experiment)
        self._run = self._state.runs[run.id] = RunState(run.id, run.model, run.seed)
        self._begun = False

    def feed(self, event: Event) -> bytes:
        """The records of `event`; often none."""
        run, points, epochs = self._run, len(self._run.steps), len(self._run.epochs)
        probes = list(run.probes)
        if not self._state.apply_run(run.id, event):
            return b""
        if event.type == "started":
            return self._started(event)
        if event.type == "resumed":
            return records.session_start(event.t, event["from_step"] + 1)
        if event.type == "metrics" and len(run.steps) > points:
            return self._points(event, points)
        if event.type == "epoch" and len(run.epochs) > epochs:
            return self._epoch()
        if event.type == "probe" and run.probes != probes:
            return self._gates(event)
        if event.type == "ended" and event["state"] == "finished":
            return records.succeeded(event.t, run.step)
        return b""

    def _started(self, event: Event) -> bytes:
        """The head of the file; later starts only add the record of their `resumed` event."""
        if self._begun:
            return b""
        self._begun = True
        head = records.version(event.t) + records.session_start(event.t, 0)
        return head + records.hyperparameters(event.t, self._hyperparameters())

    def _hyperparameters(self) -> dict[str, str | float | bool]:
        config, about = self._config, self._run.about
        return {
            "model": self._run.model,
            "seed": float(self._run.seed),
            "dataset": config.dataset,
            "epochs": float(about["epochs"]),
            "batch_size": float(about["batch_size"]),
            "lr": float(config.lr),
            "augment": ",".join(config.augment) or "none",
            "train_images": float(about["train_size"]),
            "parameters": float(about["parameters"]),
            "precision": about["precision"],
            "device": about["device"],
            "experiment": self._experiment,
        }

    def _points(self, event: Event, first: int) -> bytes:
        """Loss and accuracy at the points from the one with index `first` on, and the speed over them."""
        run = self._run
        found = bytearray()
        for index in range(first, len(run.steps)):
            t = event.t - (run.times[-1] - run.times[index])
            values = {f"{name}/train": series[index] for name, series in run.metrics.items()}
            found += records.scalars(t, int(run.steps[index]), values)
        seconds = run.times[-1] - (run.times[first - 1] if first else 0.0)
        images = self._images(run.steps[-1]) - (self._images(run.steps[first - 1]) if first else 0)
        if seconds > 0:
            speed = {"speed/images_per_second": images / seconds}
            found += records.scalars(event.t, int(run.steps[-1]), speed)
        return bytes(found)

    def _images(self, step: float) -> int:
        """How many training images were seen after `step` steps; an epoch's last batch may be smaller."""
        about = self._run.about
        size, batch = int(about.get("train_size", 0)), int(about.get("batch_size", 0))
        epochs, rest = divmod(int(step), max(1, int(about.get("steps_per_epoch", 1))))
        return epochs * size + min(rest * batch, size)

    def _epoch(self) -> bytes:
        result = self._run.epochs[-1]
        values = {
            "loss/test": result.test_loss,
            "accuracy/test": result.test_accuracy,
            "learning_rate": float(self._config.lr),
        }
        return records.scalars(result.t, result.step, values)

    def _gates(self, event: Event) -> bytes:
        """A histogram for each SE layer; the other networks have no gates."""
        step = event["epoch"] * max(0, self._run.about.get("steps_per_epoch", 0))
        step = min(step, self._run.total_steps or step)  # the last epoch may be short
        found = b""
        for layer, values in self._arrays(event["file"]).items():
            found += records.histogram(event.t, step, f"gates/{layer}", values)
        return found

    def _arrays(self, file: str) -> dict[str, NDArray[Any]]:
        """The gates by layer: (classes, channels) from the probe's file, else (channels,) as the log tells them."""
        import numpy as np

        layers = list(self._run.gates)
        try:
            arrays = read_archive(self._folder.probes / file, [f"{layer}/by_class" for layer in layers], folders=2)
            found = {layer: arrays[f"{layer}/by_class"] for layer in layers}
        except ArchiveError:
            found = {layer: np.asarray(values) for layer, values in self._run.gates.items()}
        return {
            layer: values
            for layer, values in found.items()
            if values.dtype.kind in "fiu" and values.size and np.isfinite(values).all()
        }
