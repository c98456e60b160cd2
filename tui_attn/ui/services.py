"""What works for the dashboard in threads of its own: the feed, the sampler, and the commands that are on their way."""

from __future__ import annotations

from collections.abc import Callable

from tui_attn.experiment.folders import ExperimentDir
from tui_attn.experiment.manifest import Manifest
from tui_attn.ui.devices import Reading, Sampler
from tui_attn.ui.feed import Feed, Snapshot
from tui_attn.ui.messages import DevicesRead, FeedFailed, FromSession, LogsAdvanced
from tui_attn.ui.steering import Steering

_LIVE = frozenset({"starting", "running", "stalled"})
_FEED_SECONDS = 0.5
"""Least time between two pictures of the state."""


class Session:
    """Tells everything by `post`, from any thread, in messages that name it.

    `here`: whether this is the machine that trains.

    Raises `RunsError` when the folder can't be read.
    """

    def __init__(
        self,
        folder: ExperimentDir,
        manifest: Manifest,
        post: Callable[[FromSession], object],
        *,
        here: bool,
        read_devices: Callable[[], Reading] | None = None,
    ) -> None:
        self._here = here
        self._post = post
        self.feed = Feed(
            folder,
            lambda snapshot: self._tell(LogsAdvanced(snapshot)),
            failed=lambda failure: self._tell(FeedFailed(failure)),
            interval=_FEED_SECONDS,
        )
        self.sampler = Sampler(
            lambda reading: self._tell(DevicesRead(reading)), devices=manifest.devices, read=read_devices
        )
        self.steering = Steering(folder, self._tell)
        self.sampling = False
        """Whether the devices are measured: only while something trains, so that an idle screen stays still."""

    def _tell(self, message: FromSession) -> None:
        message.session = self
        self._post(message)

    def start(self) -> None:
        """Start reading."""
        self.feed.start()
        self.sampler.start()

    def stop(self) -> None:
        """Let the threads end."""
        self.feed.stop()
        self.sampler.stop()

    def take(self, snapshot: Snapshot, *, least_seconds: float = 0.0) -> list[str]:
        """A picture was shown: have the next one made, `least_seconds` later at the earliest.

        What became of commands since the last one is returned, to be said.
        """
        live = snapshot.supervised and any(view.shown in _LIVE for view in snapshot.runs.values())
        self.sampling = live and self._here
        self.sampler.set_active(self.sampling)
        self.feed.interval = max(_FEED_SECONDS, least_seconds)
        self.feed.taken()
        return [f"{pending.text}: {result}" for pending, result in self.steering.answers(snapshot.acknowledged)]
