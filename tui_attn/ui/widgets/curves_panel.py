"""The middle of the dashboard: loss and accuracy over training, and the channel gates of a run."""

from __future__ import annotations

import threading
import time
from typing import ClassVar

from textual.app import ComposeResult
from textual.timer import Timer
from textual.widget import Widget

from tui_attn.experiment.events import STEP_METRICS
from tui_attn.experiment.model_info import has_gates
from tui_attn.ui.curves import metric_curves
from tui_attn.ui.feed import RunView, Snapshot
from tui_attn.ui.messages import ChartsLoaded
from tui_attn.ui.styles import drawing_mode
from tui_attn.ui.widgets.gate_strip import GateStrip
from tui_attn.ui.widgets.metric_plot import MetricPlot


class Plots(Widget):
    """The two charts side by side."""


class CurvesPanel(Widget):
    """Shows snapshots; curves are drawn at most once in `least_seconds`."""

    least_seconds: ClassVar[float] = 1.0
    """Seconds between two drawings of the curves."""

    def __init__(self, *, has_gates: bool, id: str) -> None:
        super().__init__(id=id)
        self.plots = {
            metric.name: MetricPlot(metric.name, percent=metric.unit == "fraction", id=metric.name)
            for metric in STEP_METRICS
        }
        for plot in self.plots.values():
            plot.fit = True
        self.gates = GateStrip(id="gates") if has_gates else None
        self._snapshot: Snapshot | None = None
        self._timer: Timer | None = None
        self._drawn = float("-inf")
        self._loaded = False
        """Whether the libraries of the charts are loaded."""

    def compose(self) -> ComposeResult:
        """The charts, and the gates below them."""
        with Plots(id="plots"):
            yield from self.plots.values()
        if self.gates is not None:
            yield self.gates

    def on_mount(self) -> None:
        """Load the libraries of the charts in a thread: this takes longer than the screen may be blocked."""
        threading.Thread(target=self._load, name="charts", daemon=True).start()

    def _load(self) -> None:
        import tui_attn.ui.charts.plot
        import tui_attn.ui.charts.series  # noqa: F401  numpy and plotext come with them

        self.post_message(ChartsLoaded())

    def on_charts_loaded(self) -> None:
        """Draw the newest snapshot."""
        self._loaded = True
        self._draw()

    @property
    def settled(self) -> bool:
        """Whether the newest picture is drawn."""
        return self._loaded and self._snapshot is not None and self._timer is None

    def show(self, snapshot: Snapshot, selected: RunView | None) -> None:
        """Show this picture."""
        self._snapshot = snapshot
        self.show_gates(selected)
        wait = self._drawn + self.least_seconds - time.monotonic()
        if not self._loaded:
            return
        if wait <= 0:
            self._draw()
        elif self._timer is None:
            self._timer = self.set_timer(wait, self._draw)

    def _draw(self) -> None:
        self._timer = None
        self._drawn = time.monotonic()
        if self._snapshot is not None:
            ascii_only = drawing_mode(self.app).ascii
            for metric, plot in self.plots.items():
                plot.empty = without_points(self._snapshot)
                plot.title, curves = metric_curves(self._snapshot, metric, ascii_only=ascii_only)
                plot.set_curves(curves)

    def show_gates(self, selected: RunView | None) -> None:
        """The gates of the selected run, or of one with gates and its seed, so that the strip stays where it is."""
        if self.gates is None or self._snapshot is None:
            return
        chosen, views = selected, list(self._snapshot.runs.values())
        gated = [view for view in views if _has_gates(view)]
        self.gates.display = bool(gated) or not views
        if chosen is None or not _has_gates(chosen):
            same_seed = [view for view in gated if selected is not None and view.state.seed == selected.state.seed]
            chosen = next(iter([*same_seed, *gated]), None)
        if chosen is None:
            self.gates.set_gates({}, "")
            return
        run = chosen.state
        epoch = f", epoch {run.probes[-1][0]}" if run.probes else ""
        self.gates.set_gates(run.gates, f"{run.id}{epoch}")


def without_points(snapshot: Snapshot) -> str:
    """What to say in place of curves: whether points are being read, expected, or were never there."""
    if not snapshot.complete:
        runs = len(snapshot.runs)
        return f"reading {runs} {'run' if runs == 1 else 'runs'} ... {100 * snapshot.share:.0f} %"
    return "no points were recorded" if snapshot.ended else "waiting for the first points"


def _has_gates(view: RunView) -> bool:
    """Whether the run has gates, or will have them as soon as it has begun."""
    return bool(view.state.gates) or has_gates(view.state.model)
