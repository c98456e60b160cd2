"""Converts the events of a run's log to the records of its TensorBoard event file.

All values are plotted over training steps, so that a resume drops the same points everywhere. The records of an event
depend only on the log up to that event: the same log always gives the same bytes, on which `EventFile` relies.

tensorboard's own protocol buffers and record writer are used. Its EventFileWriter is not: it would load TensorFlow
where that is installed, and its thread dies on a full disk.
"""

from __future__ import annotations

import io
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from tui_attn.compare.archives import ArchiveError, read_archive
from tui_attn.experiment.config import ExperimentConfig
from tui_attn.experiment.events import Event
from tui_attn.experiment.folders import RunDir
from tui_attn.experiment.reducer import ExperimentState, RunState
from tui_attn.system.text import safe_text

if TYPE_CHECKING:
    from numpy.typing import NDArray

BUCKETS = 40
"""Buckets of a histogram of gates, of equal width between 0 and 1."""
_MAX_STEP = 2**62
"""Steps in damaged logs may be larger."""


def session_start(t: float, step: int) -> bytes:
    """A session begins at `step`: a reader drops what it has read of this step and later ones.

    `t`, here and below, is in unix seconds.
    """
    from tensorboard.compat.proto import event_pb2

    return _record(t, step, session_log=event_pb2.SessionLog(status=event_pb2.SessionLog.START))


def scalars(t: float, step: int, values: Mapping[str, float]) -> bytes:
    """One value for each tag."""
    from tensorboard.compat.proto.summary_pb2 import Summary

    found = [Summary.Value(tag=tag, simple_value=value) for tag, value in values.items()]
    return _record(t, step, summary=Summary(value=found))


def histogram(t: float, step: int, tag: str, values: NDArray[Any]) -> bytes:
    """The distribution of `values`, in [0, 1], over `BUCKETS` buckets."""
    import numpy as np
    from tensorboard.compat.proto.histogram_pb2 import HistogramProto
    from tensorboard.compat.proto.summary_pb2 import Summary

    flat = np.clip(values.astype(np.float64).ravel(), 0.0, 1.0)
    counts, edges = np.histogram(flat, bins=BUCKETS, range=(0.0, 1.0))
    buckets = {"bucket_limit": edges[1:].tolist(), "bucket": counts.tolist()}
    sums = {"num": len(flat), "sum": flat.sum(), "sum_squares": float(np.dot(flat, flat))}
    spread = HistogramProto(min=flat.min(), max=flat.max(), **sums, **buckets)
    return _record(t, step, summary=Summary(value=[Summary.Value(tag=tag, histo=spread)]))


def hyperparameters(t: float, values: Mapping[str, str | float]) -> bytes:
    """The hyperparameters of the run, for the HParams plugin."""
    from tensorboard.plugins.hparams.metadata import SESSION_START_INFO_TAG
    from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData, SessionStartInfo

    info = SessionStartInfo(start_time_secs=t)
    for name, value in values.items():
        if isinstance(value, str):
            info.hparams[name].string_value = safe_text(value)
        else:
            info.hparams[name].number_value = float(value)
    return _for_hparams(t, 0, SESSION_START_INFO_TAG, HParamsPluginData(session_start_info=info))


def succeeded(t: float, step: int) -> bytes:
    """The run has finished, for the HParams plugin."""
    from tensorboard.plugins.hparams import api_pb2
    from tensorboard.plugins.hparams.metadata import SESSION_END_INFO_TAG
    from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData, SessionEndInfo

    info = SessionEndInfo(status=api_pb2.STATUS_SUCCESS, end_time_secs=t)
    return _for_hparams(t, step, SESSION_END_INFO_TAG, HParamsPluginData(session_end_info=info))


def _for_hparams(t: float, step: int, tag: str, data: Any) -> bytes:
    from tensorboard.compat.proto.summary_pb2 import Summary, SummaryMetadata
    from tensorboard.plugins.hparams.metadata import NULL_TENSOR, PLUGIN_DATA_VERSION, PLUGIN_NAME

    data.version = PLUGIN_DATA_VERSION
    content = data.SerializeToString(deterministic=True)
    about = SummaryMetadata(plugin_data=SummaryMetadata.PluginData(plugin_name=PLUGIN_NAME, content=content))
    return _record(t, step, summary=Summary(value=[Summary.Value(tag=tag, metadata=about, tensor=NULL_TENSOR)]))


