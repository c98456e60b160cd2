"""The ramps for 16 colours: lighter step by step, whichever of the usual palettes the terminal has."""

from __future__ import annotations

import numpy as np
import pytest
from rich.color import Color, ColorSystem
from textual.pilot import Pilot

from tests.ui.chart_helpers import styles
from tests.ui.harness import drive, make_app
from tui_attn.ui.app import DashboardApp
from tui_attn.ui.charts import palette, ramp
from tui_attn.ui.charts.ramp import cell, cursor_style
from tui_attn.ui.styles import DrawingMode

# The 16 colours by their numbers, as the terminals come.
PALETTES = {
    "xterm": (
        "000000 cd0000 00cd00 cdcd00 0000ee cd00cd 00cdcd e5e5e5 "
        "7f7f7f ff0000 00ff00 ffff00 5c5cff ff00ff 00ffff ffffff"
    ),
    "VGA": (
        "000000 aa0000 00aa00 aa5500 0000aa aa00aa 00aaaa aaaaaa "
        "555555 ff5555 55ff55 ffff55 5555ff ff55ff 55ffff ffffff"
    ),
    "Windows, before 2017": (
        "000000 800000 008000 808000 000080 800080 008080 c0c0c0 "
        "808080 ff0000 00ff00 ffff00 0000ff ff00ff 00ffff ffffff"
    ),
    "Windows": (
        "0c0c0c c50f1f 13a10e c19c00 0037da 881798 3a96dd cccccc "
        "767676 e74856 16c60c f9f1a5 3b78ff b4009e 61d6d6 f2f2f2"
    ),
    "macOS": (
        "000000 990000 00a600 999900 0000b2 b200b2 00a6b2 bfbfbf "
        "666666 e50000 00d900 e5e500 0000ff e500e5 00e5e5 e5e5e5"
    ),
    "GNOME": (
        "2e3436 cc0000 4e9a06 c4a000 3465a4 75507b 06989a d3d7cf "
        "555753 ef2929 8ae234 fce94f 729fcf ad7fa8 34e2e2 eeeeec"
    ),
}
INK = {" ": 0.0, "░": 0.25, "▒": 0.5, "▓": 0.75, "█": 1.0}
SIXTEEN = DrawingMode("16")


def luminance(number: int, name: str) -> float:
    code = PALETTES[name].split()[number]
    return palette.luminance((int(code[:2], 16), int(code[2:4], 16), int(code[4:], 16)))


def lightness(step: ramp.Step, name: str) -> float:
    """CIE lightness, 0 to 100, of a cell seen from afar, in the palette called `name`."""
    sign, ink, under = step
    numbers = [Color.from_rgb(*color).downgrade(ColorSystem.STANDARD).number for color in (ink, under)]
    one, other = (luminance(number, name) for number in numbers if number is not None)
    mixed = INK[sign] * one + (1 - INK[sign]) * other
    return 116 * float(np.cbrt(mixed)) - 16 if mixed > 0.008856 else 903.3 * mixed


@pytest.mark.parametrize("name", PALETTES)
def test_every_step_is_lighter_than_the_one_before_in_the_usual_palettes(name: str) -> None:
    steps = np.diff([lightness(step, name) for step in ramp.RAMP16])
    assert len(steps) == 6
    assert steps.min() > 4
    assert steps.max() < 50, "no step swallows the others"


def test_every_step_has_as_much_ink_as_the_one_before() -> None:
    ink = [INK[ramp.step16(share / 100)[0]] for share in range(101)]
    assert ink == sorted(ink)
    assert {ramp.step16(share / 100) for share in range(101)} == set(ramp.RAMP16)


@pytest.mark.parametrize("name", PALETTES)
def test_differences_grow_lighter_on_both_sides_of_zero(name: str) -> None:
    shares = (0.0, 0.2, 0.4, 0.6, 0.9)
    for side in (-1, 1):
        steps = np.diff([lightness(ramp.difference_step16(side * share, False), name) for share in shares])
        assert steps.min() > 5
    strongest = [lightness(ramp.difference_step16(side, False), name) for side in (-1.0, 1.0)]
    assert abs(strongest[0] - strongest[1]) < 20


def test_differences_tell_their_sign_by_hue_and_in_ascii_by_sign() -> None:
    for share in (0.2, 0.5, 1.0):
        below, above = (ramp.difference_step16(side * share, False) for side in (-1, 1))
        assert below[0] == above[0]
        assert below[1][2] > below[1][0]  # cyan
        assert above[1][0] > above[1][2]  # yellow
        assert ramp.difference_step16(share, True)[0] != ramp.difference_step16(-share, True)[0]


def test_cells_have_a_background_of_their_own_so_that_light_terminals_show_the_same() -> None:
    for dark in (True, False):
        shown = styles(SIXTEEN, dark=dark)
        for share in (0.0, 0.3, 0.7, 1.0):
            assert shown(cell(share, shown)[1]).bgcolor is not None
            assert shown(cell(2 * share - 1, shown, difference=True)[1]).bgcolor is not None
            assert cell(share, shown) == cell(share, styles(SIXTEEN))


def test_the_cursor_stands_out_of_both_ramps() -> None:
    style = styles(SIXTEEN)(cursor_style(0.5, False, styles(SIXTEEN)))
    assert style.bgcolor is not None
    colors = {color for _, ink, under in ramp.RAMP16 for color in (ink, under)}
    assert tuple(style.bgcolor.get_truecolor()) not in colors


@pytest.mark.parametrize("name", PALETTES)
def test_greys_grow_lighter_too(name: str) -> None:
    found = [Color.from_rgb(grey, grey, grey).downgrade(ColorSystem.STANDARD).number for grey in ramp.GREYS16]
    assert found == [0, 8, 7, 15]
    assert np.diff([luminance(number, name) for number in found if number is not None]).min() > 0.05


@pytest.mark.parametrize(("says", "dark"), [("0;15", False), ("0;default;7", False), ("15;0", True), ("", True)])
def test_on_a_light_terminal_models_and_states_take_the_dark_ones_of_the_16(says: str, dark: bool) -> None:
    app = make_app(None, theme="terminal", environment={"TERM": "xterm", "COLORTERM": "", "COLORFGBG": says})
    assert app.drawing.mode.colors == "16"
    assert app.current_theme.dark is dark

    async def script(pilot: Pilot[int], app: DashboardApp) -> None:
        for ink in ("model:base", "model:se", "model:self-attention", "failed", "gone"):
            color = app.drawing(ink).color
            assert color is not None
            number = color.number if color.number is not None else color.downgrade(ColorSystem.STANDARD).number
            assert number is not None
            assert (number >= 8) is dark, ink

    drive(app, script)
