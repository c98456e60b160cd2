"""The pure fold: from the events of an experiment's logs to the state that is shown.

No clock, no file, no process: what depends on those (stalled, lost) is derived by `derive`, from facts that the
caller brings.
"""

from __future__ import annotations

import math
from array import array
from bisect import bisect_right
from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

from tui_attn.events import Event, number

RUN_ENDED = frozenset({"finished", "stopped", "skipped", "failed"})
RUN_LIVE = frozenset({"starting", "running", "paused"})
EXPERIMENT_ENDED = frozenset({"finished", "stopped", "failed"})


def _series() -> array[float]:
    return array("d")


@dataclass(slots=True)
class EpochResult:
    """One evaluated epoch. Accuracies are fractions, times seconds since the run's start, memory bytes."""

    epoch: int
    step: int
    t: float
    train_loss: float
    train_accuracy: float
    test_loss: float
    test_accuracy: float
    images: int
    train_seconds: float
    peak_memory: int | None


@dataclass(slots=True)
class RunState:
    """One run as its events tell it."""

    id: str
    model: str
    seed: int
    state: str = "queued"
    reason: str | None = None
    traceback: str | None = None
    device: str | None = None
    worker: int | None = None
    attempt: int = 0
    about: dict[str, Any] = field(default_factory=dict)
    """The payload of `started`: parameters, macs, steps_per_epoch, precision, class_names, ..."""
    started_at: float | None = None
    """When training began or was last resumed, unix seconds."""
    ended_at: float | None = None
    steps: array[float] = field(default_factory=_series)
    losses: array[float] = field(default_factory=_series)
    accuracies: array[float] = field(default_factory=_series)
    times: array[float] = field(default_factory=_series)
    """Seconds of training at each point; pauses, evaluation and time between resumes not counted."""
    epochs: list[EpochResult] = field(default_factory=list)
    gates: dict[str, list[float]] = field(default_factory=dict)
    """The newest mean gate of each channel, by SE layer."""
    probes: list[tuple[int, str]] = field(default_factory=list)
    """Epoch and file name of each probe, oldest first."""
    checkpoint: tuple[int, int] | None = None
    """Step and epoch of the newest checkpoint."""
    resumed_from: int | None = None
    """The step from which training was last resumed; None when it never was."""
    points_since_resume: int = 0
    warnings: list[str] = field(default_factory=list)
    weights_sha256: str | None = None
    last_t: float = 0.0
    """Time stamp of the newest event of this run, unix seconds."""

    @property
    def step(self) -> int:
        """The last step known to be trained."""
        return max(int(self.steps[-1]) if self.steps else 0, self.epochs[-1].step if self.epochs else 0)

    @property
    def epoch(self) -> int:
        """Number of epochs completed and evaluated."""
        return self.epochs[-1].epoch if self.epochs else 0

    @property
    def total_steps(self) -> int | None:
        """Steps of the whole run; None before the worker has said it."""
        per_epoch, epochs = self.about.get("steps_per_epoch"), self.about.get("epochs")
        return per_epoch * epochs if per_epoch and epochs else None

    @property
    def progress(self) -> float:
        """Fraction of the run's steps that are done, in [0, 1]."""
        total = self.total_steps
        return 1.0 if self.state == "finished" else min(self.step / total, 1.0) if total else 0.0

    @property
    def train_seconds(self) -> float:
        """Seconds spent in training steps so far."""
        return max(self.times[-1] if self.times else 0.0, self.epochs[-1].train_seconds if self.epochs else 0.0)

    @property
    def images_per_second(self) -> float | None:
        """Training images over training seconds, over the whole run; None before anything was measured."""
        if self.epochs and self.epochs[-1].train_seconds > 0:
            return self.epochs[-1].images / self.epochs[-1].train_seconds
        if self.times and self.times[-1] > 0:
            return self.steps[-1] * float(self.about.get("batch_size", 0)) / self.times[-1]
        return None

    @property
    def ended(self) -> bool:
        """Whether it is over, one way or the other."""
        return self.state in RUN_ENDED


