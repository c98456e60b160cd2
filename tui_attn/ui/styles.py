"""What the terminal can show, and the styles that panels and charts draw with, by name."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Literal, NamedTuple

from rich.color import Color
from rich.style import Style
from textual.color import Color as ThemeColor

from tui_attn.experiment.model_info import MODELS, RGB, CurveStyle, further_style

Colors = Literal["true", "256", "16", "none"]
"""True colour, the 256-colour palette, the 16 ANSI colours, or none at all (NO_COLOR)."""

STYLE_NAMES = frozenset(
    {"normal", "bold", "title", "focused", "key", "muted", "faint", "rule", "grid", "cursor", "primary"}
    | {"warning", "failed", "running", "held", "done", "gone"}
)
"""The component classes of the app: CSS decides how each of these looks."""


class DrawingMode(NamedTuple):
    """What a drawing may use of the terminal."""

    colors: Colors = "true"
    ascii: bool = False
    """Draw with the 95 printable ASCII characters only."""

    @property
    def shades(self) -> bool:
        """Whether there are enough colours to tell values apart by colour alone."""
        return self.colors in {"true", "256"}


@lru_cache(maxsize=4096)
def _style(fg: RGB | None, bg: RGB | None, bold: bool, dim: bool) -> Style:
    return Style(
        color=None if fg is None else Color.from_rgb(*fg),
        bgcolor=None if bg is None else Color.from_rgb(*bg),
        bold=bold or None,
        dim=dim or None,
    )


class Styles:
    """Styles by name, and styles of given colours, for one theme on one kind of terminal.

    A name is one of `STYLE_NAMES`, or `model:NAME` for the colour of a model. No named style has a background: panels
    draw on that of the theme, or of the selected line.
    """

    def __init__(
        self,
        look_up: Callable[[str], Style],
        mode: DrawingMode,
        *,
        dark: bool,
        background: str,
        selected: str,
        given: dict[str, CurveStyle] | None = None,
    ) -> None:
        """`look_up` returns the style of a component class; `background` and `selected` are colours of the theme.

        `given` keeps the styles of models without one of their own from theme to theme, in the order of their use.
        """
        self._given = {} if given is None else given
        self.mode = mode
        self.dark = dark
        under, chosen = ThemeColor.parse(background), ThemeColor.parse(selected)
        self.background: RGB = under.rgb
        self.under = Style(bgcolor=under.rich_color)
        """The background of panels, and of a line that is selected."""
        self.under_selected = Style(bgcolor=chosen.rich_color)
        self._look_up = look_up
        self._named: dict[str, Style] = {}

    def __call__(self, name: str | Style) -> Style:
        """Return the style called `name`, or `name` itself where it is a style."""
        if isinstance(name, Style):
            return name
        found = self._named.get(name)
        if found is None:
            found = self._named[name] = self._make(name)
        return found

    def _make(self, name: str) -> Style:
        if name.startswith("model:"):
            return self.curve(name.removeprefix("model:"))
        found = self._look_up(name)
        plain = self.mode.colors == "none"
        # Without colours an underline shows what has the keyboard.
        return Style(
            color=None if plain else found.color,
            bold=found.bold or None,
            underline=True if plain and name == "focused" else None,
        )

    def style(self, fg: RGB | None = None, bg: RGB | None = None, *, bold: bool = False, dim: bool = False) -> Style:
        """Return a style of these colours, or of none where there are none."""
        if self.mode.colors == "none":
            fg = bg = None
        elif self.mode.colors == "256":
            from tui_attn.ui.charts.palette import of_256

            fg, bg = fg and of_256(fg), bg and of_256(bg)
        return _style(fg, bg, bold, dim)

    def pixels(self, upper: RGB, lower: RGB) -> Style:
        """Return the style of two pixels of a picture, one above the other in a cell."""
        # The 256 colours have enough greys, and Rich finds the nearest.
        grey = len({*upper}) == len({*lower}) == 1
        return _style(upper, lower, False, False) if grey else self.style(upper, lower)

    def curve(self, key: str, *, bold: bool = False, share: float = 1.0) -> Style:
        """Return the style of a curve with palette key `key`; a `share` below 1 fades it into the background."""
        from tui_attn.ui.charts.palette import faded  # not needed for the first frame

        color = faded(self.ink(key), self.mode, self.dark, self.background, share)
        return self.style(color, bold=bold, dim=share < 1 and self.mode.colors == "none")

    def tint(self, key: str, share: float) -> RGB:
        """Return the background of that curve's band, `share` of its colour."""
        from tui_attn.ui.charts.palette import blend

        return blend(self.background, self.ink(key).dark if self.dark else self.ink(key).light, share)

    def ink(self, key: str) -> CurveStyle:
        """Return the style of palette key `key`: that of a model, for any other key the next free one from then on."""
        own = MODELS[key].style if key in MODELS else None
        return own or self._given.setdefault(key, further_style(len(self._given)))

    def marker(self, key: str) -> str:
        """Return the character that tells that curve apart without colour."""
        return self.ink(key).ascii_marker if self.mode.ascii else self.ink(key).marker
