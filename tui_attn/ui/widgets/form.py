"""The fields of a form: a label, one of Textual's inputs and a note beside it; and lines of facts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rich.cells import cell_len
from rich.segment import Segment
from rich.table import Table
from rich.text import Text
from textual import events
from textual.app import ComposeResult
from textual.binding import BindingsMap
from textual.content import Content
from textual.message import Message
from textual.strip import Strip
from textual.widget import Widget
from textual.widgets import Button, Input, Label, OptionList, Select, SelectionList, Static
from textual.widgets.selection_list import Selection

from tui_attn.experiment.options import join_list
from tui_attn.system.text import safe_text
from tui_attn.ui.bindings import bindings
from tui_attn.ui.drawing import Pieces
from tui_attn.ui.keys import ONE_OF_KEYS, OPEN_LIST_KEYS, SOME_OF_KEYS, START_BUTTON_KEYS
from tui_attn.ui.protocols import app_of
from tui_attn.ui.textual_private import bindings_of
from tui_attn.ui.widgets.line_input import SafeInput

if TYPE_CHECKING:
    _Mixed = Widget
else:  # a second widget among the bases would hide the component classes of the first
    _Mixed = object

LABEL = 16
"""Width of the labels, in cells."""


@dataclass
class EntryChanged(Message):
    """The user changed an entry."""

    entry: str
    text: str


class _Immediate(_Mixed):
    """Obeys its own keys at once and keeps letters from the app's bindings.

    Textual looks bindings up after a key has bubbled up to the app. By then the next letter may have been typed
    already, or the next field may have the focus.
    """

    def check_consume_key(self, key: str, character: str | None = None) -> bool:
        return character is not None and character.isprintable() and character != " "

    async def on_key(self, event: events.Key) -> None:
        if not self.has_focus or (isinstance(self, Input) and event.is_printable):
            return  # a key of a choice's open list, a letter that is typed
        for binding in bindings_of(self).key_to_bindings.get(event.key, ()):
            event.stop()
            event.prevent_default()
            await self.run_action(binding.action)
            return
        if self.check_consume_key(event.key, event.character):
            event.stop()


class TextEntry(_Immediate, SafeInput):
    """A field of text."""

    def __init__(self, text: str, *, width: int, placeholder: str = "") -> None:
        super().__init__(text, placeholder=placeholder, compact=True, select_on_focus=False)
        self.cursor_blink = False  # an idle screen draws nothing
        self.styles.width = width

    @property
    def text(self) -> str:
        """The entry as text."""
        return self.value


class OneOf(_Immediate, Select[str]):
    """A choice of one; left and right choose without opening the list."""

    BINDINGS = bindings(ONE_OF_KEYS)

    def __init__(self, choices: Sequence[str], chosen: str) -> None:
        self._choices = _with(choices, chosen)
        super().__init__(_prompts(self._choices), value=chosen, allow_blank=False, compact=True)
        self._fit()

    def compose(self) -> ComposeResult:
        """Textual's parts; the keys of the open list are named as ours are."""
        for part in super().compose():
            if isinstance(part, OptionList):
                bindings_of(part).key_to_bindings.update(BindingsMap(bindings(OPEN_LIST_KEYS)).key_to_bindings)
            yield part

    @property
    def text(self) -> str:
        """The entry as text."""
        return str(self.value)

    def offer(self, choices: Sequence[str]) -> None:
        """Offer these and the current value."""
        value = self.text
        self._choices = _with(choices, value)
        with self.prevent(Select.Changed):
            self.set_options(_prompts(self._choices))
            self.value = value
        self._fit()

    def _fit(self) -> None:
        self.styles.width = max(cell_len(safe_text(choice or "none", one_line=True)) for choice in self._choices) + 4

    def action_choose(self, by: int) -> None:
        """Take the choice `by` places on."""
        self.value = self._choices[(self._choices.index(self.text) + by) % len(self._choices)]


def _with(choices: Sequence[str], chosen: str) -> list[str]:
    return [*choices, *([] if chosen in choices else [chosen])]


def _prompts(choices: Sequence[str]) -> list[tuple[Text, str]]:
    return [(Text(safe_text(choice or "none", one_line=True)), choice) for choice in choices]


