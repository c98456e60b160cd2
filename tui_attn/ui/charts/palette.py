"""Colours that must stay the same under every theme: those of the models, and ramps for values.

The colours of the lab's three models (`CurveStyle` in `experiment/model_info.py`) are those that a search over OKLCH
found furthest apart, in the worst case of normal vision and of simulated protanopia, deuteranopia and tritanopia
(Machado, Oliveira and Fernandes, "A Physiologically-based Model for Simulation of Color Vision Deficiency", 2009), with
a contrast of at least 4.5 to their background.
"""

from __future__ import annotations

import math
from functools import lru_cache

from tui_attn.experiment.model_info import ANSI_DARK_GREY, ANSI_GREY, RGB, CurveStyle
from tui_attn.ui.styles import Colors, DrawingMode

FAINT16 = 0.7
"""Below this share a colour of 16 gives way to its faint neighbour, below half of it to grey."""


def curve_color(style: CurveStyle, mode: DrawingMode, dark: bool) -> RGB:
    """Return the colour of a curve on a dark or a light background."""
    if mode.colors == "16":
        return style.dark16 if dark else style.light16
    return style.dark if dark else style.light


def faded(style: CurveStyle, mode: DrawingMode, dark: bool, background: RGB, share: float) -> RGB:
    """Return `share` of the colour of a curve over the background."""
    if mode.colors != "16":
        return blend(background, curve_color(style, mode, dark), share)
    if share >= FAINT16:
        return curve_color(style, mode, dark)
    return style.faint16[0 if dark else 1] if share >= FAINT16 / 2 else ANSI_DARK_GREY if dark else ANSI_GREY


def blend(under: RGB, over: RGB, share: float) -> RGB:
    """Mix `share` of `over` into `under`."""
    mixed = [round(a + (b - a) * share) for a, b in zip(under, over, strict=True)]
    return mixed[0], mixed[1], mixed[2]


def luminance(color: RGB) -> float:
    """Return the relative luminance of `color` in [0, 1] (WCAG 2)."""
    red, green, blue = (_linear(channel / 255) for channel in color)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def text_on(color: RGB) -> RGB:
    """Return black or white, whichever reads better on `color`."""
    return (0, 0, 0) if luminance(color) > 0.18 else (255, 255, 255)


# ---- the 256 colours

_CUBE_LEVELS = (0, 95, 135, 175, 215, 255)


@lru_cache(maxsize=1)
def _cube() -> tuple[tuple[RGB, tuple[float, float, float]], ...]:
    """The colours of the 256 that every terminal shows alike and that Rich keeps, with their places in OKLab."""
    colors = [(r, g, b) for r in _CUBE_LEVELS for g in _CUBE_LEVELS for b in _CUBE_LEVELS if not r == g == b]
    # Rich takes lighter greys than these for their darker neighbours.
    greys = [(grey, grey, grey) for grey in (0, *range(8, 149, 10), 255)]
    return tuple((color, _oklab(color)) for color in greys + colors)


@lru_cache(maxsize=1024)
def of_256(color: RGB) -> RGB:
    """Return the one of the 256 colours that looks most like `color`; the usual arithmetic finds others."""
    wanted = _oklab(color)
    return min(_cube(), key=lambda entry: math.dist(entry[1], wanted))[0]


# ---- ramps

GLYPHS = " ░▒▓█"
ASCII_GLYPHS = " .:-=+*#%@"
# Differences: nothing, then four strengths; the two families look unlike each other also without colour.
POSITIVE_GLYPHS, NEGATIVE_GLYPHS = "░▒▓█", "·•○◎"
ASCII_POSITIVE, ASCII_NEGATIVE = "+*#@", "-~=%"


def level(share: float, count: int) -> int:
    """Return which of `count` equal parts of [0, 1] holds `share`, clamped."""
    return min(max(int(share * count), 0), count - 1) if math.isfinite(share) else 0


def ramp_color(share: float, colors: Colors = "true") -> RGB:
    """Return the colour of `share` in [0, 1]: dark violet over teal to bright yellow, ever lighter."""
    ramp = _SEQUENTIAL_256 if colors == "256" else _SEQUENTIAL
    return ramp[level(share, len(ramp))]


def ramp_glyph(share: float, ascii_only: bool) -> str:
    """Return the glyph of `share` in [0, 1]: the more ink, the more of it."""
    glyphs = ASCII_GLYPHS if ascii_only else GLYPHS
    return glyphs[level(share, len(glyphs))]


