"""What a widget's theme makes of the parts of a chart."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

from rich.color import Color
from rich.style import Style

from tui_attn.experiment.model_info import RGB
from tui_attn.ui.charts.mode import DrawingMode
from tui_attn.ui.charts.palette import blend, curve_color, faint_color, of_256


@lru_cache(maxsize=4096)
def _style(fg: RGB | None, bg: RGB | None, bold: bool, dim: bool, reverse: bool) -> Style:
    return Style(
        color=None if fg is None else Color.from_rgb(*fg),
        bgcolor=None if bg is None else Color.from_rgb(*bg),
        bold=bold or None,
        dim=dim or None,
        reverse=reverse or None,
    )


@dataclass(frozen=True)
class Look:
    """Styles for everything that isn't a value or a curve, and the means to colour those."""

    mode: DrawingMode
    dark: bool
    background: RGB
    text: Style
    title: Style
    muted: Style
    rule: Style
    """Axes and their ticks."""
    grid: Style
    cursor: Style
    warning: Style
    focus: Style | None = None
    """The title of what has the keyboard; None: as any title."""

    def style(
        self,
        fg: RGB | None = None,
        bg: RGB | None = None,
        *,
        bold: bool = False,
        dim: bool = False,
        reverse: bool = False,
    ) -> Style:
        """Return a style, without colours where there are none."""
        if self.mode.colors == "none":
            fg = bg = None
        elif self.mode.colors == "256":
            fg, bg = fg and of_256(fg), bg and of_256(bg)
        return _style(fg, bg, bold, dim, reverse)

    def curve(self, key: str, *, bold: bool = False) -> Style:
        """Return the style of a curve with palette key `key`."""
        return self.style(curve_color(key, self.mode, self.dark), bold=bold)

    def faint(self, key: str) -> Style:
        """Return the style of what stands behind that curve."""
        return self.style(faint_color(key, self.mode, self.dark, self.background), dim=self.mode.colors == "none")

    def tint(self, key: str, under: RGB | None = None) -> RGB:
        """Return the background of that curve's band, on `under` where bands overlap."""
        return blend(under or self.background, curve_color(key, self.mode, self.dark), 0.22)
