"""Gives commands and watches for their acknowledgement, in threads: a slow file system never holds the screen up."""

from __future__ import annotations

import subprocess
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tui_attn.experiment.folders import ExperimentDir
from tui_attn.ui.messages import CommandSent, ExperimentResumed, FromSession, SteeringFailed

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

    def _send(self, command: str, run: str | None, *, seeds: int | None = None) -> None:
        from tui_attn.launch import steering  # 20 ms that the first frame doesn't wait for

        try:
            id_ = steering.send(self._folder, command, run, seeds=seeds)
        except steering.LaunchError as error:
            self._post(SteeringFailed(str(error)))
        else:
            self._post(CommandSent(id_, command, run))

    def _extend(self, seeds: int) -> None:
        from tui_attn import data
        from tui_attn.experiment.manifest import RunsError
        from tui_attn.experiment.ownership import supervisor_alive
        from tui_attn.launch import steering

        if supervisor_alive(self._folder):
            self._send("extend", None, seeds=seeds)
            return
        try:
            config = self._folder.manifest_data().config
            found = data.find(config.dataset, Path(config.data_dir) if config.data_dir else None)
            if found is None:
                raise steering.LaunchError(f"the data set is not here: 'tui-attn data {config.dataset}' fetches it")
        except (data.DataError, RunsError, steering.LaunchError) as error:
            self._post(SteeringFailed(str(error)))
        else:
            self._launch(lambda: steering.extend(self._folder, seeds))

    def _resume(self) -> None:
        from tui_attn.launch import steering

        self._launch(lambda: steering.resume(self._folder))

    def _launch(self, start: Callable[[], subprocess.Popen[bytes]]) -> None:
        from tui_attn.launch import steering

        try:
            supervisor = start()
        except steering.LaunchError as error:
            self._post(SteeringFailed(str(error)))
            return
        self._post(ExperimentResumed())
        supervisor.wait()  # it is this process's child as long as this process lives

    @staticmethod
    def _in_thread(work: Callable[[], None]) -> None:
        threading.Thread(target=work, name="steering", daemon=True).start()