def difference_color(share: float, dark: bool, colors: Colors = "true") -> RGB:
    """Return the colour of `share` in [-1, 1]: blue below zero, orange above, the background's side at zero."""
    ramp = _DIVERGING_256[0 if dark else 1] if colors == "256" else _DIVERGING_DARK if dark else _DIVERGING_LIGHT
    return ramp[level((share + 1) / 2, len(ramp))]


def difference_glyph(share: float, ascii_only: bool) -> str:
    """Return the glyph of `share` in [-1, 1]: one family of signs above zero, another below, blank near it."""
    if not abs(share) >= 1 / 9:
        return " "
    positive, negative = (ASCII_POSITIVE, ASCII_NEGATIVE) if ascii_only else (POSITIVE_GLYPHS, NEGATIVE_GLYPHS)
    return (positive if share > 0 else negative)[level((abs(share) - 1 / 9) * 9 / 8, 4)]


def _colors(*hexadecimal: str) -> tuple[RGB, ...]:
    values = iter(bytes.fromhex("".join(hexadecimal)))
    return tuple(zip(values, values, values, strict=True))


_SEQUENTIAL = _colors(
    "34005635045f350c6634146c331b733122792f287e2c2f84273589223b8d1a42920f4896004e97005594005b93006192006693006c93"
    "007194007695007c96008197008698008b9900919a00969b009b9b00a19b00a69a00ac9900b19800b79510bd9231c18f45c58c56c888"
    "66cc8574cf8282d37f90d67c9dd97aaadc77b6de75c3e174cfe373dbe572e7e873f2ea74"
)
"""From dark violet over teal to bright yellow. Printed by `benchmarks/ramp_colors.py`, as are the next two."""
_DIVERGING_DARK = _colors(
    "a2cfff94c8ff86c1ff77baff6db3fa6aacef67a5e3649ed86197cd5e90c25b89b85882ad557ba25174984e6d8d4b678348607945596f"
    "4253653e4d5c3b4652384049343a403134372e2e2e3633303e3833463d354f4237574839604d3b69533d72583f7b5d418463438d6845"
    "966e47a07448a9794ab37f4bbc854dc68b4ed0914fda9650e49c51eea252f8a853ffb05effbb76"
)
"""From blue below zero to orange above, on dark backgrounds."""
_DIVERGING_LIGHT = _colors(
    "0065b0086bb71d71ba2b77bd377dc04283c34c89c6558fc85f94cb689ace71a0d07ba6d384acd68db2d896b7db9fbddda8c3e0b1c9e2"
    "bacfe4c3d4e7cddae9d6e0ebdfe6ede8eceff2f2f2eeebe7ebe4dde8ddd2e5d6c8e1cfbedec8b3dbc1a9d7ba9fd4b394d0ac8acda580"
    "c99e75c5976bc29160be8a56ba834ab67c3fb37532af6e23ab670ea561009d5d009558008e5300"
)
"""The same on light ones."""
_SEQUENTIAL_256 = _colors("00005f", "000087", "0000af", "005f87", "008787", "00af87", "5fd75f", "d7d75f", "ffff5f")
"""The ramp in colours of the 256, in steps of lightness as equal as they allow."""
_DIVERGING_256 = (
    _colors(
        "afd7ff", "5fafff", "0087d7", "005faf", "005f87", "303030", "875f00", "af5f00", "d78700", "ff8700", "ffd787"
    ),
    _colors(
        "005faf", "5f87d7", "87afff", "87d7ff", "d7d7ff", "ffffff", "ffd7af", "ffaf5f", "ff8700", "af5f00", "875f00"
    ),
)
"""From far below zero to far above, on dark and on light, in colours of the 256."""


def _oklab(color: RGB) -> tuple[float, float, float]:
    """sRGB to OKLab: lightness, green to red, blue to yellow."""
    red, green, blue = (_linear(channel / 255) for channel in color)
    long = math.cbrt(0.4122214708 * red + 0.5363325363 * green + 0.0514459929 * blue)
    medium = math.cbrt(0.2119034982 * red + 0.6806995451 * green + 0.1073969566 * blue)
    short = math.cbrt(0.0883024619 * red + 0.2817188376 * green + 0.6299787005 * blue)
    return (
        0.2104542553 * long + 0.7936177850 * medium - 0.0040720468 * short,
        1.9779984951 * long - 2.4285922050 * medium + 0.4505937099 * short,
        0.0259040371 * long + 0.7827717662 * medium - 0.8086757660 * short,
    )


def _linear(channel: float) -> float:
    return channel / 12.92 if channel <= 0.04045 else ((channel + 0.055) / 1.055) ** 2.4
