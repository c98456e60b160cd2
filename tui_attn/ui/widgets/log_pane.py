"""The log: what happened, newest last, warnings marked."""

from __future__ import annotations

import time
from bisect import bisect_right
from collections.abc import Callable, Sequence
from operator import attrgetter
from typing import NamedTuple

from rich.cells import cell_len

from tui_attn.system.text import safe_text
from tui_attn.system.textfit import wrap
from tui_attn.ui import formatting
from tui_attn.ui.drawing import Row, fit, rule
from tui_attn.ui.feed import Snapshot
from tui_attn.ui.widgets.scroller import Scroller

_KEPT = 5000
"""Entries that can be scrolled back to; the logs on disk hold all."""
_RUN_WIDTH = 20


class Entry(NamedTuple):
    """One thing that happened."""

    t: float
    """Unix seconds."""
    clock: str
    run: str
    text: str
    warns: bool


class LogPane(Scroller):
    """Follows the newest entry until the user scrolls up. Long entries are wrapped, never cut."""

    find_title = "Show only the entries with these words"
    find_hint = "of time, run and text; an empty line shows all again"

    def __init__(self, zone: Callable[[float], time.struct_time] = time.localtime, *, id: str) -> None:
        super().__init__(id=id)
        self._zone = zone
        self._entries: list[Entry] = []
        self._source: list[tuple[float, str | None, str]] | None = None
        self._taken = 0
        self._warned: set[tuple[float, str]] = set()
        self._warnings_taken = 0
        self._history = True
        """Whether what was logged before the dashboard opened is still being read."""
        self._empty = "reading"
        """The text without entries."""
        self._back = 0
        """Lines below the last one shown."""
        self._wrapped: list[Row] = []
        self._length = 0
        """How many lines there were when they were last shown."""
        self._wrapped_for = (0, 0)
        """Width of the panel and of the runs' column for which the lines were wrapped."""
        self._wrapped_entries = 0

    def show(self, snapshot: Snapshot) -> None:
        """Add what is new in `snapshot`."""
        if snapshot.log is not self._source:
            self._source, self._taken, self._warnings_taken = snapshot.log, 0, 0
            self._entries, self._warned, self._history, self._back = [], set(), True, 0
            self._wrapped, self._wrapped_entries = [], 0
        self._warned.update(snapshot.warnings[self._warnings_taken : snapshot.warnings_length])
        self._warnings_taken = snapshot.warnings_length
        new = snapshot.log[max(self._taken, snapshot.log_length - _KEPT) : snapshot.log_length]
        self._taken = snapshot.log_length
        self._empty = "nothing has happened yet" if snapshot.complete else formatting.reading(snapshot)
        if new or not self._entries:
            self._add([self._entry(*item) for item in new])
            self._forget_oldest()
            self.redraw()
        self._history = self._history and not snapshot.complete

    def _add(self, new: list[Entry]) -> None:
        """Insert `new` by time: the logs of several runs are read one after another.

        What happens while the dashboard watches comes last, though the clock may have been set back.
        """
        new.sort(key=attrgetter("t"))
        at = bisect_right(self._entries, new[0].t, key=attrgetter("t")) if new and self._history else len(self._entries)
        if at < len(self._entries):
            new = sorted([*self._entries[at:], *new], key=attrgetter("t"))
            del self._entries[at:]
            self._wrapped, self._wrapped_entries = [], 0
        self._entries += new

    def _entry(self, t: float, run: str | None, text: str) -> Entry:
        warns = (t, text if run is None else f"{run} {text}") in self._warned
        clock = time.strftime("%H:%M:%S", self._zone(t))
        return Entry(t, clock, safe_text(run or "", one_line=True), safe_text(text, one_line=True), warns)

    def _forget_oldest(self) -> None:
        if len(self._entries) > 2 * _KEPT:
            del self._entries[:-_KEPT]
            self._wrapped, self._wrapped_entries = [], 0

    def lines(self, width: int, height: int) -> Sequence[Row]:
        """The title and the newest lines, or those scrolled to."""
        room = max(height - 1, 0)
        self._wrap(width)
        if self._back:  # stay at what is being read
            self._back += len(self._wrapped) - self._length
        self._length = len(self._wrapped)
        self._back = min(max(self._back, 0), max(len(self._wrapped) - room, 0))
        warnings = self._warnings_taken
        right = "" if not warnings else "1 warning" if warnings == 1 else f"{warnings} warnings"
        if self._back:
            right = f"{self._back} lines below" + (f" · {right}" if right else "")
        end = len(self._wrapped) - self._back
        shown = self._wrapped[max(end - room, 0) : end]
        nothing = f" no entry with '{self.words}'" if self._entries else f" {self._empty}"
        empty = [] if self._wrapped else [Row(((nothing, "muted"),))]
        return [
            rule(f"log: {self.words}" if self.words else "log", width, right=right, focused=self.has_focus),
            *shown,
            *empty,
        ]

    def _wrap(self, width: int) -> None:
        """Make the lines of the entries that have none yet; of all when the form changed."""
        name = min(max((cell_len(entry.run) for entry in self._entries[-_KEPT:]), default=0), _RUN_WIDTH)
        if self._wrapped_for != (width, name):
            self._wrapped_for = (width, name)
            self._wrapped, self._wrapped_entries = [], 0
        for entry in self._entries[self._wrapped_entries :]:
            if self._wanted(entry):
                self._wrapped += _rows(entry, width, name)
        self._wrapped_entries = len(self._entries)

    @property
    def line_count(self) -> int:
        """How many lines there are."""
        return len(self._wrapped)

    def scroll_lines(self, by: int) -> None:
        """Scroll by lines."""
        self._back -= by

    def find(self, words: str) -> None:
        """Show only the entries with every one of `words`."""
        self._wrapped, self._wrapped_entries, self._back = [], 0, 0
        self.redraw()

    def _wanted(self, entry: Entry) -> bool:
        text = f"{entry.clock} {entry.run} {entry.text}".casefold()
        return all(word in text for word in self.words.casefold().split())


def _rows(entry: Entry, width: int, name: int) -> list[Row]:
    """The lines of one entry."""
    head = f" {entry.clock} {'!' if entry.warns else ' '} "
    # What is said of the whole experiment needs no column for the run.
    label = fit(entry.run, name) + "  " if entry.run else ""
    before = len(head) + cell_len(label)
    ink = "warning" if entry.warns else "normal"
    first, *others = wrap(entry.text, max(width - before, 8))
    rows = [Row(((head, "warning" if entry.warns else "faint"), (label, "muted"), (first, ink)))]
    return rows + [Row(((" " * before, "normal"), (text, ink))) for text in others]
