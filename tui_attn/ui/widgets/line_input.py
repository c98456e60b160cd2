"""A line that is typed into, in the looks of the house."""

from __future__ import annotations

from collections.abc import Sequence

from textual.binding import Binding
from textual.message import Message
from textual.widgets import Input

from tui_attn.system.text import safe_text
from tui_attn.ui.bindings import bindings
from tui_attn.ui.drawing import Lines, Row, fit
from tui_attn.ui.keys import TYPING_KEYS
from tui_attn.ui.textual_private import ControlStandIns


class SafeInput(ControlStandIns, Input):
    """Textual's input, with stand-ins for control characters, which Textual would write to the terminal."""


class LineInput(SafeInput, inherit_bindings=False):
    """Textual's input without its frame. Posts `Accepted` or `Discarded`; `Changed` comes from Textual."""

    BINDINGS = [  # noqa: RUF012
        *bindings(TYPING_KEYS),
        *(found for found in Input.BINDINGS if not (isinstance(found, Binding) and found.key == "enter")),
    ]
    DEFAULT_CSS = """
    LineInput, LineInput:focus { height: 1; border: none; padding: 0; background: $background; color: $foreground; }
    """

    class Accepted(Message):
        """What was typed holds."""

    class Discarded(Message):
        """What was typed doesn't hold."""

    def __init__(self, value: str = "", *, id: str, placeholder: str = "", longest: int = 0) -> None:
        super().__init__(value, id=id, placeholder=placeholder, max_length=longest, select_on_focus=False)

    def action_accept(self) -> None:
        """Keep what was typed."""
        self.post_message(self.Accepted())

    def action_discard(self) -> None:
        """Forget what was typed."""
        self.post_message(self.Discarded())


class Words(Lines):
    """One line of text beside what is typed."""

    def __init__(self, text: str, ink: str) -> None:
        super().__init__()
        self._text, self._ink = safe_text(text, one_line=True), ink

    def say(self, text: str, ink: str) -> None:
        """Show another text."""
        self._text, self._ink = safe_text(text, one_line=True), ink
        self.redraw()

    def lines(self, width: int, height: int) -> Sequence[Row]:
        """The text."""
        return [Row(((fit(self._text, width), self._ink),))]
