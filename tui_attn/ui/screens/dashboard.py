"""The dashboard: runs, curves, gates, devices and the log."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.cells import cell_len
from textual import events
from textual.app import ComposeResult
from textual.screen import Screen
from textual.widget import Widget

from tui_attn.experiment.folders import ExperimentDir
from tui_attn.experiment.manifest import Manifest
from tui_attn.experiment.model_info import has_gates
from tui_attn.ui import formatting
from tui_attn.ui.bindings import bindings
from tui_attn.ui.drawing import EMPTY, Drawn, Row, cut
from tui_attn.ui.keys import DASHBOARD_KEYS
from tui_attn.ui.protocols import ExplainsKeys, app_of
from tui_attn.ui.widgets.key_bar import KeyBar
from tui_attn.ui.widgets.run_table import RunTable
from tui_attn.ui.widgets.title_bar import TitleBar

if TYPE_CHECKING:
    from tui_attn.ui.app import DashboardApp
    from tui_attn.ui.comparison.source import ExperimentSource
    from tui_attn.ui.devices import Reading
    from tui_attn.ui.feed import Snapshot
    from tui_attn.ui.steering import Steering
    from tui_attn.ui.widgets.curves_panel import CurvesPanel
    from tui_attn.ui.widgets.device_panel import DevicePanel
    from tui_attn.ui.widgets.log_pane import LogPane

_RESUMABLE = frozenset({"lost", "stopped", "failed"})
_SMALLEST = (80, 24)
"""Columns and rows that the dashboard needs."""


class Box(Widget):
    """Holds panels."""


class Dashboard(ExplainsKeys, Screen[None], inherit_bindings=False):
    """Shows snapshots, and sends the commands of the keys.

    The first frame holds the title, the run list and the keys. `mount_panels` adds the rest, whose code takes longer
    to import than this first frame may take.
    """

    BINDINGS = bindings(DASHBOARD_KEYS)
    HORIZONTAL_BREAKPOINTS = [(0, "-narrow"), (110, "-normal"), (150, "-wide")]  # noqa: RUF012
    VERTICAL_BREAKPOINTS = [(0, "-short"), (32, "-tall")]  # noqa: RUF012
    ALLOW_IN_MAXIMIZED_VIEW = "TitleBar, KeyBar"

    def __init__(self, folder: ExperimentDir, manifest: Manifest, app: DashboardApp, *, here: bool) -> None:
        """`here`: whether this machine trains."""
        super().__init__()
        self._folder = folder
        self._zone = app.zone
        self._elsewhere = None if here else manifest.host
        config = self._config = manifest.config
        self.title_bar = TitleBar(folder.id, config, app.clock, id="title")
        self.table = RunTable(config, id="runs")
        self.key_bar = KeyBar(id="keys")
        self.too_small = Drawn(self._too_small, id="too-small")
        self.curves: CurvesPanel | None = None
        self.devices: DevicePanel | None = None
        self.log_pane: LogPane | None = None
        self.steering: Steering | None = None
        """Set once commands can be given."""
        self.snapshot: Snapshot | None = None
        self._reading: Reading | None = None
        self._compared: ExperimentSource | None = None
        """What the comparison read, kept for the next time."""
        self._keys_for: object = None
        self._told = False
        """Whether the load of the devices was reported, if only as not measured."""

    def compose(self) -> ComposeResult:
        """What the first frame shows."""
        yield self.title_bar
        with Box(id="body"), Box(id="main"):
            yield self.table
        yield self.key_bar
        yield self.too_small

    async def mount_panels(self) -> None:
        """Mount the panels deferred from the first frame."""
        from tui_attn.ui.widgets.curves_panel import CurvesPanel
        from tui_attn.ui.widgets.device_panel import DevicePanel
        from tui_attn.ui.widgets.log_pane import LogPane

        for model in self._config.models:
            self.table.drawing.ink(model)  # models without a style take the free ones in this order
        gates = any(map(has_gates, self._config.models)) or bool(self._config.custom_models)
        self.curves = CurvesPanel(has_gates=gates, id="curves")
        self.devices, self.log_pane = DevicePanel(self._elsewhere, id="devices"), LogPane(self._zone, id="log")
        for box, panel in (("#main", self.curves), ("#body", Box(self.devices, self.log_pane, id="side"))):
            if not self.query_one(box).is_attached:
                return  # the user has left
            await self.query_one(box).mount(panel)
        if self.snapshot is not None:
            self.show(self.snapshot)
        if self._told:
            self.devices.show(self._reading)

    def _too_small(self, width: int, height: int) -> list[Row]:
        """The size that the dashboard needs, and the state of the training in one line."""
        texts = [
            f"this terminal has {self.size.width} x {self.size.height} cells",
            "the dashboard needs {} x {}".format(*_SMALLEST),
            "",
            formatting.counts_text(self.snapshot.runs) if self.snapshot else "",
            "q leaves; the training goes on",
        ]
        above = max((height - len(texts)) // 2, 0)
        lines = [" " * ((width - cell_len(text)) // 2) + cut(text, width) for text in texts]
        return [EMPTY] * above + [Row(((line, "normal"),)) for line in lines]

    def on_mount(self) -> None:
        """Start at the run list."""
        self.table.focus()
        self.set_interval(1.0, self._tick)

    def on_resize(self, event: events.Resize) -> None:
        """Divide the height again."""
        width, height = event.size
        small = width < _SMALLEST[0] or height < _SMALLEST[1]
        self.set_class(small, "-small")
        self._share_height(height)

    def _share_height(self, height: int) -> None:
        most = max(4, height // 4)
        alone = self.maximized is self.table
        self.table.styles.height = "1fr" if alone else min(self.table.wanted_height, most)

    def watch_maximized(self) -> None:
        """Give the run list all the height when it is alone."""
        self._share_height(self.size.height)

    def show(self, snapshot: Snapshot) -> None:
        """Show `snapshot`."""
        self.snapshot = snapshot
        self.table.show(snapshot)
        self._share_height(self.size.height)
        self.title_bar.show(snapshot)
        self.too_small.redraw()
        if self.curves is not None and self.log_pane is not None:
            self.curves.show(snapshot)
            self.curves.select(self.table.entry, self.table.hidden)
            self.log_pane.show(snapshot)
        self._renew_keys()

    @property
    def settled(self) -> bool:
        """Whether the newest snapshot is shown, curves included."""
        return self.curves is not None and self.curves.settled

    def show_devices(self, reading: Reading | None) -> None:
        """Show the machine's load."""
        self._reading, self._told = reading, True
        if self.devices is not None:
            self.devices.show(reading)

    def _tick(self) -> None:
        """Let the clock go on while something is being trained."""
        if self.snapshot is not None and self.snapshot.supervised and not self.snapshot.ended:
            self.title_bar.redraw()

    def on_run_table_selected(self, message: RunTable.Selected) -> None:
        """Show the gates and curves of the run, and the keys that work for it."""
        message.stop()
        self._share_height(self.size.height)
        if self.curves is not None:
            self.curves.select(self.table.entry, self.table.hidden)
        self._renew_keys()

    def _renew_keys(self) -> None:
        """Update the footer when other keys do something than before."""
        snapshot, entry = self.snapshot, self.table.entry
        shown = entry and (entry.id, entry.view.shown)
        now = None if snapshot is None else (snapshot.state, snapshot.supervised, shown)
        if now != self._keys_for:
            self._keys_for = now
            self.refresh_bindings()

    def action_select(self, by: int) -> None:
        """Go up or down the run list."""
        self.table.scroll_lines(by)

    def action_maximize_panel(self) -> None:
        """Give the focused panel the whole screen, or show all again."""
        if self.maximized is not None:
            self.minimize()
        elif self.focused is not None:
            self.maximize(self.focused)

    # ---- what the keys do

    def why_not(self, action: str, parameters: tuple[object, ...]) -> str | None:
        """Return why `action` can't be done now; None where it can be."""
        snapshot, entry = self.snapshot, self.table.entry
        if action == "minimize":
            return "all panels are shown" if self.maximized is None else None
        if action == "details":
            return "no run is listed yet" if entry is None else None
        if action == "resume":
            return None if snapshot is not None and snapshot.state in _RESUMABLE else ""
        return self._why_not_steer(str(parameters[0]), one=bool(parameters[1])) if action == "steer" else None

    def _why_not_steer(self, command: str, *, one: bool) -> str | None:
        snapshot, entry, view = self.snapshot, self.table.entry, self.table.selected
        live = snapshot is not None and snapshot.supervised and not snapshot.ended
        if snapshot is None or (entry is None and (one or not live)):
            return "no runs to steer yet"
        if snapshot.ended:
            return f"the experiment is {snapshot.state}: no run can be steered"
        if not snapshot.supervised:
            return "no supervisor runs this experiment: resume it first"
        if one and entry is not None and view is None:
            return f"the keys steer one run: enter shows those of {entry.model}"
        run = view if one else None
        state = snapshot.state if run is None else run.shown
        possible = command not in {"pause", "unpause"} or (state == "paused") == (command == "unpause")
        if run is not None:
            possible = possible and (state == "failed" if command == "retry" else not run.state.ended)
        return None if possible else f"{run.state.id if run else 'the experiment'} is {state}: the key does nothing now"

    def action_steer(self, command: str, one: bool) -> None:
        """Give a command for the selected run, or for all; ask before what can't be taken back."""
        steering, view = self.steering, self.table.selected if one else None
        if steering is None:
            return
        run = None if view is None else view.state.id
        if command not in {"stop", "skip"}:
            steering.send(command, run)
            return
        from tui_attn.ui.screens.confirm import confirm, end_question

        question = end_question(command, run, None if view is None else view.state.epoch)
        confirm(self, question, lambda: steering.send(command, run))

    def action_resume(self) -> None:
        """Start a new supervisor for an experiment that has none."""
        if self.steering is not None:
            self.steering.resume()

    def action_details(self) -> None:
        """Show the selected run in full, or the runs of the selected model."""
        from tui_attn.ui.screens.run_details import RunDetailsScreen

        if not self.table.unfold() and self.table.selected is not None:
            self.app.push_screen(RunDetailsScreen(self._folder, self.table.selected))

    def action_comparison(self) -> None:
        """Compare the models as the logs stand."""
        from tui_attn.ui.comparison.source import ExperimentSource
        from tui_attn.ui.screens.comparison import ComparisonScreen

        if self._compared is None:
            self._compared = ExperimentSource(self._folder)
        self.app.push_screen(ComparisonScreen(self._compared))

    def action_new_experiment(self) -> None:
        """Describe a new experiment, starting from this one."""
        from tui_attn.ui.screens.new_experiment import NewExperimentScreen

        self.app.push_screen(NewExperimentScreen(app_of(self), self._folder))

    def action_heatmap(self) -> None:
        """Show gates by class and attention."""
        from tui_attn.ui.screens.heatmaps import HeatmapsScreen

        nearest = None if self.table.entry is None else self.table.entry.view.state.id
        self.app.push_screen(HeatmapsScreen(self._folder, self.snapshot, nearest))
