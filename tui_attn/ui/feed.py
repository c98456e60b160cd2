"""Follows the logs in a thread and hands snapshots of the state to the screen, which never reads a file.

A snapshot holds copies of the runs that changed. The others are the same objects as before, so that widgets can skip
them. At most one snapshot is queued at any time: a slow screen gets fewer snapshots, never old ones.
"""

from __future__ import annotations

import threading
import time
import traceback
from array import array
from collections.abc import Callable
from copy import copy
from dataclasses import dataclass, fields
from typing import Any

from tui_attn.experiment.config import ExperimentConfig
from tui_attn.experiment.durations import run_eta
from tui_attn.experiment.folders import ExperimentDir
from tui_attn.experiment.follower import Follower, Situation, began
from tui_attn.experiment.reducer import EXPERIMENT_ENDED, RunState

FASTEST = 0.1
"""Seconds between two reads of the logs while something happens."""
SLOWEST = 0.5
SLOWEST_ENDED = 2.0
"""The same when nothing happens, and when the experiment is over (it may be resumed or extended)."""
_SHARE = 20.0
"""Reading takes at most one part in this many of the time."""
_SLICE = 1 << 17
"""Bytes read before the screen may draw."""
_SITUATION_SECONDS = 0.5


@dataclass(frozen=True, slots=True)
class RunView:
    """One run as it is shown. Immutable."""

    state: RunState
    """A copy."""
    shown: str
    """The state, stalled and lost included."""
    eta: float | None
    """Seconds still to go, None until that means something."""
    revision: int
    """Changes whenever anything of the run does."""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """An experiment at one moment. Immutable."""

    experiment: str
    state: str
    """The experiment's state, lost included."""
    supervised: bool
    runs: dict[str, RunView]
    log: list[tuple[float, str | None, str]]
    """Shared with the feed, which only appends: the first `log_length` entries belong to this snapshot."""
    log_length: int
    warnings: list[tuple[float, str]]
    warnings_length: int
    """As `log_length`."""
    acknowledged: dict[str, tuple[str, str]]
    started_at: float | None
    ended_at: float | None
    last_t: float | None
    """Time of the newest event, unix seconds."""
    complete: bool
    """Whether all that was in the logs is in it; false while a long history is still being read."""
    damaged: int
    """Damaged lines that were passed over."""
    share: float = 1.0
    """The share of the logs that was read, in [0, 1]."""
    exit_code: int = 0
    stamp: float = 0.0
    """When it was made, by the feed's monotonic clock."""
    config: ExperimentConfig | None = None
    """What the experiment is: its name and its number of seeds may change."""
    measured_seconds: float | None = None
    """How long the experiment took by its supervisors' clocks, where they tell."""

    @property
    def ended(self) -> bool:
        """Whether all training is over."""
        return self.state in EXPERIMENT_ENDED


class Feed(threading.Thread):
    """Reads the logs and calls `listener` from its own thread, at most every `interval` seconds.

    `failed` gets the traceback of an unexpected error. `interval` may be changed at any time.
    """

    def __init__(
        self,
        folder: ExperimentDir,
        listener: Callable[[Snapshot], object],
        *,
        failed: Callable[[str], object] = lambda _: None,
        interval: float = 0.25,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__(name="feed", daemon=True)
        self._follower = Follower(folder)
        self._listener = listener
        self._failed = failed
        self.interval = interval
        self._clock = clock
        self._views: dict[str, RunView] = {}
        self._revision = 0
        self._stopping = threading.Event()
        self._wake = threading.Event()
        self._taken = threading.Event()
        self._taken.set()
        self._last_t: float | None = None

    def stop(self) -> None:
        """End the thread soon."""
        self._stopping.set()
        self._wake.set()

    def nudge(self) -> None:
        """Read the logs at once."""
        self._wake.set()

    def taken(self) -> None:
        """The screen has shown the last snapshot and is ready for another."""
        self._taken.set()
        self._wake.set()

    def run(self) -> None:
        """Follow the logs until stopped."""
        try:
            self._follow()
        except Exception:  # nobody would see it otherwise
            self._failed(traceback.format_exc())

    def _follow(self) -> None:
        changed: set[str] = set()
        dirty, waiting, was_complete = True, FASTEST, False
        at_once = False  # a long history has just been read to its end: show it at once
        published = situated = float("-inf")
        situation = self._follower.situation()
        while not self._stopping.is_set():
            begun = self._clock()
            complete, news = self._read(changed)
            dirty = self._follower.look_at_manifest() or dirty or news or complete != was_complete
            at_once = at_once or (complete and not was_complete)
            was_complete = complete
            if begun - situated >= _SITUATION_SECONDS or news:
                fresh = self._follower.situation()
                dirty = dirty or fresh != situation
                situation, situated = fresh, begun
            if dirty and self._taken.is_set() and (at_once or begun - published >= self.interval):
                self._taken.clear()
                self._listener(self._snapshot(situation, changed, complete))
                changed, dirty, at_once, published = set(), False, False, begun
            slowest = SLOWEST_ENDED if situation.experiment in EXPERIMENT_ENDED else SLOWEST
            waiting = FASTEST if news or dirty else min(waiting * 1.5, slowest)
            spent = self._clock() - begun
            # While a long history is read, keys and drawing get a ninth of the time to themselves, and of the rest what
            # the interpreter gives them when it switches threads.
            pause = max(waiting, _SHARE * spent) if complete else spent / 8
            self._wake.wait(pause)
            self._wake.clear()

    def _read(self, changed: set[str]) -> tuple[bool, bool]:
        """Read a slice; return whether it was the last one, and whether it held anything."""
        news = self._follower.poll(limit=_SLICE)
        for run, event in news:
            if run is not None:
                changed.add(run)
            elif "run" in event.data and event["run"] is not None:
                changed.add(event["run"])
            self._last_t = event.t if self._last_t is None else max(self._last_t, event.t)
        return not self._follower.behind, bool(news)

    def _snapshot(self, situation: Situation, changed: set[str], complete: bool) -> Snapshot:
        source, shown = self._follower.state, situation.runs
        before, self._views = self._views, {}
        live = [run for run in source.runs.values() if run.state == "running"]
        for id_, run in source.runs.items():
            old = before.get(id_)
            if old is None or id_ in changed or old.shown != shown.get(id_, run.state):
                self._revision += 1
                old = RunView(_copy(run), shown.get(id_, run.state), run_eta(run, live), self._revision)
            self._views[id_] = old
        return Snapshot(
            experiment=source.id,
            state=situation.experiment,
            supervised=situation.supervised,
            runs=self._views,
            log=source.log,
            log_length=len(source.log),
            warnings=source.warnings,
            warnings_length=len(source.warnings),
            acknowledged=dict(source.acknowledged),
            started_at=began(self._follower.folder, source),
            ended_at=source.ended_at,
            last_t=self._last_t,
            measured_seconds=source.measured_seconds,
            complete=complete,
            share=1.0 if complete else self._follower.share_read(),
            damaged=sum(self._follower.damaged.values()),
            exit_code=source.exit_code,
            stamp=self._clock(),
            config=self._follower.manifest.config,
        )


def _copy(run: RunState) -> RunState:
    """A copy that shares nothing mutable with `run`, whatever fields it has."""
    found = copy(run)
    for field_ in fields(run):
        setattr(found, field_.name, _unshared(getattr(run, field_.name)))
    return found


def _unshared(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _unshared(item) for key, item in value.items()}
    return copy(value) if isinstance(value, (array, list, set)) else value
