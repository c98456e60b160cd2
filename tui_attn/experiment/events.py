"""The vocabulary of the event logs and its codec.

A line is one JSON object: `v`, `seq`, `t` (unix seconds), `type`, the payload, and last `crc`, the CRC-32 (eight
hex digits) of the line's bytes before `,"crc"`. Numbers that JSON lacks are written as the strings "NaN",
"Infinity" and "-Infinity". A decoder never raises: it returns None for a damaged or unknown line.
"""

from __future__ import annotations

import json
import math
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from tui_attn.system.text import MAX_TIME

VERSION = 1


class StepMetric(NamedTuple):
    """A metric that is logged for training steps: a column of the `metrics` event, a chart, a column of exports."""

    name: str
    unit: str
    """In exports; fractions are displayed as percentages."""
    required: bool = True
    """Whether every log has it; a metric added later is NaN in logs of earlier versions."""


STEP_METRICS = (StepMetric("loss", "nats"), StepMetric("accuracy", "fraction"))
"""The metrics of training steps: means over the steps since the previous point."""
MAX_LINE = 8 * 1024 * 1024
"""Bytes; a longer line counts as damaged."""
MOST_TEXT = 100_000
"""Texts are cut to this many characters where their line would be longer than `MAX_LINE`."""

MAX_WHOLE = 2**63 - 1
"""The largest magnitude of an integer; a larger one counts as damaged."""

_NOT_FINITE = frozenset({"NaN", "Infinity", "-Infinity"})
_NUMBER = (int, float)
_OPTIONAL_TEXT = (str, type(None))
_ENVELOPE = frozenset({"v", "seq", "t", "type", "crc"})

Types = type | tuple[type, ...]

EXPERIMENT_EVENTS: dict[str, dict[str, Types]] = {
    # The supervisor took charge; again after each resume.
    "experiment_started": {"experiment": str, "devices": list, "jobs": int, "resumed": bool},
    "run_queued": {"run": str, "model": str, "seed": int},
    # A worker took the run; `attempt` counts from 1.
    "run_started": {"run": str, "device": str, "worker": int, "attempt": int},
    # A scheduler was given the run as `job`; it isn't running yet.
    "run_submitted": {"run": str, "engine": str, "job": str},
    # Why the scheduler has it wait; again when the reason changes.
    "run_waits": {"run": str, "reason": str},
    # The worker of this run died and another takes it up from its checkpoint.
    "run_restarted": {"run": str, "reason": str},
    "run_ended": {"run": str, "state": str, "reason": _OPTIONAL_TEXT},
    "run_paused": {"run": str},
    "run_unpaused": {"run": str},
    # A command is about to be obeyed: should its supervisor die before the acknowledgement, the next one settles it.
    "control_begun": {"id": str, "command": str, "run": _OPTIONAL_TEXT},
    "control_ack": {"id": str, "command": str, "run": _OPTIONAL_TEXT, "result": str},
    "extended": {"seeds": int},
    "warning": {"message": str},
    "experiment_finished": {"experiment": str, "state": str},
}
"""Events of `runs/<experiment>/events.jsonl`, written by the supervisor: type -> required payload."""

RUN_EVENTS: dict[str, dict[str, Types]] = {
    # What this run is; again after each resume, before `resumed`.
    "started": {
        "model": str,
        "seed": int,
        "device": str,
        "precision": str,
        "threads": int,
        "epochs": int,
        "steps_per_epoch": int,
        "batch_size": int,
        "train_size": int,
        "test_size": int,
        "parameters": int,
        "macs": (int, type(None)),
    },
    # Columns of equal length: `step` (counted from 1 over the whole run) and `STEP_METRICS`; `epoch` is the epoch in
    # progress, from 1.
    "metrics": {
        "epoch": int,
        "step": list,
        **{metric.name: list for metric in STEP_METRICS if metric.required},
        "train_seconds": _NUMBER,
    },
    # The test set after each epoch. `images` and `train_seconds` count from the run's start.
    "epoch": {
        "epoch": int,
        "step": int,
        "train_loss": _NUMBER,
        "train_accuracy": _NUMBER,
        "test_loss": _NUMBER,
        "test_accuracy": _NUMBER,
        "images": int,
        "train_seconds": _NUMBER,
        "peak_memory": (int, type(None)),
    },
    # Arrays in `file` (probes/*.npz), and for a glance the mean gate of every channel by layer.
    "probe": {"epoch": int, "file": str, "gates": dict},
    "checkpoint": {"step": int, "epoch": int, "file": str, "bytes": int},
    # Training continues after `from_step`; later points were lost and will be logged again.
    "resumed": {"from_step": int, "epoch": int, "skipped": list},
    # Whether CUDA graphs pool by one kernel ("fused") or by torch's operators ("torch"), and why then.
    "pooling": {"kernels": str, "reason": _OPTIONAL_TEXT},
    "warning": {"message": str},
    # The worker's last word on this run. `state`: finished, stopped, skipped or failed.
    "ended": {
        "state": str,
        "reason": _OPTIONAL_TEXT,
        "traceback": _OPTIONAL_TEXT,
        "epoch": int,
        "step": int,
        "weights_sha256": _OPTIONAL_TEXT,
    },
}
"""Events of `runs/<experiment>/<run>/events.jsonl`, written by its worker.

Each also has `w`, the token of its writer. Where two workers wrote one log, because locks don't reach from host to
host, the lines of the one that started last count."""

