"""What will be started: how long it will take, the command line that does the same, and the button."""

from __future__ import annotations

import shlex
from collections.abc import Sequence

from rich.cells import cell_len

from tui_attn.compare.textfit import wrap
from tui_attn.system.text import safe_text
from tui_attn.ui.bindings import bindings
from tui_attn.ui.drawing import Lines, Row, fit, rule
from tui_attn.ui.keys import START_BUTTON_KEYS
from tui_attn.ui.widgets.form import LABEL, Chooser

_INDENT = LABEL + 1


def command_lines(arguments: Sequence[str], width: int) -> list[str]:
    """`tui-attn` with `arguments`, quoted for a shell, in lines of `width` cells that may be pasted as they stand.

    A line that goes on ends in a backslash; what is too long for a line is cut off with an ellipsis.
    """
    lines = ["tui-attn"]
    for words in _kept_together(arguments):
        text = safe_text(" ".join(shlex.quote(word) for word in words), one_line=True)
        if cell_len(lines[-1]) + 1 + cell_len(text) + 2 <= width:
            lines[-1] += f" {text}"
        else:
            lines.append(text if cell_len(text) + 2 <= width else fit(text, max(width - 2, 1)))
    return [f"{line} \\" for line in lines[:-1]] + lines[-1:]


def _kept_together(arguments: Sequence[str]) -> list[list[str]]:
    """Each option with its value."""
    found: list[list[str]] = []
    for word in arguments:
        if found and len(found[-1]) == 1 and found[-1][0].startswith("--") and "=" not in found[-1][0]:
            found[-1].append(word)
        else:
            found.append([word])
    return found


class Plan(Lines):
    """The time and the command line under a rule."""

    def __init__(self, *, id: str) -> None:
        super().__init__(id=id)
        self._time = self._wrong = ""
        self._arguments: Sequence[str] | None = None
        self.most_lines = 4
        """Lines that the command line may take."""

    def show(self, time: str, arguments: Sequence[str] | None, wrong: str = "") -> None:
        """Show how long it takes; the command line, None where the entries make none; and why it didn't start."""
        self._time, self._arguments, self._wrong = time, arguments, wrong
        self.fit_height()
        self.redraw()

    def fit_height(self) -> None:
        """Take as many lines as there is to say."""
        if self.size:
            height = len(self.lines(self.size.width, 0))
            if self.styles.height is None or self.styles.height.value != height:
                self.styles.height = height

    def on_resize(self) -> None:
        """Wrap for the new width."""
        self.fit_height()

    def lines(self, width: int, height: int) -> Sequence[Row]:
        """Rule, time, command line, reason."""
        room = max(width - _INDENT - 1, 8)
        rows = [rule("start", width)]
        rows += _labelled("time", wrap(self._time, room), "normal")
        if self._arguments is None:
            rows += _labelled("command", ["once all entries are valid"], "muted")
        else:
            lines = command_lines(self._arguments, room)
            if len(lines) > self.most_lines:
                lines = [*lines[: self.most_lines - 1], "… copy it to see the rest"]
            rows += _labelled("command", lines, "normal")
        for part in self._wrong.splitlines():
            rows += _labelled("", wrap(safe_text(part, one_line=True), room), "failed")
        return rows


def _labelled(label: str, lines: Sequence[str], ink: str) -> list[Row]:
    return [
        Row(((fit(f"  {label}" if index == 0 else "", _INDENT), "muted"), (line, ink)))
        for index, line in enumerate(lines)
    ]


class StartButton(Chooser):
    """Starts the experiment; beside it stands what goes on, or what keeps it from starting."""

    BINDINGS = bindings(START_BUTTON_KEYS)

    def __init__(self, *, id: str) -> None:
        super().__init__(id=id)
        self._text, self._ink = "", "muted"

    @property
    def text(self) -> str:
        """What is said beside it."""
        return self._text

    def say(self, text: str, ink: str = "muted") -> None:
        """Show `text` beside the button."""
        if (text, ink) != (self._text, self._ink):
            self._text, self._ink = safe_text(text, one_line=True), ink
            self.redraw()

    def lines(self, width: int, height: int) -> Sequence[Row]:
        """The button and the text."""
        mark = "›" if self.has_focus else " "
        ink = "key" if self.has_focus else "normal"
        button = fit(f"{mark} [ start ]", _INDENT)
        return [
            Row(((button, ink), (fit(self._text, max(width - _INDENT - 1, 0)), self._ink)), selected=self.has_focus)
        ]

    async def action_press(self) -> None:
        """Start."""
        await self.run_action("screen.start")

    async def on_click(self) -> None:
        """Start."""
        await self.action_press()
