"""A chart of curves over training, with a value cursor, zoom, smoothing and log scale, all by keyboard."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, ClassVar

from textual import events
from textual.binding import BindingType
from textual.message import Message
from textual.reactive import reactive
from textual.strip import Strip

from tui_attn.ui.bindings import bindings
from tui_attn.ui.curves import X_AXES, Curve, XAxis
from tui_attn.ui.drawing import Lines, centred, strip_of, trimmed
from tui_attn.ui.keys import TABLES

if TYPE_CHECKING:
    from tui_attn.ui.charts.geometry import Span
    from tui_attn.ui.charts.plot import Picture, View
    from tui_attn.ui.charts.series import SeriesStore

SMOOTHINGS = (0.0, 0.3, 0.6, 0.8, 0.9, 0.95, 0.98, 0.99)
"""What the keys go through."""


class MetricPlot(Lines, can_focus=True):
    """Curves over steps, epochs or time: the whole history, until a part of it is asked for.

    Each curve has its model's colour and a marker that stays when colours are gone. The legend gives the newest
    values, or, where the value cursor is on, every curve's value there.
    """

    BINDINGS: ClassVar[list[BindingType]] = bindings(TABLES["charts"])
    DEFAULT_CSS = "MetricPlot { height: 1fr; }"

    smoothing: reactive[float] = reactive(0.0, init=False, repaint=False)
    """Weight of the past in the debiased exponential moving average, in [0, 0.99]; 0 shows the raw values."""
    log_scale: reactive[bool] = reactive(False, init=False, repaint=False)
    """Whether the y axis is logarithmic; linear all the same while nothing shown is positive."""
    x_axis: reactive[XAxis] = reactive[XAxis]("step", init=False, repaint=False)
    """What runs along the x axis. Curves that don't know their place there are left out."""
    show_raw: reactive[bool] = reactive(True, init=False, repaint=False)
    """Whether raw values show faintly under smoothed ones."""
    fit: reactive[bool] = reactive(False, init=False, repaint=False)
    """Whether the y axis leaves out what only the first tenth of the curves reaches."""
    group_seeds: reactive[bool] = reactive(True, init=False, repaint=False)
    """Whether curves of one group are drawn as mean line and band."""
    cursor: reactive[float | None] = reactive[float | None](None, init=False, repaint=False)
    """Where on the x axis values are read out; None: nowhere."""

    class CursorMoved(Message):
        """The value cursor moved to `x` on `axis`, or went away (None)."""

        def __init__(self, plot: MetricPlot, x: float | None, axis: XAxis) -> None:
            super().__init__()
            self.plot = plot
            self.x = x
            self.axis = axis

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
        empty: str = "waiting for the first points",
        id: str | None = None,
    ) -> None:
        """`title` and `y_label` are plain text; `percent` writes fractions as percentages.

        `empty` stands where no curve has points.
        """
        super().__init__(id=id)
        self.title = title
        self.y_label = y_label
        self.percent = percent
        self.empty = empty
        self._curves: list[Curve] = []
        self._x: Span | None = None
        self._y: Span | None = None
        self._store: SeriesStore | None = None
        self._picture: Picture | None = None
        self._view: View | None = None
        self._key: tuple[object, ...] = ()
        self._fingerprint: list[object] = []
        self._drag: tuple[int, int, Span, Span] | None = None

    # ---- data

    def set_curves(self, curves: Iterable[Curve]) -> None:
        """Show `curves`, in this order. Nothing is drawn when nothing in them changed."""
        self._curves = list(curves)
        fingerprint: list[object] = [self.title, self.empty]
        fingerprint += [
            (
                curve.id,
                curve.label,
                curve.color,
                curve.group,
                curve.marker,
                curve.faint,
                curve.revision,
                len(curve.values),
            )
            for curve in self._curves
        ]
        if fingerprint != self._fingerprint:
            self._fingerprint = fingerprint
            self.redraw()

    def lines(self, width: int, height: int) -> Sequence[Strip]:
        """Draw the chart. The libraries that this needs are loaded when there is first a point to draw."""
        styles = self.drawing
        if not any(len(curve.steps) and len(curve.values) for curve in self._curves):
            self._view = self._picture = None
            title = trimmed(self.title, width, styles)
            rest = centred(self.empty, width, height - 1, styles)
            return [strip_of([(title, "focused" if self.has_focus else "title")], width, styles), *rest]
        from tui_attn.ui.charts.plot import View, compose
        from tui_attn.ui.charts.series import SeriesStore

        self._store = store = self._store or SeriesStore()
        changed = store.sync(self._curves)
        axis = self._axis
        view = View([], self.title, self.y_label, self.percent, axis, self.log_scale, self._x, self._y, self.cursor)
        view.smoothing, view.empty, view.focused = self.smoothing, self.empty, self.has_focus
        view.fit = self.fit
        if axis != self.x_axis:
            view.notes.append(f"{self.x_axis} not known")
        key = (width, height, styles, self.show_raw, self.group_seeds, repr(view))
        if self._picture is None or changed or key != self._key:
            self._key = key
            view.lines = store.lines(axis, smoothing=self.smoothing, show_raw=self.show_raw, grouped=self.group_seeds)
            self._view, self._picture = view, compose(view, width, height, styles)
        return self._picture.strips

    @property
    def _axis(self) -> XAxis:
        """The x axis in use: steps where the one asked for isn't known."""
        known = self._store is None or not self._curves or self._store.knows(self.x_axis)
        return self.x_axis if known else "step"

    # ---- what is shown

    @property
    def shown_x(self) -> Span | None:
        """The part of the x axis in the picture; None while there is no picture."""
        return self._picture.frame.x if self._picture and self._picture.frame else None

    @property
    def shown_y(self) -> Span | None:
        """The range of values in the picture, in powers of ten on a logarithmic axis."""
        return self._picture.frame.y if self._picture and self._picture.frame else None

    @property
    def zoomed(self) -> bool:
        """Whether less, or something else, is shown than the whole history."""
        return self._x is not None or self._y is not None

    def reset_view(self) -> None:
        """Show the whole history again."""
        self._x = self._y = None
        self.redraw()

    def show_x(self, span: Span | None) -> None:
        """Show `span` of the x axis, cut to the history; None: all of it, also as it grows."""
        full = self._picture.full if self._picture else None
        if span is not None and full is not None:
            span = span.within(full)
            span = None if span == full else span
        self._x = span
        self.redraw()

    def move_cursor(self, columns: int) -> None:
        """Move the value cursor by about that many columns, always from point to point."""
        from tui_attn.ui.charts.legend import moved

        if self._view is None or self._picture is None or self._picture.frame is None:
            return
        x = moved(self._view.lines, self._picture.frame, self.cursor, columns)
        if x is not None:
            self._put_cursor(x)

    def _put_cursor(self, x: float | None) -> None:
        """Move the cursor, and the picture with it where it would leave it."""
        shown = self.shown_x
        if x is not None and shown is not None and not shown.lower <= x <= shown.upper:
            self.show_x(shown.panned((x - shown.lower) / shown.width - 0.5))
        self.cursor = x

    def watch_cursor(self, x: float | None) -> None:
        """Show it, and tell others."""
        self.redraw()
        self.post_message(self.CursorMoved(self, x, self._axis))

    def validate_smoothing(self, weight: float) -> float:
        """Keep the weight in [0, 0.99]."""
        return min(max(weight, 0.0), SMOOTHINGS[-1])

    def watch_smoothing(self) -> None:
        """Draw again."""
        self.redraw()

    def watch_log_scale(self) -> None:
        """Draw on the other scale; a range of values means something else there."""
        self._y = None
        self.redraw()

    def watch_x_axis(self, old: XAxis, new: XAxis) -> None:
        """Take the cursor and the part shown along to the new axis."""
        from tui_attn.ui.charts.geometry import Span

        store = self._store
        if store is not None and store.knows(old) and store.knows(new):
            ends = (self._x.lower, self._x.upper) if self._x else ()
            moved = [store.convert(x, old, new) for x in ends]
            lower, upper = moved if len(moved) == 2 else (None, None)
            self._x = Span(lower, upper) if lower is not None and upper is not None and lower < upper else None
            self.cursor = None if self.cursor is None else store.convert(self.cursor, old, new)
        self.redraw()

    def watch_show_raw(self) -> None:
        """Draw again."""
        self.redraw()

    def watch_fit(self) -> None:
        """Draw again."""
        self.redraw()

    def watch_group_seeds(self) -> None:
        """Draw again."""
        self.redraw()

    # ---- keys

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Leave Escape to others while there is no cursor to take away."""
        return self.cursor is not None if action == "cursor_off" else True

    def action_cursor(self, columns: int) -> None:
        """Move the value cursor."""
        self.move_cursor(columns)

    def action_cursor_end(self, last: bool) -> None:
        """Put the value cursor on the first or the last point."""
        from tui_attn.ui.charts.legend import places

        xs = places(self._view.lines if self._view else [])
        if len(xs):
            self._put_cursor(float(xs[-1 if last else 0]))

    def action_cursor_off(self) -> None:
        """Take the value cursor away."""
        self.cursor = None

    def action_zoom(self, factor: float) -> None:
        """Show `factor` times as much of the x axis, around the cursor."""
        shown = self.shown_x
        if shown is not None:
            inside = self.cursor is not None and shown.lower <= self.cursor <= shown.upper
            self.show_x(shown.zoomed(factor, self.cursor if inside and self.cursor is not None else shown.at(0.5)))

    def action_pan(self, share: float) -> None:
        """Move the picture by `share` of its width."""
        if self.shown_x is not None:
            self.show_x(self.shown_x.panned(share))

    def action_zoom_y(self, factor: float) -> None:
        """Show `factor` times the range of values, around the middle."""
        if self.shown_y is not None:
            self._y = self.shown_y.zoomed(factor, self.shown_y.at(0.5))
            self.redraw()

    def action_pan_y(self, share: float) -> None:
        """Move the picture up by `share` of its height."""
        if self.shown_y is not None:
            self._y = self.shown_y.panned(share)
            self.redraw()

    def action_reset_view(self) -> None:
        """Show the whole history."""
        self.reset_view()

    def action_smooth(self, way: int) -> None:
        """Take the next weight, up or down."""
        if way > 0:
            self.smoothing = next((weight for weight in SMOOTHINGS if weight > self.smoothing + 1e-9), SMOOTHINGS[-1])
        else:
            self.smoothing = next((w for w in reversed(SMOOTHINGS) if w < self.smoothing - 1e-9), 0.0)

    def action_toggle_raw(self) -> None:
        """Show or hide raw values."""
        self.show_raw = not self.show_raw

    def action_toggle_log(self) -> None:
        """Change the scale."""
        self.log_scale = not self.log_scale

    def action_next_axis(self) -> None:
        """Take the next x axis that is known."""
        known = [axis for axis in X_AXES if self._store is None or self._store.knows(axis)] or ["step"]
        self.x_axis = known[(known.index(self._axis) + 1) % len(known)] if self._axis in known else known[0]

    def action_toggle_range(self) -> None:
        """Fit the y axis, or show all values."""
        self.fit = not self.fit

    def action_toggle_seeds(self) -> None:
        """Show seeds one by one or together."""
        self.group_seeds = not self.group_seeds

    # ---- mouse

    def _place(self, event: events.MouseEvent) -> float | None:
        """Where on the x axis the mouse is; None outside the canvas."""
        frame = self._picture.frame if self._picture else None
        offset = event.get_content_offset(self)
        if frame is None or offset is None or not frame.left <= offset.x < frame.left + frame.width:
            return None
        return frame.x_at(offset.x - frame.left)

    def on_mouse_scroll_up(self, event: events.MouseScrollUp) -> None:
        """Zoom in where the mouse is."""
        self._wheel(event, 0.8)

    def on_mouse_scroll_down(self, event: events.MouseScrollDown) -> None:
        """Zoom out."""
        self._wheel(event, 1.25)

    def _wheel(self, event: events.MouseEvent, factor: float) -> None:
        anchor, shown = self._place(event), self.shown_x
        if anchor is not None and shown is not None:
            event.stop()
            event.prevent_default()
            self.show_x(shown.zoomed(factor, anchor))

    def on_mouse_down(self, event: events.MouseDown) -> None:
        """Begin to drag."""
        if event.button == 1 and self._place(event) is not None and self.shown_x and self.shown_y:
            self._drag = (event.screen_x, event.screen_y, self.shown_x, self.shown_y)
            self.capture_mouse()

    def on_mouse_move(self, event: events.MouseMove) -> None:
        """Move the picture with the mouse."""
        frame = self._picture.frame if self._picture else None
        if self._drag is None or frame is None:
            return
        x, y, across, up = self._drag
        if event.screen_x != x:
            self.show_x(across.panned((x - event.screen_x) / frame.width))
        if event.screen_y != y and self._y is not None:
            self._y = up.panned((event.screen_y - y) / frame.height)
            self.redraw()

    def on_mouse_up(self, event: events.MouseUp) -> None:
        """Let go; without a move the cursor comes here."""
        if self._drag is None:
            return
        dragged = (event.screen_x, event.screen_y) != self._drag[:2]
        self._drag = None
        self.release_mouse()
        place = self._place(event)
        if not dragged and place is not None and self._view is not None:
            from tui_attn.ui.charts.legend import places, snapped

            xs = places(self._view.lines)
            self._put_cursor(snapped(xs, place) if len(xs) else None)

    def on_click(self, event: events.Click) -> None:
        """Two clicks show the whole history."""
        if event.chain == 2:
            self.reset_view()
