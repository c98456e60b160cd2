"""Around the table of experiments: how many there are, and the one that the user is at in full."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from rich.cells import cell_len

from tui_attn.system.text import safe_text
from tui_attn.ui.drawing import Lines, Piece, Row, fit, rule
from tui_attn.ui.history_view import HistoryView
from tui_attn.ui.history_words import about


class HistoryTitle(Lines):
    """Where the experiments are, and how many."""

    def __init__(self, runs_dir: Path, view: HistoryView) -> None:
        super().__init__(id="title")
        self._where = safe_text(runs_dir, one_line=True)
        self._view = view

    def lines(self, width: int, height: int) -> Sequence[Row]:
        """One row."""
        view = self._view
        live = sum(entry.state in {"starting", "running", "paused"} for entry in view.entries.values())
        shown, all_ = len(view.rows), len(view.entries)
        count = f"{shown:,} of {all_:,}" if view.filter else f"{all_:,}"
        right: list[Piece] = [] if view.complete else [("reading  ", "muted")]
        right += [(f"● {len(view.marked)} marked  ", "key")] if view.marked else []
        right += [(f"▶ {live} running  ", "running")] if live else []
        right += [(f"{count} experiments " if all_ != 1 else "1 experiment ", "muted")]
        room = width - sum(cell_len(text) for text, _ in right)
        left = fit(f"  {self._where}", max(room - 12, 0))
        return [Row(((" experiments", "title"), (left, "muted"), *right))]


class HistoryDetails(Lines):
    """The experiment that the user is at."""

    def __init__(self, view: HistoryView) -> None:
        super().__init__(id="about")
        self._view = view

    def lines(self, width: int, height: int) -> Sequence[Row]:
        """Its name on a rule, and as many lines as fit."""
        entry = self._view.current
        if entry is None:
            return [rule("", width)]
        title = f"{entry.name} · {entry.id}" if entry.name else entry.id
        return [rule(title, width), *about(entry, width)[: height - 1]]
