"""TensorBoard's event records as bytes: scalars, histograms, hyperparameters, and the beginning of a session.

Equal arguments give equal bytes, which `tui_attn.export.eventfile` builds on. tensorboard's own protocol buffers and
record writer are used; its EventFileWriter is not, because it would load TensorFlow where that is installed, and
its thread dies on a full disk.
"""

from __future__ import annotations

import io
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from tui_attn.system.text import safe_text

if TYPE_CHECKING:
    from numpy.typing import NDArray

BUCKETS = 40
"""Of a histogram of gates, equally wide between 0 and 1."""
_MAX_STEP = 2**62
"""Steps in foreign logs may be out of range."""


def version(t: float) -> bytes:
    """The record that every event file begins with. `t`, here and below, is in unix seconds."""
    return _record(t, 0, file_version="brain.Event:2")


def session_start(t: float, step: int) -> bytes:
    """A session begins at `step`: a reader drops what it has read of this step and later ones."""
    from tensorboard.compat.proto import event_pb2

    return _record(t, step, session_log=event_pb2.SessionLog(status=event_pb2.SessionLog.START))


def scalars(t: float, step: int, values: Mapping[str, float]) -> bytes:
    """One value for each tag."""
    from tensorboard.compat.proto.summary_pb2 import Summary

    found = [Summary.Value(tag=tag, simple_value=value) for tag, value in values.items()]
    return _record(t, step, summary=Summary(value=found))


def histogram(t: float, step: int, tag: str, values: NDArray[Any]) -> bytes:
    """How `values`, in [0, 1], are spread over `BUCKETS` buckets."""
    import numpy as np
    from tensorboard.compat.proto.histogram_pb2 import HistogramProto
    from tensorboard.compat.proto.summary_pb2 import Summary

    flat = np.clip(values.astype(np.float64).ravel(), 0.0, 1.0)
    counts, edges = np.histogram(flat, bins=BUCKETS, range=(0.0, 1.0))
    spread = HistogramProto(
        min=flat.min(),
        max=flat.max(),
        num=len(flat),
        sum=flat.sum(),
        sum_squares=float(np.dot(flat, flat)),
        bucket_limit=edges[1:].tolist(),
        bucket=counts.tolist(),
    )
    return _record(t, step, summary=Summary(value=[Summary.Value(tag=tag, histo=spread)]))


def hyperparameters(t: float, values: Mapping[str, str | float | bool]) -> bytes:
    """What the run was trained with, for the HParams plugin."""
    from tensorboard.plugins.hparams.metadata import SESSION_START_INFO_TAG
    from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData, SessionStartInfo

    info = SessionStartInfo(start_time_secs=t)
    for name, value in values.items():
        if isinstance(value, bool):
            info.hparams[name].bool_value = value
        elif isinstance(value, str):
            info.hparams[name].string_value = safe_text(value)
        else:
            info.hparams[name].number_value = value
    return _for_hparams(t, 0, SESSION_START_INFO_TAG, HParamsPluginData(session_start_info=info))


def succeeded(t: float, step: int) -> bytes:
    """The run came to its end, for the HParams plugin."""
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
