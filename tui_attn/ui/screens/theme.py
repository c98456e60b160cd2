"""The choice of a theme: whatever is selected is in force at once, behind the list."""

from __future__ import annotations

from collections.abc import Sequence

from textual import events
from textual.app import ComposeResult
from textual.containers import Vertical
from textual.screen import ModalScreen

from tui_attn.ui.bindings import bindings
from tui_attn.ui.drawing import EMPTY, Drawn, Piece, Row, fit
from tui_attn.ui.keys import CHOICE_KEYS
from tui_attn.ui.options import THEMES
from tui_attn.ui.protocols import app_of
from tui_attn.ui.widgets.key_bar import KeyBar

ABOUT = {
    "dark": "for dark rooms",
    "light": "for bright ones, and for paper",
    "colour-blind": "states by lightness, blue and orange",
    "terminal": "the terminal's own sixteen colours",
    "ascii": "the same, without line drawing",
}
STATES: Sequence[Piece] = (
    ("running", "running"),
    ("paused", "held"),
    ("failed", "failed"),
    ("finished", "done"),
    ("lost", "gone"),
)


class ThemeScreen(ModalScreen[str | None], inherit_bindings=False):
    """The themes, and below them a sample of the inks. Closes with the theme that was chosen, or with None.

    `said_by`: what names a theme for every start, such as "--theme".
    """

    BINDINGS = bindings(CHOICE_KEYS)

    def __init__(self, said_by: str = "") -> None:
        super().__init__()
        self._said_by = said_by
        self._list = Drawn(self._rows, id="theme-list")
        self._at = self._before = 0

    def compose(self) -> ComposeResult:
        """The list over its keys."""
        with Vertical(id="themes"):
            yield self._list
            yield KeyBar()

    def on_mount(self) -> None:
        """Start at the theme in use."""
        self._at = self._before = THEMES.index(self.app.theme)

    def _rows(self, width: int, height: int) -> list[Row]:
        """A title, a row for each theme, and the sample."""
        rows = [Row((("Theme", "title"),)), EMPTY]
        for index, name in enumerate(THEMES):
            here, used = index == self._at, index == self._before
            mark = ("› " if here else "  ", "focused")
            label = (fit(name, 14), "focused" if here else "normal")
            note = " in use" if used else ""
            about = fit(ABOUT[name], max(width - 16 - len(note), 0))
            rows.append(Row((mark, label, (about, "muted"), (note, "normal")), selected=here))
        sample = [piece for text, ink in STATES for piece in ((text, ink), (" ", "normal"))]
        rows += [EMPTY, Row((("  ", "normal"), *sample, ("base ", "model:base"), ("se", "model:se")))]
        if self._said_by:
            rows.append(Row(((fit(f"  {self._said_by} names one: a choice holds until you leave", width), "warning"),)))
        return rows

    def action_move(self, by: int) -> None:
        """Select the theme above or below, round and round; by more than one, go to the first or the last."""
        at = self._at + by
        self._select(at % len(THEMES) if abs(by) == 1 else min(max(at, 0), len(THEMES) - 1))

    def on_click(self, event: events.Click) -> None:
        """Select what was clicked at."""
        if event.widget is self._list and 0 <= event.y - 2 < len(THEMES):
            self._select(event.y - 2)

    def _select(self, at: int) -> None:
        self._at = at
        app_of(self).use_theme(THEMES[at])
        self._list.redraw()

    def action_choose(self) -> None:
        """Keep the selected theme."""
        self.dismiss(THEMES[self._at])

    def action_cancel(self) -> None:
        """Go back to what was."""
        app_of(self).use_theme(THEMES[self._before])
        self.dismiss(None)