@dataclass(slots=True)
class ExperimentState:
    """An experiment as its events tell it. Feed it with `apply` and `apply_run`."""

    id: str
    state: str = "starting"
    runs: dict[str, RunState] = field(default_factory=dict)
    """By id, in the order in which they were queued."""
    devices: list[str] = field(default_factory=list)
    started_at: float | None = None
    resumed_at: float | None = None
    """When a supervisor last took charge, unix seconds."""
    ended_at: float | None = None
    acknowledged: dict[str, tuple[str, str]] = field(default_factory=dict)
    """Command id -> (command, result)."""
    warnings: list[tuple[float, str]] = field(default_factory=list)
    log: list[tuple[float, str | None, str]] = field(default_factory=list)
    """What happened, in words: unix seconds, run or None, text."""
    revision: int = 0
    """Grows with every event, so that a reader sees whether anything changed."""

    def apply(self, event: Event) -> None:
        """Fold in one event of the experiment's log. What makes no sense is passed over."""
        self.revision += 1
        handler = _EXPERIMENT_HANDLERS.get(event.type)
        if handler is not None:
            handler(self, event)

    def apply_run(self, run_id: str, event: Event) -> None:
        """Fold in one event of the log of run `run_id`. Events of a run that was never queued are passed over."""
        run = self.runs.get(run_id)
        if run is None:
            return
        self.revision += 1
        run.last_t = event.t
        handler = _RUN_HANDLERS.get(event.type)
        if handler is not None:
            handler(self, run, event)

    def restart_run(self, run_id: str) -> None:
        """Forget what the log of `run_id` said, because it is read from the start again."""
        old = self.runs.get(run_id)
        if old is not None:
            fresh = RunState(old.id, old.model, old.seed, state=old.state, reason=old.reason)
            fresh.device, fresh.worker, fresh.attempt = old.device, old.worker, old.attempt
            self.runs[run_id] = fresh
            self.revision += 1

    def counts(self) -> dict[str, int]:
        """How many runs are in each state."""
        found: dict[str, int] = {}
        for run in self.runs.values():
            found[run.state] = found.get(run.state, 0) + 1
        return found

    @property
    def exit_code(self) -> int:
        """0 when all runs finished, 1 when none did and something failed, else 3."""
        states = [run.state for run in self.runs.values()]
        if states and all(state == "finished" for state in states):
            return 0
        return 1 if "failed" in states and "finished" not in states else 3


def outcome(states: Iterable[str]) -> str:
    """How an experiment whose runs all ended has ended."""
    found = set(states)
    return "failed" if "failed" in found else "stopped" if "stopped" in found else "finished"


def derive(state: ExperimentState, *, supervised: bool, silent: Iterable[str] = ()) -> tuple[str, dict[str, str]]:
    """What is really going on: the experiment's state and each run's, with stalled and lost.

    `supervised`: whether a supervisor lives; `silent`: the ids of runs whose worker shows no progress.
    """
    runs = {run.id: run.state for run in state.runs.values()}
    if not supervised:
        shown = state.state if state.state in EXPERIMENT_ENDED else "lost"
        return shown, {
            id_: "lost" if now in RUN_LIVE or (now == "queued" and shown == "lost") else now
            for id_, now in runs.items()
        }
    quiet = set(silent)
    return state.state, {id_: "stalled" if now == "running" and id_ in quiet else now for id_, now in runs.items()}


def eta_seconds(run: RunState) -> float | None:
    """Seconds of training still to do at the pace since the last resume; None until that means something."""
    total = run.total_steps
    if total is None or run.state != "running" or run.points_since_resume < 5:
        return None
    first = len(run.steps) - run.points_since_resume
    window = max(first, len(run.steps) - 150)
    done, spent = run.steps[-1] - run.steps[window], run.times[-1] - run.times[window]
    if done <= 0 or spent <= 0:
        return None
    return (total - run.step) * spent / done


