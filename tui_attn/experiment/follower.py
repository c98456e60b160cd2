"""Follows an experiment's logs and keeps its state up to date, for all readers."""

from __future__ import annotations

import contextlib
import time
from collections import deque
from typing import NamedTuple

from tui_attn.experiment import reducer
from tui_attn.experiment.event_log import MISSING, LogReader
from tui_attn.experiment.events import Event
from tui_attn.experiment.folders import ID, ExperimentDir
from tui_attn.experiment.manifest import Manifest, RunsError
from tui_attn.experiment.ownership import run_silent, supervisor_alive
from tui_attn.experiment.reducer import ExperimentState
from tui_attn.system import liveness
from tui_attn.system.text import safe_text

_SHARE = 1 << 18
"""Bytes read from one log in a turn, so that no log delays the others."""
_QUIET_SHARE = 64
"""Logs of idle runs read in one round: there may be thousands."""
_OF_THE_MANIFEST = frozenset({"experiment_started", "extended"})
"""Events after which the manifest may have changed."""


class Situation(NamedTuple):
    """The actual states, stalled and lost included."""

    experiment: str
    runs: dict[str, str]
    """State by run id."""
    supervised: bool


class Follower:
    """Reads what is new in the logs of one experiment and reduces it to `state`.

    Raises `RunsError` where the folder is no experiment. Damaged lines are counted and never raise.
    """

    def __init__(self, folder: ExperimentDir) -> None:
        self.folder = folder
        self._written = _signature(folder)
        self.manifest: Manifest = folder.manifest_data()
        self._quiet = 0
        """Index of the idle run that the next round begins with."""
        self.behind = False
        """Whether the last `poll` stopped at its limit, so that there is more to read."""
        self._linked: set[str] = set()
        """Runs whose folders are symbolic links."""
        self._supervised_before = False
        """Whether a supervisor ran although the log is missing."""
        self._start_over()

    def _start_over(self) -> None:
        self.state = ExperimentState(self.folder.id)
        self._log = LogReader(self.folder.events)
        self._run_logs: dict[str, LogReader] = {}
        self._restarts: dict[str | None, int] = {}
        self._round: deque[str] = deque()
        """Runs whose logs are still to be read in this round."""
        self._named: list[str] = []
        """Runs that the experiment's log mentioned since the round began."""
        self._everyone = True
        """Whether the next round must read the logs of all runs."""
        self._last: list[Event] = []
        """The experiment's last event, withheld until the logs of all runs are read to their ends."""

    @property
    def damaged(self) -> dict[str, int]:
        """Log name -> number of damaged lines, where there are any."""
        readers = {"events.jsonl": self._log} | {f"{run}/events.jsonl": log for run, log in self._run_logs.items()}
        return {name: reader.damaged for name, reader in readers.items() if reader.damaged}

    @property
    def problems(self) -> dict[str, str]:
        """Log name -> why it couldn't be read the last time."""
        found = {}
        if self._log.problem is not None and (self._log.problem != MISSING or self._supervised_before):
            found["events.jsonl"] = self._log.problem
        for id_, run in self.state.runs.items():
            reader = self._run_logs.get(id_)
            begun = run.attempt > 0 and run.state != "queued"
            if id_ in self._linked:
                found[f"{id_}/events.jsonl"] = "its folder is a symbolic link, which is not followed"
            elif reader is not None and reader.problem is not None and (reader.problem != MISSING or begun):
                found[f"{id_}/events.jsonl"] = reader.problem
        return found

    def troubles(self) -> list[str]:
        """Problems with the logs in words, safe to show."""
        damaged = [
            f"{name}: {count} damaged {'line' if count == 1 else 'lines'} passed over"
            for name, count in self.damaged.items()
        ]
        unreadable = [f"{name} can't be read: {why}" for name, why in self.problems.items()]
        return [safe_text(trouble, one_line=True) for trouble in [*unreadable, *damaged]]

    def look_at_manifest(self) -> bool:
        """Read the manifest again if its file is newer: a change of name has no event. Returns whether it changed."""
        written = _signature(self.folder)
        if written == self._written:
            return False
        self._written, before = written, self.manifest
        with contextlib.suppress(RunsError):
            self.manifest = self.folder.manifest_data()
        return self.manifest != before

    def poll(self, *, limit: int | None = None) -> list[tuple[str | None, Event]]:
        """Apply new events and return them, each with its run, or None for the experiment's own log.

        With a `limit` in bytes, reading stops after about that many, and the next call continues; the logs take turns.
        Events of one log keep its order; the last event of an ended experiment comes after all events of its runs.
        """
        news: list[tuple[str | None, Event]] = []
        own = self._log.read(limit)
        self._supervised_before = self._log.problem == MISSING and self.folder.supervisor.exists()
        if self._restarted(None, self._log):
            self._start_over()
            return self.poll(limit=limit)
        if own:
            own, self._last = [*self._last, *own], []
        if own and own[-1].type == "experiment_finished":
            self._last = [own.pop()]
            self._round.clear()
            self._everyone = True
        for event in own:
            self.state.apply(event)
            run_id = event.get("run")
            if isinstance(run_id, str) and run_id in self.state.runs:
                self._named.append(run_id)
            news.append((None, event))
        if any(event.type in _OF_THE_MANIFEST for event in own):
            with contextlib.suppress(RunsError):
                self.manifest = self.folder.manifest_data()
        news += self._poll_runs(limit)
        self.behind = bool(self._round) or self._log.more
        if not self.behind:
            last, self._last = self._last, []
            for event in last:
                self.state.apply(event)
                news.append((None, event))
        return news

    def _poll_runs(self, limit: int | None) -> list[tuple[str | None, Event]]:
        """Continue reading the logs of the runs until each had its turn or the limit is reached."""
        news: list[tuple[str | None, Event]] = []
        taken = 0
        if limit is None and self._round:
            self._round.clear()
            self._everyone = True
        self._round.extend(self._named if self._round else self._next_round())
        self._named = []
        while self._round and (limit is None or taken < limit):
            run_id = self._round.popleft()
            reader = self._run_logs.get(run_id)
            if self.folder.run(run_id).path.is_symlink():
                self._linked.add(run_id)
                continue
            self._linked.discard(run_id)
            if reader is None:
                reader = self._run_logs[run_id] = LogReader(self.folder.run(run_id).events)
            before = reader.position
            found = reader.read(None if limit is None else min(_SHARE, limit))
            if reader.more:
                self._round.append(run_id)
            taken += abs(reader.position - before)
            if self._restarted(run_id, reader):
                self.state.restart_run(run_id)
            for event in found:
                if self.state.apply_run(run_id, event):
                    news.append((run_id, event))
        return news

    def _next_round(self) -> list[str]:
        """The runs to read in the next round: those that may have new events."""
        known = self.state.runs
        if self._everyone:
            self._everyone = False
            return list(known)
        live = [run.id for run in known.values() if run.state in reducer.RUN_LIVE]
        others = [run.id for run in known.values() if run.state not in reducer.RUN_LIVE]
        first = self._quiet if self._quiet < len(others) else 0
        self._quiet = first + _QUIET_SHARE
        return [*live, *self._named, *others[first : self._quiet]]

    def share_read(self) -> float:
        """Return the share of the bytes of all logs that was read, in [0, 1]."""
        readers = [self._log, *self._run_logs.values()]
        sizes = [reader.path.stat().st_size if reader.path.is_file() else 0 for reader in readers]
        return min(sum(reader.position for reader in readers) / max(sum(sizes), 1), 1.0)

    def situation(self) -> Situation:
        """The actual states of experiment and runs, from the logs and the live processes."""
        ended = self.state.state in reducer.EXPERIMENT_ENDED
        supervised = not ended and supervisor_alive(self.folder)
        silent = self.silent_runs() if supervised else []
        shown, by_run = reducer.derive(self.state, supervised=supervised, silent=silent)
        return Situation(shown, by_run, supervised)

    def silent_runs(self) -> list[str]:
        """The ids of running runs whose worker shows no progress in any of its runs."""
        live = [run for run in self.state.runs.values() if run.state == "running" and ID.fullmatch(run.id)]
        signs = {run.worker for run in live if not run_silent(self.folder.run(run.id))}
        return [run.id for run in live if run.worker not in signs]

    def _restarted(self, key: str | None, reader: LogReader) -> bool:
        before, self._restarts[key] = self._restarts.get(key, 0), reader.restarts
        return reader.restarts > before


def _signature(folder: ExperimentDir) -> tuple[int, int, int] | None:
    """A value that changes with every write of the manifest, which is always replaced as a whole."""
    try:
        status = folder.manifest.stat()
    except OSError:
        return None
    return status.st_ino, status.st_mtime_ns, status.st_size


def read_state(folder: ExperimentDir) -> Follower:
    """The state of an experiment as its logs stand now. Raises `RunsError`."""
    follower = Follower(folder)
    follower.poll()
    return follower


def began(folder: ExperimentDir, state: ExperimentState) -> float | None:
    """When the experiment began, unix seconds: while a supervisor runs it here, by the clock as it is set now."""
    # Supervisors before this one said how long they took.
    running = state.unmeasured == 1 and state.state not in reducer.EXPERIMENT_ENDED
    pid = liveness.holder(folder.supervisor_lock) if running else None
    age = None if pid is None else liveness.process_age(pid)
    return state.started_at if age is None else time.time() - age - state.seconds