CONTROL_EVENTS: dict[str, dict[str, Types]] = {
    "pause": {"id": str, "run": _OPTIONAL_TEXT},
    "unpause": {"id": str, "run": _OPTIONAL_TEXT},
    "stop": {"id": str, "run": _OPTIONAL_TEXT},
    "skip": {"id": str, "run": _OPTIONAL_TEXT},
    "retry": {"id": str, "run": _OPTIONAL_TEXT},
    "extend": {"id": str, "seeds": int},
}
"""Commands of `control.jsonl`, written by users and programs; a `run` of null means all runs."""

_parse = json.JSONDecoder().raw_decode
_SCHEMA: dict[str, list[list[tuple[str, frozenset[type], Types]]]] = {}
"""By type, for each vocabulary that has it: field, types whose values are all valid, all types."""
for _vocabulary in (EXPERIMENT_EVENTS, RUN_EVENTS, CONTROL_EVENTS):
    for _type, _fields in _vocabulary.items():
        _SCHEMA.setdefault(_type, []).append(
            [
                (_name, frozenset(_types if isinstance(_types, tuple) else (_types,)) - {int}, _types)
                for _name, _types in _fields.items()
            ]
        )
_ABSENT = object()


@dataclass(frozen=True, slots=True)
class Event:
    """One event: type, sequence number in its log, time (unix seconds), payload."""

    type: str
    seq: int
    t: float
    data: Mapping[str, Any]

    def __getitem__(self, key: str) -> Any:
        return self.data[key]

    def get(self, key: str, default: Any = None) -> Any:
        """The payload's `key`, or `default`."""
        return self.data.get(key, default)


def encode(type_: str, payload: Mapping[str, Any], *, seq: int, t: float) -> bytes:
    """One whole line, newline included; texts are cut where the line would be too long.

    Raises `ValueError` for a payload that its type doesn't allow or that makes too long a line.
    """
    if not _fits(type_, payload) or not 0 <= t < MAX_TIME:
        raise ValueError(f"not a valid '{type_}' event: {sorted(payload)}")
    record = {"v": VERSION, "seq": seq, "t": round(t, 3), "type": type_, **payload}
    try:
        body = json.dumps(record, allow_nan=False, ensure_ascii=False, separators=(",", ":"))
    except ValueError:
        body = json.dumps(_spell_non_finite(record), allow_nan=False, ensure_ascii=False, separators=(",", ":"))
    head = body[:-1].encode("utf-8", "backslashreplace")
    line = b'%s,"crc":"%08x"}\n' % (head, zlib.crc32(head))
    if len(line) - 1 > MAX_LINE:
        texts = {key: value for key, value in payload.items() if isinstance(value, str)}
        if short := {key: text[:MOST_TEXT] for key, text in texts.items() if len(text) > MOST_TEXT}:
            return encode(type_, {**payload, **short}, seq=seq, t=t)
        raise ValueError(f"an event '{type_}' of {len(line):,} bytes: {MAX_LINE:,} at most")
    return line


def is_intact(line: bytes) -> bool:
    """Whether the checksum of a line without its newline is right."""
    head, mark, tail = line.rpartition(b',"crc":"')
    return bool(mark) and len(line) <= MAX_LINE and tail == b'%08x"}' % zlib.crc32(head)


def decode(line: bytes) -> Event | None:
    """The event of one line without its newline, or None when it is damaged or not of this vocabulary."""
    if not is_intact(line):
        return None
    head = line.rpartition(b',"crc":"')[0]
    try:
        text = (head + b"}").decode("utf-8")
        record, end = _parse(text)
    except (ValueError, RecursionError):
        return None
    if end != len(text) or not isinstance(record, dict) or record.get("v") != VERSION:
        return None
    type_, seq, t = record.get("type"), record.get("seq"), record.get("t")
    if not isinstance(type_, str) or type(seq) is not int or not isinstance(t, _NUMBER) or not 0 <= t < MAX_TIME:
        return None
    del record["v"], record["seq"], record["t"], record["type"]
    record.pop("crc", None)
    return Event(type_, seq, float(t), record) if _is(seq, int) and _fits(type_, record) else None


def number(value: Any) -> float:
    """A number in a payload, NaN and infinities included. Raises `ValueError` or `TypeError` for anything else."""
    if type(value) is float:
        return value
    if isinstance(value, str) and value not in _NOT_FINITE:
        raise ValueError(f"not a number: {value!r}")
    try:
        return float(value)
    except OverflowError:
        raise ValueError("too large a number") from None


def _fits(type_: str, payload: Mapping[str, Any]) -> bool:
    if not _ENVELOPE.isdisjoint(payload) or not _is(payload.get("run"), _OPTIONAL_TEXT):
        return False  # readers expect text as the run of any event
    for fields in _SCHEMA.get(type_, ()):
        # Plain loops, and the common case first: a long history has hundreds of thousands of lines.
        for name, any_of, types in fields:
            value = payload.get(name, _ABSENT)
            if type(value) not in any_of and not _is(value, types):
                break
        else:
            return True
    return False


def _is(value: Any, types: Types) -> bool:
    if isinstance(value, bool):
        return types is bool
    if isinstance(value, int) and not -MAX_WHOLE <= value <= MAX_WHOLE:
        return False
    if isinstance(value, types):
        return True
    return isinstance(value, str) and isinstance(types, tuple) and float in types and value in _NOT_FINITE


def _spell_non_finite(value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    if isinstance(value, dict):
        return {key: _spell_non_finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_spell_non_finite(item) for item in value]
    return value
