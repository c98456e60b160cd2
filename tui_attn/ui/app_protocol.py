"""What a screen finds around it: the app that shows it, as far as screens may ask anything of it, and the machine."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, cast

if TYPE_CHECKING:
    from pathlib import Path

    from textual.dom import DOMNode
    from textual.screen import Screen

    from tui_attn.experiment.folders import ExperimentDir
    from tui_attn.ui.devices import Reading
    from tui_attn.ui.form_state import FormState
    from tui_attn.ui.options import UiOptions


@dataclass(frozen=True, kw_only=True, slots=True)
class Surroundings:
    """The clock, the time zone, the machine: what a test brings its own of."""

    clock: Callable[[], float] = time.time
    zone: Callable[[float], time.struct_time] = time.localtime
    read_devices: Callable[[], Reading] | None = None
    host: str | None = None
    """None: this machine's name."""


class Host(Protocol):
    """The app, which has an experiment open or none."""

    around: Surroundings
    options: UiOptions
    runs_dir: Path
    """Where experiments are kept."""
    drafts: dict[str, FormState]
    """What was entered for new experiments, by the id of the one that it started from."""

    @property
    def folder(self) -> ExperimentDir | None:
        """The folder of the experiment that is open."""

    def open_experiment(self, folder: ExperimentDir) -> None:
        """Show the dashboard of the experiment in `folder` in place of everything. Raises `RunsError`."""

    def close_experiment(self) -> None:
        """Go to the history without an experiment."""

    def look_again(self) -> None:
        """Read the experiment that is open at once. From any thread."""

    def say(self, text: str, ink: str = "normal") -> None:
        """Show a line for a few seconds."""

    def call_later(self, callback: Callable[..., Any], *args: Any, **kwargs: Any) -> bool:
        """Call `callback` from the app's own thread. From any thread."""

    def push_screen(self, screen: Screen[Any]) -> Any:
        """Show `screen` over all others."""

    def copy_to_clipboard(self, text: str) -> None:
        """Give the terminal `text` to keep."""


def host_of(node: DOMNode) -> Host:
    """The app that shows `node`. Raises what Textual raises for one that isn't shown."""
    return cast("Host", node.app)
