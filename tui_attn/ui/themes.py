"""The themes: the only place where the dashboard's colours are written down (the curves' are in charts/palette.py)."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from textual.theme import Theme

from tui_attn.ui.options import THEMES


def _theme(name: str, *, variables: dict[str, str], **colors: str | bool) -> Theme:
    return Theme(name=name, variables=variables, **colors)  # type: ignore[arg-type]


DARK = _theme(
    "dark",
    primary="#6cb6ff",
    secondary="#96d0ff",
    accent="#d2a8ff",
    success="#6bc46d",
    warning="#daaa3f",
    error="#f47067",
    foreground="#cdd6df",
    background="#10151b",
    surface="#10151b",
    panel="#1b232d",
    variables={
        "rule": "#323d4a",
        "grid": "#2e343a",
        "title": "#e6edf3",
        "muted": "#8b98a5",
        "faint": "#74818d",
        "selected": "#1f2a36",
        "running": "#6bc46d",
        "held": "#f0883e",
        "failed": "#f57369",
        "done": "#aaafc8",
        "gone": "#c98ae0",
    },
)

LIGHT = _theme(
    "light",
    dark=False,
    primary="#0a5fb4",
    secondary="#0969da",
    accent="#7a3fb8",
    success="#1a7f37",
    warning="#8f5a00",
    error="#c3242b",
    foreground="#1f2933",
    background="#fcfcfa",
    surface="#fcfcfa",
    panel="#eceeef",
    variables={
        "rule": "#c6ccd2",
        "grid": "#d9dadb",
        "title": "#0b1117",
        "muted": "#596673",
        "faint": "#687380",
        "selected": "#e2eaf2",
        "running": "#23782d",
        "held": "#645f0a",
        "failed": "#c80a2d",
        "done": "#44566b",
        "gone": "#8a3b9e",
    },
)

# States by lightness and the blue-orange axis only, which every common colour vision deficiency keeps.
COLOUR_BLIND = _theme(
    "colour-blind",
    primary="#56b4e9",
    secondary="#8fcdf2",
    accent="#e69f00",
    success="#56b4e9",
    warning="#f0e442",
    error="#ee8434",
    foreground="#d8dde2",
    background="#0e1116",
    surface="#0e1116",
    panel="#1b222b",
    variables={
        "rule": "#35404c",
        "grid": "#2e3237",
        "title": "#f2f5f7",
        "muted": "#929ea9",
        "faint": "#788591",
        "selected": "#21303d",
        "running": "#56b4e9",
        "held": "#f0eb4b",
        "failed": "#ee8434",
        "done": "#f0d2d2",
        "gone": "#ff6400",
    },
)

# The terminal's own sixteen colours on its own background. Red and magenta are the bright ones: the others are hardly
# read on black.
TERMINAL = _theme(
    "terminal",
    ansi=True,
    primary="ansi_cyan",
    secondary="ansi_cyan",
    accent="ansi_bright_magenta",
    success="ansi_green",
    warning="ansi_yellow",
    error="ansi_bright_red",
    foreground="ansi_default",
    background="ansi_default",
    surface="ansi_default",
    panel="ansi_default",
    boost="ansi_default",
    variables={
        "rule": "ansi_bright_black",
        "grid": "ansi_bright_black",
        "title": "ansi_default",
        "muted": "ansi_default",
        "faint": "ansi_bright_black",
        "selected": "ansi_default",
        "running": "ansi_green",
        "held": "ansi_bright_blue",
        "failed": "ansi_bright_red",
        "done": "ansi_white",
        "gone": "ansi_bright_white",
        "ansi-background": "ansi_black",
        "ansi-foreground": "ansi_white",
        "scrollbar": "ansi_bright_black",
        "scrollbar-hover": "ansi_bright_black",
        "scrollbar-active": "ansi_white",
        "scrollbar-background": "ansi_default",
        "scrollbar-corner-color": "ansi_default",
        "scrollbar-background-hover": "ansi_default",
        "scrollbar-background-active": "ansi_default",
        "border-blurred": "ansi_bright_black",
    },
)

# The same, for terminals without line drawing: what draws in this theme keeps to ASCII.
ASCII = replace(TERMINAL, name="ascii")


_COLORS_256: dict[str, dict[str, str]] = {
    "dark": {
        **{"background": "#121212", "surface": "#121212", "panel": "#1c1c1c", "foreground": "#dadada"},
        **{"primary": "#5fafff", "accent": "#d7afff", "warning": "#d7af5f", "error": "#ff8787", "success": "#5fd787"},
        **{"rule": "#3a3a3a", "grid": "#303030", "title": "#eeeeee", "muted": "#adadad", "faint": "#858585"},
        **{"selected": "#303030", "running": "#5fd787", "held": "#ff8700", "failed": "#ff8787"},
        **{"done": "#afafd7", "gone": "#d787d7"},
    },
    "light": {
        **{"background": "#ffffff", "surface": "#ffffff", "panel": "#eeeeee", "foreground": "#262626"},
        **{"primary": "#005faf", "accent": "#8700af", "warning": "#5f5f00", "error": "#af0000", "success": "#005f00"},
        **{"rule": "#c6c6c6", "grid": "#dadada", "title": "#121212", "muted": "#585858", "faint": "#7a7a7a"},
        **{"selected": "#ebebeb", "running": "#005f00", "held": "#5f5f00", "failed": "#af0000"},
        **{"done": "#005f87", "gone": "#8700af"},
    },
    "colour-blind": {
        **{"background": "#121212", "surface": "#121212", "panel": "#1c1c1c", "foreground": "#dadada"},
        **{"primary": "#5fafd7", "accent": "#d7af00", "warning": "#ffd700", "error": "#ff8700", "success": "#5fafd7"},
        **{"rule": "#3a3a3a", "grid": "#303030", "title": "#ffffff", "muted": "#adadad", "faint": "#858585"},
        **{"selected": "#303030", "running": "#5fafd7", "held": "#ffd700", "failed": "#ff8700"},
        **{"done": "#d7d7af", "gone": "#d7875f"},
    },
}
"""Colours of the 256 picked by hand: the nearest ones would be black and navy. Rich draws a grey as the next darker."""


def in_256(theme: Theme) -> Theme:
    """A theme in colours that a terminal of 256 has; those of the terminal's own sixteen stay."""
    chosen = _COLORS_256.get(theme.name, {})
    own: dict[str, Any] = {name: color for name, color in chosen.items() if name not in theme.variables}
    return replace(theme, variables=theme.variables | {name: chosen[name] for name in chosen.keys() - own}, **own)


def on_light(theme: Theme) -> Theme:
    """A theme of the terminal's own colours for a light background: there the bright ones are hardly read."""
    variables = theme.variables | {
        "failed": "ansi_red",
        "held": "ansi_cyan",
        "done": "ansi_bright_black",
        "gone": "ansi_black",
    }
    return replace(theme, dark=False, accent="ansi_magenta", error="ansi_red", variables=variables)


ALL: dict[str, Theme] = dict(zip(THEMES, (DARK, LIGHT, COLOUR_BLIND, TERMINAL, ASCII), strict=True))
"""Every theme by the name that the user gives."""
