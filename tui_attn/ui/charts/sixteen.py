"""Ramps for the 16 ANSI colours: by the ink of their signs and by the lightness of their colours at once.

What the 16 look like is up to the terminal. Their order by lightness is nearly not: in the palettes of xterm, VGA, both
Windows consoles, macOS's Terminal and GNOME's, black is darker than blue, blue than cyan, cyan than bright green, and
that than bright yellow. These five lie on the way that the true-colour ramp takes, and red and magenta, which on black
are hardly seen, are left out. A sign of shades (25, 50 or 75 % ink) mixes two neighbours, so that the seven steps are
about as far apart as they can be. Each step has as much ink as the one before or more, and is lighter in every one of
those palettes (`tests/ui/test_chart_sixteen.py` computes it): the picture can be read from the signs alone, from the
lightness alone, and with any colour vision. Every step has a background of its own, so that a light terminal shows
the same picture.

Differences take cyan below zero and yellow above: the axis of blue and yellow, which the common colour vision
deficiencies keep, both about equally light in each palette, and the bright ones, so that small differences are seen.
"""

from __future__ import annotations

from tui_attn.experiment.model_info import (
    ANSI_BLUE,
    ANSI_BRIGHT_CYAN,
    ANSI_BRIGHT_GREEN,
    ANSI_CYAN,
    ANSI_YELLOW,
    RGB,
)
from tui_attn.ui.charts.palette import difference_glyph, level

ANSI_BLACK, ANSI_BRIGHT_WHITE = (0, 0, 0), (255, 255, 255)

Step = tuple[str, RGB, RGB]
"""A sign, its colour and that of its background."""

RAMP: tuple[Step, ...] = (
    (" ", ANSI_CYAN, ANSI_BLACK),
    ("░", ANSI_CYAN, ANSI_BLACK),
    ("▒", ANSI_CYAN, ANSI_BLACK),
    ("▒", ANSI_BRIGHT_GREEN, ANSI_BLUE),
    ("▓", ANSI_BRIGHT_GREEN, ANSI_CYAN),
    ("▓", ANSI_YELLOW, ANSI_CYAN),
    ("█", ANSI_YELLOW, ANSI_BLACK),
)
"""From the lowest values to the highest."""
GREYS = (0, 85, 170, 255)
"""The greys of the 16, for pictures: black, bright black, white, bright white, in this order in every palette."""
CURSOR: tuple[RGB, RGB] = (ANSI_BLACK, ANSI_BRIGHT_WHITE)
"""Colours of the cell under the cursor: white is in neither ramp."""


def step(share: float) -> Step:
    """Return the step of `share` in [0, 1]."""
    return RAMP[level(share, len(RAMP))]


def difference_step(share: float, ascii_only: bool) -> Step:
    """Return the step of a difference at `share` in [-1, 1]: black near zero, from there lighter on either side."""
    color = ANSI_BRIGHT_CYAN if share < 0 else ANSI_YELLOW
    # Hues tell the sides apart, so that both get the same strong signs; letters have little ink, and keep their own.
    return difference_glyph(share if ascii_only else abs(share), ascii_only), color, ANSI_BLACK
