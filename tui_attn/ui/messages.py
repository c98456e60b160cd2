"""What happens in the dashboard, as messages: past tense, and only the newest of those that supersede one another."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from textual.message import Message

if TYPE_CHECKING:
    from tui_attn.history.entries import Entry
    from tui_attn.ui.comparison.disagreements import Disagreement
    from tui_attn.ui.comparison.source import Details, Overview
    from tui_attn.ui.devices import Reading
    from tui_attn.ui.feed import Snapshot
    from tui_attn.ui.jobs import Job


class FromSession(Message, bubble=False):
    """Comes from the threads of a session, which may have ended before it is taken."""

    session: object = None
    """Which one, to be told from others."""


@dataclass
class LogsAdvanced(FromSession, bubble=False):
    """The logs, or who lives, changed; here is the newest picture."""

    snapshot: Snapshot

    def can_replace(self, message: Message) -> bool:
        """A newer picture makes an older one pointless."""
        return isinstance(message, LogsAdvanced) and message.session is self.session


@dataclass
class DevicesRead(FromSession, bubble=False):
    """The load of the devices was measured."""

    reading: Reading

    def can_replace(self, message: Message) -> bool:
        """A newer reading makes an older one pointless."""
        return isinstance(message, DevicesRead) and message.session is self.session


@dataclass
class RunSelected(Message):
    """The user went to another run."""

    run: str


@dataclass
class CommandSent(FromSession, bubble=False):
    """A command was appended to the control log."""

    id: str
    command: str
    run: str | None


@dataclass
class SteeringFailed(FromSession, bubble=False):
    """A command could not be given; `reason` is one line and says what to do."""

    reason: str


@dataclass
class ExperimentResumed(FromSession, bubble=False):
    """A new supervisor took the experiment up."""


@dataclass
class ChartsLoaded(Message, bubble=False):
    """The libraries that draw charts are there."""


@dataclass
class FeedFailed(FromSession, bubble=False):
    """Reading the logs failed in a way that nobody foresaw; `failure` is the traceback."""

    failure: str


@dataclass
class ComparisonReady(Message, bubble=False):
    """The comparison was computed, or can't be: then there is an `error` instead of an overview."""

    overview: Overview | None
    error: str = ""


@dataclass
class DetailsReady(Message, bubble=False):
    """Predictions and interventions were read."""

    details: Details | None


@dataclass
class DisagreementReady(Message, bubble=False):
    """What two runs disagree on was read, or in words why not."""

    pair: tuple[str, str]
    found: Disagreement | str


@dataclass
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
        return said or f"{self.name}: it failed without saying why (exit code {self.job.code})"


@dataclass
class ExperimentsListed(Message, bubble=False):
    """Experiments were read, or found to be gone; `complete` once all there are have been told."""

    entries: tuple[Entry, ...]
    gone: frozenset[str]
    complete: bool
    error: str = ""
    """Why the folder can't be read."""


@dataclass
class ExperimentChosen(Message):
    """The user wants to see what they are at."""
