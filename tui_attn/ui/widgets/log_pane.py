"""The log: what happened, newest last, warnings marked."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from textual import events

from tui_attn.text import safe_text
from tui_attn.ui.feed import Snapshot
from tui_attn.ui.widgets.lines import Lines, Row, fit, rule

_KEPT = 5000
"""Entries that can be scrolled back to; the logs on disk hold all."""


class LogPane(Lines, can_focus=True):
    """Follows the newest entry until the user scrolls up."""

    def __init__(self, zone: Callable[[float], time.struct_time] = time.localtime, *, id: str) -> None:
        super().__init__(id=id)
        self._zone = zone
        self._entries: list[tuple[str, str, str, bool]] = []
        """Time, run, text, whether it warns."""
        self._source: list[tuple[float, str | None, str]] | None = None
        self._taken = 0
        self._warned: set[tuple[float, str]] = set()
        self._warnings_taken = 0
        self._back = 0
        """Entries below the last one shown."""

    def show(self, snapshot: Snapshot) -> None:
        """Take in what this picture has more than the last one."""
        if snapshot.log is not self._source:
            self._source, self._taken, self._warnings_taken = snapshot.log, 0, 0
            self._entries, self._warned, self._back = [], set(), 0
        self._warned.update(snapshot.warnings[self._warnings_taken : snapshot.warnings_length])
        self._warnings_taken = snapshot.warnings_length
        new = snapshot.log[max(self._taken, snapshot.log_length - _KEPT) : snapshot.log_length]
        self._taken = snapshot.log_length
        if not new and self._entries:
            return
        self._entries += [self._entry(*item) for item in new]
        if self._back:
            self._back += len(new)
        del self._entries[:-_KEPT]
        self.redraw()

    def _entry(self, t: float, run: str | None, text: str) -> tuple[str, str, str, bool]:
        warns = (t, text if run is None else f"{run} {text}") in self._warned
        clock = time.strftime("%H:%M:%S", self._zone(t))
        return clock, safe_text(run or "", one_line=True), safe_text(text, one_line=True), warns

    def lines(self, width: int, height: int) -> Sequence[Row]:
        """The title and the newest entries, or those scrolled to."""
        room = max(height - 1, 0)
        self._back = min(max(self._back, 0), max(len(self._entries) - room, 0))
        warnings = self._warnings_taken
        right = "" if not warnings else "1 warning" if warnings == 1 else f"{warnings} warnings"
        if self._back:
            right = f"{self._back} newer below" + (f" · {right}" if right else "")
        end = len(self._entries) - self._back
        shown = self._entries[max(end - room, 0) : end]
        name = max((len(run) for _, run, _, _ in shown), default=0)
        rows = [rule("log", width, right=right, focused=self.has_focus)]
        for clock, run, text, warns in shown:
            head = f" {clock} {'!' if warns else ' '} "
            label = fit(run, name) + "  " if name else ""
            rows.append(
                Row(
                    (
                        (head, "warning" if warns else "faint"),
                        (label, "muted"),
                        (fit(text, max(width - len(head) - len(label), 0)), "warning" if warns else "normal"),
                    )
                )
            )
        if not self._entries:
            rows.append(Row(((" nothing has happened yet", "muted"),)))
        return rows

    def scroll_by(self, lines: int) -> None:
        """Scroll down, or up for negative `lines`."""
        self._back -= lines
        self.redraw()

    def action_page(self, direction: int) -> None:
        """Go a page up or down."""
        self.scroll_by(direction * max(self.size.height - 2, 1))

    def action_first(self) -> None:
        """Go to the oldest entry."""
        self.scroll_by(-len(self._entries))

    def action_last(self) -> None:
        """Go back to the newest entry."""
        self.scroll_by(len(self._entries))

    def on_mouse_scroll_down(self, event: events.MouseScrollDown) -> None:
        """Scroll down."""
        event.stop()
        self.scroll_by(2)

    def on_mouse_scroll_up(self, event: events.MouseScrollUp) -> None:
        """Scroll up."""
        event.stop()
        self.scroll_by(-2)
