"""What the app may use of screens, and how screens and widgets get at the app."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, cast, runtime_checkable

if TYPE_CHECKING:
    from textual.dom import DOMNode

    from tui_attn.ui.app import DashboardApp
    from tui_attn.ui.feed import Snapshot
    from tui_attn.ui.jobs import Job

    _Node = DOMNode
else:  # a mixin
    _Node = object


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


class ExplainsKeys(_Node):
    """A mixin for a screen or panel that knows why a key of it does nothing now."""

    def why_not(self, action: str, parameters: tuple[object, ...]) -> str | None:
        """Return why `action` can't be done now, perhaps an empty string; None where it can be done."""
        raise NotImplementedError

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Offer only keys that do something now."""
        return self.why_not(action, parameters) is None


def app_of(node: DOMNode) -> DashboardApp:
    """Return the app that shows `node`."""
    return cast("DashboardApp", node.app)
