"""A question before what can't be undone."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, TypeAlias

from rich.cells import cell_len
from textual.app import ComposeResult
from textual.containers import Vertical
from textual.screen import ModalScreen

from tui_attn.compare.wording import counted
from tui_attn.system.text import safe_text
from tui_attn.system.textfit import wrap
from tui_attn.ui.bindings import bindings
from tui_attn.ui.drawing import EMPTY, Drawn, Row, fit
from tui_attn.ui.keys import CONFIRM_KEYS
from tui_attn.ui.widgets.key_bar import KeyBar

if TYPE_CHECKING:
    from textual.dom import DOMNode

Question: TypeAlias = tuple[str, Sequence[tuple[str, str]]]
"""What is asked, and pairs such as ("kept", "...")."""


class ConfirmScreen(ModalScreen[bool], inherit_bindings=False):
    """Asks `question`; `facts` are pairs such as ("kept", "..."). With `may_leave`, leaving is a third answer."""

    BINDINGS = bindings(CONFIRM_KEYS)

    def __init__(self, question: str, facts: Sequence[tuple[str, str]], *, may_leave: bool = False) -> None:
        super().__init__()
        self.may_leave = may_leave
        self._question = safe_text(question, one_line=True)
        self._facts = [(name, safe_text(text, one_line=True)) for name, text in facts]

    def compose(self) -> ComposeResult:
        """The question over its keys."""
        with Vertical(id="confirm"):
            yield Drawn(self._rows, id="question")
            yield KeyBar()

    def _rows(self, width: int, height: int) -> list[Row]:
        """The question, an empty line, the facts."""
        label = max((cell_len(name) for name, _ in self._facts), default=0)
        rows = [Row(((self._question, "title"),)), EMPTY]
        last = ""
        for name, text in self._facts:
            shown, last = "" if name == last else name, name
            for line in wrap(text, max(width - label - 2, 1)):
                rows.append(Row(((fit(shown, label) + "  ", "muted"), (line, "normal"))))
                shown = ""
        return rows

    def action_answer(self, answer: bool) -> None:
        """Close with `answer`."""
        self.dismiss(answer)

    def action_leave(self) -> None:
        """Leave the dashboard."""
        self.app.exit()

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Offer to leave only where the question says so."""
        return self.may_leave if action == "leave" else True


def confirm(node: DOMNode, question: Question, then: Callable[[], object], *, may_leave: bool = False) -> None:
    """Ask `question`, and call `then` if the answer is yes."""

    def answered(yes: bool | None) -> None:
        if yes:
            then()

    node.app.push_screen(ConfirmScreen(*question, may_leave=may_leave), answered)


def end_question(command: str, run: str | None, epoch: int | None) -> Question:
    """What to ask before `command`, stop or skip, for `run` after its `epoch`, or for all runs when `run` is None."""
    stop = command == "stop"
    whom = run or ("all runs" if stop else "all runs that have not ended")
    done = "every epoch so far" if run is None else "what it has so far"
    if run is not None and epoch is not None:
        done = f"its {counted(epoch, 'epoch')}"
    then = "the experiment ends" if run is None else "the others go on"
    then += "; when it is resumed it goes on from there" if stop else "; resuming does not train it"
    facts = [("kept", f"{done}, curves, gates" + (", a checkpoint of where it is" if stop else "")), ("then", then)]
    return f"{command.capitalize()} {whom}?", [*facts, ("lost", "nothing")] if stop else facts


LEAVE_QUESTION = (
    "Stop the training?",
    [
        ("y", "stop all runs, keep what they have reached, and stay here"),
        ("n", "change nothing; the training goes on"),
        ("q", "leave; the training goes on, and how to come back is printed"),
    ],
)
"""What Ctrl-C asks."""
