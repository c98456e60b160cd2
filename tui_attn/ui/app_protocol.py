"""What screens may use of the app, and what the app may use of screens."""

from __future__ import annotations

import time
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, cast, runtime_checkable

if TYPE_CHECKING:
    import subprocess
    from pathlib import Path

    from textual.dom import DOMNode
    from textual.message import Message
    from textual.screen import Screen
    from textual.worker import Worker

    from tui_attn.experiment.folders import ExperimentDir
    from tui_attn.ui.devices import Reading
    from tui_attn.ui.feed import Snapshot
    from tui_attn.ui.form_state import FormState
    from tui_attn.ui.jobs import Jobs
    from tui_attn.ui.messages import JobAdvanced
    from tui_attn.ui.options import UiOptions
    from tui_attn.ui.styles import Styles


@dataclass(frozen=True, kw_only=True, slots=True)
class Dependencies:
    """Clock, time zone and machine, which tests replace."""

    clock: Callable[[], float] = time.time
    zone: Callable[[float], time.struct_time] = time.localtime
    read_devices: Callable[[], Reading] | None = None
    host: str | None = None
    """None: this machine's name."""


class AppProtocol(Protocol):
    """The app, with or without an open experiment."""

    dependencies: Dependencies
    drawing: Styles
    """The styles of the theme in use."""
    options: UiOptions
    jobs: Jobs
    runs_dir: Path
    """Where experiments are kept."""
    drafts: dict[str, FormState]
    """What was entered for new experiments, by the id of the one that it started from."""

    @property
    def folder(self) -> ExperimentDir | None:
        """The folder of the experiment that is open."""

    @property
    def snapshot(self) -> Snapshot | None:
        """The newest snapshot of the experiment that is open."""

    def open_experiment(self, folder: ExperimentDir) -> None:
        """Show the dashboard of the experiment in `folder` in place of everything. Raises `RunsError`."""

    def close_experiment(self) -> None:
        """Go to the history without an experiment."""

    def look_again(self) -> None:
        """Read the experiment that is open at once. From any thread."""

    def adopt(self, supervisor: subprocess.Popen[bytes]) -> None:
        """Collect the exit status of a supervisor that this process started."""

    def report(self, error: Exception) -> None:
        """Show an unexpected error of background work."""

    def post_message(self, message: Message) -> bool:
        """Queue `message`. From any thread."""

    def run_worker(self, work: Coroutine[Any, Any, None], *, group: str = ..., exclusive: bool = ...) -> Worker[None]:
        """Run `work` until it ends or the app does."""

    def say(self, text: str, ink: str = "normal") -> None:
        """Show a line for a few seconds."""

    def say_why_not(self, id_: str, node: DOMNode) -> None:
        """Say why the key with this id can't do anything now."""

    def call_later(self, callback: Callable[..., Any], *args: Any, **kwargs: Any) -> bool:
        """Call `callback` from the app's own thread. From any thread."""

    def push_screen(self, screen: Screen[Any], callback: Callable[[Any], Any] | None = None) -> Any:
        """Show `screen` over all others; `callback` gets its result."""

    def copy_to_clipboard(self, text: str) -> None:
        """Give the terminal `text` to keep."""


@runtime_checkable
class ShowsSnapshots(Protocol):
    """A screen that shows the state of the open experiment."""

    def show(self, snapshot: Snapshot) -> None:
        """Show `snapshot`."""


@runtime_checkable
class ShowsJobs(Protocol):
    """A screen that shows the progress of jobs."""

    def job_advanced(self, message: JobAdvanced) -> None:
        """Show the job's last line or its end."""


@runtime_checkable
class ExplainsKeys(Protocol):
    """A screen or panel that knows why a key of it does nothing now."""

    def why_not(self, id_: str) -> str:
        """Return the reason for the key with this id; empty where there is none to give."""


def app_of(node: DOMNode) -> AppProtocol:
    """Return the app that shows `node`."""
    return cast("AppProtocol", node.app)
