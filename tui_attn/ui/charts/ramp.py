"""Values as cells: by colour where there are enough, by glyphs of growing ink elsewhere; and the scale beside them."""

from __future__ import annotations

import math

from rich.style import Style

from tui_attn.experiment.model_info import RGB
from tui_attn.ui.charts import sixteen
from tui_attn.ui.charts.cells import Row
from tui_attn.ui.charts.chart_style import Look
from tui_attn.ui.charts.palette import (
    difference_color,
    difference_glyph,
    ramp_color,
    ramp_glyph,
    text_on,
)


def value_cell(share: float, look: Look) -> tuple[str, Style]:
    """Return the glyph and style of a value at `share` of its range; NaN is a question mark."""
    if math.isnan(share):
        return "?", look.muted
    if look.mode.shades:
        return " ", look.style(None, ramp_color(share, look.mode.colors))
    if look.mode.colors == "16" and not look.mode.ascii:
        glyph, color, under = sixteen.step(share)
        return glyph, look.style(color, under)
    return ramp_glyph(share, look.mode.ascii), look.text


def difference_cell(share: float, look: Look) -> tuple[str, Style]:
    """Return the glyph and style of a difference at `share`, in [-1, 1], of the largest."""
    if math.isnan(share):
        return "?", look.muted
    if look.mode.shades:
        return " ", look.style(None, difference_color(share, look.dark, look.mode.colors))
    if look.mode.colors == "16":
        glyph, color, under = sixteen.difference_step(share, look.mode.ascii)
        return glyph, look.style(color, under)
    return difference_glyph(share, look.mode.ascii), look.text


def cursor_style(share: float, difference: bool, look: Look) -> Style:
    """Return the style of the cell under the cursor, with a value at `share`."""
    if look.mode.colors == "16":
        return look.style(*sixteen.CURSOR, bold=True)
    background = cell_color(share, difference, look)
    return look.style(text_on(background), background, bold=True) if background else look.cursor


def cell_color(share: float, difference: bool, look: Look) -> RGB | None:
    """Return the background that a cell gets; None where cells are glyphs."""
    if not look.mode.shades or math.isnan(share):
        return None
    return difference_color(share, look.dark, look.mode.colors) if difference else ramp_color(share, look.mode.colors)


def scale_bar(lower: str, upper: str, cells: int, look: Look, *, difference: bool = False) -> Row:
    """Return the scale: the lower end, `cells` cells from there to the upper end, the upper end."""
    row: Row = [(lower + " ", look.muted)]
    for index in range(cells):
        share = index / max(cells - 1, 1)
        row.append(difference_cell(share * 2 - 1, look) if difference else value_cell(share, look))
    return [*row, (" " + upper, look.muted)]
