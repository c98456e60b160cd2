"""An app that draws with what its terminal can show: colours by theme and terminal, or none, or ASCII only."""

from __future__ import annotations

from rich.color import ColorSystem

from tui_attn.ui import themes
from tui_attn.ui.charts.mode import Colors, DrawingMode
from tui_attn.ui.options import UiOptions
from tui_attn.ui.painter import PaintingApp
from tui_attn.ui.styles import Inks
from tui_attn.ui.terminal import ascii_only, light_background

_COLORS: dict[ColorSystem | None, Colors] = {
    ColorSystem.TRUECOLOR: "true",
    ColorSystem.EIGHT_BIT: "256",
    ColorSystem.STANDARD: "16",
}


class ThemedApp(PaintingApp, inherit_bindings=False):
    """Has one of our themes, `inks` for the widgets and a `drawing_mode` for the charts."""

    def __init__(self, options: UiOptions) -> None:
        self._wants_ascii = ascii_only() if options.ascii is None else options.ascii
        super().__init__(ascii_only=self._wants_ascii)
        self._terminal_colors = self.color_system
        light = light_background()
        for theme in themes.ALL.values():
            self.register_theme(themes.on_light(theme) if theme.ansi and light else theme)
        few = self._terminal_colors in {ColorSystem.STANDARD, None}
        self.use_theme(options.theme or ("terminal" if few and not self.no_color else "dark"))

    def use_theme(self, name: str) -> None:
        """Draw in the theme `name`, one of `THEMES`."""
        self.theme = name
        self.set_ascii_only(self._wants_ascii or name == "ascii")
        own_colors = name in {"terminal", "ascii"} and self._terminal_colors is not None
        system = ColorSystem.STANDARD if own_colors else self._terminal_colors
        colors: Colors = "none" if self.no_color else _COLORS.get(system, "true")
        self.drawing_mode = DrawingMode(colors=colors, ascii=self.ascii_only)
        self.inks = Inks(self.get_css_variables(), self.drawing_mode, dark=self.current_theme.dark)
        self.set_color_system(system)
