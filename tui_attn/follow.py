"""Follows an experiment's logs and keeps its state: what every reader, on a screen or not, builds on."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from tui_attn import runs, state
from tui_attn.eventlog import LogReader
from tui_attn.events import Event
from tui_attn.runs import ExperimentDir, Manifest
from tui_attn.state import ExperimentState

_SHARE = 1 << 18
"""Bytes of one log that are read in one turn, so that no log keeps the others waiting."""


@dataclass(frozen=True, slots=True)
class Situation:
    """What is going on: the states of design.md, stalled and lost included."""

    experiment: str
    runs: dict[str, str]
    """State by run id."""
    supervised: bool


class Follower:
    """Reads what is new in the logs of one experiment and folds it into `state`.

    Raises `RunsError` where the folder is no experiment. What is damaged is counted, never raised.
    """

    def __init__(self, folder: ExperimentDir) -> None:
        self.folder = folder
        self.manifest: Manifest = folder.manifest_data()
        self.state = ExperimentState(folder.id)
        self._log = LogReader(folder.events)
        self._run_logs: dict[str, LogReader] = {}
        self._restarts: dict[str | None, int] = {}
        self._turn = 0
        """How many runs' logs were read in the round that is under way."""
        self._more = False
        """Whether a log of this round has more than was read of it."""
        self.behind = False
        """Whether the last `poll` stopped at its limit, so that there is more to read."""
        self._last: list[Event] = []
        """The experiment's last event, kept back until the logs of all runs are read to their ends."""

    @property
    def damaged(self) -> dict[str, int]:
        """Log name -> number of damaged lines, where there are any."""
        readers = {"events.jsonl": self._log} | {f"{run}/events.jsonl": log for run, log in self._run_logs.items()}
        return {name: reader.damaged for name, reader in readers.items() if reader.damaged}

    def poll(self, *, limit: int | None = None) -> list[tuple[str | None, Event]]:
        """Fold in what is new and return it, each event with its run or None for the experiment's own.

        With a `limit` (bytes) the reading stops after about as much, and a later call goes on; the logs take turns.
        Within one log the order is the log's; an ended experiment's last event comes after all of its runs' events.
        """
        news: list[tuple[str | None, Event]] = []
        own = self._log.read(limit)
        if self._restarted(None, self._log):
            self._start_over()
            return self.poll(limit=limit)
        if own:
            own, self._last = [*self._last, *own], []
        if own and own[-1].type == "experiment_finished":
            self._last = [own.pop()]
        for event in own:
            self.state.apply(event)
            news.append((None, event))
        news += self._poll_runs(limit)
        self.behind = self._turn > 0 or self._more or self._log.more
        if not self.behind:
            last, self._last = self._last, []
            for event in last:
                self.state.apply(event)
                news.append((None, event))
        return news

    def _poll_runs(self, limit: int | None) -> list[tuple[str | None, Event]]:
        """Read the logs of the runs from where the last call stopped, until all had their turn or the limit is met."""
        news: list[tuple[str | None, Event]] = []
        taken = 0
        if self._turn == 0:
            self._more = False
        for run_id in list(self.state.runs)[self._turn :]:
            if limit is not None and taken >= limit:
                return news
            self._turn += 1
            reader = self._run_logs.get(run_id)
            if reader is None:
                if not runs.ID.fullmatch(run_id):
                    continue
                reader = self._run_logs[run_id] = LogReader(self.folder.run(run_id).events)
            before = reader.position
            found = reader.read(None if limit is None else min(_SHARE, limit))
            self._more = self._more or reader.more
            taken += abs(reader.position - before)
            if self._restarted(run_id, reader):
                self.state.restart_run(run_id)
            for event in found:
                self.state.apply_run(run_id, event)
                news.append((run_id, event))
        self._turn = 0
        return news

    def situation(self) -> Situation:
        """The experiment's and the runs' states as they really are, from the logs and from who is alive."""
        ended = self.state.state in state.EXPERIMENT_ENDED
        supervised = not ended and runs.supervisor_alive(self.folder)
        live = [run.id for run in self.state.runs.values() if supervised and run.state == "running"]
        silent = [id_ for id_ in live if runs.run_silent(self.folder.run(id_))]
        shown, by_run = state.derive(self.state, supervised=supervised or ended, silent=silent)
        return Situation(shown, by_run, supervised)

    def _restarted(self, key: str | None, reader: LogReader) -> bool:
        before, self._restarts[key] = self._restarts.get(key, 0), reader.restarts
        return reader.restarts > before

    def _start_over(self) -> None:
        self.state = ExperimentState(self.folder.id)
        self._log = LogReader(self.folder.events)
        self._run_logs = {}
        self._restarts = {}
        self._turn = 0
        self._more = False
        self._last = []


def read_state(folder: ExperimentDir) -> Follower:
    """The state of an experiment as its logs stand now. Raises `RunsError`."""
    follower = Follower(folder)
    follower.poll()
    return follower


def read_states(folders: Iterable[ExperimentDir]) -> Iterable[Follower | runs.RunsError]:
    """Each experiment's state, or why it can't be read: a damaged one doesn't hide the others."""
    for folder in folders:
        try:
            yield read_state(folder)
        except runs.RunsError as error:
            yield error
