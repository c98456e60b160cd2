"""Sends commands to an experiment from background threads, one after the other, and shows what became of them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING

from tui_attn.experiment.folders import ExperimentDir
from tui_attn.experiment.manifest import RunsError
from tui_attn.ui.jobs import in_thread

if TYPE_CHECKING:
    from tui_attn.launch.starting import Started
    from tui_attn.ui.app import DashboardApp

_PATIENCE = 5.0
"""Seconds after which a missing acknowledgement is reported."""
_NAMES = {"unpause": "resume"}
"""Commands that are shown under another name."""


class Steering:
    """Sends commands to one experiment in the order in which they were given."""

    def __init__(self, folder: ExperimentDir, app: DashboardApp) -> None:
        self._folder = folder
        self._app = app
        self._turn = asyncio.Lock()  # first come, first served
        self.pending: dict[str, str] = {}
        """The commands that were sent and not yet acknowledged: id -> command and run, as shown."""

    def send(self, command: str, run: str | None) -> None:
        """Append a command to the control log."""
        from tui_attn.launch import control

        shown = f"{_NAMES.get(command, command)} {run or 'all runs'}"
        self._in_turn(lambda: control.send(self._folder, command, run), shown)

    def resume(self) -> None:
        """Start a new supervisor, which continues the unfinished runs."""
        from tui_attn.launch import starting  # not needed for the first frame

        caller = starting.Caller(notify=self._app.options.notify)
        self._in_turn(lambda: starting.resume(self._folder, caller=caller))

    def extend(self, seeds: int) -> None:
        """Bring the experiment to `seeds` seeds, whether it runs or has ended."""
        from tui_attn.launch import starting

        caller = starting.Caller(notify=self._app.options.notify)
        self._in_turn(lambda: starting.extend(self._folder, seeds, caller=caller), "extend all runs")

    def answers(self, acknowledged: dict[str, tuple[str, str]]) -> list[str]:
        """The commands that were acknowledged since the last call, each with its result."""
        done = [id_ for id_ in self.pending if id_ in acknowledged]
        return [f"{self.pending.pop(id_)}: {acknowledged[id_][1]}" for id_ in done]

    def _in_turn(self, work: Callable[[], str | Started], command: str = "") -> None:
        """Call `work` after the earlier ones; it returns the id of `command`, or the supervisor that it started."""

        async def give() -> None:
            from tui_attn.data import DataError
            from tui_attn.launch.control import LaunchError

            try:
                async with self._turn:
                    found = await in_thread(work)
            except (DataError, RunsError, LaunchError) as error:
                self._say(str(error), "failed")
            except Exception as error:  # whatever it is, the user must know
                self._app.report(error)
            else:
                if isinstance(found, str):
                    self._await_answer(found, command)
                else:
                    self._app.adopt(found.supervisor)
                    self._say("training resumed")
                self._app.look_again()

        self._app.run_worker(give(), group="steering")

    def _await_answer(self, id_: str, command: str) -> None:
        self.pending[id_] = command
        self._say(f"{command}: sent", "muted")

        def remark() -> None:
            if id_ in self.pending:
                self._say(f"{command}: no answer from the supervisor yet", "warning")

        self._app.set_timer(_PATIENCE, remark)

    def _say(self, text: str, ink: str = "normal") -> None:
        """Show `text` while the experiment is open."""
        if self._app.opened is not None and self._app.opened.steering is self:
            self._app.say(text, ink)
