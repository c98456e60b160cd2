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


def cell(share: float, styles: Styles, *, difference: bool = False) -> Piece:
    """Return the glyph and style of a value at `share` of its range, or of a difference at `share` of the largest.

    Shares are in [0, 1], those of differences in [-1, 1]; NaN is a question mark.
    """
    if math.isnan(share):
        return "?", "muted"
    if color := cell_color(share, difference, styles):
        return " ", styles.style(None, color)
    ascii_only = styles.mode.ascii
    if styles.mode.colors == "16" and (difference or not ascii_only):
        glyph, front, under = difference_step16(share, ascii_only) if difference else step16(share)
        return glyph, styles.style(front, under)
    return (difference_glyph if difference else ramp_glyph)(share, ascii_only), "normal"


def cell_color(share: float, difference: bool, styles: Styles) -> RGB | None:
    """Return the background that a cell gets; None where cells are glyphs."""
    if not styles.mode.shades or math.isnan(share):
        return None
    if difference:
        return difference_color(share, styles.dark, styles.mode.colors)
    return ramp_color(share, styles.mode.colors)


def cursor_style(share: float, difference: bool, styles: Styles) -> Style | str:
    """Return the style of the cell under the cursor, with a value at `share`."""
    if styles.mode.colors == "16":
        return styles.style(*CURSOR16, bold=True)
    background = cell_color(share, difference, styles)
    return text_style(background, styles, bold=True) if background else "cursor"


def text_style(background: RGB, styles: Styles, *, bold: bool = False) -> Style:
    """Return black or white text upon `background`."""
    return styles.style(text_on(background), background, bold=bold)


def scale_bar(lower: str, upper: str, cells: int, styles: Styles, *, difference: bool = False) -> Pieces:
    """Return the scale: the lower end, `cells` cells from there to the upper end, the upper end."""
    row: Pieces = [(lower + " ", "muted")]
    shares = (index / max(cells - 1, 1) for index in range(cells))
    row += [cell(share * 2 - 1 if difference else share, styles, difference=difference) for share in shares]
    return [*row, (" " + upper, "muted")]
