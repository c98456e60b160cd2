"""Values as cells: by colour where there are enough, by glyphs of growing ink elsewhere; and the scale beside them.

The ramps for 16 colours order values by ink and by lightness at once. What the 16 colours look like is up to the
terminal, but their order by lightness is nearly the same everywhere: in the palettes of xterm, VGA, both Windows
consoles, macOS's Terminal and GNOME's, black is darker than blue, blue than cyan, cyan than bright green, and that than
bright yellow. A sign of shades (25, 50 or 75 % ink) mixes two neighbours. Each of the seven steps has at least as much
ink as the one before, and is lighter in each of those palettes (`tests/ui/test_chart_sixteen.py` computes it). Every
step has its own background, so that light terminals show the same picture. Differences take cyan below zero and yellow
above: common colour vision deficiencies keep the blue-yellow axis, and both are about equally light in each palette.
"""

from __future__ import annotations

import math

from rich.style import Style

from tui_attn.experiment.model_info import ANSI_BLUE, ANSI_BRIGHT_CYAN, ANSI_BRIGHT_GREEN, ANSI_CYAN, ANSI_YELLOW, RGB
from tui_attn.ui.charts.palette import difference_color, difference_glyph, level, ramp_color, ramp_glyph, text_on
from tui_attn.ui.drawing import Piece, Pieces
from tui_attn.ui.styles import Styles

ANSI_BLACK, ANSI_BRIGHT_WHITE = (0, 0, 0), (255, 255, 255)

Step = tuple[str, RGB, RGB]
"""A sign, its colour and that of its background."""

RAMP16: tuple[Step, ...] = (
    (" ", ANSI_CYAN, ANSI_BLACK),
    ("░", ANSI_CYAN, ANSI_BLACK),
    ("▒", ANSI_CYAN, ANSI_BLACK),
    ("▒", ANSI_BRIGHT_GREEN, ANSI_BLUE),
    ("▓", ANSI_BRIGHT_GREEN, ANSI_CYAN),
    ("▓", ANSI_YELLOW, ANSI_CYAN),
    ("█", ANSI_YELLOW, ANSI_BLACK),
)
"""From the lowest values to the highest."""
GREYS16 = (0, 85, 170, 255)
"""The greys of the 16, for pictures: black, bright black, white, bright white, in this order in every palette."""
CURSOR16: tuple[RGB, RGB] = (ANSI_BLACK, ANSI_BRIGHT_WHITE)
"""Colours of the cell under the cursor: white is in neither ramp."""


def step16(share: float) -> Step:
    """Return the step of `share` in [0, 1]."""
    return RAMP16[level(share, len(RAMP16))]


def difference_step16(share: float, ascii_only: bool) -> Step:
    """Return the step of a difference at `share` in [-1, 1]: black near zero, from there lighter on either side."""
    color = ANSI_BRIGHT_CYAN if share < 0 else ANSI_YELLOW
    # Hues tell the sides apart, so that both get the same strong signs; letters have little ink, and keep their own.
    return difference_glyph(share if ascii_only else abs(share), ascii_only), color, ANSI_BLACK


def value_cell(share: float, styles: Styles) -> Piece:
    """Return the glyph and style of a value at `share` of its range; NaN is a question mark."""
    if math.isnan(share):
        return "?", "muted"
    if styles.mode.shades:
        return " ", styles.style(None, ramp_color(share, styles.mode.colors))
    if styles.mode.colors == "16" and not styles.mode.ascii:
        glyph, color, under = step16(share)
        return glyph, styles.style(color, under)
    return ramp_glyph(share, styles.mode.ascii), "normal"


def difference_cell(share: float, styles: Styles) -> Piece:
    """Return the glyph and style of a difference at `share`, in [-1, 1], of the largest."""
    if math.isnan(share):
        return "?", "muted"
    if styles.mode.shades:
        return " ", styles.style(None, difference_color(share, styles.dark, styles.mode.colors))
    if styles.mode.colors == "16":
        glyph, color, under = difference_step16(share, styles.mode.ascii)
        return glyph, styles.style(color, under)
    return difference_glyph(share, styles.mode.ascii), "normal"


def cursor_style(share: float, difference: bool, styles: Styles) -> Style | str:
    """Return the style of the cell under the cursor, with a value at `share`."""
    if styles.mode.colors == "16":
        return styles.style(*CURSOR16, bold=True)
    background = cell_color(share, difference, styles)
    return styles.style(text_on(background), background, bold=True) if background else "cursor"


def cell_color(share: float, difference: bool, styles: Styles) -> RGB | None:
    """Return the background that a cell gets; None where cells are glyphs."""
    if not styles.mode.shades or math.isnan(share):
        return None
    return (
        difference_color(share, styles.dark, styles.mode.colors)
        if difference
        else ramp_color(share, styles.mode.colors)
    )


def scale_bar(lower: str, upper: str, cells: int, styles: Styles, *, difference: bool = False) -> Pieces:
    """Return the scale: the lower end, `cells` cells from there to the upper end, the upper end."""
    row: Pieces = [(lower + " ", "muted")]
    for index in range(cells):
        share = index / max(cells - 1, 1)
        row.append(difference_cell(share * 2 - 1, styles) if difference else value_cell(share, styles))
    return [*row, (" " + upper, "muted")]
