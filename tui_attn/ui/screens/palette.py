"""Everything that can be done now, found by typing a few letters of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from rich.cells import cell_len
from textual import events
from textual.app import ComposeResult
from textual.containers import Vertical
from textual.screen import ModalScreen

from tui_attn.system.text import safe_text
from tui_attn.ui.actions import Action
from tui_attn.ui.bindings import bindings
from tui_attn.ui.drawing import Lines, Piece, Row, fit
from tui_attn.ui.fuzzy import match
from tui_attn.ui.keys import PALETTE_KEYS
from tui_attn.ui.widgets.key_bar import KeyBar

_LABEL = 16
_LONGEST_QUERY = 60
_AROUND = 8
"""Lines of the screen that the list leaves free."""


class Found(Lines):
    """What is typed, and the actions that match it."""

    def __init__(self, actions: Sequence[Action], on_click: Callable[[int], None]) -> None:
        super().__init__(id="found")
        self._actions = actions
        self._clicked = on_click
        self._top = 0
        self.typed = ""
        self.at = 0
        self.shown: list[tuple[Action, tuple[int, ...]]] = [(action, ()) for action in actions]

    def type(self, typed: str) -> None:
        """Show what matches `typed`, the best first."""
        self.typed, self.at = typed[:_LONGEST_QUERY], 0
        scored = [found for action in self._actions if (found := _scored(self.typed, action)) is not None]
        scored.sort(key=lambda found: -found[0])
        self.shown = [(action, places) for _, action, places in scored]
        self.redraw()

    def move(self, by: int, *, round_and_round: bool = True) -> None:
        """Select another row."""
        if self.shown:
            at = self.at + by
            self.at = at % len(self.shown) if round_and_round else min(max(at, 0), len(self.shown) - 1)
            self.redraw()

    def lines(self, width: int, height: int) -> Sequence[Row]:
        """The typed text, and the rows around the selected one."""
        room = max(height - 2, 1)
        self._top = min(max(self._top, self.at - room + 1), self.at, max(len(self.shown) - room, 0))
        count = f"{len(self.shown)} of {len(self._actions)}"
        typed: tuple[Piece, ...] = ((fit(self.typed, min(cell_len(self.typed), width - 16)), "bold"), ("▏", "focused"))
        if not self.typed:
            typed = (("▏", "focused"), ("type what you want to do", "faint"))
        used = sum(cell_len(text) for text, _ in typed) + 2
        rows = [
            Row((("› ", "focused"), *typed, (fit(count, max(width - used, 0), right=True), "muted"))),
            Row(()),
        ]
        if not self.shown:
            return [*rows, Row((("  nothing here is called so; backspace takes a letter back", "muted"),))]
        last = self._top + room
        return rows + [
            self._row(action, places, width, selected=index == self.at)
            for index, (action, places) in enumerate(self.shown[self._top : last], start=self._top)
        ]

    def _row(self, action: Action, places: tuple[int, ...], width: int, *, selected: bool) -> Row:
        keys = f" {action.keys} "
        room = max(width - 2 - _LABEL - cell_len(keys), 0)
        label = fit(action.label, _LABEL)
        marked = frozenset(places)
        plain = "focused" if selected else "normal"
        letters = [(letter, "key" if at in marked else plain) for at, letter in enumerate(label)]
        return Row(
            (
                ("› " if selected else "  ", "focused"),
                *_joined(letters),
                (fit(action.tooltip, room), "muted"),
                (keys, "key"),
            ),
            selected=selected,
        )

    def on_click(self, event: events.Click) -> None:
        """Do what was clicked at."""
        event.stop()
        at = self._top + event.y - 2
        if event.y >= 2 and at < len(self.shown):
            self._clicked(at)


def _scored(typed: str, action: Action) -> tuple[int, Action, tuple[int, ...]] | None:
    """How well an action matches; its label counts for more than the sentence about it."""
    by_label = match(typed, action.label)
    if by_label is not None:
        return by_label[0] * 2, action, by_label[1]
    text = f"{action.label} {action.tooltip}".lower()
    words = typed.lower().split()
    return (50, action, ()) if all(word in text for word in words) else None


def _joined(letters: Sequence[Piece]) -> list[Piece]:
    """Neighbours of one ink as one piece."""
    found: list[Piece] = []
    for letter, ink in letters:
        if found and found[-1][1] == ink:
            found[-1] = (found[-1][0] + letter, ink)
        else:
            found.append((letter, ink))
    return found


class PaletteScreen(ModalScreen[Action | None], inherit_bindings=False):
    """Closes with the action that was chosen."""

    BINDINGS = bindings(PALETTE_KEYS)

    def __init__(self, actions: Sequence[Action]) -> None:
        super().__init__()
        self._count = len(actions)
        self._found = Found(actions, self._choose)

    def compose(self) -> ComposeResult:
        """The list over its keys."""
        with Vertical(id="palette"):
            yield self._found
            yield KeyBar()

    def on_mount(self) -> None:
        """Take the height that the list needs, where the screen has it."""
        self.on_resize()

    def on_resize(self) -> None:
        """Take the height that the list needs, where the screen has it."""
        self._found.styles.height = max(min(self._count, self.app.size.height - _AROUND, 20), 3) + 2

    def on_key(self, event: events.Key) -> None:
        """Type."""
        typed = self._found.typed
        if event.key in {"backspace", "ctrl+h"}:
            typed = typed[:-1]
        elif event.key == "ctrl+u":
            typed = ""
        elif event.key == "ctrl+w":
            typed = typed.rstrip().rpartition(" ")[0]
        elif event.is_printable and event.character:
            typed += event.character
        else:
            return
        event.stop()
        self._found.type(typed)

    def on_paste(self, event: events.Paste) -> None:
        """Type what was pasted."""
        event.stop()
        self._found.type(self._found.typed + safe_text(event.text, one_line=True))

    def on_mouse_scroll_down(self, event: events.MouseScrollDown) -> None:
        """Go down."""
        event.stop()
        self._found.move(1, round_and_round=False)

    def on_mouse_scroll_up(self, event: events.MouseScrollUp) -> None:
        """Go up."""
        event.stop()
        self._found.move(-1, round_and_round=False)

    def action_move(self, by: int) -> None:
        """Select the row above or below."""
        self._found.move(by)

    def action_page(self, direction: int) -> None:
        """Select a row a page away."""
        self._found.move(direction * max(self._found.size.height - 3, 1), round_and_round=False)

    def action_choose(self) -> None:
        """Do what is selected."""
        self._choose(self._found.at)

    def action_cancel(self) -> None:
        """Do nothing."""
        self.dismiss(None)

    def _choose(self, at: int) -> None:
        if self._found.shown:
            self.dismiss(self._found.shown[at][0])
