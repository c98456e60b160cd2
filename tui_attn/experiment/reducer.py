"""The reducer: a pure function from the events of an experiment's logs to its state.

It uses no clock, file or process. States that depend on these (stalled, lost) are added by `derive`, from facts that
the caller passes in.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from tui_attn.experiment.events import RUN_EVENTS, Event, number
from tui_attn.experiment.folders import ID
from tui_attn.experiment.run_state import RUN_ENDED, RUN_LIVE, RUN_OPEN, EpochResult, RunState

__all__ = [
    "EXPERIMENT_ENDED",
    "RUN_ENDED",
    "RUN_LIVE",
    "EpochResult",
    "ExperimentState",
    "RunState",
    "derive",
    "outcome",
]

EXPERIMENT_ENDED = frozenset({"finished", "stopped", "failed"})
_EPOCH_FIELDS = [(name, types if isinstance(types, tuple) else (types,)) for name, types in RUN_EVENTS["epoch"].items()]
_OF_EXPERIMENT_LOG = (
    *("id", "model", "seed", "state", "reason", "traceback", "device", "worker", "attempt", "job", "waits"),
    *("ended_at", "settled_at", "since", "behind_pause"),
)
"""What the experiment's log tells about a run."""


@dataclass(slots=True)
class ExperimentState:
    """The state of an experiment, updated by `apply` and `apply_run`."""

    id: str
    state: str = "starting"
    runs: dict[str, RunState] = field(default_factory=dict)
    """By id, in the order in which they were queued."""
    devices: list[str] = field(default_factory=list)
    started_at: float | None = None
    """When a supervisor last took charge, unix seconds."""
    ended_at: float | None = None
    seconds: float = 0.0
    """Total running time measured by its supervisors."""
    extended: bool = False
    """Whether seeds were added after the start."""
    unmeasured: int = 0
    """Number of supervisors that didn't record their running time."""
    acknowledged: dict[str, tuple[str, str]] = field(default_factory=dict)
    """Command id -> (command, result)."""
    warnings: list[tuple[float, str]] = field(default_factory=list)
    log: list[tuple[float, str | None, str]] = field(default_factory=list)
    """What happened, in words: unix seconds, run or None, text."""
    revision: int = 0
    """Grows with every event, so that a reader sees whether anything changed."""
    tally: Counter[str] = field(default_factory=Counter)
    """How many runs are in each state."""

    @property
    def measured_seconds(self) -> float | None:
        """The experiment's duration by its supervisors' clocks; None while it runs, or where one is missing."""
        return self.seconds if self.state in EXPERIMENT_ENDED and self.unmeasured == 0 else None

    def apply(self, event: Event) -> None:
        """Apply one event of the experiment's log. An event that contradicts the state is ignored."""
        self.revision += 1
        if handler := _EXPERIMENT_HANDLERS.get(event.type):
            handler(self, event)
        elif (of_run := _NAMED_RUN_HANDLERS.get(event.type)) and (run := self.runs.get(event["run"])):
            of_run(self, run, event)

    def apply_run(self, run_id: str, event: Event) -> bool:
        """Apply one event of the log of run `run_id`, and return whether it counts.

        Events of a run that was never queued don't count, nor do those of a worker that another one has displaced.
        """
        run = self.runs.get(run_id)
        if run is None:
            return False
        writer = event.get("w")
        if event.type == "started":
            if run.writer is not None and run.writer != writer:
                run.displaced.append(run.writer)
            run.writer = writer
        elif writer in run.displaced:  # one that is new may fail before it has started
            return False
        self.revision += 1
        run.last_t = event.t
        if handler := _RUN_HANDLERS.get(event.type):
            handler(self, run, event)
        return True

    def restart_run(self, run_id: str) -> None:
        """Reset the run to its state by the experiment's log, before its own log is read from the start again."""
        old = self.runs.get(run_id)
        if old is not None:
            self.runs[run_id] = RunState(**{name: getattr(old, name) for name in _OF_EXPERIMENT_LOG})
            self.revision += 1

    def counts(self) -> dict[str, int]:
        """How many runs are in each state."""
        return {now: count for now, count in self.tally.items() if count}

    @property
    def exit_code(self) -> int:
        """0 when all runs finished, 1 when none did and something failed, else 3."""
        states = [run.state for run in self.runs.values()]
        if states and all(state == "finished" for state in states):
            return 0
        return 1 if "failed" in states and "finished" not in states else 3


def outcome(states: Iterable[str]) -> str:
    """The state of an experiment whose runs have all ended."""
    found = set(states)
    return "failed" if "failed" in found else "stopped" if "stopped" in found else "finished"


