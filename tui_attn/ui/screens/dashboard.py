"""The dashboard itself: runs, curves, gates, devices and the log."""

from __future__ import annotations

import time
from collections.abc import Callable

from textual import events
from textual.app import ComposeResult
from textual.containers import Horizontal, Vertical
from textual.screen import Screen
from textual.timer import Timer

from tui_attn.runs import ExperimentDir, Manifest
from tui_attn.ui.bindings import bindings
from tui_attn.ui.curves import accuracy_curves, loss_curves
from tui_attn.ui.devices import Reading
from tui_attn.ui.feed import RunView, Snapshot
from tui_attn.ui.keys import DASHBOARD_KEYS
from tui_attn.ui.messages import RunSelected
from tui_attn.ui.screens.confirm import ConfirmScreen, skip_question, stop_question
from tui_attn.ui.screens.run_details import RunDetailsScreen
from tui_attn.ui.steering import Steering
from tui_attn.ui.widgets.device_panel import DevicePanel
from tui_attn.ui.widgets.gate_strip import GateStrip
from tui_attn.ui.widgets.key_bar import KeyBar
from tui_attn.ui.widgets.log_pane import LogPane
from tui_attn.ui.widgets.metric_plot import MetricPlot
from tui_attn.ui.widgets.run_table import RunTable
from tui_attn.ui.widgets.small import SMALLEST, TooSmall
from tui_attn.ui.widgets.title_bar import TitleBar

_RESUMABLE = frozenset({"lost", "stopped", "failed"})
PLOT_SECONDS = 1.0
"""Least time between two drawings of the curves."""


