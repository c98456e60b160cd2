"""A chart of curves over training, with a value cursor, zoom, smoothing and log scale, all by keyboard."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from textual import events
from textual.binding import BindingType
from textual.strip import Strip

from tui_attn.ui.bindings import bindings
from tui_attn.ui.drawing import Lines, centred, strip_of, trimmed
from tui_attn.ui.keys import TABLES
from tui_attn.ui.protocols import ExplainsKeys

if TYPE_CHECKING:
    from tui_attn.ui.charts.canvas import Drawings
    from tui_attn.ui.charts.geometry import Span
    from tui_attn.ui.charts.plot import Picture, View
    from tui_attn.ui.charts.series import Curve, CurveStore, XAxis

SMOOTHINGS = (0.0, 0.3, 0.6, 0.8, 0.9, 0.95, 0.98, 0.99)
"""The weights that the keys go through."""


class SharedView:
    """What linked charts show alike: the x axis and the part of it in sight, the cursor, and smoothing."""

    def __init__(self) -> None:
        self.axis: XAxis = "step"
        self.log_x = False
        self.x: Span | None = None
        """The part of the x axis in sight, in powers of ten on a logarithmic axis; None for all, also as it grows."""
        self.cursor: float | None = None
        """Where on the x axis values are read out."""
        self.smoothing = 0.9
        """Weight of the past in the debiased exponential moving average, in [0, 0.99]; 0 shows the raw values."""
        self.show_raw = True
        """Whether raw values show faintly under smoothed ones."""
        self.group_seeds = True
        """Whether curves of one group are drawn as mean and band."""
        self.plots: list[MetricPlot] = []

    def change(self, **values: Any) -> None:
        """Set attributes, and draw all charts again."""
        for name, value in values.items():
            setattr(self, name, value)
        for plot in self.plots:
            plot.redraw()


class MetricPlot(ExplainsKeys, Lines, can_focus=True):
    """Curves over steps, epochs or time: the whole history, or the part that the user chose.

    Each curve has its model's colour and a marker that stays when colours are gone. Values stand at the ends of the
    lines, or in the legend where there is no room; at the cursor the legend has every curve's value.
    """

    BINDINGS: ClassVar[list[BindingType]] = bindings(TABLES["charts"])
    DEFAULT_CSS = "MetricPlot { height: 1fr; }"

    def __init__(
        self,
        title: str = "",
        *,
        percent: bool = False,
        empty: str = "waiting for the first points",
        shared: SharedView | None = None,
        id: str | None = None,
    ) -> None:
        """`title` is plain text; `percent` writes fractions as percentages.

        `empty` stands where no curve has points. Charts with the same `shared` are linked.
        """
        super().__init__(id=id)
        self.title = title
        self.percent = percent
        self.empty = empty
        self.notes: list[str] = []
        """What the first line says beside the title."""
        self.draw_seconds = 0.0
        """Processor seconds that the last drawing took."""
        self.log_scale = False
        """Whether the y axis is logarithmic; linear all the same while nothing shown is positive."""
        self.fit = True
        """Whether the y axis leaves out what only the warm-up of the curves reaches."""
        self.shared = shared or SharedView()
        self.shared.plots.append(self)
        self._curves: list[Curve] = []
        self._y: Span | None = None
        self._store: CurveStore | None = None
        self._picture: Picture | None = None
        self._view: View | None = None
        self._key: tuple[object, ...] = ()
        self._drawings: Drawings = {}
        self._drag: tuple[int, int, Span, Span] | None = None

    # ---- data

    def set_curves(self, curves: Iterable[Curve]) -> None:
        """Show `curves`, in this order. Nothing is drawn when nothing in them changed."""
        before, self._curves = self._key, list(curves)
        self._key = (
            self.title,
            self.empty,
            tuple(self.notes),
            *((c.id, c.label, c.color, c.group, c.faint, c.dimmed, c.revision, len(c.values)) for c in self._curves),
        )
        if self._key != before:
            self.redraw()

    def lines(self, width: int, height: int) -> Sequence[Strip]:
        """Draw the chart. The libraries that this needs are loaded when there is first a point to draw."""
        styles, shared, curves = self.drawing, self.shared, self._curves
        if not any(len(curve.values) for curve in curves):
            self._view = self._picture = None
            title = trimmed(self.title, width, styles)
            rest = centred(self.empty, width, height - 1, styles)
            return [strip_of([(title, "focused" if self.has_focus else "title")], width, styles), *rest]
        from tui_attn.ui.charts.plot import View, compose
        from tui_attn.ui.charts.series import CurveStore

        self._store = store = self._store or CurveStore()
        axis, log_x = self._axis, shared.log_x
        found = store.lines(
            curves, axis, log=log_x, smoothing=shared.smoothing, show_raw=shared.show_raw, grouped=shared.group_seeds
        )
        view = self._view = View(
            found,
            title=self.title,
            percent=self.percent,
            axis=axis,
            log_x=log_x,
            log=self.log_scale,
            x=shared.x,
            y=self._y,
            cursor=shared.cursor,
            smoothing=shared.smoothing,
            focused=self.has_focus,
            fit=self.fit,
            empty=self.empty,
            kept=self._drawings,
            notes=[*self.notes, *([f"{shared.axis} not known"] if axis != shared.axis else [])],
        )
        begun = time.thread_time()
        self._picture = compose(view, width, height, styles)
        self.draw_seconds = time.thread_time() - begun
        return self._picture.strips

    @property
    def _axis(self) -> XAxis:
        """The x axis in use: steps where the chosen one isn't known."""
        from tui_attn.ui.charts.series import known_axes

        asked = self.shared.axis
        return asked if not self._curves or asked in known_axes(self._curves) else "step"

    # ---- what is shown

    @property
    def shown_x(self) -> Span | None:
        """The visible part of the x axis; None while nothing is drawn."""
        return self._picture.frame.x if self._picture and self._picture.frame else None

    @property
    def shown_y(self) -> Span | None:
        """The visible range of values, in powers of ten on a logarithmic axis."""
        return self._picture.frame.y if self._picture and self._picture.frame else None

    @property
    def zoomed(self) -> bool:
        """Whether less, or something else, is shown than the whole history."""
        return self.shared.x is not None or self._y is not None

    def show_x(self, span: Span | None) -> None:
        """Show `span` of the x axis, cut to the history; None: all of it, also as it grows."""
        full = self._picture.full if self._picture else None
        if span is not None and full is not None:
            span = span.within(full)
            span = None if span == full else span
        self.shared.change(x=span)

    def _put_cursor(self, x: float | None) -> None:
        """Move the cursor, and pan where it would leave the visible part."""
        shown = self.shown_x
        if x is not None and shown is not None and not shown.lower <= x <= shown.upper:
            self.show_x(shown.panned((x - shown.lower) / shown.width - 0.5))
        self.shared.change(cursor=x)

    def show_axis(self, axis: XAxis, log_x: bool) -> None:
        """Take another x axis, and the cursor and the part in sight along to it."""
        from tui_attn.ui.charts.geometry import Span
        from tui_attn.ui.charts.series import convert

        shared = self.shared

        def taken(x: float | None) -> float | None:
            return None if x is None else convert(self._curves, x, (self._axis, shared.log_x), (axis, log_x))

        lower, upper = (taken(shared.x.lower), taken(shared.x.upper)) if shared.x else (None, None)
        span = Span(lower, upper) if lower is not None and upper is not None and lower < upper else None
        shared.change(cursor=taken(shared.cursor), x=span, axis=axis, log_x=log_x)

    # ---- keys

    def why_not(self, action: str, parameters: tuple[object, ...]) -> str | None:
        """Return why `action` can't be done now; None where it can be."""
        if not self._curves:
            return self.empty
        possible, reason = {
            "cursor_off": (self.shared.cursor is not None, "there is no value cursor: left and right put one"),
            "toggle_raw": (self.shared.smoothing > 0, "the curves show the raw values: ] smooths them"),
            "toggle_seeds": (any(curve.group is not None for curve in self._curves), "there is one seed of each model"),
        }.get(action, (True, ""))
        return None if possible else reason

    def action_cursor(self, columns: int) -> None:
        """Move the value cursor by about that many columns, always from point to point."""
        from tui_attn.ui.charts.legend import moved

        if self._view is None or self._picture is None or self._picture.frame is None:
            return
        x = moved(self._view.lines, self._picture.frame, self.shared.cursor, columns)
        if x is not None:
            self._put_cursor(x)

    def action_cursor_end(self, last: bool) -> None:
        """Put the value cursor on the first or the last point."""
        from tui_attn.ui.charts.legend import places

        xs = places(self._view.lines if self._view else [])
        if len(xs):
            self._put_cursor(float(xs[-1 if last else 0]))

    def action_cursor_off(self) -> None:
        """Take the value cursor away."""
        self.shared.change(cursor=None)

    def action_zoom(self, factor: float) -> None:
        """Show `factor` times as much of the x axis, around the cursor."""
        shown, cursor = self.shown_x, self.shared.cursor
        if shown is not None:
            inside = cursor is not None and shown.lower <= cursor <= shown.upper
            self.show_x(shown.zoomed(factor, cursor if inside and cursor is not None else shown.at(0.5)))

    def action_pan(self, share: float) -> None:
        """Pan by `share` of the width."""
        if self.shown_x is not None:
            self.show_x(self.shown_x.panned(share))

    def action_zoom_y(self, factor: float) -> None:
        """Show `factor` times the range of values, around the middle."""
        if self.shown_y is not None:
            self._y = self.shown_y.zoomed(factor, self.shown_y.at(0.5))
            self.redraw()

    def action_pan_y(self, share: float) -> None:
        """Pan up by `share` of the height."""
        if self.shown_y is not None:
            self._y = self.shown_y.panned(share)
            self.redraw()

    def action_reset_view(self) -> None:
        """Show the whole history again."""
        for plot in self.shared.plots:
            plot._y = None
        self.shared.change(x=None)

    def action_smooth(self, way: int) -> None:
        """Take the next weight, up or down."""
        now = self.shared.smoothing
        steps = SMOOTHINGS if way > 0 else SMOOTHINGS[::-1]
        self.shared.change(smoothing=next((w for w in steps if (w - now) * way > 1e-9), steps[-1]))

    def action_toggle_raw(self) -> None:
        """Show or hide raw values."""
        self.shared.change(show_raw=not self.shared.show_raw)

    def action_toggle_log(self) -> None:
        """Change the scale of the values; a range of values means something else there."""
        self.log_scale, self._y = not self.log_scale, None
        self.redraw()

    def action_toggle_log_x(self) -> None:
        """Change the scale of the x axis."""
        self.show_axis(self.shared.axis, not self.shared.log_x)

    def action_next_axis(self) -> None:
        """Take the next x axis that is known."""
        from tui_attn.ui.charts.series import known_axes

        known = known_axes(self._curves) or ["step"]
        at = known.index(self._axis) if self._axis in known else -1
        self.show_axis(known[(at + 1) % len(known)], self.shared.log_x)

    def action_toggle_range(self) -> None:
        """Fit the y axis, or show all values."""
        self.fit = not self.fit
        self.redraw()

    def action_toggle_seeds(self) -> None:
        """Show seeds one by one or together."""
        self.shared.change(group_seeds=not self.shared.group_seeds)

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
        """Pan with the mouse."""
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
        """End the drag; a click without one puts the cursor here."""
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
            self.action_reset_view()
