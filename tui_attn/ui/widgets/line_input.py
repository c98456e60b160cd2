"""A line that is typed into, in the looks of the house."""

from __future__ import annotations

from textual.binding import Binding
from textual.message import Message
from textual.widgets import Input

from tui_attn.ui.bindings import bindings
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
