"""The list of experiments as the user arranged it: its columns, filter, order and marks. Knows no widget."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, NamedTuple

from tui_attn.compare.wording import points
from tui_attn.history.entries import Entry
from tui_attn.history.organize import Trashed
from tui_attn.system.text import duration
from tui_attn.ui import formatting
from tui_attn.ui.drawing import Piece, Pieces, fit, row_width

HEAD = 5
"""Cells of the pointer, the mark and the pin, before the first column."""


class Context(NamedTuple):
    """What the cells of a row depend on besides their experiment."""

    now: float
    zone: Callable[[float], time.struct_time]
    marker: Callable[[str], str]
    """The marker of a model."""


@dataclass(frozen=True, slots=True)
class Column:
    """A column of the list."""

    name: str
    widths: tuple[int, int, int]
    """Cells on terminals of less than 110 columns, less than 150, and more; 0 where it isn't shown."""
    value: Callable[[Entry], Any]
    """What it sorts by; None where it is unknown."""
    cell: Callable[[Entry, int, Context], Pieces]
    """What it shows in that many cells."""
    words: bool = False
    """Whether it holds words: they are aligned on the left, and sort from A to Z first."""


def _plain(text: Callable[[Entry], str], style: str = "normal") -> Callable[[Entry, int, Context], Pieces]:
    return lambda entry, size, _: [(text(entry), style)]


def _state(entry: Entry, size: int, context: Context) -> Pieces:
    return [(formatting.state_text(entry.state), formatting.state_style(entry.state))]


def _models(entry: Entry, size: int, context: Context) -> Pieces:
    if size > 6:
        return [(", ".join(entry.models), "normal")]
    shown = entry.models if len(entry.models) <= 3 else entry.models[:2]
    more = len(entry.models) - len(shown)
    return [
        *((f"{context.marker(model)} ", f"model:{model}") for model in shown),
        (f"+{more}" if more else "", "muted"),
    ]


def _versus_base(entry: Entry, size: int, context: Context) -> Pieces:
    """The best difference from base in points, and the verdict's sign."""
    best = entry.best
    if best is None:
        return [(formatting.DASH, "muted")]
    sign, style = formatting.VERDICTS.get(best.verdict or "", (" ", "normal"))
    model = {"self-attention": "attn"}.get(best.model, best.model) if size >= 12 else ""
    return [(f"{model} {points(best.delta)} {sign}".lstrip(), style)]


def when_text(created: float, now: float, zone: Callable[[float], time.struct_time], width: int) -> str:
    """A date in at most `width` cells: the time of a day that is today's, the year where it isn't this one."""
    if not created:
        return formatting.DASH
    then, today = zone(created), zone(now)
    if width >= 16:
        return time.strftime("%Y-%m-%d %H:%M", then)
    same_year = then.tm_year == today.tm_year
    if width >= 12:
        return time.strftime("%d %b %H:%M" if same_year else "%Y-%m-%d", then)
    if same_year and then.tm_yday == today.tm_yday:
        return time.strftime("%H:%M", then)
    return time.strftime("%d %b" if same_year else "%Y-%m", then)


def _when(entry: Entry, size: int, context: Context) -> Pieces:
    return [(when_text(entry.created, context.now, context.zone, size), "muted")]


COLUMNS = (
    Column("experiment", (8, 8, 34), lambda e: (e.name or e.id).lower(), _plain(lambda e: e.name or e.id), True),
    Column("state", (10, 10, 10), lambda e: e.state, _state, True),
    Column("data", (13, 13, 13), lambda e: e.dataset or None, _plain(lambda e: e.dataset), True),
    Column("models", (6, 6, 24), lambda e: (len(e.models), e.models) if e.models else None, _models, True),
    Column("seeds", (5, 5, 5), lambda e: e.seeds or None, _plain(lambda e: str(e.seeds))),
    Column("epochs", (0, 6, 6), lambda e: e.epochs or None, _plain(lambda e: str(e.epochs))),
    Column("accuracy", (0, 8, 8), lambda e: e.accuracy, _plain(lambda e: formatting.percent_text(e.accuracy))),
    Column("vs base", (8, 12, 12), lambda e: None if e.best is None else e.best.delta, _versus_base),
    Column("when", (7, 12, 16), lambda e: e.created or None, _when),
    Column("took", (0, 7, 7), lambda e: e.seconds, _plain(lambda e: duration(e.seconds), "muted")),
    Column("note", (0, 0, 12), lambda e: e.note.lower() or None, _plain(lambda e: e.note, "muted"), True),
)
_BY_NAME = {column.name: column for column in COLUMNS}


def gap(width: int) -> int:
    """Blank cells between columns."""
    return 2 if width >= 150 else 1


def columns(width: int) -> list[tuple[Column, int]]:
    """The columns that fit `width` cells, each with its own; the first and the last one take what is left."""
    step = (width >= 110) + (width >= 150)
    sizes = {column.name: column.widths[step] for column in COLUMNS if column.widths[step]}
    spare = width - HEAD - 1 + gap(width) - sum(size + gap(width) for size in sizes.values())
    if spare < 0 and "note" in sizes:
        spare += sizes.pop("note") + gap(width)
    sizes["note" if "note" in sizes else "experiment"] += spare
    return [(_BY_NAME[name], max(size, 8 if name == "experiment" else 0)) for name, size in sizes.items()]


def cells(entry: Entry, column: Column, size: int, context: Context) -> Pieces:
    """The pieces of one cell, in exactly `size` cells."""
    pieces = column.cell(entry, size, context)
    if len(pieces) == 1:
        return [(fit(pieces[0][0], size, right=not column.words), pieces[0][1])]
    blank: Piece = (" " * max(size - row_width(pieces), 0), "normal")
    return [*pieces, blank]


class HistoryView:
    """All entries, and the order in which they are shown."""

    def __init__(self) -> None:
        self.entries: dict[str, Entry] = {}
        self.complete = False
        """Whether all there are have been read."""
        self.total = 0
        """Folders to read in all, some of which may be no experiments."""
        self.error = ""
        self.filter = ""
        self.sort = "when"
        self.reverse = True
        self.marked: set[str] = set()
        self.selected: str | None = None
        self.thrown_away: list[Trashed] = []
        """Deletions of this session, newest last."""
        self._rows: list[Entry] | None = None

    @property
    def reading(self) -> str:
        """How much was read so far, in words; empty when all was."""
        share = f"{100 * min(len(self.entries) / self.total, 1):.0f} %" if self.total else "…"
        return "" if self.complete else f"reading {share}"

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
        """The selected entry."""
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
        """Add or replace entries, and remove those that are gone."""
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
        self.reverse = not self.reverse if column == self.sort else not _BY_NAME[column].words
        self.sort = column
        self._rows = None

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
        value = _BY_NAME[self.sort].value
        entries.sort(key=lambda entry: (entry.created, entry.id), reverse=True)
        known = [entry for entry in entries if value(entry) is not None]
        known.sort(key=value, reverse=self.reverse)
        found = known + [entry for entry in entries if value(entry) is None]
        return sorted(found, key=lambda entry: not entry.pinned)
