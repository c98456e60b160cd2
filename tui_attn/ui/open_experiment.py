"""An experiment that is open: its dashboard, what reads its logs, and the newest picture of it."""

from __future__ import annotations

import platform
from collections.abc import Callable
from typing import TYPE_CHECKING

from tui_attn.experiment.folders import ExperimentDir
from tui_attn.ui.screens.dashboard import Dashboard

if TYPE_CHECKING:
    from tui_attn.ui.app_protocol import Surroundings
    from tui_attn.ui.feed import Snapshot
    from tui_attn.ui.messages import FromSession
    from tui_attn.ui.services import Session


class Opened:
    """One experiment for as long as it is open. Raises `RunsError` when its folder can't be read."""

    def __init__(self, folder: ExperimentDir, around: Surroundings) -> None:
        self.folder = folder
        self._manifest = folder.manifest_data()
        self._around = around
        self._here = self._manifest.host == (platform.node() if around.host is None else around.host)
        self.dashboard = Dashboard(folder, self._manifest, here=self._here, clock=around.clock, zone=around.zone)
        self.session: Session | None = None
        self.snapshot: Snapshot | None = None

    def start(self, post: Callable[[FromSession], object]) -> None:
        """Start reading, now that there is something to see; `post` gets what is read."""
        from tui_attn.ui.services import Session  # not needed for the first frame

        read = self._around.read_devices
        self.session = Session(self.folder, self._manifest, post, here=self._here, read_devices=read)
        self.session.start()

    def stop(self) -> None:
        """Let the threads end."""
        if self.session is not None:
            self.session.stop()
