"""The last line: the keys that work now, and for a few seconds what became of the last one."""

from __future__ import annotations

from collections.abc import Sequence

from rich.cells import cell_len
from textual import events
from textual.binding import ActiveBinding
from textual.keys import format_key, key_to_character

from tui_attn.system.text import safe_text
from tui_attn.ui.drawing import Lines, Piece, Row, fit
from tui_attn.ui.styles import drawing_mode

_ALWAYS = frozenset({"leave", "help"})
"""Keys that are shown whatever else fits."""
_NAMES = {"escape": "esc", "pageup": "pgup", "pagedown": "pgdn"}


def key_name(key: str, *, ascii_only: bool = False) -> str:
    """How a key is written for people."""
    *modifiers, last = key.split("+")
    shown = _NAMES.get(last, format_key(last))
    shown = last if ascii_only and not shown.isascii() else shown
    return "+".join([*modifiers, shown]).replace("ctrl+", "^")


class KeyBar(Lines):
    """Made from the screen's active bindings, so that it can't say anything else than what the keys do."""

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._said: Piece = ("", "normal")
        self._spans: list[tuple[int, int, ActiveBinding]] = []
        """Where each key stands: its first cell, the one after its last, and what it does."""

    def on_mount(self) -> None:
        """Follow the bindings."""
        self.screen.bindings_updated_signal.subscribe(self, lambda _: self.redraw())

    def say(self, text: str, ink: str = "normal") -> None:
        """Show `text` on the right; an empty one takes it away."""
        self._said = (safe_text(text, one_line=True), ink)
        self.redraw()

    def unsay(self, text: str) -> None:
        """Take `text` away, unless something else was said since."""
        if self._said[0] == safe_text(text, one_line=True):
            self.say("")

    def lines(self, width: int, height: int) -> Sequence[Row]:
        """One row."""
        said, ink = self._said
        said = f" {fit(said, min(cell_len(said), max(width - 2, 0)))} " if said else ""
        room = width - cell_len(said)
        pieces: list[Piece] = [(" ", "normal")]
        used = 1
        self._spans = []
        for name, label, active in self._fitting(room):
            length = _length((name, label, active))
            pieces += [(name, "key"), (f" {label}  ", "muted")]
            self._spans.append((used, used + length - 2, active))
            used += length
        pieces = pieces if used <= room else [*pieces[:-1], (pieces[-1][0].rstrip(), "muted")]
        used = sum(cell_len(text) for text, _ in pieces)
        return [Row((*pieces, (" " * max(room - used, 0), "normal"), (said, ink)))]

    def _fitting(self, room: int) -> list[tuple[str, str, ActiveBinding]]:
        """As many keys as fit `room` cells, those that lead out and to the help at the end in any case."""
        keys = self._keys()
        last = [key for key in keys if key[2].binding.id in _ALWAYS]
        found: list[tuple[str, str, ActiveBinding]] = []
        left = room + 1 - sum(_length(key) for key in last)
        for key in keys:
            if key in last:
                continue
            left -= _length(key)
            if left < 0:
                break
            found.append(key)
        shown, used = [], 1
        for key in [*found, *last]:
            used += _length(key)
            if used - 2 > room:
                break
            shown.append(key)
        return shown

    def _keys(self) -> list[tuple[str, str, ActiveBinding]]:
        found: list[tuple[str, str, ActiveBinding]] = []
        seen: set[str] = set()
        ascii_only = drawing_mode(self.app).ascii
        typed = self.screen.focused
        for active in self.screen.active_bindings.values():
            binding = active.binding
            if typed is not None and typed.check_consume_key(binding.key, key_to_character(binding.key)):
                continue  # what is typed into takes it
            if binding.show and active.enabled and binding.action not in seen:
                seen.add(binding.action)
                found.append((key_name(binding.key, ascii_only=ascii_only), binding.description, active))
        return found

    async def on_click(self, event: events.Click) -> None:
        """Do what was clicked at."""
        for start, end, active in self._spans:
            if start <= event.x < end:
                await self.app.run_action(active.binding.action, active.node)
                return


def _length(key: tuple[str, str, ActiveBinding]) -> int:
    """Cells of a key, its label and the blanks after it."""
    return cell_len(key[0]) + cell_len(key[1]) + 3
