"""What differs between the configurations of two experiments."""

from __future__ import annotations

from collections.abc import Sequence

from rich.cells import cell_len

from tui_attn.compare.textfit import wrap
from tui_attn.experiment.folders import ExperimentDir
from tui_attn.experiment.manifest import RunsError
from tui_attn.history.differences import Difference, differences
from tui_attn.system.text import safe_text
from tui_attn.ui.drawing import EMPTY, Row, fit
from tui_attn.ui.jobs import background, in_thread, shown_while
from tui_attn.ui.screens.page import PageScreen


class DifferencesScreen(PageScreen):
    """The settings in which two experiments differ, side by side."""

    TITLE = "differences"

    def __init__(self, first: ExperimentDir, second: ExperimentDir) -> None:
        super().__init__()
        self._folders = first, second
        self._heads = first.id, second.id
        self._found: list[Difference] | None = None
        self._problem = ""

    @property
    def busy(self) -> bool:
        """Whether the configurations are still being read."""
        return self._found is None and not self._problem

    def on_mount(self) -> None:
        """Read both configurations."""
        super().on_mount()
        self._read()

    @background("differences")
    async def _read(self) -> None:
        try:
            first, second = [
                await shown_while(self, "reading", in_thread(folder.manifest_data)) for folder in self._folders
            ]
        except RunsError as error:
            self._problem = safe_text(error, one_line=True)
        else:
            self._heads = first.config.name or first.id, second.config.name or second.id
            self._found = differences(first, second)
        self.renew()

    def page(self, width: int) -> Sequence[Row]:
        """A line for each difference."""
        if self._found is None:
            return [EMPTY, Row(((f" {self._problem or 'reading …'}", "failed" if self._problem else "muted"),))]
        if not self._found:
            return [EMPTY, Row(((" the two have the same configuration", "normal"),))]
        label = max(cell_len(name) for name, _, _ in self._found) + 3
        half = max((width - label - 1) // 2, 10)
        rows = [
            Row(
                (
                    (" " * label, "muted"),
                    *((fit(safe_text(head, one_line=True), half), "title") for head in self._heads),
                )
            )
        ]
        for name, one, two in self._found:
            cells = [wrap(text, half - 2) or [""] for text in (one, two)]
            for at in range(max(map(len, cells))):
                left, right = (lines[at] if at < len(lines) else "" for lines in cells)
                pieces = ((fit(f" {name}" if at == 0 else "", label), "muted"), (fit(left, half), "normal"))
                rows.append(Row((*pieces, (fit(right, half), "normal"))))
        return rows
