"""The base of the widgets that draw themselves line by line: drawn when something changed, repainted where it shows."""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar

from rich.style import Style
from textual.binding import Binding
from textual.geometry import Region
from textual.reactive import reactive
from textual.strip import Strip
from textual.widget import Widget

from tui_attn.ui.charts.cells import changes
from tui_attn.ui.charts.chart_style import Look
from tui_attn.ui.charts.keys import KeyRow
from tui_attn.ui.charts.mode import DrawingMode, drawing_mode


def bindings(rows: Iterable[KeyRow]) -> list[Binding]:
    """Return Textual's bindings for a table of keys."""
    return [
        Binding(keys, action, label, show=show, id=id_, tooltip=tooltip)
        for id_, keys, action, label, tooltip, show in rows
    ]


def look_of(widget: Widget, own: DrawingMode | None) -> Look:
    """Return how the theme of `widget` colours a surface; it must have the component classes of `Surface`."""
    mode = drawing_mode(widget.app, own)
    plain = mode.colors == "none"

    def style(part: str) -> Style:
        found = widget.get_component_rich_style(f"surface--{part}")
        color = None if plain else found.color
        return Style(color=color, bold=found.bold, dim=found.dim, reverse=found.reverse, underline=found.underline)

    return Look(
        mode=mode,
        dark=widget.app.current_theme.dark,
        background=widget.background_colors[1].rgb,
        text=style("text"),
        title=style("title"),
        muted=style("muted"),
        rule=style("rule"),
        grid=style("grid"),
        cursor=style("cursor"),
        warning=style("warning"),
        focus=(style("focus") + Style(underline=plain or None)) if widget.has_focus else None,
    )


class Surface(Widget):
    """A widget made of strips that a subclass draws whole in `draw`.

    Call `invalidate` when anything that `draw` looks at changed: one drawing follows, however many calls there were,
    and of it only the cells that differ are painted.
    """

    COMPONENT_CLASSES: ClassVar[set[str]] = {
        "surface--text",
        "surface--title",
        "surface--muted",
        "surface--rule",
        "surface--grid",
        "surface--cursor",
        "surface--warning",
        "surface--focus",
    }
    """
    | Class | Description |
    | :- | :- |
    | `surface--text` | Plain text, and cells with nothing in them. |
    | `surface--title` | The title, and values. |
    | `surface--muted` | Labels of ticks, notes. |
    | `surface--rule` | Axes. |
    | `surface--grid` | Lines at the ticks. |
    | `surface--cursor` | The value cursor. |
    | `surface--warning` | What needs attention. |
    | `surface--focus` | The title of what has the keyboard. |
    """
    DEFAULT_CSS = """
    Surface {
        & > .surface--text { color: $foreground; }
        & > .surface--title { color: $foreground; text-style: bold; }
        & > .surface--muted { color: $foreground 65%; }
        & > .surface--rule { color: $foreground 40%; }
        & > .surface--grid { color: $foreground 16%; }
        & > .surface--cursor { color: $text-accent; text-style: bold; }
        & > .surface--warning { color: $text-warning; }
        & > .surface--focus { color: $primary; text-style: bold; }
        &:ansi > .surface--muted { color: ansi_default; }
        &:ansi > .surface--rule { color: ansi_bright_black; }
        &:ansi > .surface--grid { color: ansi_bright_black; }
    }
    """
    ALLOW_SELECT = False

    mode: reactive[DrawingMode | None] = reactive[DrawingMode | None](None, init=False, repaint=False)
    """How to draw; None asks the app's `drawing_mode`."""

    def __init__(
        self,
        *,
        name: str | None = None,
        id: str | None = None,
        classes: str | None = None,
        disabled: bool = False,
    ) -> None:
        super().__init__(name=name, id=id, classes=classes, disabled=disabled)
        self._strips: list[Strip] = []
        self._drawn: tuple[int, int] | None = None
        self._pending = False
        self._shown_once = False

    def draw(self, width: int, height: int, look: Look) -> list[Strip]:
        """Return `height` strips of `width` cells."""
        raise NotImplementedError

    def invalidate(self) -> None:
        """Have this drawn anew, soon and once."""
        if not self._pending and self.is_attached and self.is_mounted:
            self._pending = True
            # Drawing needs libraries that take a while to load: the first frame doesn't wait for them.
            (self.call_next if self._shown_once else self.call_after_refresh)(self._redraw)

    def _redraw(self) -> None:
        self._pending = False
        self._shown_once = True
        width, height = self.size
        if not width or not height or not self.is_attached:
            self._drawn = None
            return
        if not self._in_sight:
            return
        strips = self._painted(width, height)
        if self._drawn == (width, height):
            regions = [Region(x, y, n, 1) for y, x, n in changes(self._strips, strips)]
            self._strips = strips
            if regions:
                self.refresh(*regions)
            return
        self._strips, self._drawn = strips, (width, height)
        self.refresh()

    @property
    def _in_sight(self) -> bool:
        """Whether no other screen covers this one's."""
        for screen in reversed(self.app.screen_stack):
            if screen is self.screen:
                return True
            if not screen.is_modal:
                return False
        return False

    def _painted(self, width: int, height: int) -> list[Strip]:
        """Draw, and put the widget's background under it."""
        base = Style(bgcolor=self.background_colors[1].rich_color)
        return [strip.apply_style(base) for strip in self.draw(width, height, look_of(self, self.mode))]

    def render_line(self, y: int) -> Strip:
        """Return a line of what was drawn; draws first when the size is a new one."""
        width, height = self.size
        if self._drawn != (width, height):
            if not self._shown_once:
                self.invalidate()
                return Strip.blank(width, self.visual_style.rich_style)
            self._strips, self._drawn = self._painted(width, height), (width, height)
        return self._strips[y] if y < len(self._strips) else Strip.blank(width, self.visual_style.rich_style)

    def on_mount(self) -> None:
        """Draw after the first frame, and catch up whenever another screen goes."""
        self.app.screen_change_signal.subscribe(self, lambda _screen: self.invalidate())
        self.invalidate()

    def on_show(self) -> None:
        """Catch up with what happened while hidden."""
        self.invalidate()

    def on_resize(self) -> None:
        """Fit the new size."""
        self.invalidate()

    def on_focus(self) -> None:
        """Show it in the title."""
        self.invalidate()

    def on_blur(self) -> None:
        """Show it in the title."""
        self.invalidate()

    def notify_style_update(self) -> None:
        """Take over the new theme."""
        super().notify_style_update()
        self.invalidate()

    def watch_mode(self) -> None:
        """Draw in the new mode."""
        self.invalidate()
