"""A screen of text over the dashboard, to scroll through and to leave."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Generic, TypeVar

from rich.cells import cell_len
from textual.app import ComposeResult
from textual.screen import Screen

from tui_attn.experiment.manifest import RunsError
from tui_attn.system.text import safe_text
from tui_attn.ui.bindings import bindings
from tui_attn.ui.drawing import EMPTY, Row, fit, rule
from tui_attn.ui.jobs import background, in_thread, shown_while
from tui_attn.ui.keys import SCREEN_KEYS
from tui_attn.ui.widgets.key_bar import KeyBar
from tui_attn.ui.widgets.scroller import Scroller

Found = TypeVar("Found")


class Pages(Scroller):
    """Rows that scroll under a title that stays."""

    def __init__(self) -> None:
        super().__init__(id="pages")
        self._title = ""
        self._all: Sequence[Row] = ()
        self._top = 0

    def show(self, rows: Sequence[Row], title: str) -> None:
        """Show these rows from where the reader is, under this title."""
        self._all = rows
        self._title = safe_text(title, one_line=True)
        self.redraw()

    def reveal(self, index: int) -> None:
        """Scroll as little as shows row `index`."""
        room = max(self.size.height - 1, 1)
        self._top = min(max(self._top, index - room + 1), index)
        self.redraw()

    def lines(self, width: int, height: int) -> Sequence[Row]:
        """The title, and the rows from the one scrolled to."""
        room = max(height - 1, 0)
        self._top = min(max(self._top, 0), max(len(self._all) - room, 0))
        last = min(self._top + room, len(self._all))
        where = f"{self._top + 1}–{last} of {len(self._all)}" if len(self._all) > room else ""
        if where:  # and where there is more
            where += " " + ("↑" if self._top else "") + ("↓" if last < len(self._all) else "")
        title = self._title
        if where and cell_len(title) + len(where) + 8 > width:
            title = fit(title, max(width - len(where) - 8, 8))
        return [rule(title, width, right=where, focused=True), *self._all[self._top : last]]

    @property
    def line_count(self) -> int:
        """How many rows there are."""
        return len(self._all)

    def scroll_lines(self, by: int) -> None:
        """Scroll by rows."""
        self._top += by

    def find(self, words: str) -> None:
        """Go to the next row with `words`."""
        found = self.next_with(words, ["".join(text for text, _ in row.pieces) for row in self._all], self._top)
        if found is not None:
            self._top = found
            self.redraw()


class PageScreen(Screen[None], inherit_bindings=False):
    """A title, rows, and the keys. Subclasses give the rows in `page`."""

    BINDINGS = bindings(SCREEN_KEYS)
    TITLE = ""
    selects = False
    """Whether the screen's own keys select a row, in place of scrolling."""

    def page(self, width: int) -> Sequence[Row]:
        """The rows for a screen of `width` cells."""
        raise NotImplementedError

    def compose(self) -> ComposeResult:
        """The rows over the keys."""
        pages = Pages()
        pages.can_focus = not self.selects
        yield pages
        yield KeyBar()

    def on_mount(self) -> None:
        """Show the rows."""
        if not self.selects:
            self.query_one(Pages).focus()
        self.renew()

    def renew(self) -> None:
        """Make the rows again."""
        if self.is_mounted and self.size:
            self.query_one(Pages).show(self.page(self.size.width), self.title or "")

    on_resize = renew

    def action_back(self) -> None:
        """Leave this screen."""
        self.dismiss()


class ReadingPage(PageScreen, Generic[Found]):
    """A page on what `read` returns, which is called in a thread when the page opens."""

    def __init__(self) -> None:
        super().__init__()
        self.found: Found | None = None
        """What was read last."""
        self._problem = ""

    @property
    def busy(self) -> bool:
        """Whether it is still being read."""
        return self.found is None and not self._problem

    def read(self) -> Found:
        """Read it. Raises `RunsError`."""
        raise NotImplementedError

    def rows(self, found: Found, width: int) -> Sequence[Row]:
        """The rows on what was read, for a screen of `width` cells."""
        raise NotImplementedError

    def on_mount(self) -> None:
        """Start reading."""
        self.read_again()

    @background("page")
    async def read_again(self) -> None:
        """Read it in a thread, and show it."""
        try:
            self.found = await shown_while(self, "reading", in_thread(self.read))
        except RunsError as error:
            self._problem = safe_text(error, one_line=True)
        self.renew()
        self.refresh_bindings()

    def page(self, width: int) -> Sequence[Row]:
        """The rows, or why there are none yet."""
        if self.found is None:
            return [EMPTY, Row(((f" {self._problem or 'reading …'}", "failed" if self._problem else "muted"),))]
        return self.rows(self.found, width)
