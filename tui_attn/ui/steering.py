"""Gives commands and watches for their acknowledgement, in threads: a slow file system never holds the screen up."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tui_attn.experiment.folders import ExperimentDir
from tui_attn.ui.messages import CommandSent, ExperimentResumed, FromSession, SteeringFailed

if TYPE_CHECKING:
    from tui_attn.launch.starting import Started

Post = Callable[[FromSession], object]

NAMES = {"pause": "pause", "unpause": "go on", "stop": "stop", "skip": "skip", "retry": "retry", "extend": "extend"}


@dataclass(frozen=True, slots=True)
class Pending:
    """A command that was sent and not yet acknowledged."""

    command: str
    run: str | None

    @property
    def text(self) -> str:
        """What was asked for."""
        return f"{NAMES.get(self.command, self.command)} {self.run or 'all runs'}"


class Steering:
    """Sends commands for one experiment; what becomes of them comes back as messages."""

    def __init__(self, folder: ExperimentDir, post: Post) -> None:
        self._folder = folder
        self._post = post
        self.pending: dict[str, Pending] = {}

    def send(self, command: str, run: str | None) -> None:
        """Append a command to the control log."""
        self._in_thread(lambda: self._send(command, run))

    def resume(self) -> None:
        """Start a new supervisor, which takes up what isn't finished."""
        self._in_thread(self._resume)

    def extend(self, seeds: int) -> None:
        """Bring the experiment to so many seeds, whether it runs or has ended."""
        self._in_thread(lambda: self._extend(seeds))

    def sent(self, message: CommandSent) -> Pending:
        """Remember a command until it is acknowledged."""
        found = self.pending[message.id] = Pending(message.command, message.run)
        return found

    def answers(self, acknowledged: dict[str, tuple[str, str]]) -> list[tuple[Pending, str]]:
        """The commands that were acknowledged since the last call, with the results."""
        done = [id_ for id_ in self.pending if id_ in acknowledged]
        return [(self.pending.pop(id_), acknowledged[id_][1]) for id_ in done]

    def _send(self, command: str, run: str | None) -> None:
        from tui_attn.launch import control  # 20 ms that the first frame doesn't wait for

        try:
            id_ = control.send(self._folder, command, run)
        except control.LaunchError as error:
            self._post(SteeringFailed(str(error)))
        else:
            self._post(CommandSent(id_, command, run))

    def _resume(self) -> None:
        from tui_attn.launch import starting

        self._launch(lambda: starting.resume(self._folder))

    def _extend(self, seeds: int) -> None:
        from tui_attn.launch import starting

        self._launch(lambda: starting.extend(self._folder, seeds))

    def _launch(self, start: Callable[[], Started | str]) -> None:
        from tui_attn.data import DataError
        from tui_attn.experiment.manifest import RunsError
        from tui_attn.launch.control import LaunchError

        try:
            started = start()
        except (DataError, RunsError, LaunchError) as error:
            self._post(SteeringFailed(str(error)))
            return
        if isinstance(started, str):
            self._post(CommandSent(started, "extend", None))
            return
        self._post(ExperimentResumed())
        started.supervisor.wait()  # it is this process's child as long as this process lives

    @staticmethod
    def _in_thread(work: Callable[[], None]) -> None:
        threading.Thread(target=work, name="steering", daemon=True).start()
