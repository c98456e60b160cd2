"""The comparison: what attention did, whether that is more than luck, and whether it matters."""

from __future__ import annotations

import asyncio
import subprocess
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from textual.app import ComposeResult
from textual.screen import Screen

from tui_attn.experiment.folders import ExperimentDir
from tui_attn.experiment.manifest import RunsError
from tui_attn.experiment.model_info import joined
from tui_attn.system import children
from tui_attn.ui.bindings import bindings
from tui_attn.ui.comparison.source import ExperimentSource, Overview, Source
from tui_attn.ui.comparison.view import ANSWER, CONFUSION, IMAGES, INTERVENTIONS, PAGES, STATISTICS, View
from tui_attn.ui.drawing import EMPTY, Row
from tui_attn.ui.jobs import background, in_thread, shown_while
from tui_attn.ui.keys import COMPARISON_KEYS, SCREEN_KEYS
from tui_attn.ui.protocols import ExplainsKeys, app_of
from tui_attn.ui.screens.page import Pages
from tui_attn.ui.widgets.key_bar import KeyBar
from tui_attn.ui.widgets.tab_bar import TabBar

if TYPE_CHECKING:
    from tui_attn.ui.feed import Snapshot
    from tui_attn.ui.jobs import Job, Jobs
    from tui_attn.ui.steering import Steering

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


class ComparisonScreen(ExplainsKeys, Screen[None], inherit_bindings=False):
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
        self._view = View(single=self._source.folder is not None)
        self._written = asyncio.Event()
        """Set once the report is written, or can't be."""
        self._seen: tuple[frozenset[str], int] | None = None
        """The runs that had ended, and how many epochs all had, in the newest snapshot."""

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
        """Compare again when a run has ended since, or on the first page when an epoch has."""
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

    def renew(self) -> None:
        """Make the rows of the page in sight again."""
        if self.is_mounted and self.size:
            self.query_one(TabBar).show(self._view.page)
            self.query_one(Pages).title(self._view.title())
            self.query_one(Pages).show(self._rows())

    def _rows(self) -> Sequence[Row]:
        if self._view.overview is None and not self._view.error:
            return [EMPTY, Row(((" comparing", "muted"),))]
        from tui_attn.ui.comparison.parts import Page

        height = max(self.size.height - 3, 10)
        page = Page(self.size.width, app_of(self).drawing, height)
        job = None if self._jobs is None else self._jobs.get(self._job_name("interventions"))
        return self._view.rows(page, can_extend=self._can_extend, job=job)

    # ---- what is computed

    @background("comparison", exclusive=True)
    async def _compute(self, *, details: bool = True) -> None:
        view = self._view
        try:
            view.overview, view.error = await shown_while(self, "comparing", in_thread(_compared, self._source)), ""
        except RunsError as error:
            view.overview, view.error = None, str(error)
        view.disagreement = None
        self._read_images()
        self.renew()
        self.refresh_bindings()
        if view.overview is not None and (details or not view.detailed):
            await self._take_details()

    @background("details", exclusive=True)
    async def _read_details(self) -> None:
        await self._take_details()

    async def _take_details(self) -> None:
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
        if action in {"extend", "more", "intervene", "report"} and self._jobs is None:
            return _OPEN_IT
        if action == "heatmaps" and not self._has_heatmaps:
            return "no run has heatmaps yet" if app_of(self).folder == folder else _OPEN_IT
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
        snapshot, folder = app_of(self).snapshot, self._source.folder
        here = folder is not None and app_of(self).folder == folder
        return here and snapshot is not None and any(view.state.probes for view in snapshot.runs.values())

    def action_heatmaps(self) -> None:
        """Show the gates and the attention."""
        from tui_attn.ui.screens.heatmaps import HeatmapsScreen

        if self._source.folder is not None:
            self.app.push_screen(HeatmapsScreen(self._source.folder, app_of(self).snapshot, None))

    @property
    def _can_extend(self) -> bool:
        return self._commands() is not None and self._source.folder is not None and self._view.has_result

    def action_back(self) -> None:
        """Leave this screen."""
        self.dismiss()

    def action_show_page(self, index: int) -> None:
        """Show a page from its top."""
        self._view.page = index
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
        from tui_attn.ui.screens.confirm import ConfirmScreen

        overview, steering = self._view.overview, self._commands()
        if overview is None or steering is None:
            return
        seeds = len(overview.summary.seeds) + more_seeds(overview.summary, self._view.choices)

        def answered(yes: bool | None) -> None:
            if yes:
                steering.extend(seeds)

        self.app.push_screen(ConfirmScreen(*extend_question(overview, self._view.choices)), answered)

    # ---- jobs

    def _job_name(self, name: str) -> str:
        return f"{name} {None if self._source.folder is None else self._source.folder.path}"

    def _start(self, name: str, start: Callable[[], subprocess.Popen[bytes]]) -> None:
        if self._jobs is not None:
            app = app_of(self)
            self._jobs.start(self._job_name(name), start, partial(app.call_later, app.job_advanced, name))

    def action_intervene(self) -> None:
        """Start the process that replaces the attention of all finished runs."""
        from tui_attn.launch import probe_process

        folder = self._source.folder
        if folder is not None:
            self._start("interventions", lambda: probe_process.start(folder, stderr=subprocess.PIPE))

    def action_report(self) -> None:
        """Write the report into a folder of its own, from a process of its own: pictures take their time."""
        folder = self._source.folder
        if folder is not None:
            self._written.clear()
            self._start("report", lambda: _write_report(folder))
            self._say_writing()

    @background("report", exclusive=True)
    async def _say_writing(self) -> None:
        await shown_while(self, "writing the report", self._written.wait())

    def job_advanced(self, name: str, job: Job) -> None:
        """Show how it gets on; read its results when it has ended."""
        if name == "interventions":
            if not job.working:
                self._read_details()
            self.renew()
        elif not job.working:
            self._written.set()


def _compared(source: Source) -> Overview:
    """The comparison; what draws it is loaded here, in the thread that computes it."""
    import tui_attn.ui.comparison.answer  # noqa: F401

    return source.overview()


def report_folder(folder: ExperimentDir) -> Path:
    """Where the key writes the report of an experiment: beside where the dashboard was started."""
    return Path.cwd() / "reports" / folder.id


def _write_report(folder: ExperimentDir) -> subprocess.Popen[bytes]:
    where = ["--runs-dir", str(folder.path.absolute().parent), "--report", str(report_folder(folder))]
    return children.python(
        "tui_attn",
        "compare",
        folder.id,
        *where,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )
