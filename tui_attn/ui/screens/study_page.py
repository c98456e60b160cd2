"""What a study found so far: its table and its plot."""

from __future__ import annotations

from collections.abc import Sequence

from tui_attn.experiment.study import StudyDir
from tui_attn.study.analysis import StudyResults, read_results
from tui_attn.study.tables import study_lines
from tui_attn.ui.drawing import Row
from tui_attn.ui.screens.page import ReadingPage


class StudyScreen(ReadingPage[StudyResults]):
    """The results of a study, read when it is opened."""

    TITLE = "study"

    def __init__(self, study: StudyDir) -> None:
        super().__init__()
        self._study = study

    def read(self) -> StudyResults:
        """Read the results."""
        return read_results(self._study)

    def rows(self, found: StudyResults, width: int) -> Sequence[Row]:
        """Table, plot and remarks."""
        return [Row(((f" {line}", "normal"),)) for line in study_lines(found, width - 2)]
