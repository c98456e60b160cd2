"""What of a comparison is in sight: what is known of it, the page and the figures that the reader chose, the rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from tui_attn.system.text import safe_text
from tui_attn.ui.comparison.source import Choices, Details, Overview, pairs_of
from tui_attn.ui.drawing import EMPTY, Row

if TYPE_CHECKING:
    from tui_attn.ui.comparison.disagreements import Disagreement
    from tui_attn.ui.comparison.parts import Page
    from tui_attn.ui.jobs import Job

PAGES = ("answer", "statistics", "classes", "confusion", "images", "attention")
ANSWER, STATISTICS, CLASSES, CONFUSION, IMAGES, INTERVENTIONS = range(6)
_ONLY_ONE = "This is known of a single experiment only: open one to see it."
_NO_PAIR = "There are no two finished runs of one seed to compare image by image."


class View:
    """A comparison as its reader sees it; `single`: it is of one experiment, so that there is more to read of it."""

    def __init__(self, *, single: bool) -> None:
        self.single = single
        self.page = ANSWER
        self.model = self.seed = self.group = 0
        """Which model or pair of models, whose seed, and which images: counted on and on."""
        self.overview: Overview | None = None
        """The comparison, as soon as it is computed."""
        self.error = ""
        """Why it can't be computed."""
        self.details: Details | None = None
        self.detailed = False
        """Whether the details were read, be it that there are none."""
        self.disagreement: tuple[tuple[str, str], Disagreement | str] | None = None
        """Two runs, and what they disagree on or why that can't be shown."""
        self.choices = Choices()

    def choose(self, **chosen: float | int | None) -> None:
        """Change some of the choices."""
        self.choices = replace(self.choices, **chosen)  # type: ignore[arg-type]

    @property
    def has_result(self) -> bool:
        """Whether a run has a result that counts."""
        return self.overview is not None and any(entry.counted for entry in self.overview.summary.models)

    def why_not(self, action: str) -> str:
        """Why a key would change nothing on the page in sight; empty where it would."""
        if self.overview is None:
            return ""
        if self.page == ANSWER and action in {"extend", "more", "difference"}:
            if not self.overview.ended:
                return "it still trains: 2 statistics has this key"
            return "" if self.single else "this key works on 2 statistics"
        if self.page == CONFUSION and action == "model":
            known = () if self.details is None else self.details.classes
            return "" if len(known) > 1 or not self.detailed else "no other model has predictions"
        pairs = pairs_of(self.overview.summary)
        if action == "model" and len(pairs) < 2:
            return "there is no other pair of models"
        if action == "seed" and (not pairs or len(pairs[self.model % len(pairs)]) < 2):
            return "there is no other seed that both models have a result of"
        if action == "group" and self.has_pair and self.disagreement and isinstance(self.disagreement[1], str):
            return "there are no images to choose from"
        return ""

    def pair(self) -> tuple[str, str] | None:
        """The two runs that the page of images compares."""
        pairs = [] if self.overview is None else pairs_of(self.overview.summary)
        if not pairs:
            return None
        by_seed = pairs[self.model % len(pairs)]
        return by_seed[self.seed % len(by_seed)]

    @property
    def has_pair(self) -> bool:
        """Whether the images of this pair are read."""
        return self.disagreement is not None and self.disagreement[0] == self.pair()

    def missing_pair(self) -> tuple[str, str] | None:
        """The two runs whose images this page needs and doesn't have yet."""
        return self.pair() if self.page == IMAGES and self.single and not self.has_pair else None

    @property
    def incomplete(self) -> bool:
        """Whether the page in sight still lacks what is being read for it."""
        if self.overview is None:
            return not self.error
        if self.page in {ANSWER, CLASSES, CONFUSION, INTERVENTIONS}:
            return not self.detailed
        return self.page == IMAGES and self.pair() is not None and not self.has_pair

    def title(self) -> str:
        """The title of all pages."""
        if self.overview is None:
            return "comparison"
        from tui_attn.compare.text_tables import title

        return title(self.overview.summary)

    # ---- the rows of the page in sight

    def rows(self, page: Page, *, can_extend: bool, job: Job | None) -> Sequence[Row]:
        """Its rows, once the comparison is computed; `job` is what computes the interventions, at work or ended."""
        from tui_attn.ui.comparison import answer, statistics
        from tui_attn.ui.comparison.parts import text

        if self.overview is None:
            return [EMPTY, *text(page, safe_text(self.error, one_line=True), "failed")]
        if self.page == ANSWER:
            return answer.rows(self.overview, self.details, self.choices, page, can_extend=can_extend)
        if self.page == STATISTICS:
            return statistics.rows(self.overview, self.choices, page, can_extend=can_extend)
        return self._image_rows(page) if self.page == IMAGES else self._detail_rows(page, job)

    def _detail_rows(self, page: Page, job: Job | None) -> Sequence[Row]:
        from tui_attn.ui.comparison import by_class, intervention_page

        if self.details is None:
            return [EMPTY, Row(((f" {_ONLY_ONE if self.detailed else 'reading'}", "muted"),))]
        if self.page == CLASSES:
            return by_class.class_rows(self.details, page)
        if self.page == CONFUSION:
            return by_class.confusion_rows(self.details, self.model, page)
        lines = [] if job is None or job.code == 0 else job.lines or ["starting"]
        models = (
            {} if self.overview is None else {entry.model: entry.accuracy for entry in self.overview.summary.models}
        )
        return intervention_page.rows(self.details, lines, page, models, can_start=self.single)

    def _image_rows(self, page: Page) -> Sequence[Row]:
        from tui_attn.ui.comparison.disagreements import rows
        from tui_attn.ui.comparison.parts import text

        if not self.single:
            return [EMPTY, *text(page, _ONLY_ONE, "muted")]
        if self.pair() is None:
            return [EMPTY, *text(page, _NO_PAIR, "muted")]
        if self.disagreement is None or not self.has_pair:
            return [EMPTY, Row(((" reading", "muted"),))]
        found = self.disagreement[1]
        return [EMPTY, *text(page, found, "warning")] if isinstance(found, str) else rows(found, self.group, page)
