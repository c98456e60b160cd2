"""The experiments there are."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from textual.dom import DOMNode

from tui_attn.text import safe_text
from tui_attn.ui.screens.page import PageScreen
from tui_attn.ui.widgets.lines import Row


class HistoryScreen(PageScreen):
    """Every experiment in `runs_dir`."""

    TITLE = "experiments"

    def __init__(self, runs_dir: Path) -> None:
        super().__init__()
        self._runs_dir = runs_dir

    def page(self, width: int) -> Sequence[Row]:
        """Where they are."""
        return [Row(()), Row(((f" {safe_text(self._runs_dir, one_line=True)}", "muted"),))]

    def help_parts(self) -> list[tuple[str, DOMNode]]:
        """What has keys here, for the help."""
        return [("experiments", self)]

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Offer to go back only where there is something to go back to."""
        return len(self.app.screen_stack) > 1 if action == "back" else True
