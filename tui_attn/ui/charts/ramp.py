"""Values as cells: by colour where there are enough, by glyphs of growing ink elsewhere; and the scale beside them."""

from __future__ import annotations

import math

from rich.style import Style

from tui_attn.experiment.model_info import RGB
from tui_attn.ui.charts import sixteen
from tui_attn.ui.charts.palette import (
    difference_color,
    difference_glyph,
    ramp_color,
    ramp_glyph,
    text_on,
)
from tui_attn.ui.drawing import Piece, Pieces
from tui_attn.ui.styles import Styles


def value_cell(share: float, styles: Styles) -> Piece:
    """Return the glyph and style of a value at `share` of its range; NaN is a question mark."""
    if math.isnan(share):
        return "?", "muted"
    if styles.mode.shades:
        return " ", styles.style(None, ramp_color(share, styles.mode.colors))
    if styles.mode.colors == "16" and not styles.mode.ascii:
        glyph, color, under = sixteen.step(share)
        return glyph, styles.style(color, under)
    return ramp_glyph(share, styles.mode.ascii), "normal"


def difference_cell(share: float, styles: Styles) -> Piece:
    """Return the glyph and style of a difference at `share`, in [-1, 1], of the largest."""
    if math.isnan(share):
        return "?", "muted"
    if styles.mode.shades:
        return " ", styles.style(None, difference_color(share, styles.dark, styles.mode.colors))
    if styles.mode.colors == "16":
        glyph, color, under = sixteen.difference_step(share, styles.mode.ascii)
        return glyph, styles.style(color, under)
    return difference_glyph(share, styles.mode.ascii), "normal"


def cursor_style(share: float, difference: bool, styles: Styles) -> Style | str:
    """Return the style of the cell under the cursor, with a value at `share`."""
    if styles.mode.colors == "16":
        return styles.style(*sixteen.CURSOR, bold=True)
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
