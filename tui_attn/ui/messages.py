"""The messages of the dashboard."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from textual.message import Message

if TYPE_CHECKING:
    from tui_attn.history.entries import Entry
    from tui_attn.ui.devices import Reading
    from tui_attn.ui.feed import Snapshot
    from tui_attn.ui.jobs import Job


class OfExperiment(Message, bubble=False):
    """Comes from the services of an open experiment, which may have been closed before the message is handled."""

    experiment: object = None
    """The `OpenExperiment`."""


@dataclass(eq=False, repr=False)
class LogsAdvanced(OfExperiment, bubble=False):
    """The logs or the state of processes changed: the newest snapshot."""

    snapshot: Snapshot

    def can_replace(self, message: Message) -> bool:
        """A newer snapshot replaces an older one."""
        return isinstance(message, LogsAdvanced) and message.experiment is self.experiment


@dataclass(eq=False, repr=False)
class DevicesRead(OfExperiment, bubble=False):
    """The load of the devices was measured."""

    reading: Reading

    def can_replace(self, message: Message) -> bool:
        """A newer reading replaces an older one."""
        return isinstance(message, DevicesRead) and message.experiment is self.experiment


@dataclass(eq=False, repr=False)
class RunSelected(Message):
    """Another run or model was selected, or other runs are hidden."""


@dataclass(eq=False, repr=False)
class CommandSent(OfExperiment, bubble=False):
    """A command was appended to the control log."""

    id: str
    command: str
    run: str | None


@dataclass(eq=False, repr=False)
class SteeringFailed(OfExperiment, bubble=False):
    """A command could not be given; `reason` is one line and says what to do."""

    reason: str


@dataclass(eq=False, repr=False)
class ExperimentResumed(OfExperiment, bubble=False):
    """A new supervisor was started."""


@dataclass(eq=False, repr=False)
class FeedFailed(OfExperiment, bubble=False):
    """Reading the logs failed unexpectedly; `failure` is the traceback."""

    failure: str


@dataclass(eq=False, repr=False)
class JobAdvanced(Message, bubble=False):
    """A job said something, or ended."""

    name: str
    job: Job

    @property
    def result(self) -> str:
        """How it ended, in a line."""
        said = self.job.lines[-1] if self.job.lines else ""
        if self.job.code == 0:
            return said or f"{self.name}: done"
        return said or f"{self.name}: failed without a message (exit code {self.job.code})"


@dataclass(eq=False, repr=False)
class ExperimentsListed(Message, bubble=False):
    """Experiments were read, or found to be gone; `complete` once all there are have been told."""

    entries: tuple[Entry, ...]
    gone: frozenset[str]
    complete: bool
    error: str = ""
    """Why the folder can't be read."""
    total: int = 0
    """Folders to read in all."""


@dataclass(eq=False, repr=False)
class ExperimentChosen(Message):
    """The user opens the selected experiment."""
