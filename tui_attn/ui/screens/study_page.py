"""What a study found so far: its table and its plot."""

from __future__ import annotations

from collections.abc import Sequence

from tui_attn.experiment.manifest import RunsError
from tui_attn.experiment.study import StudyDir
from tui_attn.study.analysis import StudyResults, read_results
from tui_attn.study.tables import study_lines
from tui_attn.system.text import safe_text
from tui_attn.ui.drawing import EMPTY, Row
from tui_attn.ui.jobs import background, in_thread, shown_while
from tui_attn.ui.screens.page import PageScreen


class StudyScreen(PageScreen):
    """The results of a study, read when it is opened."""

    TITLE = "study"

    def __init__(self, study: StudyDir) -> None:
        super().__init__()
        self._study = study
        self._found: StudyResults | None = None
        self._problem = ""

    def on_mount(self) -> None:
        """Read the results."""
        super().on_mount()
        self._read()

    @background("study")
    async def _read(self) -> None:
        try:
            self._found = await shown_while(self, "reading", in_thread(read_results, self._study))
        except RunsError as error:
            self._problem = safe_text(error, one_line=True)
        self.renew()

    def page(self, width: int) -> Sequence[Row]:
        """Table, plot and remarks."""
        if self._found is None:
            return [EMPTY, Row(((f" {self._problem or 'reading …'}", "failed" if self._problem else "muted"),))]
        lines = study_lines(self._found, width - 2)
        return [Row(((f" {line}", "normal"),)) for line in lines]
