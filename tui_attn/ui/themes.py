"""The themes: the only place where the dashboard's colours are written down (curves: `CurveStyle` in model_info)."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Any

from textual.theme import Theme

from tui_attn.ui.options import THEMES

_COLORS = {
    "primary": ("#6cb6ff", "#5fafff", "#0a5fb4", "#005faf", "#56b4e9", "#5fafd7"),
    "accent": ("#d2a8ff", "#d7afff", "#7a3fb8", "#8700af", "#e69f00", "#d7af00"),
    "success": ("#6bc46d", "#5fd787", "#1a7f37", "#005f00", "#56b4e9", "#5fafd7"),
    "warning": ("#daaa3f", "#d7af5f", "#8f5a00", "#5f5f00", "#f0e442", "#ffd700"),
    "error": ("#f47067", "#ff8787", "#c3242b", "#af0000", "#ee8434", "#ff8700"),
    "foreground": ("#cdd6df", "#dadada", "#1f2933", "#262626", "#d8dde2", "#dadada"),
    "background": ("#10151b", "#121212", "#fcfcfa", "#ffffff", "#0e1116", "#121212"),
    "surface": ("#10151b", "#121212", "#fcfcfa", "#ffffff", "#0e1116", "#121212"),
    "panel": ("#1b232d", "#1c1c1c", "#eceeef", "#eeeeee", "#1b222b", "#1c1c1c"),
    "rule": ("#323d4a", "#3a3a3a", "#c6ccd2", "#c6c6c6", "#35404c", "#3a3a3a"),
    "grid": ("#2e343a", "#303030", "#d9dadb", "#dadada", "#2e3237", "#303030"),
    "title": ("#e6edf3", "#eeeeee", "#0b1117", "#121212", "#f2f5f7", "#ffffff"),
    "muted": ("#8b98a5", "#adadad", "#596673", "#585858", "#929ea9", "#adadad"),
    "faint": ("#74818d", "#858585", "#687380", "#7a7a7a", "#788591", "#858585"),
    "selected": ("#1f2a36", "#303030", "#e2eaf2", "#ebebeb", "#21303d", "#303030"),
    "running": ("#6bc46d", "#5fd787", "#23782d", "#005f00", "#56b4e9", "#5fafd7"),
    "held": ("#f0883e", "#ff8700", "#645f0a", "#5f5f00", "#f0eb4b", "#ffd700"),
    "failed": ("#f57369", "#ff8787", "#c80a2d", "#af0000", "#ee8434", "#ff8700"),
    "done": ("#aaafc8", "#afafd7", "#44566b", "#005f87", "#f0d2d2", "#d7d7af"),
    "gone": ("#c98ae0", "#d787d7", "#8a3b9e", "#8700af", "#ff6400", "#d7875f"),
}
"""Of the dark, the light and the colour-blind theme: each colour, and beside it the one of the 256 that stands for it.

The colour-blind theme tells states apart by lightness and the blue-orange axis, which every common colour vision
deficiency keeps. The 256 are picked by hand, because the nearest ones would be black and navy; Rich draws a grey as the
next darker.
"""
_SCHEMES = ("dark", "light", "colour-blind")
_ANSI = {
    "default": "foreground background surface panel boost title muted selected scrollbar-background"
    " scrollbar-corner-color scrollbar-background-hover scrollbar-background-active",
    "bright_black": "rule grid faint scrollbar scrollbar-hover border-blurred",
    "cyan": "primary",
    "bright_magenta": "accent",
    "green": "success running",
    "yellow": "warning",
    "bright_red": "error failed",
    "bright_blue": "held",
    "white": "done scrollbar-active ansi-foreground",
    "bright_white": "gone",
    "black": "ansi-background",
}
"""What has which of the terminal's own sixteen colours: the bright red and magenta, as the others are hardly read on
black."""
_ANSI_ON_LIGHT = {
    "red": "error failed",
    "cyan": "held",
    "bright_black": "done",
    "black": "gone",
    "magenta": "accent",
}
"""What has another one on a light background, where the bright ones are hardly read."""
_FIELDS = frozenset(field.name for field in fields(Theme))


def _colored(theme: Theme, colors: dict[str, str]) -> Theme:
    """`theme` in `colors`: Textual's own by attribute, ours as variables."""
    own: dict[str, Any] = {name: color for name, color in colors.items() if name in _FIELDS}
    return replace(theme, variables=theme.variables | {name: colors[name] for name in colors.keys() - own}, **own)


def _by_name(of_colors: dict[str, str]) -> dict[str, str]:
    return {name: f"ansi_{color}" for color, names in of_colors.items() for name in names.split()}


def _theme(name: str) -> Theme:
    at = 2 * _SCHEMES.index(name)
    return _colored(Theme(name, primary="", dark=name != "light"), {part: found[at] for part, found in _COLORS.items()})


def in_256(theme: Theme) -> Theme:
    """A theme in colours that a terminal of 256 has; those of the terminal's own sixteen stay."""
    if theme.name not in _SCHEMES:
        return theme
    at = 2 * _SCHEMES.index(theme.name) + 1
    return _colored(theme, {name: found[at] for name, found in _COLORS.items()})


def on_light(theme: Theme) -> Theme:
    """A theme of the terminal's own colours for a light background."""
    return _colored(replace(theme, dark=False), _by_name(_ANSI_ON_LIGHT))


DARK, LIGHT, COLOUR_BLIND = map(_theme, _SCHEMES)
TERMINAL = _colored(Theme("terminal", primary="", ansi=True), _by_name(_ANSI))
"""The terminal's own sixteen colours on its own background."""
ASCII = replace(TERMINAL, name="ascii")
"""The same, for terminals without line drawing: what draws in this theme keeps to ASCII."""
ALL: dict[str, Theme] = dict(zip(THEMES, (DARK, LIGHT, COLOUR_BLIND, TERMINAL, ASCII), strict=True))
"""Every theme by the name that the user gives."""
