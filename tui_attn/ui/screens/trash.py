"""The trash: what was deleted, to take it back."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from rich.cells import cell_len

from tui_attn.experiment.manifest import RunsError
from tui_attn.history import organize
from tui_attn.history.organize import Trashed
from tui_attn.system.text import safe_text
from tui_attn.ui.bindings import bindings
from tui_attn.ui.drawing import EMPTY, Row, fit
from tui_attn.ui.history_view import when_text
from tui_attn.ui.jobs import background, in_thread, shown_while
from tui_attn.ui.keys import TRASH_KEYS
from tui_attn.ui.protocols import ExplainsKeys, app_of
from tui_attn.ui.screens.page import Pages, ReadingPage
from tui_attn.ui.widgets.scroller import Finder


class TrashScreen(ExplainsKeys, Finder, ReadingPage[list[Trashed]], inherit_bindings=False):
    """What is in the trash of `runs_dir`, deleted last first."""

    TITLE = "trash"
    selects = True
    find_hint = "Enter goes to the next experiment with this in its id, name or data set"
    BINDINGS = bindings(TRASH_KEYS)

    def __init__(self, runs_dir: Path) -> None:
        super().__init__()
        self._runs_dir = runs_dir
        self._at = 0

    def read(self) -> list[Trashed]:
        """Read the trash."""
        return organize.trashed(self._runs_dir)

    def rows(self, found: list[Trashed], width: int) -> Sequence[Row]:
        """A line for each."""
        if not found:
            where = safe_text(self._runs_dir, one_line=True)
            return [EMPTY, Row(((f" the trash is empty: {where}", "normal"),))]
        self._at = min(self._at, len(found) - 1)
        app = app_of(self)
        now = app.clock()
        longest = min(max(10, *(cell_len(item.id) for item in found)), 40)
        rows = [Row(((f"   {fit('experiment', longest)}  {'deleted':<16}  name and data set", "muted"),))]
        for at, item in enumerate(found):
            here = at == self._at
            rows.append(
                Row(
                    (
                        (" ▸ " if here else "   ", "focused"),
                        (fit(safe_text(item.id, one_line=True), longest), "bold" if here else "normal"),
                        (f"  {when_text(item.since, now, app.zone, 16)}  ", "muted"),
                        (safe_text(_words(item), one_line=True), "muted"),
                    ),
                    here,
                )
            )
        return rows

    def why_not(self, action: str, parameters: tuple[object, ...]) -> str | None:
        """Return why `action` can't be done now; None where it can be."""
        if action != "restore" or self.found:
            return None
        return "still reading the trash" if self.found is None else "the trash is empty"

    def find(self, words: str) -> None:
        """Select the next experiment with `words` in its id, name or data set."""
        found = self.next_with(words, [f"{item.id} {_words(item)}" for item in self.found or ()], self._at)
        self.action_select(0 if found is None else found - self._at)

    def action_select(self, by: int) -> None:
        """Go up or down."""
        if self.found:
            self._at = min(max(self._at + by, 0), len(self.found) - 1)
            self.renew()
            self.query_one(Pages).reveal(self._at + 1)

    def action_restore(self) -> None:
        """Take it back."""
        if self.found:
            self._restore(self.found[self._at])

    @background("trash")
    async def _restore(self, item: Trashed) -> None:
        app = app_of(self)
        try:
            app.say(f"{(await shown_while(self, 'restoring', in_thread(organize.restore, item))).id} is back")
        except RunsError as error:
            app.say(str(error), "failed")
        self.read_again()


def _words(item: Trashed) -> str:
    config = None if item.manifest is None else item.manifest.config
    if config is None and not item.study:
        return "damaged"
    return f"{item.name or '–'} · {'a study' if config is None else config.dataset}"
