"""The list of experiments: a line each under a header that sorts.

Textual's DataTable would block the event loop too long: docs/performance.md has the figures.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from rich.cells import cell_len
from textual import events
from textual.message import Message

from tui_attn.history.entries import Entry
from tui_attn.ui.drawing import Pieces, Row, fit, row_width
from tui_attn.ui.history_view import HEAD, Context, HistoryView, cells, columns, gap
from tui_attn.ui.history_words import nothing_to_show
from tui_attn.ui.protocols import app_of
from tui_attn.ui.widgets.scroller import Scroller


class HistoryTable(Scroller):
    """Shows a `HistoryView` and moves its selection; `changed` is called after each change."""

    wheel_lines = 1

    class Opened(Message):
        """The user opens the selected experiment."""

    def __init__(self, view: HistoryView, runs_dir: Path, changed: Callable[[], object]) -> None:
        super().__init__(id="experiments")
        self._view, self._runs_dir = view, runs_dir
        self._changed = changed
        self._top = 0

    @property
    def line_count(self) -> int:
        """How many experiments are listed."""
        return len(self._view.rows)

    def scroll_lines(self, by: int) -> None:
        """Select the row `by` rows down."""
        self._view.move(by)
        self._changed()

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Leave `/` to the screen, which filters."""
        return action != "find"

    def on_click(self, event: events.Click) -> None:
        """Sort by a column, or select a row; a double click opens it."""
        if event.y == 0:
            end = HEAD
            for column, size in columns(self.size.width):
                end += size + gap(self.size.width)
                if HEAD <= event.x < end:
                    self._view.sort_by(column.name)
                    self._changed()
                    return
            return
        index = self._top + event.y - 1
        if index < len(self._view.rows):
            self._view.selected = self._view.rows[index].id
            if 2 <= event.x < 4:
                self._view.mark()
            self._changed()
            if event.chain == 2:
                self.post_message(self.Opened())

    def lines(self, width: int, height: int) -> Sequence[Row]:
        """The header and as many rows as fit, the selected one among them."""
        rows, at = self._view.rows, self._view.index
        room = max(height - 1, 1)
        self._top = min(max(self._top, at - room + 1), at, max(len(rows) - room, 0))
        if not rows:
            return [self._header(width), *nothing_to_show(self._view, self._runs_dir)]
        app = app_of(self)
        context = Context(app.clock(), app.zone, self.drawing.marker)
        shown = enumerate(rows[self._top : self._top + room], self._top)
        return [self._header(width), *(self._row(entry, width, index == at, context) for index, entry in shown)]

    def _header(self, width: int) -> Row:
        pieces: Pieces = [(" " * HEAD, "muted")]
        for column, size in columns(width):
            sorted_by = column.name == self._view.sort
            text = column.name
            if sorted_by:
                arrow = "▼" if self._view.reverse else "▲"
                text = f"{text} {arrow}" if cell_len(text) + 2 <= size else f"{text[: size - 1]}{arrow}"
            pieces.append((fit(text, size, right=not column.words), "focused" if sorted_by else "muted"))
            pieces.append((" " * gap(width), "muted"))
        return Row(tuple(pieces))

    def _row(self, entry: Entry, width: int, selected: bool, context: Context) -> Row:
        pieces: Pieces = [
            (" ▸" if selected else "  ", "focused"),
            ("●" if entry.id in self._view.marked else " ", "key"),
            ("*" if entry.pinned else " ", "warning"),
            (" ", "normal"),
        ]
        for column, size in columns(width):
            if entry.state == "damaged" and column.name not in {"experiment", "state"}:
                pieces.append((fit(entry.reason, max(width - row_width(pieces) - 1, 0)), "muted"))
                break
            found = cells(entry, column, size, context)
            if selected and column.name == "experiment":
                found = [(found[0][0], "bold")]
            pieces += [*found, (" " * gap(width), "normal")]
        return Row(tuple(pieces), selected)
