"""Sends commands to an experiment from background threads, one after the other."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tui_attn.experiment.folders import ExperimentDir
from tui_attn.experiment.manifest import RunsError
from tui_attn.ui.jobs import in_thread
from tui_attn.ui.messages import CommandSent, ExperimentResumed, OfExperiment, SteeringFailed

if TYPE_CHECKING:
    from tui_attn.launch.starting import Started
    from tui_attn.ui.app_protocol import AppProtocol

NAMES = {"unpause": "resume"}
"""Commands that are shown under another name."""


@dataclass(frozen=True, slots=True)
class Pending:
    """A command that was sent and not yet acknowledged."""

    command: str
    run: str | None

    @property
    def text(self) -> str:
        """Command and run, as shown."""
        return f"{NAMES.get(self.command, self.command)} {self.run or 'all runs'}"


class Steering:
    """Sends commands to one experiment in the order in which they were given; outcomes arrive by `post`."""

    def __init__(self, folder: ExperimentDir, app: AppProtocol, post: Callable[[OfExperiment], object]) -> None:
        self._folder = folder
        self._app = app
        self._post = post
        self._turn = asyncio.Lock()  # first come, first served
        self.pending: dict[str, Pending] = {}

    def send(self, command: str, run: str | None) -> None:
        """Append a command to the control log."""
        self._in_turn(lambda: self._send(command, run))

    def resume(self) -> None:
        """Start a new supervisor, which continues the unfinished runs."""
        self._in_turn(self._resume)

    def extend(self, seeds: int) -> None:
        """Bring the experiment to `seeds` seeds, whether it runs or has ended."""
        self._in_turn(lambda: self._extend(seeds))

    def sent(self, message: CommandSent) -> Pending:
        """Remember a command until it is acknowledged."""
        found = self.pending[message.id] = Pending(message.command, message.run)
        return found

    def answers(self, acknowledged: dict[str, tuple[str, str]]) -> list[tuple[Pending, str]]:
        """The commands that were acknowledged since the last call, with the results."""
        done = [id_ for id_ in self.pending if id_ in acknowledged]
        return [(self.pending.pop(id_), acknowledged[id_][1]) for id_ in done]

    def _send(self, command: str, run: str | None) -> CommandSent:
        from tui_attn.launch import control

        return CommandSent(control.send(self._folder, command, run), command, run)

    def _resume(self) -> Started:
        from tui_attn.launch import starting  # not needed for the first frame

        return starting.resume(self._folder, caller=starting.Caller(notify=self._app.options.notify))

    def _extend(self, seeds: int) -> Started | CommandSent:
        from tui_attn.launch import starting

        caller = starting.Caller(notify=self._app.options.notify)
        found = starting.extend(self._folder, seeds, caller=caller)
        return CommandSent(found, "extend", None) if isinstance(found, str) else found

    def _in_turn(self, work: Callable[[], CommandSent | Started]) -> None:
        async def give() -> None:
            from tui_attn.data import DataError
            from tui_attn.launch.control import LaunchError

            try:
                async with self._turn:
                    found = await in_thread(work)
            except (DataError, RunsError, LaunchError) as error:
                self._post(SteeringFailed(str(error)))
            except Exception as error:  # whatever it is, the user must know
                self._app.report(error)
            else:
                if not isinstance(found, CommandSent):
                    self._app.adopt(found.supervisor)
                self._post(found if isinstance(found, CommandSent) else ExperimentResumed())

        self._app.run_worker(give(), group="steering")
