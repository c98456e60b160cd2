"""The first line: what is trained, its state and its times."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from rich.cells import cell_len

from tui_attn.experiment.config import ExperimentConfig
from tui_attn.system.text import duration
from tui_attn.ui import formatting
from tui_attn.ui.drawing import Lines, Piece, Row, fit

if TYPE_CHECKING:
    from tui_attn.ui.feed import Snapshot


class TitleBar(Lines):
    """Name and facts of the experiment on the left, its state and times on the right."""

    def __init__(self, experiment: str, config: ExperimentConfig, clock: Callable[[], float], *, id: str) -> None:
        super().__init__(id=id)
        self._experiment, self._config = experiment, config
        self._clock = clock
        self._snapshot: Snapshot | None = None
        self._slow = False

    def show(self, snapshot: Snapshot) -> None:
        """Show `snapshot`."""
        self._snapshot = snapshot
        self._config = snapshot.config or self._config
        self.redraw()

    def set_slow(self, slow: bool) -> None:
        """Show whether the terminal is slow."""
        if slow != self._slow:
            self._slow = slow
            self.redraw()

    def lines(self, width: int, height: int) -> Sequence[Row]:
        """One row: what doesn't fit goes, the facts first, then why runs wait, then how many do."""
        name = f" {formatting.experiment_name(self._experiment, self._config)}"
        waits = "" if self._snapshot is None else formatting.waiting_text(self._snapshot.runs)
        right = self._right()
        left = width - cell_len(name) - sum(cell_len(text) for text, _ in right)
        for text in (f"{waits}  ", f"{waits.partition(' for ')[0]}  ") if waits else ():
            if cell_len(text) < left:
                right = [(text, "muted"), *right]
                break
        room = width - sum(cell_len(text) for text, _ in right) - 1
        if cell_len(name) > room:
            return [Row(((fit(name, max(room, 0)), "title"), (" ", "normal"), *right))]
        facts = f"  {formatting.experiment_facts(self._config)}"
        facts = facts if cell_len(name) + cell_len(facts) <= room else ""
        gap = " " * (room + 1 - cell_len(name) - cell_len(facts))
        return [Row(((name, "title"), (facts, "muted"), (gap, "normal"), *right))]

    def _right(self) -> list[Piece]:
        pieces: list[Piece] = [("slow terminal  ", "warning")] if self._slow else []
        snapshot = self._snapshot
        if snapshot is None or not snapshot.complete:
            share = "" if snapshot is None else f"{100 * snapshot.share:.0f} %  "
            return [*pieces, (f"reading the logs  {share}", "muted")]  # a part of the logs doesn't tell the state
        if snapshot.damaged:
            pieces.append((f"{snapshot.damaged} damaged log lines  ", "warning"))
        pieces.append((formatting.state_text(snapshot.state), formatting.state_style(snapshot.state)))
        left = formatting.time_left(snapshot)
        if left is not None:
            pieces.append((f"  {duration(left)} left", "muted"))
        passed = formatting.elapsed(snapshot, self._clock())
        if passed is not None:
            took = "took " if snapshot.ended else ""
            pieces.append((f"  {took}{duration(passed)}{'' if took else ' elapsed'} ", "muted"))
        return pieces