class SomeOf(_Immediate, SelectionList[str]):
    """A list of choices that scrolls; letters go to the next name that begins with them."""

    BINDINGS = bindings(SOME_OF_KEYS)

    def __init__(self, choices: Sequence[str], chosen: Sequence[str]) -> None:
        # Chosen items keep their order: it is the order in which results are shown.
        self._choices = [*chosen, *(choice for choice in choices if choice not in chosen)]
        self._typed = ""
        super().__init__(*(Selection(Content(choice), choice, choice in chosen) for choice in self._choices),
                         compact=True)  # fmt: skip
        self.styles.width = max(map(cell_len, self._choices), default=0) + 8
        self.styles.max_height = 5

    @property
    def text(self) -> str:
        """The entry as text."""
        return join_list(choice for choice in self._choices if choice in self.selected)

    @property
    def current(self) -> str:
        """The choice at the cursor."""
        return self._choices[self.highlighted or 0]

    def at_end(self, by: int) -> bool:
        """Whether the cursor is at the last item, or for `by` -1 at the first."""
        return self.highlighted in {None, len(self._choices) - 1 if by > 0 else 0}

    async def on_key(self, event: events.Key) -> None:
        """Search with letters."""
        if not self.check_consume_key(event.key, event.character):
            self._typed = ""
            return
        letter = event.character or ""
        for typed in (self._typed + letter, letter):
            start = (self.highlighted or 0) + (len(typed) == 1)
            for at in (*range(start, len(self._choices)), *range(start)):
                if self._choices[at].startswith(typed):
                    self._typed, self.highlighted = typed, at
                    return

    def render_line(self, y: int) -> Strip:
        """Textual's line with marks that need no colour: `[x]` if selected, and `▸` at the cursor."""
        line = super().render_line(y)
        at = self.scroll_offset.y + y
        if at >= len(self._choices):
            return line
        mark = "x" if self._choices[at] in self.selected else " "
        cursor = "▸" if self.has_focus and at == self.highlighted else " "
        style = next(iter(line)).style if len(line) < 5 else list(line)[4].style
        return Strip([Segment(f"{cursor}[{mark}]", style), *list(line)[3:]])


class StartButton(_Immediate, Button):
    """Starts the experiment."""

    BINDINGS = bindings(START_BUTTON_KEYS)


Control = TextEntry | OneOf | SomeOf


class FieldRow(Widget):
    """A field with its label and a note beside it. Posts `EntryChanged`."""

    def __init__(self, entry: str, label: str, control: Control) -> None:
        super().__init__()
        self.entry, self.label, self.control = entry, label, control
        self.note = ""
        self._note = Static(markup=False, classes="note")

    def compose(self) -> ComposeResult:
        """Label, control and note, side by side."""
        yield Label(self.label, markup=False, classes="label")
        yield self.control
        yield self._note

    def say(self, text: str, level: str) -> None:
        """Show a note; `level` is that of a `FieldStatus`."""
        self.set_classes([f"-{level}"])
        if text != self.note:
            self.note = text
            self._note.update(text)

    def _changed(self, event: Message) -> None:
        event.stop()
        self.post_message(EntryChanged(self.entry, self.control.text))

    on_input_changed = on_select_changed = on_selection_list_selected_changed = _changed

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """Go to the next field."""
        event.stop()
        self.screen.focus_next()


class Facts(Widget):
    """Lines with a label each; long ones wrap beside it."""

    def __init__(self, *, id: str) -> None:
        super().__init__(id=id)
        self._rows: Sequence[tuple[Pieces, Pieces]] = ()

    def show(self, rows: Sequence[tuple[Pieces, Pieces]]) -> None:
        """Show `rows`: the label and the text of each, in styled pieces."""
        if rows != self._rows:
            self._rows = rows
            self.refresh(layout=True)

    def render(self) -> Table:
        """A table of two columns."""
        styles = app_of(self).drawing
        table = Table.grid()
        table.add_column(width=LABEL, no_wrap=True)
        table.add_column(ratio=1, overflow="fold")
        for row in self._rows:
            table.add_row(*(Text.assemble(*((text, styles(style)) for text, style in pieces)) for pieces in row))
        return table
