"""The styles that widgets draw with, by name, for the theme in use."""

from __future__ import annotations

from collections.abc import Mapping

from rich.color import Color as RichColor
from rich.style import Style
from textual.color import Color

from tui_attn.ui.charts.mode import DEFAULT_MODE, DrawingMode

_BOLD = frozenset({"bold", "title", "focused", "failed", "warning", "key"})
_VARIABLES = {"normal": "foreground", "bold": "foreground", "focused": "primary", "key": "primary"}
"""Names that differ from their theme variable's."""


class Inks:
    """Styles by name: `normal`, `bold`, `focused`, `key`, `model:NAME`, or a variable of the theme.

    Each on the usual background or on that of what is selected. `paint:RRGGBB:RRGGBB` are a foreground and a background
    of their own, for values and pictures: only to be used where the terminal has shades, or with the greys of its 16.
    """

    def __init__(self, variables: Mapping[str, str], mode: DrawingMode = DEFAULT_MODE, *, dark: bool = True) -> None:
        self._variables = variables
        self._mode = mode
        self._dark = dark
        self._styles: dict[tuple[str, bool], Style] = {}

    def __call__(self, name: str, selected: bool = False) -> Style:
        """The style called `name`. Raises `KeyError` for one there isn't."""
        found = self._styles.get((name, selected))
        if found is None and name.startswith("paint:"):
            found = self._styles[name, selected] = self._painted(*name.split(":")[1:])
        if found is None:
            background = self._theme_color("selected" if selected else "background")
            # Without colours a line tells what has the keyboard.
            under = True if name == "focused" and self._mode.colors == "none" else None
            bold = True if name in _BOLD else None
            found = Style(color=self._color(name), bgcolor=background, bold=bold, underline=under)
            self._styles[name, selected] = found
        return found

    def _painted(self, foreground: str, background: str) -> Style:
        from tui_attn.ui.charts.palette import of_256

        def color(text: str) -> RichColor:
            red, green, blue = bytes.fromhex(text)
            grey = red == green == blue  # of which the 256 have enough, and Rich finds the next
            found = of_256((red, green, blue)) if self._mode.colors == "256" and not grey else (red, green, blue)
            return Color(*found).rich_color

        return Style(color=color(foreground), bgcolor=color(background))

    def _color(self, name: str) -> RichColor:
        if name.startswith("model:"):
            from tui_attn.ui.charts.palette import curve_color  # not needed for the first frame

            return Color(*curve_color(name.removeprefix("model:"), self._mode, self._dark)).rich_color
        return self._theme_color(_VARIABLES.get(name, name))

    def _theme_color(self, variable: str) -> RichColor:
        return Color.parse(self._variables[variable]).rich_color