def derive(state: ExperimentState, *, supervised: bool, silent: Iterable[str] = ()) -> tuple[str, dict[str, str]]:
    """The actual states of the experiment and of each run, stalled and lost included.

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


# ---- the experiment's log


def _experiment_started(state: ExperimentState, event: Event) -> None:
    state.state = "running"
    state.devices = [str(device) for device in event["devices"]]
    state.started_at = state.started_at if state.started_at is not None else event.t
    state.unmeasured += 1
    state.ended_at = None
    state.log.append((event.t, None, "resumed" if event["resumed"] else "started"))


def _become(state: ExperimentState, run: RunState, now: str) -> None:
    """Set the state of `run`. An experiment is paused when all unfinished runs are."""
    state.tally[run.state] -= 1
    state.tally[now] += 1
    run.state = now
    if state.state in {"running", "paused"}:
        paused = state.tally["paused"]
        open_ = len(state.runs) - sum(state.tally[ended] for ended in RUN_ENDED)
        state.state = "paused" if paused and paused == open_ else "running"


def _advance(state: ExperimentState, run: RunState, now: str) -> None:
    """As `_become`, but a paused run stays paused and has this state when it is resumed."""
    if run.state == "paused":
        run.behind_pause = now
    else:
        _become(state, run, now)


def _run_queued(state: ExperimentState, event: Event) -> None:
    run = state.runs.get(event["run"])
    if run is None:
        if not ID.fullmatch(event["run"]):
            return
        run = state.runs[event["run"]] = RunState(event["run"], event["model"], event["seed"])
        state.tally[run.state] += 1
    run.since, run.reason, run.traceback, run.ended_at, run.worker = event.t, None, None, None, None
    run.job = run.waits = None
    _become(state, run, "queued")


def _run_submitted(state: ExperimentState, run: RunState, event: Event) -> None:
    if run.state in RUN_OPEN:
        run.job = f"{event['engine']} {event['job']}"
        state.log.append((event.t, run.id, f"submitted as {run.job}"))


def _run_waits(state: ExperimentState, run: RunState, event: Event) -> None:
    if run.state in RUN_OPEN:
        run.since, run.waits, run.points_since_resume = event.t, event["reason"], 0
        run.worker = None  # a job that is queued again keeps its token: what it logged before doesn't make it run now
        _become(state, run, "queued")
        state.log.append((event.t, run.id, f"waits: {run.waits}"))


def _run_started(state: ExperimentState, run: RunState, event: Event) -> None:
    # The run's own log is read after this one and may be ahead of it.
    begun = run.started_at is not None and run.started_at >= event.t
    if run.begun_by is not None:
        begun = run.begun_by == event["worker"]
    run.since, run.reason, run.traceback, run.ended_at, run.waits = event.t, None, None, None, None
    run.device, run.worker, run.attempt = event["device"], event["worker"], event["attempt"]
    _become(state, run, "running" if begun else "starting")
    state.log.append((event.t, run.id, f"started on {run.device}"))


def _run_restarted(state: ExperimentState, run: RunState, event: Event) -> None:
    run.since, run.points_since_resume, run.worker = event.t, 0, None
    run.job = run.waits = None
    _advance(state, run, "queued")
    _warn(state, event.t, run.id, f"restarted: {event['reason']}")


def _run_ended(state: ExperimentState, run: RunState, event: Event) -> None:
    if event["state"] not in RUN_ENDED:
        return
    run.reason, run.ended_at = event["reason"], event.t
    run.settled_at = run.settled_at or (None if event["state"] == "stopped" else event.t)
    given = event.get("traceback")
    run.traceback = given if isinstance(given, str) else run.traceback_since(run.since)
    _become(state, run, event["state"])
    text = run.state if run.reason is None else f"{run.state}: {run.reason}"
    state.log.append((event.t, run.id, text))
    if run.state == "failed":
        state.warnings.append((event.t, f"{run.id} {text}"))


def _run_paused(state: ExperimentState, run: RunState, event: Event) -> None:
    if run.state in RUN_OPEN:
        run.behind_pause = run.state
        _become(state, run, "paused")
        state.log.append((event.t, run.id, "paused"))


def _run_unpaused(state: ExperimentState, run: RunState, event: Event) -> None:
    if run.state == "paused":
        run.points_since_resume, run.unpaused_at, run.waits = 0, event.t, None
        _become(state, run, run.behind_pause)
        state.log.append((event.t, run.id, "unpaused"))


def _control_ack(state: ExperimentState, event: Event) -> None:
    state.acknowledged[event["id"]] = (event["command"], event["result"])
    # Commands that were executed have events of their own, except retry.
    if event["result"] != "done" or event["command"] == "retry":
        state.log.append((event.t, event["run"], f"{event['command']}: {event['result']}"))


def _extended(state: ExperimentState, event: Event) -> None:
    state.extended = True
    state.log.append((event.t, None, f"extended to {event['seeds']} seeds"))


def _experiment_warning(state: ExperimentState, event: Event) -> None:
    _warn(state, event.t, None, event["message"])


def _warn(state: ExperimentState, t: float, run: str | None, message: str) -> None:
    state.warnings.append((t, message if run is None else f"{run} {message}"))
    state.log.append((t, run, message))


def _experiment_finished(state: ExperimentState, event: Event) -> None:
    if event["state"] in EXPERIMENT_ENDED:
        state.state, state.ended_at = event["state"], event.t
        seconds = event.get("seconds")
        if isinstance(seconds, int | float) and 0 <= seconds < math.inf:
            state.seconds += seconds
            state.unmeasured -= 1
        state.log.append((event.t, None, event["state"]))


def _by_type(*handlers: Callable[..., None]) -> dict[str, Callable[..., None]]:
    """The handlers by the types of their events, after which they are named."""
    return {handler.__name__.removeprefix("_"): handler for handler in handlers}


_EXPERIMENT_HANDLERS = _by_type(_experiment_started, _run_queued, _control_ack, _extended, _experiment_finished)
_EXPERIMENT_HANDLERS["warning"] = _experiment_warning
_NAMED_RUN_HANDLERS = _by_type(
    *(_run_started, _run_submitted, _run_waits, _run_restarted, _run_ended, _run_paused, _run_unpaused)
)
"""Of events about one run, which must have been queued."""

# ---- a run's log


def _started(state: ExperimentState, run: RunState, event: Event) -> None:
    run.about = dict(event.data)
    run.started_at = event.t
    worker = event.get("worker")
    run.begun_by = worker if isinstance(worker, int) else None
    run.points_since_resume = 0
    # The log of a run that was queued again includes earlier attempts. They are told apart by their workers, or in logs
    # of earlier versions by time stamps, although the clock may have been set.
    now = event.t >= run.since if run.begun_by is None else run.begun_by == run.worker
    if now and (run.state in RUN_OPEN or run.state == "paused"):
        _advance(state, run, "running")


def _metrics(state: ExperimentState, run: RunState, event: Event) -> None:
    run.add_points(event.data)


def _epoch(state: ExperimentState, run: RunState, event: Event) -> None:
    if event["epoch"] <= run.epoch:
        return
    figures: dict[str, Any] = {
        name: number(event[name]) if float in types else event[name] for name, types in _EPOCH_FIELDS
    }
    found = EpochResult(t=event.t, **figures)
    said = f"epoch {found.epoch}: test accuracy {100 * found.test_accuracy:.2f}%, loss {found.test_loss:.4f}"
    state.log.append((event.t, run.id, said))
    run.epochs.append(found)


def _probe(state: ExperimentState, run: RunState, event: Event) -> None:
    try:
        gates = {str(layer): [number(value) for value in values] for layer, values in event["gates"].items()}
    except (TypeError, ValueError):
        return
    if not ID.fullmatch(event["file"]):
        return
    run.gates = gates
    while run.probes and run.probes[-1][0] >= event["epoch"]:
        run.probes.pop()
    run.probes.append((event["epoch"], event["file"]))


def _checkpoint(state: ExperimentState, run: RunState, event: Event) -> None:
    fresh = event["epoch"] > (run.checkpoint[1] if run.checkpoint else 0)
    run.checkpoint = (event["step"], event["epoch"])
    if fresh:  # within an epoch one is written every second
        state.log.append((event.t, run.id, f"checkpoint saved, epoch {event['epoch']}"))


def _resumed(state: ExperimentState, run: RunState, event: Event) -> None:
    step = event["from_step"]
    keep = bisect_right(run.steps, step)
    for series in (run.steps, run.times, *run.metrics.values()):
        del series[keep:]
    run.epochs = [result for result in run.epochs if result.epoch <= event["epoch"] and result.step <= step]
    run.probes = [probe for probe in run.probes if probe[0] <= event["epoch"]]
    run.checkpoint = (step, event["epoch"]) if step > 0 else None
    run.resumed_from, run.points_since_resume = step, 0
    skipped = "".join(f"; skipped {item}" for item in event["skipped"])
    state.log.append((event.t, run.id, f"resumed from step {step}{skipped}"))
    if skipped:
        state.warnings.append((event.t, f"{run.id} resumed from step {step}{skipped}"))


def _run_warning(state: ExperimentState, run: RunState, event: Event) -> None:
    run.warnings.append(event["message"])
    _warn(state, event.t, run.id, event["message"])


def _ended(state: ExperimentState, run: RunState, event: Event) -> None:
    """The end reported by the worker; the run's state changes when the supervisor records it."""
    run.last_words = (event.t, event["traceback"])
    run.weights_sha256 = event["weights_sha256"]
    if run.traceback is None:
        run.traceback = run.traceback_since(run.since)


_RUN_HANDLERS = _by_type(_started, _metrics, _epoch, _probe, _checkpoint, _resumed, _ended)
_RUN_HANDLERS["warning"] = _run_warning
