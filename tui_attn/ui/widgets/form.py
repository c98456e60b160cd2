"""The rows of a form: a label, something to type into or to choose from, and a remark beside it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rich.cells import cell_len
from textual import events
from textual.app import ComposeResult
from textual.message import Message
from textual.widget import Widget
from textual.widgets import Input

from tui_attn.compare.textfit import wrap
from tui_attn.system.text import safe_text
from tui_attn.ui.bindings import bindings
from tui_attn.ui.drawing import Lines, Piece, Row, fit
from tui_attn.ui.keys import ONE_OF_KEYS, SOME_OF_KEYS
from tui_attn.ui.textual_private import bindings_of
from tui_attn.ui.widgets.line_input import SafeInput

LABEL = 15
_MOST_LINES = 3


@dataclass
class EntryChanged(Message):
    """The user entered something else."""

    entry: str
    text: str


async def obeyed(widget: Widget, event: events.Key) -> bool:
    """Whether `event` is a key of `widget` itself; then what it does is done at once.

    Textual looks keys up once they came back up to the app: until then the next letter may be typed already, and the
    next field have the focus.
    """
    for binding in bindings_of(widget).key_to_bindings.get(event.key, ()):
        event.stop()
        event.prevent_default()
        await widget.run_action(binding.action)
        return True
    return False


class TextEntry(SafeInput):
    """Something to type into."""

    def __init__(self, entry: str, text: str, *, width: int, placeholder: str = "") -> None:
        super().__init__(text, placeholder=placeholder, compact=True, select_on_focus=False)
        self.entry = entry
        self.cursor_blink = False  # nothing is drawn again while nothing happens
        self.styles.width = width

    @property
    def text(self) -> str:
        """What is entered now."""
        return self.value

    async def on_key(self, event: events.Key) -> None:
        """Edit at once."""
        if not event.is_printable:
            await obeyed(self, event)

    def on_input_changed(self, event: Input.Changed) -> None:
        """Tell the form."""
        event.stop()
        self.post_message(EntryChanged(self.entry, event.value))

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """Go to the next field."""
        event.stop()
        self.screen.focus_next()


class Chooser(Lines, can_focus=True):
    """What a choice by keys has in common: plain letters do nothing here, as in a field of text."""

    @property
    def text(self) -> str:
        """What is entered now."""
        raise NotImplementedError

    def check_consume_key(self, key: str, character: str | None) -> bool:
        """Keep letters from what they do elsewhere."""
        return character is not None and character.isprintable() and character != " "

    async def on_key(self, event: events.Key) -> None:
        """Choose at once, and keep letters from what they do elsewhere."""
        if not await obeyed(self, event) and self.check_consume_key(event.key, event.character):
            event.stop()
            event.prevent_default()


class OneOf(Chooser):
    """One of several choices."""

    BINDINGS = bindings(ONE_OF_KEYS)

    def __init__(self, entry: str, choices: Sequence[str], chosen: str) -> None:
        super().__init__()
        self.entry = entry
        self._choices = list(choices)
        self._chosen = chosen
        self.offer(choices)

    @property
    def text(self) -> str:
        """What is chosen."""
        return self._chosen

    def offer(self, choices: Sequence[str]) -> None:
        """Offer these, and what is chosen."""
        self._choices = [*choices, *([] if self._chosen in choices else [self._chosen])]
        self.styles.width = max(cell_len(safe_text(choice, one_line=True)) for choice in self._choices) + 10
        self.redraw()

    def lines(self, width: int, height: int) -> Sequence[Row]:
        """The choice between two arrows, and which of how many it is."""
        at = f"{self._choices.index(self._chosen) + 1}/{len(self._choices)}"
        arrow = "key" if self.has_focus else "faint"
        text = fit(safe_text(self._chosen, one_line=True), max(width - 10, 1))
        shown = text.rstrip()
        pad = " " * (len(text) - len(shown))
        ink = "bold" if self.has_focus else "normal"
        return [Row((("‹ ", arrow), (shown, ink), (" ›", arrow), (f"{pad} {at}", "faint")), selected=self.has_focus)]

    def action_choose(self, by: int) -> None:
        """Take the choice that many places on."""
        self._chosen = self._choices[(self._choices.index(self._chosen) + by) % len(self._choices)]
        self.redraw()
        self.post_message(EntryChanged(self.entry, self._chosen))

    def on_click(self, event: events.Click) -> None:
        """Take the next, or the one before by a click on its arrow."""
        self.action_choose(-1 if event.x < 2 else 1)


class SomeOf(Chooser):
    """Any of several choices, in their order."""

    BINDINGS = bindings(SOME_OF_KEYS)

    def __init__(self, entry: str, choices: Sequence[str], chosen: Sequence[str]) -> None:
        super().__init__()
        self.entry = entry
        # What is chosen already keeps its order, which is the order in which it is shown later.
        self._choices = [*chosen, *(choice for choice in choices if choice not in chosen)]
        self._chosen = set(chosen)
        self._at = 0
        self.styles.width = sum(cell_len(self._word(choice)) + 6 for choice in self._choices)

    @property
    def text(self) -> str:
        """What is chosen, in order."""
        return ",".join(item for item in self._choices if item in self._chosen)

    @staticmethod
    def _word(choice: str) -> str:
        return fit(name, 40).rstrip() if cell_len(name := safe_text(choice, one_line=True)) > 40 else name

    def lines(self, width: int, height: int) -> Sequence[Row]:
        """Each with a mark before it."""
        pieces: list[Piece] = []
        for index, choice in enumerate(self._choices):
            here = self.has_focus and index == self._at
            on = choice in self._chosen
            ink = "bold" if here else "normal" if on else "muted"
            pieces += [("›" if here else " ", "key"), ("[x] " if on else "[ ] ", ink), (self._word(choice) + " ", ink)]
        return [Row(tuple(pieces), selected=self.has_focus)]

    def action_item(self, by: int) -> None:
        """Go to another one."""
        self._at = (self._at + by) % len(self._choices)
        self.redraw()

    def action_mark(self) -> None:
        """Choose the one that the cursor is at, or no longer."""
        self._chosen ^= {self._choices[self._at]}
        self.redraw()
        self.post_message(EntryChanged(self.entry, self.text))

    def on_click(self, event: events.Click) -> None:
        """Choose what was clicked at, or no longer."""
        start = 0
        for index, choice in enumerate(self._choices):
            start += cell_len(self._word(choice)) + 6
            if event.x < start:
                self._at = index
                self.action_mark()
                return


class _Label(Lines):
    """The name of a field; the one in use has a mark."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.text = text
        self.in_use = False

    def lines(self, width: int, height: int) -> Sequence[Row]:
        """One row."""
        mark, ink = ("›", "focused") if self.in_use else (" ", "muted")
        return [Row(((mark, "key"), (f" {self.text}", ink)))]


