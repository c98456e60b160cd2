"""A question that is answered by typing a line."""

from __future__ import annotations

from collections.abc import Callable

from textual.app import ComposeResult
from textual.containers import Vertical
from textual.screen import ModalScreen

from tui_attn.experiment.manifest import RunsError
from tui_attn.system.text import safe_text
from tui_attn.ui.bindings import bindings
from tui_attn.ui.drawing import Drawn, Row, fit
from tui_attn.ui.keys import HELP_KEY
from tui_attn.ui.widgets.key_bar import KeyBar
from tui_attn.ui.widgets.line_input import LineInput


class PromptScreen(ModalScreen[str | None], inherit_bindings=False):
    """Asks for a line and closes with it, or with None. `check` raises `RunsError` for what can't be taken."""

    BINDINGS = bindings((HELP_KEY,))

    def __init__(self, title: str, value: str, hint: str, check: Callable[[str], None]) -> None:
        super().__init__()
        self._title, self._value, self._hint = title, value, hint
        self._check = check

    def compose(self) -> ComposeResult:
        """The title, the line, what is wrong with it, the keys."""
        with Vertical(id="prompt"):
            yield Drawn(lambda width, _: [_line(self._title, "title", width)])
            yield LineInput(self._value, id="line")
            yield Drawn(self._below, id="below")
            yield KeyBar()

    def on_mount(self) -> None:
        """Let the user type."""
        self.query_one(LineInput).focus()

    def _below(self, width: int, height: int) -> list[Row]:
        """What can't be taken in the line, or the hint."""
        problem = self._problem(self.query_one(LineInput).value)
        return [_line(problem or self._hint, "failed" if problem else "muted", width)]

    def on_input_changed(self) -> None:
        """Say at once what can't be taken."""
        self.query_one("#below", Drawn).redraw()

    def action_accept(self) -> None:
        """Close with what was typed, unless it can't be taken."""
        value = self.query_one(LineInput).value
        if not self._problem(value):
            self.dismiss(value)

    def action_discard(self) -> None:
        """Close with nothing."""
        self.dismiss(None)

    def _problem(self, value: str) -> str:
        try:
            self._check(value)
        except RunsError as error:
            return str(error)
        return ""


def _line(text: str, ink: str, width: int) -> Row:
    return Row(((fit(safe_text(text, one_line=True), width), ink),))
