"""The open experiment: its dashboard, and the background services that read its logs and send its commands."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from tui_attn.experiment.folders import ExperimentDir
from tui_attn.ui.screens.dashboard import Dashboard

if TYPE_CHECKING:
    from tui_attn.ui.app import DashboardApp
    from tui_attn.ui.devices import Sampler
    from tui_attn.ui.feed import Feed, Snapshot
    from tui_attn.ui.steering import Steering

_LIVE = frozenset({"starting", "running", "stalled"})
_FEED_SECONDS = 0.5
"""Least time between two snapshots."""


class OpenExperiment:
    """One experiment while it is open. Raises `RunsError` when its folder can't be read."""

    def __init__(self, folder: ExperimentDir, app: DashboardApp) -> None:
        self.folder = folder
        self._manifest = folder.manifest_data()
        self._app = app
        self._here = self._manifest.host == app.host
        self.dashboard = Dashboard(folder, self._manifest, app, here=self._here)
        self.snapshot: Snapshot | None = None
        """The newest snapshot."""
        self.read = asyncio.Event()
        """Set once the whole history is in the snapshot."""
        self.feed: Feed | None = None
        self.steering: Steering | None = None
        self._sampler: Sampler | None = None
        self.sampling = False
        """Whether device load is measured: only while something trains, so that an idle screen stays still."""

    def start(self) -> None:
        """Start reading, once the first frame is shown."""
        from tui_attn.ui.devices import Sampler  # not needed for the first frame
        from tui_attn.ui.feed import Feed
        from tui_attn.ui.steering import Steering

        app = self._app
        self.feed = Feed(
            self.folder,
            lambda snapshot: app.call_later(app.show_snapshot, self, snapshot),
            failed=lambda failure: app.call_later(app.feed_failed, self, failure),
            interval=_FEED_SECONDS,
        )
        self._sampler = Sampler(
            lambda reading: app.call_later(app.show_devices, self, reading),
            devices=self._manifest.devices,
            uuids=self._manifest.uuids,
            read=app.read_devices,
        )
        self.steering = self.dashboard.steering = Steering(self.folder, app)
        self.feed.start()
        self._sampler.start()

    def stop(self) -> None:
        """Stop reading."""
        if self.feed is not None and self._sampler is not None:
            self.feed.stop()
            self._sampler.stop()

    def taken(self, snapshot: Snapshot, *, least_seconds: float = 0.0) -> list[str]:
        """Have the next snapshot made, after `least_seconds` at the earliest; return the results of commands."""
        if snapshot.complete:
            self.read.set()
        live = snapshot.supervised and any(view.shown in _LIVE for view in snapshot.runs.values())
        self.sampling = live and self._here
        if self.feed is None or self.steering is None or self._sampler is None:
            return []
        self._sampler.set_active(self.sampling)
        self.feed.interval = max(_FEED_SECONDS, least_seconds)
        self.feed.taken()
        return self.steering.answers(snapshot.acknowledged)
