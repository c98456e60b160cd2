"""The comparison: what attention did, whether that is more than luck, and whether it matters."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from textual.app import ComposeResult
from textual.dom import DOMNode
from textual.screen import Screen

from tui_attn.runs import ExperimentDir, RunsError
from tui_attn.text import safe_text
from tui_attn.ui.bindings import bindings
from tui_attn.ui.charts.mode import drawing_mode
from tui_attn.ui.comparison.source import Details, ExperimentSource, Overview, Source, in_thread
from tui_attn.ui.keys import COMPARISON_KEYS, SCREEN_KEYS
from tui_attn.ui.messages import ComparisonReady, DetailsReady, DisagreementReady, JobAdvanced
from tui_attn.ui.screens.page import Pages
from tui_attn.ui.widgets.key_bar import KeyBar
from tui_attn.ui.widgets.lines import EMPTY, Row
from tui_attn.ui.widgets.tab_bar import TabBar

if TYPE_CHECKING:
    from tui_attn.ui.comparison.overview import Choices
    from tui_attn.ui.comparison.parts import Page
    from tui_attn.ui.feed import Snapshot
    from tui_attn.ui.jobs import Jobs
    from tui_attn.ui.steering import Steering

PAGES = ("overview", "runs", "classes", "confusion", "images", "interventions")
OVERVIEW, RUNS, CLASSES, CONFUSION, IMAGES, INTERVENTIONS = range(6)
_ONLY_ONE = "This is known of a single experiment only: open one to see it."


class ComparisonScreen(Screen[None], inherit_bindings=False):
    """Pages on one comparison, computed in threads from the logs as they stand, and again whenever a run ends."""

    BINDINGS = bindings((*SCREEN_KEYS, *COMPARISON_KEYS))

    def __init__(
        self,
        source: Source | ExperimentDir,
        *,
        steering: Callable[[], Steering | None] = lambda: None,
        jobs: Jobs | None = None,
    ) -> None:
        """`steering` gives the commands, as soon as any can be given."""
        super().__init__()
        self._source = ExperimentSource(source) if isinstance(source, ExperimentDir) else source
        self._commands = steering
        self._jobs = jobs
        self._page = OVERVIEW
        self._ready: ComparisonReady | None = None
        self._details: Details | None = None
        self._detailed = False
        self._disagreement: DisagreementReady | None = None
        self._choices: Choices | None = None
        self._model = self._seed = self._group = 0
        self._ended: frozenset[str] | None = None
        self._computing = False

    # ---- the parts of the screen

    def compose(self) -> ComposeResult:
        """The pages' names, the rows of one, the keys."""
        yield TabBar(PAGES)
        yield Pages("comparison")
        yield KeyBar()

    def on_mount(self) -> None:
        """Start computing."""
        self.query_one(Pages).focus()
        self.renew()
        self._compute()

    def on_resize(self) -> None:
        """Lay the rows out for the new width."""
        self.renew()

    def show(self, snapshot: Snapshot) -> None:
        """Compare again when a run has ended since."""
        ended = frozenset(id_ for id_, view in snapshot.runs.items() if view.state.ended)
        if self._ended is None:
            self.renew()  # from now on commands can be given
            self.refresh_bindings()
        elif ended != self._ended:
            self._compute()
        self._ended = ended

    @property
    def busy(self) -> bool:
        """Whether the page in sight is still being computed."""
        if self._ready is None or (self._computing and self._ready.overview is None):
            return True
        if self._page in {CLASSES, CONFUSION, INTERVENTIONS}:
            return not self._detailed and self._ready.overview is not None
        return self._page == IMAGES and self._pair() is not None and not self._has_pair()

    def renew(self) -> None:
        """Make the rows of the page in sight again."""
        if self.is_mounted and self.size:
            self.query_one(TabBar).show(self._page)
            self.query_one(Pages).title(self._title())
            self.query_one(Pages).show(self._rows())

    def _title(self) -> str:
        overview = self._overview
        if overview is None:
            return "comparison"
        from tui_attn.compare.tables import title

        return title(overview.summary)

    def _rows(self) -> Sequence[Row]:
        ready, width = self._ready, self.size.width
        if ready is None:
            return [EMPTY, Row(((" comparing", "muted"),))]
        from tui_attn.ui.comparison import classes, interventions, overview, runs
        from tui_attn.ui.comparison.parts import Page, text

        page = Page(width, drawing_mode(self.app), self.app.current_theme.dark)
        if ready.overview is None:
            return [EMPTY, *text(page, safe_text(ready.error, one_line=True), "failed")]
        if self._page == OVERVIEW:
            return overview.rows(ready.overview, self.choices, page, can_extend=self._can_extend)
        if self._page == RUNS:
            return runs.rows(ready.overview, page)
        if self._page == IMAGES:
            return self._image_rows(page)
        if self._details is None:
            return [EMPTY, Row(((f" {_ONLY_ONE if self._detailed else 'reading'}", "muted"),))]
        if self._page == CLASSES:
            return classes.class_rows(self._details, page)
        if self._page == CONFUSION:
            return classes.confusion_rows(self._details, self._model, page)
        job = None if self._jobs is None else self._jobs.get(self._job_name("interventions"))
        lines = [] if job is None or (job.code == 0) else job.lines or ["starting"]
        return interventions.rows(self._details, lines, page, can_start=self._source.folder is not None)

    def _image_rows(self, page: Page) -> Sequence[Row]:
        from tui_attn.ui.comparison.disagreements import rows
        from tui_attn.ui.comparison.parts import text

        if self._source.folder is None:
            return [EMPTY, *text(page, _ONLY_ONE, "muted")]
        if self._pair() is None:
            return [
                EMPTY,
                *text(page, "There are no two finished runs of one seed to compare image by image.", "muted"),
            ]
        if self._disagreement is None or not self._has_pair():
            return [EMPTY, Row(((" reading", "muted"),))]
        found = self._disagreement.found
        if isinstance(found, str):
            return [EMPTY, *text(page, found, "warning")]
        return rows(found, self._group, page)

    @property
    def choices(self) -> Choices:
        """What the reader chose."""
        if self._choices is None:
            from tui_attn.ui.comparison.overview import Choices

            self._choices = Choices()
        return self._choices

    # ---- what is computed

    def _compute(self) -> None:
        if self._computing:
            return
        self._computing = True

        def work() -> None:
            try:
                self.post_message(ComparisonReady(self._source.overview()))
            except RunsError as error:
                self.post_message(ComparisonReady(None, str(error)))
            else:
                self.post_message(DetailsReady(self._source.details()))

        in_thread(work)

    def on_comparison_ready(self, message: ComparisonReady) -> None:
        """Show what was computed."""
        self._ready = message
        self._computing = False
        self._disagreement = None
        self._read_images()
        self.renew()
        self.refresh_bindings()

    def on_details_ready(self, message: DetailsReady) -> None:
        """Show what was read."""
        self._details, self._detailed = message.details, True
        self.renew()

    def on_disagreement_ready(self, message: DisagreementReady) -> None:
        """Show it, unless the reader is elsewhere by now."""
        if message.pair == self._pair():
            self._disagreement = message
            self.renew()

    def _pair(self) -> tuple[str, str] | None:
        from tui_attn.ui.comparison.source import pairs_of

        pairs = [] if self._overview is None else pairs_of(self._overview.summary)
        if not pairs:
            return None
        by_seed = pairs[self._model % len(pairs)]
        return by_seed[self._seed % len(by_seed)]

    def _has_pair(self) -> bool:
        return self._disagreement is not None and self._disagreement.pair == self._pair()

    def _read_images(self) -> None:
        pair = self._pair()
        if self._page != IMAGES or pair is None or self._has_pair() or self._source.folder is None:
            return
        first, second = pair
        in_thread(lambda: self.post_message(DisagreementReady(pair, self._source.disagreement(first, second))))

    # ---- keys

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Offer only keys that do something on this page."""
        here = {
            "model": {CONFUSION, IMAGES},
            "seed": {IMAGES},
            "group": {IMAGES},
            "difference": {OVERVIEW},
            "target": {OVERVIEW},
            "more": {OVERVIEW},
            "extend": {OVERVIEW},
            "intervene": {INTERVENTIONS},
        }
        if action in {"extend", "more"} and not self._can_extend:
            return False
        if action in {"intervene", "report"} and (self._jobs is None or self._source.folder is None):
            return False
        return self._page in here.get(action, range(len(PAGES)))

    @property
    def _can_extend(self) -> bool:
        return self._commands() is not None and self._source.folder is not None

    def help_parts(self) -> list[tuple[str, DOMNode]]:
        """What the help describes."""
        return [("comparison", self), ("pages", self.query_one(Pages))]

    def action_back(self) -> None:
        """Leave this screen."""
        self.dismiss()

    def action_show_page(self, index: int) -> None:
        """Show a page from its top."""
        self._page = index
        self.query_one(Pages).action_first()
        self._read_images()
        self.renew()
        self.refresh_bindings()

    def action_page(self, by: int) -> None:
        """Show the next page."""
        self.action_show_page((self._page + by) % len(PAGES))

    def on_tab_bar_chosen(self, message: TabBar.Chosen) -> None:
        """Show the page that was clicked at."""
        self.action_show_page(message.index)

    def action_model(self, by: int) -> None:
        """Show another model, or pair of models."""
        self._model += by
        self._read_images()
        self.renew()

    def action_seed(self, by: int) -> None:
        """Show the networks of another seed."""
        self._seed += by
        self._read_images()
        self.renew()

    def action_group(self, by: int) -> None:
        """Show other images."""
        self._group = (self._group + by) % 3
        self.query_one(Pages).action_first()
        self.renew()

    def action_difference(self, by: int) -> None:
        """Count seeds for another difference."""
        from tui_attn.ui.comparison.overview import DIFFERENCES

        at = (DIFFERENCES.index(self.choices.difference) + by) % len(DIFFERENCES)
        self._choose(difference=DIFFERENCES[at], more=None)

    def action_target(self, by: int) -> None:
        """Take the time to another accuracy."""
        from tui_attn.ui.comparison.overview import STEP, common_target

        overview = None if self._ready is None else self._ready.overview
        if overview is not None:
            now = self.choices.target or common_target(overview.summary) or 0.9
            self._choose(target=min(max(round(now / STEP + by) * STEP, STEP), 1.0))

    def action_more(self, by: int) -> None:
        """Ask for more seeds, or fewer."""
        from tui_attn.ui.comparison.overview import more_seeds

        overview = self._overview
        if overview is not None:
            self._choose(more=max(more_seeds(overview.summary, self.choices) + by, 1))

    def _choose(self, **chosen: float | int | None) -> None:
        self._choices = replace(self.choices, **chosen)  # type: ignore[arg-type]
        self.renew()

    @property
    def _overview(self) -> Overview | None:
        return None if self._ready is None else self._ready.overview

    def action_extend(self) -> None:
        """Ask, and train more seeds."""
        from tui_attn.ui.comparison.overview import extend_question, more_seeds
        from tui_attn.ui.screens.confirm import ConfirmScreen

        overview, steering = self._overview, self._commands()
        if overview is None or steering is None:
            return
        seeds = len(overview.summary["seeds"]) + more_seeds(overview.summary, self.choices)

        def answered(yes: bool | None) -> None:
            if yes:
                steering.extend(seeds)

        self.app.push_screen(ConfirmScreen(*extend_question(overview, self.choices)), answered)

    # ---- jobs

    def _job_name(self, name: str) -> str:
        return f"{name} {None if self._source.folder is None else self._source.folder.path}"

    def _start(self, name: str, start: Callable[[], subprocess.Popen[bytes]]) -> None:
        if self._jobs is not None:
            app = self.app
            self._jobs.start(self._job_name(name), start, lambda job: app.post_message(JobAdvanced(name, job)))

    def action_intervene(self) -> None:
        """Start the process that replaces the attention of all finished runs."""
        from tui_attn import probing

        folder = self._source.folder
        if folder is not None:
            self._start("interventions", lambda: probing.start(folder, stderr=subprocess.PIPE))

    def action_report(self) -> None:
        """Write the report into a folder of its own, from a process of its own: pictures take their time."""
        folder = self._source.folder
        if folder is not None:
            self._start("report", lambda: _write_report(folder))

    def job_advanced(self, message: JobAdvanced) -> None:
        """Show how it gets on; read its results when it has ended."""
        if message.name == "interventions":
            if not message.job.working:
                in_thread(lambda: self.post_message(DetailsReady(self._source.details())))
            self.renew()
        elif message.job.working:
            self.query_one(KeyBar).say("writing the report")


def report_folder(folder: ExperimentDir) -> Path:
    """Where the key writes the report of an experiment: beside where the dashboard was started."""
    return Path.cwd() / "reports" / folder.id


def _write_report(folder: ExperimentDir) -> subprocess.Popen[bytes]:
    where = ["--runs-dir", str(folder.path.parent), "--report", str(report_folder(folder))]
    return subprocess.Popen(
        [sys.executable, "-P", "-m", "tui_attn", "compare", folder.id, *where],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )


def comparison_lines(folder: ExperimentDir, width: int) -> list[str]:
    """The comparison of an experiment as its logs stand now, as lines of at most `width` cells. Raises `RunsError`."""
    from tui_attn import compare
    from tui_attn.follow import read_state

    follower = read_state(folder)
    summary = compare.summarise(follower)
    return compare.table(summary, compare.remarks(follower, summary), width)
