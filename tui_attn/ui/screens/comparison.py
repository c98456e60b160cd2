"""The comparison: what attention did, whether that is more than luck, and whether it matters."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from textual.app import ComposeResult

from tui_attn.experiment.folders import ExperimentDir
from tui_attn.experiment.manifest import RunsError
from tui_attn.experiment.model_info import joined
from tui_attn.system import children
from tui_attn.ui.bindings import bindings
from tui_attn.ui.comparison.source import Overview, Source
from tui_attn.ui.comparison.view import ANSWER, CONFUSION, IMAGES, INTERVENTIONS, PAGES, STATISTICS, View
from tui_attn.ui.drawing import EMPTY, Row
from tui_attn.ui.jobs import background, in_thread, shown_while
from tui_attn.ui.keys import COMPARISON_KEYS, SCREEN_KEYS
from tui_attn.ui.protocols import ExplainsKeys, app_of
from tui_attn.ui.screens.page import Pages, PageScreen
from tui_attn.ui.widgets.tab_bar import TabBar

if TYPE_CHECKING:
    from tui_attn.ui.feed import Snapshot
    from tui_attn.ui.jobs import Job
    from tui_attn.ui.open_experiment import OpenExperiment

_ON = {
    "model": {CONFUSION, IMAGES},
    "seed": {IMAGES},
    "group": {IMAGES},
    "difference": {ANSWER, STATISTICS},
    "target": {ANSWER, STATISTICS},
    "more": {ANSWER, STATISTICS},
    "extend": {ANSWER, STATISTICS},
    "intervene": {INTERVENTIONS},
}
"""Keys that do something on some pages only."""
_OF_ONE = {"model", "seed", "group", "target", "more", "extend", "intervene", "report", "heatmaps"}
"""Keys that need a single experiment."""
_OPEN_IT = "open the experiment in the list of experiments for this key"


class ComparisonScreen(ExplainsKeys, PageScreen, inherit_bindings=False):
    """Pages on one comparison, computed in threads from the logs as they stand, and again whenever a run ends."""

    BINDINGS = bindings((*SCREEN_KEYS, *COMPARISON_KEYS))
    TITLE = "comparison"

    def __init__(self, source: Source) -> None:
        super().__init__()
        self._source = source
        self._view = View(single=self._source.folder is not None)
        self._seen: tuple[frozenset[str], int] | None = None
        """The runs that had ended, and how many epochs all had, in the newest snapshot."""

    @property
    def _opened(self) -> OpenExperiment | None:
        """The experiment, where the app has it open: only then can it be steered."""
        opened = app_of(self).opened
        return opened if opened is not None and opened.folder == self._source.folder else None

    # ---- the parts of the screen

    def compose(self) -> ComposeResult:
        """The pages' names, the rows of one, the keys."""
        yield TabBar(PAGES)
        yield from super().compose()

    def on_mount(self) -> None:
        """Start computing."""
        self._compute()

    def show(self, snapshot: Snapshot) -> None:
        """Compare again when a run has ended since, or on the first page when an epoch has."""
        if self._opened is None:  # it is of another experiment
            return
        runs = [view.state for view in snapshot.runs.values()]
        ended, epochs = frozenset(run.id for run in runs if run.ended), sum(len(run.epochs) for run in runs)
        if self._seen is None:
            self.renew()  # from now on commands can be given
            self.refresh_bindings()
        if self._seen is None or self._seen[0] != ended:
            made = self._view.overview
            known = None if made is None else frozenset(id_ for id_, run in made.runs.items() if run.ended)
            if known != ended:
                self._compute()
        elif self._seen[1] != epochs and self._view.page == ANSWER:
            self._compute(details=False)
        self._seen = ended, epochs

    @property
    def busy(self) -> bool:
        """Whether the page in sight is still being computed."""
        return self._view.incomplete

    def page(self, width: int) -> Sequence[Row]:
        """The rows of the page in sight."""
        if self._view.overview is None and not self._view.error:
            return [EMPTY, Row(((" comparing", "muted"),))]
        from tui_attn.ui.comparison.parts import Page

        height = max(self.size.height - 3, 10)
        page = Page(width, app_of(self).drawing, height)
        job = app_of(self).jobs.get(self._job_name("interventions"))
        return self._view.rows(page, can_extend=self._can_extend, job=job)

    # ---- what is computed

    @background("comparison", exclusive=True)
    async def _compute(self, *, details: bool = True) -> None:
        view = self._view
        try:
            view.overview, view.error = await shown_while(self, "comparing", in_thread(_compared, self._source)), ""
        except RunsError as error:
            view.overview, view.error = None, str(error)
        view.disagreement, self.title = None, view.title()
        self._read_images()
        self.renew()
        self.refresh_bindings()
        if view.overview is not None and (details or not view.detailed):
            self._read_details()

    @background("details", exclusive=True)
    async def _read_details(self) -> None:
        self._view.details = await shown_while(self, "reading predictions", in_thread(self._source.details))
        self._view.detailed = True
        self.renew()
        self.refresh_bindings()

    @background("images", exclusive=True)
    async def _read_images(self) -> None:
        pair = self._view.missing_pair()
        if pair is not None:
            reading = in_thread(self._source.disagreement, *pair)
            self._view.disagreement = pair, await shown_while(self, "reading images", reading)
            self.renew()
            self.refresh_bindings()

    # ---- keys

    def why_not(self, action: str, parameters: tuple[object, ...]) -> str | None:
        """Return why `action` can't be done now; None where it can be."""
        view, folder, pages = self._view, self._source.folder, _ON.get(action)
        if action in _OF_ONE and folder is None:
            return "this is a comparison of several experiments: open one of them for this key"
        if action in {"extend", "more", "intervene", "report"} and self._opened is None:
            return _OPEN_IT
        if action == "heatmaps" and not self._has_heatmaps:
            return "no run has heatmaps yet" if self._opened else _OPEN_IT
        if view.overview is None and (pages or action == "report"):
            return "there is nothing compared to choose from"
        if pages and view.page not in pages:
            return f"this key works on {joined([f'{page + 1} {PAGES[page]}' for page in sorted(pages)])}"
        if action in {"extend", "more", "report", "target", "difference"} and not view.has_result:
            return "no run has a result yet"
        if action in {"extend", "more"} and not self._can_extend:
            return "the logs are still being read"
        return view.why_not(action) or None

    @property
    def _has_heatmaps(self) -> bool:
        """Whether the app shows this experiment, and a run of it has heatmaps."""
        snapshot = self._opened.snapshot if self._opened else None
        return snapshot is not None and any(view.state.probes for view in snapshot.runs.values())

    def action_heatmaps(self) -> None:
        """Show the gates and the attention."""
        from tui_attn.ui.screens.heatmaps import HeatmapsScreen

        if opened := self._opened:
            self.app.push_screen(HeatmapsScreen(opened.folder, opened.snapshot, None))

    @property
    def _can_extend(self) -> bool:
        return self._opened is not None and self._opened.steering is not None and self._view.has_result

    def action_show_page(self, index: int) -> None:
        """Show a page from its top."""
        self._view.page = index
        self.query_one(TabBar).show(index)
        self.query_one(Pages).action_first()
        self._read_images()
        self.renew()
        self.refresh_bindings()

    def action_page(self, by: int) -> None:
        """Show the next page."""
        self.action_show_page((self._view.page + by) % len(PAGES))

    def on_tab_bar_chosen(self, message: TabBar.Chosen) -> None:
        """Show the page that was clicked at."""
        self.action_show_page(message.index)

    def action_model(self, by: int) -> None:
        """Show another model, or pair of models."""
        self._view.model += by
        self._read_images()
        self.renew()

    def action_seed(self, by: int) -> None:
        """Show the networks of another seed."""
        self._view.seed += by
        self._read_images()
        self.renew()

    def action_group(self, by: int) -> None:
        """Show other images."""
        self._view.group = (self._view.group + by) % 3
        self.query_one(Pages).action_first()
        self.renew()

    def action_difference(self, by: int) -> None:
        """Count seeds for another difference."""
        from tui_attn.ui.comparison.statistics import DIFFERENCES

        at = (DIFFERENCES.index(self._view.choices.difference) + by) % len(DIFFERENCES)
        self._choose(difference=DIFFERENCES[at], more=None)

    def action_target(self, by: int) -> None:
        """Take the time to another accuracy."""
        from tui_attn.ui.comparison.statistics import STEP

        overview = self._view.overview
        if overview is not None:
            now = self._view.choices.target or overview.summary.common_accuracy or 0.9
            self._choose(target=min(max(round(now / STEP + by) * STEP, STEP), 1.0))

    def action_more(self, by: int) -> None:
        """Ask for more seeds, or fewer."""
        from tui_attn.ui.comparison.statistics import more_seeds

        overview = self._view.overview
        if overview is not None:
            self._choose(more=max(more_seeds(overview.summary, self._view.choices) + by, 1))

    def _choose(self, **chosen: float | int | None) -> None:
        self._view.choose(**chosen)
        self.renew()

    def action_extend(self) -> None:
        """Ask, and train more seeds."""
        from tui_attn.ui.comparison.statistics import extend_question, more_seeds
        from tui_attn.ui.screens.confirm import confirm

        overview, steering = self._view.overview, self._opened.steering if self._opened else None
        if overview is None or steering is None:
            return
        seeds = len(overview.summary.seeds) + more_seeds(overview.summary, self._view.choices)
        confirm(self, extend_question(overview, self._view.choices), lambda: steering.extend(seeds))

    # ---- jobs

    def _job_name(self, name: str) -> str:
        return f"{name} {None if self._source.folder is None else self._source.folder.path}"

    def _start(self, name: str, start: Callable[[], subprocess.Popen[bytes]]) -> None:
        app = app_of(self)
        job = app.jobs.start(self._job_name(name), start, partial(app.call_later, app.job_advanced, name))
        if name == "report":
            self._say_writing(job)

    def action_intervene(self) -> None:
        """Start the process that replaces the attention of all finished runs."""
        from tui_attn.launch import probe_process

        folder = self._source.folder
        if folder is not None:
            self._start("interventions", lambda: probe_process.start(folder, stderr=subprocess.PIPE))

    def action_report(self) -> None:
        """Write the report into its own folder, in a process: drawing takes a while."""
        folder = self._source.folder
        if folder is not None:
            self._start("report", lambda: _write_report(folder))

    @background("report", exclusive=True)
    async def _say_writing(self, job: Job) -> None:
        await shown_while(self, "writing the report", in_thread(job.join))

    def job_advanced(self, name: str, job: Job) -> None:
        """Show its progress, and read its results once it has ended."""
        if name == "interventions":
            if not job.working:
                self._read_details()
            self.renew()


def _compared(source: Source) -> Overview:
    """The comparison; what draws it is loaded here, in the thread that computes it."""
    import tui_attn.ui.comparison.answer  # noqa: F401

    return source.overview()


def report_folder(folder: ExperimentDir) -> Path:
    """Where the key writes the report of an experiment: beside where the dashboard was started."""
    return Path.cwd() / "reports" / folder.id


def _write_report(folder: ExperimentDir) -> subprocess.Popen[bytes]:
    where = ["--runs-dir", str(folder.path.absolute().parent), "--report", str(report_folder(folder))]
    return children.python("tui_attn", "compare", folder.id, *where, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
