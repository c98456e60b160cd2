"""The middle of the dashboard: loss and accuracy over training, and the channel gates of a run."""

from __future__ import annotations

import time
from collections.abc import Set
from typing import ClassVar

from textual.app import ComposeResult
from textual.timer import Timer
from textual.widget import Widget

from tui_attn.experiment.events import STEP_METRICS
from tui_attn.experiment.model_info import has_gates
from tui_attn.ui.feed import RunView, Snapshot
from tui_attn.ui.formatting import reading
from tui_attn.ui.jobs import background, in_thread
from tui_attn.ui.widgets.gate_strip import GateStrip
from tui_attn.ui.widgets.metric_plot import MetricPlot, SharedView
from tui_attn.ui.widgets.run_table import Entry


class CurvesPanel(Widget):
    """Shows snapshots; curves are drawn once in `least_seconds`, or less often where drawing takes long."""

    least_seconds: ClassVar[float] = 1.0
    """Seconds between two drawings of the curves that cost little; see `pause_factor`."""

    def __init__(self, *, has_gates: bool, id: str) -> None:
        super().__init__(id=id)
        shared = SharedView()
        self.plots = {
            metric.name: MetricPlot(
                metric.name, percent=metric.unit == "fraction", empty="drawing ...", shared=shared, id=metric.name
            )
            for metric in STEP_METRICS
        }
        self.gates = GateStrip(id="gates") if has_gates else None
        self._snapshot: Snapshot | None = None
        self._selected: Set[str] = frozenset()
        self._hidden: Set[str] = frozenset()
        self._timer: Timer | None = None
        self._drawn = float("-inf")
        self._loaded = False
        """Whether the libraries of the charts are loaded."""

    def compose(self) -> ComposeResult:
        """The charts, and the gates below them."""
        with Widget(id="plots"):
            yield from self.plots.values()
        if self.gates is not None:
            yield self.gates

    def on_mount(self) -> None:
        """Load the libraries of the charts."""
        self._load()

    @background("charts")
    async def _load(self) -> None:
        """Import them in a thread, because that would block the screen for too long; then draw."""
        await in_thread(_import_charts)
        self._loaded = True
        self._draw()

    @property
    def settled(self) -> bool:
        """Whether the newest snapshot is drawn."""
        return self._loaded and self._snapshot is not None and self._timer is None

    def show(self, snapshot: Snapshot) -> None:
        """Show `snapshot`."""
        self._snapshot = snapshot
        pause = self.least_seconds * pause_factor(sum(plot.draw_seconds for plot in self.plots.values()))
        wait = self._drawn + pause - time.monotonic()
        if not self._loaded:
            return
        if wait <= 0:
            self._draw()
        elif self._timer is None:
            self._timer = self.set_timer(wait, self._draw)

    def select(self, entry: Entry | None, hidden: Set[str]) -> None:
        """Show the gates of the selected run or model; draw its curves over the others, and none of `hidden` runs."""
        self._show_gates(None if entry is None else entry.view)
        selected = frozenset(view.state.id for view in entry.views) if entry else frozenset()
        if (selected, hidden) != (self._selected, self._hidden):
            self._selected, self._hidden = selected, hidden
            if self._loaded:
                self._draw()

    def _draw(self) -> None:
        from tui_attn.ui.curves import metric_curves

        self._timer = None
        self._drawn = time.monotonic()
        if self._snapshot is not None:
            hidden = self._hidden & self._snapshot.runs.keys()
            for metric, plot in self.plots.items():
                plot.empty = without_points(self._snapshot, hidden=len(hidden))
                plot.notes = [f"{len(hidden)} of {len(self._snapshot.runs)} runs hidden"] if hidden else []
                plot.set_curves(metric_curves(self._snapshot, metric, selected=self._selected, hidden=hidden))

    def _show_gates(self, selected: RunView | None) -> None:
        """The gates of the selected run, or of a run with gates and the same seed, so that the strip stays."""
        if self.gates is None or self._snapshot is None:
            return
        gated = [view for view in self._snapshot.runs.values() if _has_gates(view)]
        self.gates.display = bool(gated) or not self._snapshot.runs
        same_seed = [view for view in gated if selected is not None and view.state.seed == selected.state.seed]
        chosen = selected if selected and _has_gates(selected) else next(iter([*same_seed, *gated]), None)
        if chosen is None:
            said = "no gates yet" if self._snapshot.complete else reading(self._snapshot)
            self.gates.set_gates({}, "", empty=said)
            return
        run = chosen.state
        said = "no gates were recorded" if run.ended else "gates are measured after each epoch"
        epoch = f", epoch {run.probes[-1][0]}" if run.probes else ""
        said = said if self._snapshot.complete else reading(self._snapshot)
        self.gates.set_gates(run.gates, f"{run.id}{epoch}", empty=said)


def pause_factor(draw_seconds: float) -> float:
    """Return how much longer than a second to wait after a drawing: it should take 1 % of a core, but wait at most 3 s.

    `draw_seconds`: processor time of the last one.
    """
    return min(max(100 * draw_seconds, 1.0), 3.0)


def without_points(snapshot: Snapshot, *, hidden: int = 0) -> str:
    """What to say in place of curves: whether points are being read, expected, hidden, or were never there."""
    if not snapshot.complete:
        return reading(snapshot)
    if hidden and hidden == len(snapshot.runs):
        return "all runs are hidden: space in the run list shows them"
    return "no points were recorded" if snapshot.ended else "waiting for the first points"


def _import_charts() -> None:
    import tui_attn.ui.charts.plot
    import tui_attn.ui.curves  # noqa: F401  numpy and plotext come with them


def _has_gates(view: RunView) -> bool:
    """Whether the run has gates, or will have them as soon as it has begun."""
    return bool(view.state.gates) or has_gates(view.state.model)
