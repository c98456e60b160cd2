"""The base of panels that scroll: the keys of pagers, the mouse wheel, and words to find."""

from __future__ import annotations

from textual import events

from tui_attn.system.text import safe_text
from tui_attn.ui.app_protocol import app_of
from tui_attn.ui.bindings import bindings
from tui_attn.ui.drawing import Lines
from tui_attn.ui.keys import PANEL_KEYS

_WHEEL_LINES = 3


class Scroller(Lines, can_focus=True):
    """A panel of more lines than fit."""

    BINDINGS = bindings(PANEL_KEYS)
    find_title = "Find"
    find_hint = "Enter goes to the next line with these words"

    def __init__(self, *, id: str) -> None:
        super().__init__(id=id)
        self.words = ""
        """What was last asked for with `/`."""

    @property
    def line_count(self) -> int:
        """How many lines there are."""
        raise NotImplementedError

    def scroll_lines(self, by: int) -> None:
        """Scroll down by `by` lines, or up; as far as there are lines."""
        raise NotImplementedError

    def find(self, words: str) -> None:
        """Show lines with `words`, in upper or lower case."""
        raise NotImplementedError

    def action_scroll(self, by: int) -> None:
        """Scroll by lines."""
        self.scroll_lines(by)
        self.redraw()

    def action_page(self, direction: int) -> None:
        """Scroll by a page."""
        self.action_scroll(direction * max(self.size.height - 2, 1))

    def action_first(self) -> None:
        """Go to the first line."""
        self.action_scroll(-self.line_count)

    def action_last(self) -> None:
        """Go to the last line."""
        self.action_scroll(self.line_count)

    def action_find(self) -> None:
        """Ask for words."""
        from tui_attn.ui.screens.prompt import PromptScreen

        def answered(words: str | None) -> None:
            if words is not None:
                self.words = safe_text(words.strip(), one_line=True)
                self.find(self.words)
                self.redraw()

        prompt = PromptScreen(self.find_title, self.words, self.find_hint, lambda _: None)
        app_of(self).push_screen(prompt, answered)

    def on_mouse_scroll_down(self, event: events.MouseScrollDown) -> None:
        """Scroll down."""
        event.stop()
        self.action_scroll(_WHEEL_LINES)

    def on_mouse_scroll_up(self, event: events.MouseScrollUp) -> None:
        """Scroll up."""
        event.stop()
        self.action_scroll(-_WHEEL_LINES)
