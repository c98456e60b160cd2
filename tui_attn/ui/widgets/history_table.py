"""The table of experiments: a line each, under a header that sorts."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import NamedTuple

from rich.cells import cell_len
from textual import events

from tui_attn.compare.wording import points
from tui_attn.history.entries import Entry
from tui_attn.system.text import duration
from tui_attn.ui import formatting
from tui_attn.ui.bindings import bindings
from tui_attn.ui.drawing import Lines, Piece, Row, fit
from tui_attn.ui.history_view import HistoryView
from tui_attn.ui.keys import PANEL_KEYS
from tui_attn.ui.messages import ExperimentChosen
from tui_attn.ui.styles import drawing_mode

VERDICT_GLYPHS = {"better": "▲", "worse": "▼", "no difference above margin": "≈", "undecided": "?"}
VERDICT_INKS = {"better": "running", "worse": "failed", "no difference above margin": "muted", "undecided": "muted"}
_LEFT = frozenset({"experiment", "state", "data", "models", "note"})
_HEAD = 5
"""Cells of the pointer, the mark and the pin."""


class Column(NamedTuple):
    """One column and its width in cells."""

    name: str
    width: int


def columns(width: int) -> list[Column]:
    """The columns that fit `width` cells."""
    wide, full = width >= 110, width >= 150
    found = [("state", 10), ("data", 13), ("models", 24 if full else 6), ("seeds", 5)]
    found += [("epochs", 6)] if wide else []
    found += [("accuracy", 8)] if wide else []
    found += [("vs base", 12 if wide else 8), ("when", 16 if full else 12 if wide else 7)]
    found += [("took", 7)] if wide else []
    spare = width - _HEAD - sum(size + _gap(width) for _, size in found) - 1
    experiment = min(spare, 34) if full else spare
    found += [("note", spare - experiment - _gap(width))] if full and spare - experiment >= 12 else []
    return [Column("experiment", max(experiment, 8)), *(Column(*pair) for pair in found)]


def _gap(width: int) -> int:
    return 2 if width >= 150 else 1


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


class HistoryTable(Lines, can_focus=True):
    """Shows a `HistoryView`, and lets the user go about in it."""

    BINDINGS = bindings(PANEL_KEYS)

    def __init__(
        self,
        view: HistoryView,
        *,
        clock: Callable[[], float],
        zone: Callable[[float], time.struct_time],
        changed: Callable[[], object],
        empty: Callable[[], Sequence[Row]],
    ) -> None:
        super().__init__(id="experiments")
        self._view = view
        self._clock, self._zone = clock, zone
        self._changed = changed
        self._empty = empty
        self._top = 0
        self._spans: list[tuple[int, int, str]] = []
        """Where the titles stand: first cell, the one after the last, column."""

    @property
    def visible_columns(self) -> list[str]:
        """The columns that are shown, from the left."""
        return [column.name for column in columns(self.size.width)]

    def move(self, by: int) -> None:
        """Go some rows down, or up."""
        self._view.move(by)
        self._changed()

    def action_scroll(self, by: int) -> None:
        """Go some rows down, or up."""
        self.move(by)

    def action_page(self, direction: int) -> None:
        """Go a page up or down."""
        self.move(direction * max(self.size.height - 2, 1))

    def action_first(self) -> None:
        """Go to the first row."""
        self.move(-len(self._view.rows))

    def action_last(self) -> None:
        """Go to the last row."""
        self.move(len(self._view.rows))

    def on_click(self, event: events.Click) -> None:
        """Sort by the column, or go to the row; a double click opens it."""
        if event.y == 0:
            for start, end, name in self._spans:
                if start <= event.x < end:
                    self._view.sort_by(name)
                    self._changed()
            return
        index = self._top + event.y - 1
        if index < len(self._view.rows):
            self._view.selected = self._view.rows[index].id
            if 2 <= event.x < 4:
                self._view.mark()
            self._changed()
            if event.chain == 2:
                self.post_message(ExperimentChosen())

    def on_mouse_scroll_down(self, event: events.MouseScrollDown) -> None:
        """Go down."""
        event.stop()
        self.move(1)

    def on_mouse_scroll_up(self, event: events.MouseScrollUp) -> None:
        """Go up."""
        event.stop()
        self.move(-1)

    def lines(self, width: int, height: int) -> Sequence[Row]:
        """The header and as many rows as fit, the one that the user is at among them."""
        rows = self._view.rows
        room = max(height - 1, 1)
        at = self._view.index
        self._top = min(max(self._top, at - room + 1), at, max(len(rows) - room, 0))
        shown = columns(width)
        if not rows:
            return [self._header(shown, width), *self._empty()]
        current = self._view.current
        return [
            self._header(shown, width),
            *(self._row(entry, shown, width, entry is current) for entry in rows[self._top : self._top + room]),
        ]

    def _header(self, shown: Sequence[Column], width: int) -> Row:
        pieces: list[Piece] = [(" " * _HEAD, "muted")]
        self._spans = []
        at = _HEAD
        for name, size in shown:
            arrow = ("▼" if self._view.reverse else "▲") if name == self._view.sort else ""
            text = f"{name} {arrow}" if cell_len(name) + 2 <= size else f"{name[: size - len(arrow)]}{arrow}"
            text = text if arrow else name
            pieces.append((fit(text, size, right=name not in _LEFT), "focused" if arrow else "muted"))
            pieces.append((" " * _gap(width), "muted"))
            self._spans.append((at, at + size + _gap(width), name))
            at += size + _gap(width)
        return Row(tuple(pieces))

    def _row(self, entry: Entry, shown: Sequence[Column], width: int, selected: bool) -> Row:
        marked = entry.id in self._view.marked
        pieces: list[Piece] = [
            (" ▸" if selected else "  ", "focused"),
            ("●" if marked else " ", "key"),
            ("*" if entry.pinned else " ", "warning"),
            (" ", "normal"),
        ]
        for name, size in shown:
            if entry.state == "damaged" and name not in {"experiment", "state"}:
                used = sum(cell_len(text) for text, _ in pieces)
                pieces.append((fit(entry.reason, max(width - used - 1, 0)), "muted"))
                break
            pieces += [*self._cell(entry, name, size, selected), (" " * _gap(width), "normal")]
        return Row(tuple(pieces), selected)

    def _cell(self, entry: Entry, name: str, size: int, selected: bool) -> list[Piece]:
        if name == "models":
            return self._models(entry, size)
        if name == "vs base":
            return _versus(entry, size)
        if name == "state":
            text = "✗ damaged" if entry.state == "damaged" else formatting.state_text(entry.state)
            return [(fit(text, size), formatting.STATE_INKS.get(entry.state, "failed"))]
        text, ink = self._text(entry, name, size)
        ink = "bold" if selected and name == "experiment" else ink
        return [(fit(text, size, right=name not in _LEFT), ink)]

    def _text(self, entry: Entry, name: str, size: int) -> Piece:
        match name:
            case "experiment":
                return entry.name or entry.id, "normal"
            case "data":
                return entry.dataset, "normal"
            case "seeds":
                return str(entry.seeds), "normal"
            case "epochs":
                return str(entry.epochs), "normal"
            case "accuracy":
                return formatting.percent_text(entry.accuracy), "normal"
            case "when":
                return when_text(entry.created, self._clock(), self._zone, size), "muted"
            case "took":
                return duration(entry.seconds), "muted"
            case _:
                return entry.note, "muted"

    def _models(self, entry: Entry, size: int) -> list[Piece]:
        from tui_attn.ui.charts.palette import ink

        if size > 6:
            return [(fit(", ".join(entry.models), size), "normal")]
        ascii_only = drawing_mode(self.app).ascii
        pieces: list[Piece] = []
        shown = entry.models if len(entry.models) <= 3 else entry.models[:2]
        for model in shown:
            marker = ink(model)
            pieces.append((f"{marker.ascii_marker if ascii_only else marker.marker} ", f"model:{model}"))
        if len(shown) < len(entry.models):
            pieces.append((fit(f"+{len(entry.models) - len(shown)}", size - 4), "muted"))
        used = sum(cell_len(text) for text, _ in pieces)
        return [*pieces, (" " * max(size - used, 0), "normal")]


def _versus(entry: Entry, size: int) -> list[Piece]:
    """The best difference from base in points, and what the seeds say of it."""
    best = entry.best
    if best is None:
        return [(fit(formatting.DASH, size, right=True), "muted")]
    ink = VERDICT_INKS.get(best.verdict or "", "normal")
    glyph = VERDICT_GLYPHS.get(best.verdict or "", " ")
    model = {"self-attention": "attn"}.get(best.model, best.model) if size >= 12 else ""
    return [(fit(f"{model} {points(best.delta)} {glyph}".lstrip(), size, right=True), ink)]
