"""Executes the commands in an experiment's control log once each, and acknowledges them in the event log."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from itertools import takewhile

from tui_attn.experiment.event_log import LogReader
from tui_attn.experiment.events import CONTROL_EVENTS, Event
from tui_attn.supervision.dispatch import ENDINGS, Dispatch
from tui_attn.system.fault_injection import fault

TOO_LATE = "came too late: nothing was running"
_EFFECTS = {"pause": "run_paused", "unpause": "run_unpaused", "retry": "run_queued"}
"""Command -> the event that the supervisor records when it executes it."""


class Control:
    """Executes the commands of the control log; `extend` adds seeds and returns the answer."""

    def __init__(self, dispatch: Dispatch, extend: Callable[[int], str]) -> None:
        self._folder, self._follower, self._log = dispatch.folder, dispatch.follower, dispatch.log
        self._dispatch, self._extend = dispatch, extend
        self._commands = LogReader(dispatch.folder.control)
        self._actions: dict[str, Callable[[str], bool]] = {
            "pause": dispatch.pause,
            "unpause": dispatch.pauses.unpause,
            "stop": self.stop,
            "skip": partial(dispatch.leave, "skip"),
            "retry": self._retry,
        }
        """Command -> action on one run, which returns False where there was nothing to do."""

    def obey(self) -> None:
        """Execute the new commands."""
        for command in self._new():
            self._obey(command)
            self._dispatch.take_news()  # the next command may depend on this one, or repeat it

    def settle(self) -> None:
        """Acknowledge the commands that an earlier supervisor left unacknowledged.

        Those that it had begun to execute are done if they took effect. An extension, which asks for a state and not
        for a change, is executed now. All others came too late.
        """
        history = LogReader(self._folder.events).read()
        begun = {event["id"]: at for at, event in enumerate(history) if event.type == "control_begun"}
        for command in self._new():
            at = begun.get(command["id"])
            if at is None:
                result = TOO_LATE
            elif command.type == "extend":
                enough = command["seeds"] <= self._folder.manifest_data().config.seeds
                result = "done" if enough else self._extend(command["seeds"])
            else:
                result = "done" if self._took_effect(command, history[:at], history[at:]) else TOO_LATE
            self._acknowledge(command, result)

    def _took_effect(self, command: Event, before: list[Event], after: list[Event]) -> bool:
        """Whether the command changed a run, by the events `after` its execution began."""
        named = command.get("run")
        if command.type in ENDINGS:
            ending = ENDINGS[command.type]
            was = {event["run"]: event.get("state") for event in before if event.type in {"run_queued", "run_ended"}}
            runs = self._follower.state.runs.values()
            return any(run.state == ending != was.get(run.id) for run in runs if named in {None, run.id})
        effects = takewhile(lambda event: event.type != "experiment_started", after)
        return any(event.type == _EFFECTS[command.type] and named in {None, event["run"]} for event in effects)

    def _new(self) -> Iterator[Event]:
        """The new commands that aren't acknowledged; other lines of the control log are skipped."""
        for event in self._commands.read():
            if event.type in CONTROL_EVENTS and event.get("id") not in self._follower.state.acknowledged:
                yield event

    def _acknowledge(self, command: Event, result: str) -> None:
        run = command.get("run")
        fault("acknowledge")
        self._log.record("control_ack", id=command["id"], command=command.type, run=run, result=result)

    def _obey(self, command: Event) -> None:
        self._log.record("control_begun", id=command["id"], command=command.type, run=command.get("run"))
        self._log.sync()
        fault("obey")
        if command.type == "extend":
            self._acknowledge(command, self._extend(command["seeds"]))
            return
        named = command.get("run")
        known = list(self._follower.state.runs)
        if named is not None and named not in known:
            self._acknowledge(command, "refused: there is no such run")
            return
        action = self._actions.get(command.type)
        if action is None:
            return
        if named is None and command.type == "stop":
            self._dispatch.pool.begin_stop()
        done = [run for run in (known if named is None else [named]) if action(run)]
        self._acknowledge(command, "done" if done else "nothing to do")

    def stop(self, run: str) -> bool:
        """Stop a run."""
        return self._dispatch.leave("stop", run)

    def _retry(self, run: str) -> bool:
        known = self._follower.state.runs.get(run)
        if self._dispatch.pool.stopping or known is None or known.state not in {"failed", "stopped", "skipped"}:
            return False
        self._dispatch.retry(run, known.model, known.seed)
        return True
