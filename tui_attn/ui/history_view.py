"""The list of experiments as the user arranged it: filtered, sorted, marked. Knows no widget."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from tui_attn.history.entries import Entry
from tui_attn.history.organize import Trashed

_VALUES: dict[str, Callable[[Entry], Any]] = {
    "experiment": lambda entry: (entry.name or entry.id).lower(),
    "state": lambda entry: entry.state,
    "data": lambda entry: entry.dataset or None,
    "models": lambda entry: (len(entry.models), entry.models) if entry.models else None,
    "seeds": lambda entry: entry.seeds or None,
    "epochs": lambda entry: entry.epochs or None,
    "accuracy": lambda entry: entry.accuracy,
    "vs base": lambda entry: None if entry.best is None else entry.best.delta,
    "when": lambda entry: entry.created or None,
    "took": lambda entry: entry.seconds,
    "note": lambda entry: entry.note.lower() or None,
}
COLUMNS = tuple(_VALUES)
"""What can be sorted by."""
_DOWNWARDS = frozenset({"seeds", "epochs", "accuracy", "vs base", "when", "took"})
"""Columns whose greatest value comes first, unless the user turns them round."""


class HistoryView:
    """All entries, and the order in which they are shown."""

    def __init__(self) -> None:
        self.entries: dict[str, Entry] = {}
        self.complete = False
        """Whether all there are have been read."""
        self.error = ""
        self.filter = ""
        self.sort = "when"
        self.reverse = True
        self.marked: set[str] = set()
        self.selected: str | None = None
        self.thrown_away: list[Trashed] = []
        """What was thrown away since the program began, the last one last."""
        self._rows: list[Entry] | None = None

    @property
    def rows(self) -> list[Entry]:
        """The entries that the filter lets through: pinned ones first, each part in the order of the sorted column."""
        if self._rows is None:
            words = self.filter.lower().split()
            found = [entry for entry in self.entries.values() if all(word in entry.words for word in words)]
            self._rows = self._sorted(found)
        return self._rows

    @property
    def current(self) -> Entry | None:
        """The entry that the user is at."""
        rows = self.rows
        return rows[self.index] if rows else None

    @property
    def index(self) -> int:
        """Its place among the rows."""
        return next((at for at, entry in enumerate(self.rows) if entry.id == self.selected), 0)

    @property
    def chosen(self) -> list[Entry]:
        """The marked entries, hidden ones included, oldest first."""
        return sorted((self.entries[id_] for id_ in self.marked), key=lambda entry: (entry.created, entry.id))

    def take(self, entries: Iterable[Entry], gone: Iterable[str] = ()) -> None:
        """Entries are new or others than before, or are no longer there."""
        at = self.index
        self.entries.update((entry.id, entry) for entry in entries)
        for id_ in gone:
            self.entries.pop(id_, None)
            self.marked.discard(id_)
        self._rows = None
        if self.selected not in self.entries and self.selected is not None:
            self.selected = self.rows[min(at, len(self.rows) - 1)].id if self.rows else None

    def sort_by(self, column: str) -> None:
        """Sort by `column`; by the same one again the other way round."""
        self.reverse = not self.reverse if column == self.sort else column in _DOWNWARDS
        self.sort = column
        self._rows = None

    def turn(self) -> None:
        """Sort the other way round."""
        self.sort_by(self.sort)

    def set_filter(self, text: str) -> None:
        """Show only what has all the words of `text`."""
        self.filter = text
        self._rows = None

    def move(self, by: int) -> None:
        """Go to the entry `by` rows further down."""
        rows = self.rows
        if rows:
            self.selected = rows[min(max(self.index + by, 0), len(rows) - 1)].id

    def mark(self) -> None:
        """Mark the current entry, or not any more."""
        if self.current is not None and self.current.state != "damaged":
            self.marked ^= {self.current.id}

    def _sorted(self, entries: list[Entry]) -> list[Entry]:
        value = _VALUES[self.sort]
        entries.sort(key=lambda entry: (entry.created, entry.id), reverse=True)
        known = [entry for entry in entries if value(entry) is not None]
        unknown = [entry for entry in entries if value(entry) is None]
        known.sort(key=value, reverse=self.reverse)
        found = known + unknown
        return [entry for entry in found if entry.pinned] + [entry for entry in found if not entry.pinned]
