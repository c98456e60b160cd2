"""A slider over the epochs that were probed: one sees how many there are, and which is in sight."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rich.cells import cell_len
from textual import events
from textual.message import Message

from tui_attn.ui.drawing import Lines, Piece, Row


class EpochSlider(Lines):
    """A line with a mark for each epoch, the one in sight as a knob; a click goes to the nearest."""

    @dataclass
    class Chosen(Message):
        """The user went to an epoch."""

        epoch: int

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._epochs: Sequence[int] = ()
        self._at = 0
        self._note = ""
        self._places: list[int] = []

    def show(self, epochs: Sequence[int], at: int, note: str = "") -> None:
        """Show these epochs, ascending, the knob on `at`, and something on the right end."""
        self._epochs, self._at, self._note = epochs, at, note
        self.redraw()

    def lines(self, width: int, height: int) -> Sequence[Row]:
        """One row."""
        if not self._epochs:
            return []
        first, last = self._epochs[0], self._epochs[-1]
        left = " epoch 0 untrained " if first == 0 else f" epoch {first} "
        left = left if width >= 70 else f" epoch {first} "
        right = f" {last}"
        note = f"  {self._note}" if self._note else ""
        room = max(min(width - cell_len(left + right + note) - 1, 100), 2)
        span = max(last - first, 1)
        self._places = [cell_len(left) + round((epoch - first) / span * (room - 1)) for epoch in self._epochs]
        cells: list[Piece] = [("─", "rule")] * room
        knob = None
        for epoch, place in zip(self._epochs, self._places, strict=True):
            at = place - cell_len(left)
            if epoch == self._at:
                knob = at
            elif cells[at][0] == "─":
                cells[at] = ("•" if epoch <= self._at else "·", "muted")
        if knob is not None:
            cells = [
                ("━", "focused") if at < knob and text == "─" else (text, ink) for at, (text, ink) in enumerate(cells)
            ]
            cells[knob] = ("●", "focused")
        return [Row(((left, "muted"), *cells, (right, "muted"), (note, "normal")))]

    def on_click(self, event: events.Click) -> None:
        """Go to the epoch that is nearest to where was clicked."""
        if self._places:
            nearest = min(range(len(self._places)), key=lambda index: abs(self._places[index] - event.x))
            self.post_message(self.Chosen(self._epochs[nearest]))
