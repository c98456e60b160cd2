"""What differs between the configurations of two experiments."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import zip_longest

from rich.cells import cell_len

from tui_attn.experiment.folders import ExperimentDir
from tui_attn.history.differences import Difference, differences
from tui_attn.system.text import safe_text
from tui_attn.system.textfit import wrap
from tui_attn.ui.drawing import EMPTY, Row, fit
from tui_attn.ui.screens.page import ReadingPage


class DifferencesScreen(ReadingPage[list[Difference]]):
    """The settings in which two experiments differ, side by side."""

    TITLE = "differences"

    def __init__(self, first: ExperimentDir, second: ExperimentDir) -> None:
        super().__init__()
        self._folders = first, second
        self._heads = first.id, second.id

    def read(self) -> list[Difference]:
        """Read both configurations."""
        first, second = (folder.manifest_data() for folder in self._folders)
        self._heads = first.config.name or first.id, second.config.name or second.id
        return differences(first, second)

    def rows(self, found: list[Difference], width: int) -> Sequence[Row]:
        """A line for each difference."""
        if not found:
            return [EMPTY, Row(((" the two have the same configuration", "normal"),))]
        label = max(cell_len(name) for name, _, _ in found) + 3
        half = max((width - label - 1) // 2, 10)
        heads = ((fit(safe_text(head, one_line=True), half), "title") for head in self._heads)
        rows = [Row(((" " * label, "muted"), *heads))]
        for name, one, two in found:
            cells = [wrap(text, half - 2) or [""] for text in (one, two)]
            for at, (left, right) in enumerate(zip_longest(*cells, fillvalue="")):
                pieces = ((fit(f" {name}" if at == 0 else "", label), "muted"), (fit(left, half), "normal"))
                rows.append(Row((*pieces, (fit(right, half), "normal"))))
        return rows
