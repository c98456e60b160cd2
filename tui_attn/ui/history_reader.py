"""Reads all experiments in a thread of its own and tells what is new, so that the screen never waits for a disk."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path

from tui_attn.history.entries import Entry, History, keep, open_history
from tui_attn.runs import RunsError
from tui_attn.text import safe_text
from tui_attn.ui.messages import ExperimentsListed

_BATCH_SECONDS = 0.1
"""Time after which rows that were read are shown while others are still to come."""
_TURN_SECONDS, _PAUSE_SECONDS = 0.008, 0.003
"""How long is read before the screen gets its turn, and for how long it has it."""
_LOOK_SECONDS = 2.0
"""Least time from one look at the folder to the next."""
_SHARE = 20.0
"""Looking again takes at most one part in so many of the time."""


class HistoryReader(threading.Thread):
    """Tells everything by `post`, from its own thread."""

    def __init__(self, runs_dir: Path, post: Callable[[ExperimentsListed], object]) -> None:
        super().__init__(name="history", daemon=True)
        self._runs_dir = runs_dir
        self._post = post
        self._told: dict[str, Entry] = {}
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
        """End the thread soon."""
        self._stopping = True
        self._awake.set()
        self._wake.set()

    def nudge(self) -> None:
        """Look at once."""
        self._wake.set()

    def set_active(self, active: bool) -> None:
        """Look at the folder from time to time, or not at all while nobody sees the list."""
        if active:
            self._awake.set()
            self._wake.set()
        else:
            self._awake.clear()

    def run(self) -> None:
        """Look until stopped."""
        history = open_history(self._runs_dir)
        kept: set[str] | None = None
        while not self._stopping:
            begun = time.monotonic()
            self._wake.clear()
            self._look(history)
            ended = {id_ for id_, (_, entry) in history.known.items() if entry.ended}
            if ended != kept and not self._stopping:
                keep(history)
                kept = ended
            spent = time.monotonic() - begun
            self._wake.wait(max(_LOOK_SECONDS, _SHARE * spent))
            self._awake.wait()

    def _look(self, history: History) -> None:
        """Tell what is new, in batches, and last that this is all."""
        batch: list[Entry] = []
        seen: set[str] = set()
        told = paused = time.monotonic()
        error = ""
        try:
            for entry in history.look():
                seen.add(entry.id)
                if self._told.get(entry.id) != entry:
                    self._told[entry.id] = entry
                    batch.append(entry)
                if self._stopping:
                    return
                now = time.monotonic()
                if batch and now - told >= _BATCH_SECONDS and self._taken.is_set():
                    self._taken.clear()
                    self._post(ExperimentsListed(tuple(batch), frozenset(), False))
                    batch, told = [], now
                if now - paused >= _TURN_SECONDS:
                    time.sleep(_PAUSE_SECONDS)
                    paused = time.monotonic()
        except RunsError as problem:
            error = safe_text(problem, one_line=True)
        gone = frozenset(self._told.keys() - seen)
        for id_ in gone:
            del self._told[id_]
        self._post(ExperimentsListed(tuple(batch), gone, True, error))