def _record(t: float, step: int, **what: Any) -> bytes:
    """One event, framed: its length, a checksum, its bytes, a checksum."""
    from tensorboard.compat.proto.event_pb2 import Event
    from tensorboard.summary.writer.record_writer import RecordWriter

    event = Event(wall_time=t, step=max(0, min(step, _MAX_STEP)), **what)
    buffer = io.BytesIO()
    RecordWriter(buffer).write(event.SerializeToString(deterministic=True))
    return buffer.getvalue()


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
            return session_start(event.t, event["from_step"] + 1)
        if event.type == "metrics" and len(run.steps) > points:
            return self._points(event, points)
        if event.type == "epoch" and len(run.epochs) > epochs:
            return self._epoch()
        if event.type == "probe" and run.probes != probes:
            return self._gates(event)
        if event.type == "ended" and event["state"] == "finished":
            return succeeded(event.t, run.step)
        return b""

    def _started(self, event: Event) -> bytes:
        """The head of the file; later starts only add a record by their `resumed` event."""
        if self._begun:
            return b""
        self._begun = True
        config, about = self._config, self._run.about
        values: dict[str, str | float] = {
            "model": self._run.model,
            "seed": self._run.seed,
            "dataset": config.dataset,
            "epochs": about["epochs"],
            "batch_size": about["batch_size"],
            "lr": config.lr,
            "augment": ",".join(config.augment) or "none",
            "train_images": about["train_size"],
            "parameters": about["parameters"],
            "precision": about["precision"],
            "device": about["device"],
            "experiment": self._experiment,
        }
        head = _record(event.t, 0, file_version="brain.Event:2") + session_start(event.t, 0)
        return head + hyperparameters(event.t, values)

    def _points(self, event: Event, first: int) -> bytes:
        """Loss and accuracy of the points from index `first` on, and their speed."""
        run = self._run
        found = bytearray()
        for index in range(first, len(run.steps)):
            t = event.t - (run.times[-1] - run.times[index])
            values = {f"{name}/train": series[index] for name, series in run.metrics.items()}
            found += scalars(t, int(run.steps[index]), values)
        seconds = run.times[-1] - (run.times[first - 1] if first else 0.0)
        images = self._images(run.steps[-1]) - (self._images(run.steps[first - 1]) if first else 0)
        if seconds > 0:
            speed = {"speed/images_per_second": images / seconds}
            found += scalars(event.t, int(run.steps[-1]), speed)
        return bytes(found)

    def _images(self, step: float) -> int:
        """The number of training images after `step` steps; an epoch's last batch may be smaller."""
        about = self._run.about
        size, batch = int(about.get("train_size", 0)), int(about.get("batch_size", 0))
        epochs, rest = divmod(int(step), max(1, int(about.get("steps_per_epoch", 1))))
        return epochs * size + min(rest * batch, size)

    def _epoch(self) -> bytes:
        result = self._run.epochs[-1]
        values = {"loss/test": result.test_loss, "accuracy/test": result.test_accuracy}
        return scalars(result.t, result.step, values | {"learning_rate": float(self._config.lr)})

    def _gates(self, event: Event) -> bytes:
        """A histogram for each layer with gates."""
        step = event["epoch"] * max(0, self._run.about.get("steps_per_epoch", 0))
        step = min(step, self._run.total_steps or step)  # the last epoch may be short
        found = b""
        for layer, values in self._arrays(event["file"]).items():
            found += histogram(event.t, step, f"gates/{layer}", values)
        return found

    def _arrays(self, file: str) -> dict[str, NDArray[Any]]:
        """The gates by layer: (classes, channels) from the probe's file, else (channels,) from the log."""
        import numpy as np

        names = {f"{layer}/by_class": layer for layer in self._run.gates}
        try:
            arrays = read_archive(self._folder.probes / file, list(names), folders=2)
            found = {names[name]: values for name, values in arrays.items()}
        except ArchiveError:
            found = {layer: np.asarray(values) for layer, values in self._run.gates.items()}
        return {
            layer: values
            for layer, values in found.items()
            if values.dtype.kind in "fiu" and values.size and np.isfinite(values).all()
        }
