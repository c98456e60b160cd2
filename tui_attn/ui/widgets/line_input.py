"""A line of input without a frame."""

from __future__ import annotations

from textual.binding import Binding
from textual.widgets import Input

from tui_attn.ui.bindings import bindings
from tui_attn.ui.keys import TYPING_KEYS
from tui_attn.ui.textual_private import ControlStandIns


class SafeInput(ControlStandIns, Input):
    """Textual's input, with stand-ins for control characters, which Textual would write to the terminal."""


class LineInput(SafeInput, inherit_bindings=False):
    """Textual's input without its frame. Its screen has actions for what was typed: `accept` and `discard`."""

    BINDINGS = [  # noqa: RUF012
        *bindings(TYPING_KEYS),
        *(found for found in Input.BINDINGS if not (isinstance(found, Binding) and found.key == "enter")),
    ]
    DEFAULT_CSS = """
    LineInput, LineInput:focus { height: 1; border: none; padding: 0; background: $background; color: $foreground; }
    """

    def __init__(self, value: str = "", *, id: str, placeholder: str = "", longest: int = 0) -> None:
        super().__init__(value, id=id, placeholder=placeholder, max_length=longest, select_on_focus=False)