def experiment_eta(state: ExperimentState, now: float) -> float | None:
    """Seconds until the last run ends, at the pace since training began or was last resumed; None if unknown.

    `now` is in unix seconds. All runs are counted alike, because a worker trains the models in turns.
    """
    known = [run.total_steps for run in state.runs.values() if run.total_steps is not None]
    open_ = [run for run in state.runs.values() if not run.ended]
    begun = [run.started_at for run in state.runs.values() if run.started_at is not None]
    if state.state != "running" or not known or not begun or not open_:
        return None
    since = max(min(begun), state.resumed_at or 0.0)
    done = sum(run.step - (run.resumed_from or 0) for run in state.runs.values() if run.last_t >= since)
    left = sum(max(0, (run.total_steps or known[0]) - run.step) for run in open_ if run.state != "paused")
    spent = now - since
    if done < 0.01 * known[0] or spent < 2.0:
        return None
    return left * spent / done


# ---- the experiment's log


def _experiment_started(state: ExperimentState, event: Event) -> None:
    state.state = "running"
    state.devices = [str(device) for device in event["devices"]]
    state.started_at = state.started_at if state.started_at is not None else event.t
    state.resumed_at = event.t
    state.ended_at = None
    state.log.append((event.t, None, "resumed" if event["resumed"] else "started"))


def _run_queued(state: ExperimentState, event: Event) -> None:
    run = state.runs.get(event["run"])
    if run is None:
        state.runs[event["run"]] = RunState(event["run"], event["model"], event["seed"])
        return
    run.state, run.reason, run.traceback, run.ended_at = "queued", None, None, None


def _run_started(state: ExperimentState, event: Event) -> None:
    run = state.runs.get(event["run"])
    if run is None:
        return
    # The run's own log is read after this one and may be ahead of it.
    begun = run.started_at is not None and run.started_at >= event.t
    run.state, run.reason, run.traceback = "running" if begun else "starting", None, None
    run.device, run.worker, run.attempt = event["device"], event["worker"], event["attempt"]
    state.log.append((event.t, run.id, f"started on {run.device}"))


def _run_restarted(state: ExperimentState, event: Event) -> None:
    run = state.runs.get(event["run"])
    if run is not None:
        run.state, run.points_since_resume = "queued", 0
        _warn(state, event.t, run.id, f"taken up again: {event['reason']}")


def _run_ended(state: ExperimentState, event: Event) -> None:
    run = state.runs.get(event["run"])
    if run is None or event["state"] not in RUN_ENDED:
        return
    run.state, run.reason, run.ended_at = event["state"], event["reason"], event.t
    run.traceback = event.get("traceback") or run.traceback
    text = run.state if run.reason is None else f"{run.state}: {run.reason}"
    state.log.append((event.t, run.id, text))
    if run.state == "failed":
        state.warnings.append((event.t, f"{run.id} {text}"))


def _run_paused(state: ExperimentState, event: Event) -> None:
    run = state.runs.get(event["run"])
    if run is not None and not run.ended:
        run.state = "paused"
        state.log.append((event.t, run.id, "paused"))
        _settle(state)


def _run_unpaused(state: ExperimentState, event: Event) -> None:
    run = state.runs.get(event["run"])
    if run is not None and run.state == "paused":
        run.state = "running" if run.about and run.worker is not None else "queued"
        run.points_since_resume = 0
        state.log.append((event.t, run.id, "goes on"))
        _settle(state)


def _settle(state: ExperimentState) -> None:
    """Running or paused: paused when every run that hasn't ended is."""
    if state.state in {"running", "paused"}:
        open_ = [run.state for run in state.runs.values() if not run.ended]
        state.state = "paused" if open_ and all(now == "paused" for now in open_) else "running"


def _control_ack(state: ExperimentState, event: Event) -> None:
    state.acknowledged[event["id"]] = (event["command"], event["result"])
    state.log.append((event.t, event["run"], f"{event['command']}: {event['result']}"))


def _extended(state: ExperimentState, event: Event) -> None:
    state.log.append((event.t, None, f"extended to {event['seeds']} seeds"))


def _experiment_warning(state: ExperimentState, event: Event) -> None:
    _warn(state, event.t, None, event["message"])


def _warn(state: ExperimentState, t: float, run: str | None, message: str) -> None:
    state.warnings.append((t, message if run is None else f"{run} {message}"))
    state.log.append((t, run, message))


def _experiment_finished(state: ExperimentState, event: Event) -> None:
    if event["state"] in EXPERIMENT_ENDED:
        state.state, state.ended_at = event["state"], event.t
        state.log.append((event.t, None, event["state"]))


