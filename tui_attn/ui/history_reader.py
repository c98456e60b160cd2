"""Reads all experiments outside the screen's thread and posts what is new."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path

from tui_attn.history.entries import Entry
from tui_attn.history.scan_process import HistoryScan, HistoryUpdate

_LOOK_SECONDS = 2.0
"""Least time between two scans of the folder."""
_SHARE = 20.0
"""Scanning takes at most one part in this many of the time."""


class HistoryReader:
    """Lists experiments by `post` from the thread that calls `run`; `known` are the ids that the screen shows."""

    def __init__(self, runs_dir: Path, post: Callable[[HistoryUpdate], object], *, known: Iterable[str] = ()) -> None:
        self._scan = HistoryScan(runs_dir, known=known)
        self._post = post
        self._stopping = False
        self._awake = threading.Event()
        self._wake = threading.Event()
        self._awake.set()
        self._taken = threading.Event()
        self._taken.set()

    def taken(self) -> None:
        """The screen has shown the last batch and is ready for another."""
        self._taken.set()

    def stop(self) -> None:
        """Let `run` return soon."""
        self._stopping = True
        self._scan.stop()
        self._awake.set()
        self._wake.set()

    def nudge(self) -> None:
        """Scan at once."""
        self._wake.set()

    def set_active(self, active: bool) -> None:
        """Scan from time to time, or not at all while the list is hidden."""
        if active:
            self._awake.set()
            self._wake.set()
        else:
            self._awake.clear()

    def run(self) -> None:
        """Scan until stopped."""
        try:
            while not self._stopping:
                begun = time.monotonic()
                self._wake.clear()
                self._look()
                spent = time.monotonic() - begun
                self._wake.wait(max(_LOOK_SECONDS, _SHARE * spent))
                self._awake.wait()
        finally:
            self._scan.close()

    def _look(self) -> None:
        """Post what is new, in batches."""
        held: list[Entry] = []
        for news in self._scan.look(lambda: not self._stopping):
            held += news.entries
            if self._stopping:
                return
            if news.complete or self._taken.is_set():
                self._taken.clear()
                self._post(replace(news, entries=tuple(held)))
                held = []
