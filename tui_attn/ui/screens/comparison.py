"""The comparison: what attention did, and whether that is more than luck."""

from __future__ import annotations

import threading
from collections.abc import Sequence

from rich.cells import chop_cells

from tui_attn.runs import ExperimentDir, RunsError
from tui_attn.text import safe_text
from tui_attn.ui.charts.mode import drawing_mode
from tui_attn.ui.messages import ComparisonReady
from tui_attn.ui.screens.page import PageScreen
from tui_attn.ui.widgets.lines import Row


class ComparisonScreen(PageScreen):
    """The table of `tui-attn compare` with its remarks, computed in a thread from the logs as they stand."""

    TITLE = "comparison"

    def __init__(self, folder: ExperimentDir) -> None:
        super().__init__()
        self._folder = folder
        self._ready: ComparisonReady | None = None

    def on_mount(self) -> None:
        """Start computing."""
        super().on_mount()
        threading.Thread(target=self._compute, name="comparison", daemon=True).start()

    def page(self, width: int) -> Sequence[Row]:
        """The table, laid out for the width, or that it is being computed."""
        ready = self._ready
        if ready is None:
            return [Row(()), Row(((" comparing", "muted"),))]
        if ready.summary is None:
            lines = chop_cells(safe_text(ready.error, one_line=True), width - 2)
        else:
            from tui_attn import compare  # loaded already, by the thread that computed

            lines = compare.table(ready.summary, ready.remarks, width - 2, ascii=self.ascii_only)
        return [Row(()), *(Row(((f" {line}", "normal"),)) for line in lines)]

    @property
    def ascii_only(self) -> bool:
        """Whether the terminal shows ASCII only."""
        return drawing_mode(self.app).ascii

    def on_comparison_ready(self, message: ComparisonReady) -> None:
        """Show what was computed."""
        self._ready = message
        self.renew()

    def _compute(self) -> None:
        from tui_attn import compare  # loads numpy and scipy
        from tui_attn.follow import read_state

        try:
            follower = read_state(self._folder)
            summary = compare.summarise(follower)
            self.post_message(ComparisonReady(summary, compare.remarks(follower, summary)))
        except RunsError as error:
            self.post_message(ComparisonReady(None, [], str(error)))


def comparison_lines(folder: ExperimentDir, width: int) -> list[str]:
    """The comparison of an experiment as its logs stand now, as lines of at most `width` cells. Raises `RunsError`."""
    from tui_attn import compare
    from tui_attn.follow import read_state

    follower = read_state(folder)
    summary = compare.summarise(follower)
    return compare.table(summary, compare.remarks(follower, summary), width)
