"""The base of panels that scroll and of lists: the keys of pagers, the mouse wheel, and words to find."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from textual import events

from tui_attn.system.text import safe_text
from tui_attn.ui.bindings import bindings
from tui_attn.ui.drawing import Lines
from tui_attn.ui.keys import PANEL_KEYS
from tui_attn.ui.protocols import app_of

if TYPE_CHECKING:
    from textual.dom import DOMNode as _Node
else:  # a mixin
    _Node = object


class Finder(_Node):
    """A mixin that asks for words with `/`."""

    find_title = "Find"
    find_hint = "Enter goes to the next line with these words"
    words = ""
    """What was last asked for."""

    def find(self, words: str) -> None:
        """Show what has `words`, in upper or lower case."""
        raise NotImplementedError

    def action_find(self) -> None:
        """Ask for words."""
        from tui_attn.ui.screens.prompt import PromptScreen

        def answered(words: str | None) -> None:
            if words is not None:
                self.words = safe_text(words.strip(), one_line=True)
                self.find(self.words)

        prompt = PromptScreen(self.find_title, self.words, self.find_hint, lambda _: None)
        app_of(self).push_screen(prompt, answered)

    def next_with(self, words: str, texts: Sequence[str], at: int) -> int | None:
        """The index of the next of `texts` after `at` with `words`, going round; None, and a notice, without one."""
        wanted = words.casefold()
        after = (*range(at + 1, len(texts)), *range(min(at + 1, len(texts))))
        found = next((index for index in after if wanted in texts[index].casefold()), None) if wanted else None
        if wanted and found is None:
            app_of(self).say(f"'{words}' is not found here", "warning")
        return found


class Scroller(Finder, Lines, can_focus=True):
    """A panel of more lines than fit, or a list of which one row is selected."""

    BINDINGS = bindings(PANEL_KEYS)
    wheel_lines = 3

    @property
    def line_count(self) -> int:
        """How many lines there are."""
        raise NotImplementedError

    def scroll_lines(self, by: int) -> None:
        """Go down by `by` lines, or up; as far as there are lines."""
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

    def on_mouse_scroll_down(self, event: events.MouseScrollDown) -> None:
        """Scroll down."""
        event.stop()
        self.action_scroll(self.wheel_lines)

    def on_mouse_scroll_up(self, event: events.MouseScrollUp) -> None:
        """Scroll up."""
        event.stop()
        self.action_scroll(-self.wheel_lines)
