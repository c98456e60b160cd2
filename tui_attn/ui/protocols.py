"""What the app may use of screens, and how screens and widgets get at the app."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, cast, runtime_checkable

if TYPE_CHECKING:
    from textual.dom import DOMNode

    from tui_attn.ui.app import DashboardApp
    from tui_attn.ui.feed import Snapshot
    from tui_attn.ui.jobs import Job


@runtime_checkable
class ShowsSnapshots(Protocol):
    """A screen that shows the state of the open experiment."""

    def show(self, snapshot: Snapshot) -> None:
        """Show `snapshot`."""


@runtime_checkable
class ShowsJobs(Protocol):
    """A screen that shows the progress of jobs."""

    def job_advanced(self, name: str, job: Job) -> None:
        """Show the job's last line or its end."""


@runtime_checkable
class ExplainsKeys(Protocol):
    """A screen or panel that knows why a key of it does nothing now."""

    def why_not(self, id_: str) -> str:
        """Return the reason for the key with this id; empty where there is none to give."""


def app_of(node: DOMNode) -> DashboardApp:
    """Return the app that shows `node`."""
    return cast("DashboardApp", node.app)