class Dashboard(Screen[None], inherit_bindings=False):
    """Shows pictures of the state, and gives the commands that keys ask for."""

    BINDINGS = bindings(DASHBOARD_KEYS)
    HORIZONTAL_BREAKPOINTS = [(0, "-narrow"), (110, "-normal"), (150, "-wide")]  # noqa: RUF012
    VERTICAL_BREAKPOINTS = [(0, "-short"), (32, "-tall")]  # noqa: RUF012

    def __init__(
        self,
        folder: ExperimentDir,
        manifest: Manifest,
        steering: Steering,
        *,
        clock: Callable[[], float] = time.time,
        zone: Callable[[float], time.struct_time] = time.localtime,
    ) -> None:
        super().__init__()
        self._folder = folder
        self._steering = steering
        config = manifest.config
        self.title_bar = TitleBar(folder.id, config, clock, id="title")
        self.table = RunTable(config.epochs, len(config.models) * config.seeds, id="runs")
        self.loss = MetricPlot("loss", id="loss")
        self.accuracy = MetricPlot("accuracy", percent=True, id="accuracy")
        self.gates = GateStrip(id="gates")
        self.devices = DevicePanel(id="devices")
        self.log_pane = LogPane(zone, id="log")
        self.key_bar = KeyBar(id="keys")
        self.too_small = TooSmall(id="too-small")
        self._has_gates = "se" in config.models
        self.snapshot: Snapshot | None = None
        self._curves_timer: Timer | None = None
        self._curves_drawn = float("-inf")

    def compose(self) -> ComposeResult:
        """The panels, from the top."""
        yield self.title_bar
        with Vertical(id="body"):
            with Vertical(id="main"):
                yield self.table
                with Horizontal(id="plots"):
                    yield self.loss
                    yield self.accuracy
                if self._has_gates:
                    yield self.gates
            with Vertical(id="side"):
                yield self.devices
                yield self.log_pane
        yield self.key_bar
        yield self.too_small

    def on_mount(self) -> None:
        """Start at the run list."""
        self.table.focus()
        self.set_interval(1.0, self._tick)

    def on_resize(self, event: events.Resize) -> None:
        """Share the height out again."""
        width, height = event.size
        small = width < SMALLEST[0] or height < SMALLEST[1]
        self.set_class(small, "-small")
        self._share_height(height)

    def _share_height(self, height: int) -> None:
        most = max(4, height * 2 // 5) if height >= 32 else max(4, height // 4)
        self.table.styles.height = min(self.table.wanted_height, most)

    @property
    def selected(self) -> RunView | None:
        """The run that the user is at."""
        return self.table.selected

    def show(self, snapshot: Snapshot) -> None:
        """Show this picture; the curves a little later when they were drawn a moment ago."""
        self.snapshot = snapshot
        height = self.table.wanted_height
        self.table.show(snapshot)
        if self.table.wanted_height != height:
            self._share_height(self.size.height)
        self.title_bar.show(snapshot)
        self.log_pane.show(snapshot)
        self.too_small.show(snapshot)
        self._show_gates()
        self.refresh_bindings()
        wait = self._curves_drawn + PLOT_SECONDS - time.monotonic()
        if wait <= 0:
            self._draw_curves()
        elif self._curves_timer is None:
            self._curves_timer = self.set_timer(wait, self._draw_curves)

    @property
    def settled(self) -> bool:
        """Whether the newest picture is shown, curves included."""
        return self.snapshot is not None and self._curves_timer is None

    def show_devices(self, reading: Reading | None) -> None:
        """Show the machine's load."""
        self.devices.show(reading)

    def _draw_curves(self) -> None:
        self._curves_timer = None
        self._curves_drawn = time.monotonic()
        if self.snapshot is not None:
            self.loss.set_curves(loss_curves(self.snapshot))
            ascii_only = bool(self.app.drawing_mode.ascii)  # type: ignore[attr-defined]
            self.accuracy.set_curves(accuracy_curves(self.snapshot, ascii_only=ascii_only))

    def _show_gates(self) -> None:
        """The gates of the selected run, or of the SE run with its seed, so that the panel stays."""
        if not self._has_gates or self.snapshot is None:
            return
        chosen, views = self.selected, list(self.snapshot.runs.values())
        if chosen is None or chosen.state.model != "se":
            same_seed = [view for view in views if chosen is not None and view.state.seed == chosen.state.seed]
            chosen = next((view for view in [*same_seed, *views] if view.state.model == "se"), None)
        if chosen is None:
            self.gates.set_gates({}, "")
            return
        run = chosen.state
        epoch = f", epoch {run.probes[-1][0]}" if run.probes else ""
        self.gates.set_gates(run.gates, f"{run.id}{epoch}")

    def _tick(self) -> None:
        """Let the clock go on while something is being trained."""
        if self.snapshot is not None and self.snapshot.supervised and not self.snapshot.ended:
            self.title_bar.redraw()

    def on_run_selected(self, message: RunSelected) -> None:
        """Show the gates of the run, and the keys that work for it."""
        message.stop()
        self._show_gates()
        self.refresh_bindings()

    def action_select(self, by: int) -> None:
        """Go up or down the run list."""
        self.table.move(by)

    def action_maximize_panel(self) -> None:
        """Give the focused panel the whole screen, or show all again."""
        if self.maximized is not None:
            self.minimize()
        elif self.focused is not None:
            self.maximize(self.focused)

    # ---- what the keys do

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Offer only keys that do something now."""
        if action == "steer":
            return self._may_steer(str(parameters[0]), one=bool(parameters[1]))
        if action == "resume":
            return self.snapshot is not None and self.snapshot.state in _RESUMABLE
        if action == "minimize":
            return self.maximized is not None
        return True

    def _may_steer(self, command: str, *, one: bool) -> bool:
        snapshot, view = self.snapshot, self.selected
        if snapshot is None or not snapshot.supervised or snapshot.ended or view is None:
            return False
        if command == "retry":
            return view.shown == "failed"
        paused = view.shown == "paused" if one else snapshot.state == "paused"
        if command in {"pause", "unpause"}:
            return paused == (command == "unpause") and not (one and view.state.ended)
        return not (one and view.state.ended)

    def action_steer(self, command: str, one: bool) -> None:
        """Give a command for the selected run, or for all; ask before what can't be taken back."""
        view = self.selected if one else None
        run = None if view is None else view.state.id
        epoch = None if view is None else view.state.epoch
        if command not in {"stop", "skip"}:
            self._steering.send(command, run)
            return
        question, facts = (stop_question if command == "stop" else skip_question)(run, epoch)

        def answered(yes: bool | None) -> None:
            if yes:
                self._steering.send(command, run)

        self.app.push_screen(ConfirmScreen(question, facts), answered)

    def action_resume(self) -> None:
        """Start a new supervisor for an experiment that nobody runs."""
        self._steering.resume()

    def action_details(self) -> None:
        """Show the selected run in full."""
        if self.selected is not None:
            self.app.push_screen(RunDetailsScreen(self._folder, self.selected))

    def action_comparison(self) -> None:
        """Compare the models as the logs stand."""
        from tui_attn.ui.screens.comparison import ComparisonScreen

        self.app.push_screen(ComparisonScreen(self._folder))

    def action_heatmap(self) -> None:
        """Show gates by class and attention."""
        from tui_attn.ui.screens.heatmaps import HeatmapsScreen

        selected = None if self.selected is None else self.selected.state.id
        self.app.push_screen(HeatmapsScreen(self._folder, self.snapshot, selected))