_EXPERIMENT_HANDLERS = {
    "experiment_started": _experiment_started,
    "run_queued": _run_queued,
    "run_started": _run_started,
    "run_restarted": _run_restarted,
    "run_ended": _run_ended,
    "run_paused": _run_paused,
    "run_unpaused": _run_unpaused,
    "control_ack": _control_ack,
    "extended": _extended,
    "warning": _experiment_warning,
    "experiment_finished": _experiment_finished,
}

# ---- a run's log


def _started(state: ExperimentState, run: RunState, event: Event) -> None:
    run.about = dict(event.data)
    run.started_at = event.t
    run.points_since_resume = 0
    if run.state in {"queued", "starting"}:
        run.state = "running"


def _metrics(state: ExperimentState, run: RunState, event: Event) -> None:
    try:
        steps = [number(value) for value in event["step"]]
        losses = [number(value) for value in event["loss"]]
        accuracies = [number(value) for value in event["accuracy"]]
        seconds = number(event["train_seconds"])
    except (TypeError, ValueError):
        return
    last = run.steps[-1] if run.steps else 0.0
    if not steps or not len(steps) == len(losses) == len(accuracies):
        return
    grows = (math.isfinite(step) and step > before for before, step in pairwise([last, *steps]))
    if not all(grows):
        return
    before = run.times[-1] if run.times else 0.0
    for index, step in enumerate(steps):
        run.times.append(before + (seconds - before) * (step - last) / max(steps[-1] - last, 1.0))
        run.steps.append(step)
        run.losses.append(losses[index])
        run.accuracies.append(accuracies[index])
    run.points_since_resume += len(steps)


def _epoch(state: ExperimentState, run: RunState, event: Event) -> None:
    if event["epoch"] <= run.epoch:
        return
    run.epochs.append(
        EpochResult(
            epoch=event["epoch"],
            step=event["step"],
            t=event.t,
            train_loss=number(event["train_loss"]),
            train_accuracy=number(event["train_accuracy"]),
            test_loss=number(event["test_loss"]),
            test_accuracy=number(event["test_accuracy"]),
            images=event["images"],
            train_seconds=number(event["train_seconds"]),
            peak_memory=event["peak_memory"],
        )
    )


def _probe(state: ExperimentState, run: RunState, event: Event) -> None:
    try:
        gates = {str(layer): [number(value) for value in values] for layer, values in event["gates"].items()}
    except (TypeError, ValueError):
        return
    run.gates = gates
    while run.probes and run.probes[-1][0] >= event["epoch"]:
        run.probes.pop()
    run.probes.append((event["epoch"], event["file"]))


def _checkpoint(state: ExperimentState, run: RunState, event: Event) -> None:
    run.checkpoint = (event["step"], event["epoch"])


def _resumed(state: ExperimentState, run: RunState, event: Event) -> None:
    step = event["from_step"]
    keep = bisect_right(run.steps, step)
    for series in (run.steps, run.losses, run.accuracies, run.times):
        del series[keep:]
    run.epochs = [result for result in run.epochs if result.epoch <= event["epoch"] and result.step <= step]
    run.probes = [probe for probe in run.probes if probe[0] <= event["epoch"]]
    run.resumed_from, run.points_since_resume = step, 0
    skipped = "".join(f"; skipped {item}" for item in event["skipped"])
    state.log.append((event.t, run.id, f"resumed from step {step}{skipped}"))
    if skipped:
        state.warnings.append((event.t, f"{run.id} resumed from step {step}{skipped}"))


def _run_warning(state: ExperimentState, run: RunState, event: Event) -> None:
    run.warnings.append(event["message"])
    _warn(state, event.t, run.id, event["message"])


def _ended(state: ExperimentState, run: RunState, event: Event) -> None:
    """The worker's last word; the run's state changes when the supervisor records it."""
    run.traceback = event["traceback"]
    run.weights_sha256 = event["weights_sha256"]


_RUN_HANDLERS = {
    "started": _started,
    "metrics": _metrics,
    "epoch": _epoch,
    "probe": _probe,
    "checkpoint": _checkpoint,
    "resumed": _resumed,
    "warning": _run_warning,
    "ended": _ended,
}
