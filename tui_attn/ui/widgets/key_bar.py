"""The last line: the keys that work now, and for a few seconds what became of the last one.

What doesn't fit beside the keys stands in lines above them.
"""

from __future__ import annotations

from collections.abc import Sequence

from rich.cells import cell_len
from textual import events
from textual.binding import ActiveBinding
from textual.keys import format_key, key_to_character

from tui_attn.system.text import safe_text
from tui_attn.system.textfit import wrap
from tui_attn.ui.drawing import Lines, Piece, Row, cut, fit

_OUT = ("yes", "no", "leave_instead", "cancel", "discard", "palette_close", "minimize", "back", "leave_form")
_LAST = (*_OUT, "close_choices", "leave", "compare_next_page", "next_field", "next_panel", "palette", "help")
"""The keys that the footer ends in at any width, those first that go first when even these don't fit."""
_LATE = "hide_run"
"""The key of a panel that the footer shows after those of the screen."""
_MOST_ABOVE = 3
"""Lines that a long text may take."""
_Shown = tuple[str, str, ActiveBinding]
"""A key and its label as written, and what it does."""
_NAMES = {"escape": "esc", "pageup": "pgup", "pagedown": "pgdn"}


def key_name(key: str, *, ascii_only: bool = False) -> str:
    """How a key is written for people."""
    *modifiers, last = key.split("+")
    shown = _NAMES.get(last, format_key(last))
    shown = last if ascii_only and not shown.isascii() else shown
    return "+".join([*modifiers, shown]).replace("ctrl+", "^")


class KeyBar(Lines):
    """Shows the screen's active bindings."""

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._said: Piece = ("", "normal")
        self._spans: list[tuple[int, int, ActiveBinding]] = []
        """For each key its first cell, the one after its last, and what it does."""

    def on_mount(self) -> None:
        """Follow the bindings."""
        self.screen.bindings_updated_signal.subscribe(self, lambda _: self.redraw())

    def say(self, text: str, ink: str = "normal", *, over: str | None = None) -> None:
        """Show `text` on the right; an empty one removes it. With `over`, replace no other message."""
        if over is not None and self._said[0] not in {"", safe_text(over, one_line=True)}:
            return
        self._said = (safe_text(text, one_line=True), ink)
        width = self.size.width
        above = self._above(width) if width else []
        self.styles.height = 1 + len(above)
        self.redraw()

    def unsay(self, text: str) -> None:
        """Remove `text`, unless another message has replaced it."""
        if text and self._said[0] == safe_text(text, one_line=True):
            self.say("")

    def lines(self, width: int, height: int) -> Sequence[Row]:
        """Keys, the message, and last the keys to leave and to find others; above them a message that doesn't fit."""
        above = self._above(width)[: max(height - 1, 0)]
        said, ink = ("", "normal") if above else self._said
        last, room = self._ways(width)
        said = fit(said, min(cell_len(said), max(room - 1, 0)))
        left = room - (cell_len(said) + 2 if said else 0)
        first: list[_Shown] = []
        for key in self._keys():
            if key[2].binding.id in _LAST:
                continue
            if _length([*first, key]) > left:
                break
            first.append(key)
        gap = room - _length(first) - cell_len(said)
        pieces: list[Piece] = [(" ", "normal")]
        self._spans = []
        self._put(first, pieces, 1)
        pieces += [(" " * max(gap - 2, 0), "normal"), (said, ink), (" " * min(gap, 2), "normal")]
        self._put(last, pieces, width - _length(last))
        return [*(Row(((f" {line}", self._said[1]),)) for line in above), Row(tuple(pieces))]

    def _ways(self, width: int) -> tuple[list[_Shown], int]:
        """The keys to leave and to find others, as many as fit, and the cells before them."""
        keys = self._keys()
        last = [key for id_ in _LAST for key in keys if key[2].binding.id == id_]
        while last and _length(last) > width - 1:
            last.pop(0)
        return last, width - 1 - _length(last)

    def _above(self, width: int) -> list[str]:
        """The message in lines, where it doesn't fit beside the last keys."""
        said = self._said[0]
        if cell_len(said) < self._ways(width)[1]:
            return []

        room = max(width - 2, 1)
        found = wrap(said, room)
        if len(found) > _MOST_ABOVE:
            found[_MOST_ABOVE - 1 :] = [cut(" ".join(found[_MOST_ABOVE - 1 :]), room)]
        return found

    def _put(self, keys: Sequence[_Shown], pieces: list[Piece], at: int) -> None:
        for name, label, active in keys:
            end = at + cell_len(name) + 1 + cell_len(label)
            pieces += [(name, "key"), (f" {label}  ", "muted")]
            self._spans.append((at, end, active))
            at = end + 2

    def _keys(self) -> list[_Shown]:
        found: list[_Shown] = []
        seen: set[str] = set()
        ascii_only = self.drawing.mode.ascii
        typed = self.screen.focused
        for active in self.screen.active_bindings.values():
            binding = active.binding
            consumes = typed is not None and typed.check_consume_key(binding.key, key_to_character(binding.key))
            if consumes and not binding.priority:
                continue  # it is typed
            if binding.show and active.enabled and binding.action not in seen:
                seen.add(binding.action)
                found.append((key_name(binding.key, ascii_only=ascii_only), binding.description, active))
        return sorted(found, key=lambda key: key[2].binding.id == _LATE)

    async def on_click(self, event: events.Click) -> None:
        """Do what was clicked at."""
        for start, end, active in self._spans:
            if event.y == self.size.height - 1 and start <= event.x < end:
                await self.app.run_action(active.binding.action, active.node)
                return


def _length(keys: Sequence[_Shown]) -> int:
    """Cells of keys and labels, with two blanks after each."""
    return sum(cell_len(name) + cell_len(label) + 3 for name, label, _ in keys)
