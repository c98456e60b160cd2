"""The supervisor's writer of the experiment's event log: waits while the disk is full, and detects its removal."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from tui_attn.experiment.event_log import LogWriter
from tui_attn.experiment.folders import ExperimentDir
from tui_attn.system import files

PAUSE = 0.05
"""Seconds between two attempts to write on a full disk."""


class OwnershipLostError(Exception):
    """This supervisor no longer owns the experiment: it must end without writing. The message is for its log."""


class ExperimentLog:
    """Appends events; when the disk is full it frees the reserve, records that, and waits. Raises `OSError`."""

    def __init__(self, folder: ExperimentDir) -> None:
        self._log = LogWriter(folder.events)
        self._reserve = files.Reserve(folder.path)
        self.full = False
        """Whether the disk was full at the last check."""
        self.patient = False
        """Whether to wait for room; during a start `OSError` is raised instead."""
        self.on_full: Callable[[], None] = lambda: None
        """Called when the disk is full, once that is recorded."""
        self.on_room: Callable[[], None] = lambda: None
        """Called when there is room again."""
        self.while_waiting: Callable[[], None] = lambda: None
        """Called repeatedly while an event waits for room."""
        self.check_owner: Callable[[], None] = lambda: None
        """Called before an event is written. Raises `OwnershipLostError`."""

    def record(self, type_: str, /, **payload: Any) -> None:
        """Append an event. Raises `OwnershipLostError` and `OSError`; with `patient`, a full disk raises nothing."""
        self.check_owner()
        while True:
            try:
                self._log.append(type_, **payload)
            except OSError as error:
                if error.errno not in files.FULL or not self.patient:
                    raise
                self.disk_is_full()
                self.while_waiting()
                time.sleep(PAUSE)
            else:
                return

    def warn(self, message: str) -> None:
        """Record a warning."""
        self.record("warning", message=message)

    def disk_is_full(self) -> None:
        """Record that the disk is full, in the room of the reserve, and let training wait."""
        if self.full:
            return
        self.full = True
        self._reserve.free()
        self.warn("the disk is full: training waits until there is room")
        self.on_full()

    def look(self) -> None:
        """Check for room on the disk, and that the log is still this supervisor's. Raises `OwnershipLostError`."""
        if not self._log.in_place():
            raise OwnershipLostError(
                "the experiment's folder or its event log was removed or replaced: its training has ended"
            )
        self.check_owner()
        if not self._reserve.room():
            self.disk_is_full()
        elif self.full:
            self.full = False
            self.warn("there is room on the disk again: training goes on")
            self.on_room()

    def sync(self) -> None:
        """Make the recorded events survive a power loss."""
        self._log.sync()

    def close(self) -> None:
        """Sync and close the log, and free the reserve."""
        self._log.sync()
        self._log.close()
        self._reserve.free()
