"""A chart of curves over training, with a value cursor, zoom, smoothing and log scale, all by keyboard."""

from __future__ import annotations

from collections.abc import Iterable

from textual.message import Message
from textual.reactive import reactive
from textual.widget import Widget

from tui_attn.ui.charts.curve import Curve, XAxis
from tui_attn.ui.charts.mode import DrawingMode


class MetricPlot(Widget, can_focus=True):
    """Curves over steps, epochs or time."""

    smoothing: reactive[float] = reactive(0.0)
    """Weight of the past in the debiased exponential moving average, in [0, 0.99]; 0 shows the raw values."""
    log: reactive[bool] = reactive(False)
    """Whether the y axis is logarithmic."""
    x_axis: reactive[XAxis] = reactive[XAxis]("step")
    """What runs along the x axis."""
    show_raw: reactive[bool] = reactive(True)
    """Whether raw values show faintly under smoothed ones."""
    group_seeds: reactive[bool] = reactive(True)
    """Whether curves of one group are drawn as mean line and band."""
    mode: reactive[DrawingMode | None] = reactive[DrawingMode | None](None)
    """How to draw; None asks the app's `drawing_mode`."""

    class CursorMoved(Message):
        """The value cursor moved to `step`, or went away (None)."""

        def __init__(self, plot: MetricPlot, step: float | None) -> None:
            super().__init__()
            self.plot = plot
            self.step = step

        @property
        def control(self) -> MetricPlot:
            """The chart it happened in."""
            return self.plot

    def __init__(
        self,
        title: str = "",
        *,
        y_label: str = "",
        percent: bool = False,
        name: str | None = None,
        id: str | None = None,  # noqa: A002
        classes: str | None = None,
        disabled: bool = False,
    ) -> None:
        """`title` and `y_label` are plain text; `percent` writes fractions as percentages."""
        super().__init__(name=name, id=id, classes=classes, disabled=disabled)
        self.title = title
        self.y_label = y_label
        self.percent = percent
        self._curves: list[Curve] = []

    def set_curves(self, curves: Iterable[Curve]) -> None:
        """Show `curves`, in this order. Costs next to nothing when nothing in them changed."""
        self._curves = list(curves)
        self.refresh()

    def reset_view(self) -> None:
        """Show the whole history again."""

    def render(self) -> str:
        return ""