class Note(Lines):
    """A remark, in as many lines as it needs, up to three."""

    def __init__(self) -> None:
        super().__init__()
        self.text, self._ink = "", "muted"

    def say(self, text: str, ink: str = "muted") -> None:
        """Show `text` in the colour `ink`."""
        if (text, ink) != (self.text, self._ink):
            self.text, self._ink = text, ink
            self._fit_height()
            self.redraw()

    def on_resize(self) -> None:
        """Wrap for the new width."""
        self._fit_height()

    def _fit_height(self) -> None:
        height = len(self._wrapped(self.size.width))
        if self.size and self.styles.height is not None and self.styles.height.value != height:
            self.styles.height = height

    def _wrapped(self, width: int) -> list[str]:
        found = wrap(self.text, max(width - 1, 8))
        return found if len(found) <= _MOST_LINES else [*found[: _MOST_LINES - 1], f"{found[_MOST_LINES - 1]} …"]

    def lines(self, width: int, height: int) -> Sequence[Row]:
        """The remark, wrapped."""
        return [Row(((line, self._ink),)) for line in self._wrapped(width)]


class FieldRow(Widget):
    """One field with its label and its remark."""

    def __init__(self, label: str, control: TextEntry | OneOf | SomeOf) -> None:
        super().__init__()
        self.entry = control.entry
        self.control = control
        self.label = _Label(label)
        self.note = Note()

    def compose(self) -> ComposeResult:
        """Beside one another."""
        yield self.label
        yield self.control
        yield self.note

    def on_descendant_focus(self) -> None:
        """Mark the label."""
        self.label.in_use = True
        self.label.redraw()

    def on_descendant_blur(self) -> None:
        """Unmark it."""
        self.label.in_use = False
        self.label.redraw()


class Heading(Lines):
    """The name of a group of fields; not shown where rows are few."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self._text = text

    def lines(self, width: int, height: int) -> Sequence[Row]:
        """A blank line and the name."""
        return [Row(()), Row(((f"  {self._text}", "bold"),))]
