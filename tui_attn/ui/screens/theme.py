"""The choice of a theme: whatever is selected is in force at once, behind the list."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, cast

from textual import events
from textual.app import ComposeResult
from textual.containers import Vertical
from textual.screen import ModalScreen

from tui_attn.ui.bindings import bindings
from tui_attn.ui.drawing import Lines, Piece, Row, fit
from tui_attn.ui.keys import CHOICE_KEYS
from tui_attn.ui.options import THEMES
from tui_attn.ui.widgets.key_bar import KeyBar

if TYPE_CHECKING:
    from tui_attn.ui.theming import ThemedApp

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


class Themes(Lines):
    """The themes, each with a word about it, and below them a sample of the inks."""

    def __init__(self, on_click: Callable[[int], None], said_by: str) -> None:
        super().__init__(id="theme-list")
        self.at = 0
        self._before = 0
        self._clicked = on_click
        self._said_by = said_by
        self.styles.height = len(THEMES) + (5 if said_by else 4)

    def begin(self, at: int) -> None:
        """Start at theme number `at`, the one in use."""
        self.at = self._before = at
        self.redraw()

    def lines(self, width: int, height: int) -> Sequence[Row]:
        """A title, a row for each theme, and the sample."""
        rows = [Row((("Theme", "title"),)), Row(())]
        for index, name in enumerate(THEMES):
            here, used = index == self.at, index == self._before
            mark = ("› " if here else "  ", "focused")
            label = (fit(name, 14), "focused" if here else "normal")
            note = " in use" if used else ""
            about = fit(ABOUT[name], max(width - 16 - len(note), 0))
            rows.append(Row((mark, label, (about, "muted"), (note, "normal")), selected=here))
        sample = [piece for text, ink in STATES for piece in ((text, ink), (" ", "normal"))]
        rows += [Row(()), Row((("  ", "normal"), *sample, ("base ", "model:base"), ("se", "model:se")))]
        if self._said_by:
            rows.append(Row(((fit(f"  {self._said_by} names one: a choice holds until you leave", width), "warning"),)))
        return rows

    def on_click(self, event: events.Click) -> None:
        """Select what was clicked at."""
        event.stop()
        if 0 <= event.y - 2 < len(THEMES):
            self._clicked(event.y - 2)


class ThemeScreen(ModalScreen[str | None], inherit_bindings=False):
    """Closes with the theme that was chosen, or with None and everything as it was."""

    BINDINGS = bindings(CHOICE_KEYS)

    def __init__(self, said_by: str = "") -> None:
        super().__init__()
        self._list = Themes(self._select, said_by)
        self._before = ""

    def compose(self) -> ComposeResult:
        """The list over its keys."""
        with Vertical(id="themes"):
            yield self._list
            yield KeyBar()

    @property
    def _themed(self) -> ThemedApp:
        return cast("ThemedApp", self.app)

    def on_mount(self) -> None:
        """Start at the theme in use."""
        self._before = self._themed.theme
        self._list.begin(THEMES.index(self._before))

    def action_move(self, by: int) -> None:
        """Select the theme above or below, round and round; by more than one, go to the first or the last."""
        at = self._list.at + by
        self._select(at % len(THEMES) if abs(by) == 1 else min(max(at, 0), len(THEMES) - 1))

    def _select(self, at: int) -> None:
        self._list.at = at
        self._themed.use_theme(THEMES[at])
        self._list.redraw()

    def action_choose(self) -> None:
        """Keep the selected theme."""
        self.dismiss(THEMES[self._list.at])

    def action_cancel(self) -> None:
        """Go back to what was."""
        self._themed.use_theme(self._before)
        self.dismiss(None)
