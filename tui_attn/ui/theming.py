"""An app that draws with what its terminal can show: colours by theme and terminal, or none, or ASCII only."""

from __future__ import annotations

from typing import ClassVar

from rich.color import ColorSystem
from rich.style import Style

from tui_attn.experiment.model_info import CurveStyle
from tui_attn.system.console import ascii_only
from tui_attn.ui import themes
from tui_attn.ui.drawing import Lines
from tui_attn.ui.options import UiOptions
from tui_attn.ui.painter import PaintingApp
from tui_attn.ui.styles import STYLE_NAMES, Colors, DrawingMode, Styles
from tui_attn.ui.terminal import light_background

_COLORS: dict[ColorSystem | None, Colors] = {
    ColorSystem.TRUECOLOR: "true",
    ColorSystem.EIGHT_BIT: "256",
    ColorSystem.STANDARD: "16",
}


class ThemedApp(PaintingApp, inherit_bindings=False):
    """Has one of our themes, and the styles of `drawing` by name."""

    COMPONENT_CLASSES: ClassVar[set[str]] = set(STYLE_NAMES)
    DEFAULT_CSS = """
    ThemedApp {
        & > .normal { color: $foreground; }
        & > .bold { color: $foreground; text-style: bold; }
        & > .title { color: $title; text-style: bold; }
        & > .focused { color: $primary; text-style: bold; }
        & > .key { color: $primary; text-style: bold; }
        & > .cursor { color: $accent; text-style: bold; }
        & > .primary { color: $primary; }
        & > .muted { color: $muted; }
        & > .faint { color: $faint; }
        & > .rule { color: $rule; }
        & > .grid { color: $grid; }
        & > .warning { color: $warning; text-style: bold; }
        & > .failed { color: $failed; text-style: bold; }
        & > .running { color: $running; }
        & > .held { color: $held; }
        & > .done { color: $done; }
        & > .gone { color: $gone; }
    }
    """

    def __init__(self, options: UiOptions) -> None:
        self._wants_ascii = ascii_only() if options.ascii is None else options.ascii
        super().__init__(ascii_only=self._wants_ascii)
        self._terminal_colors = self.color_system
        self._model_styles: dict[str, CurveStyle] = {}
        self._register_themes()
        few = self._terminal_colors in {ColorSystem.STANDARD, None}
        self.use_theme(options.theme or ("terminal" if few and not self.no_color else "dark"))
        self.stylesheet.set_variables(self.theme_variables)
        self._parsed_theme: str | None = self.theme
        """The theme whose variables the stylesheet is first parsed with; None once another was chosen."""

    def _register_themes(self) -> None:
        light = light_background()
        for theme in themes.ALL.values():
            shown = themes.in_256(theme) if self._terminal_colors == ColorSystem.EIGHT_BIT else theme
            self.register_theme(themes.on_light(shown) if shown.ansi and light else shown)

    def use_rgb(self) -> None:
        """Show the theme in its own colours, not in the nearest of 256."""
        super().use_rgb()
        self._terminal_colors = self.color_system
        self._register_themes()
        self.use_theme(self.theme)
        self.mutate_reactive(ThemedApp.theme)

    def use_theme(self, name: str) -> None:
        """Draw in the theme `name`, one of `THEMES`."""
        self.theme = name
        self.ascii_only = self._wants_ascii or name == "ascii"
        own_colors = name in {"terminal", "ascii"} and self._terminal_colors is not None
        system = ColorSystem.STANDARD if own_colors else self._terminal_colors
        colors: Colors = "none" if self.no_color else _COLORS.get(system, "true")
        self.set_drawing_mode(DrawingMode(colors=colors, ascii=self.ascii_only))
        self.set_color_system(system)

    def set_drawing_mode(self, mode: DrawingMode) -> None:
        """Draw in `mode`."""
        variables = self.get_css_variables()
        self.drawing = Styles(
            self._component_style,
            mode,
            dark=self.current_theme.dark,
            background=variables["background"],
            selected=variables["selected"],
            given=self._model_styles,
        )

    def refresh_css(self, animate: bool = True) -> None:
        """Take over the styles of a new theme. At the start, when Textual asks too, the stylesheet has them."""
        if self.theme != self._parsed_theme:
            self._parsed_theme = None
            super().refresh_css(animate)
        self.set_drawing_mode(self.drawing.mode)
        for screen in self.screen_stack:
            for panel in screen.query(Lines):
                panel.redraw()

    def _component_style(self, name: str) -> Style:
        return self.get_component_styles(name).rich_style
