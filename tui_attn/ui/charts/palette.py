"""Colours that must stay the same under every theme: one for each model, and ramps for values.

The three models take colours that a search over OKLCH found furthest apart, in the worst case of normal vision and of
simulated protanopia, deuteranopia and tritanopia (Machado, Oliveira and Fernandes, "A Physiologically-based Model for
Simulation of Color Vision Deficiency", 2009), with a contrast of at least 4.5 to their background. Ramps are computed
in OKLCH (Ottosson, "A perceptual color space for image processing", 2020) with lightness growing in equal steps, so
that they also order values for eyes, or terminals, that see no hue.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache

from tui_attn.experiment.model_info import CUSTOM_STYLES, MODELS, RGB, CurveStyle
from tui_attn.ui.styles import Colors, DrawingMode

_given: dict[str, CurveStyle] = {}
"""Inks of models of one's own, in the order in which they were asked for."""
MARKERS = "●▲■◆▼◇○□△▽"
ASCII_MARKERS = "o+x*#%@=&~"


def assign(models: Sequence[str]) -> None:
    """Give the models of one's own among `models` the next inks that are free, in their order."""
    for model in models:
        ink(model)


def ink(key: str) -> CurveStyle:
    """Return the ink of palette key `key`: a model's own, for any other key the next that is free, and then always.

    Where more were asked for than there are, they begin again.
    """
    if key in MODELS:
        return MODELS[key].style
    return _given.setdefault(key, CUSTOM_STYLES[len(_given) % len(CUSTOM_STYLES)])


def is_known(key: str) -> bool:
    """Whether `key` has an ink already, so that its curve takes the marker of that."""
    return key in MODELS or key in _given


def curve_color(key: str, mode: DrawingMode, dark: bool) -> RGB:
    """Return the colour of a curve with palette key `key`, on a dark or a light background."""
    found = ink(key)
    if mode.colors == "16":
        return found.dark16 if dark else found.light16
    return found.dark if dark else found.light


def faint_color(key: str, mode: DrawingMode, dark: bool, background: RGB) -> RGB:
    """Return the colour for what stands behind a curve: raw values, seeds beyond the mean."""
    if mode.colors == "16":
        return ink(key).faint16[0 if dark else 1]
    return blend(background, curve_color(key, mode, dark), 0.5)


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

LEVELS = 48
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
    ramp = _SEQUENTIAL_256 if colors == "256" else _sequential()
    return ramp[level(share, len(ramp))]


def ramp_glyph(share: float, ascii_only: bool) -> str:
    """Return the glyph of `share` in [0, 1]: the more ink, the more of it."""
    glyphs = ASCII_GLYPHS if ascii_only else GLYPHS
    return glyphs[level(share, len(glyphs))]


def difference_color(share: float, dark: bool, colors: Colors = "true") -> RGB:
    """Return the colour of `share` in [-1, 1]: blue below zero, orange above, the background's side at zero."""
    ramp = _DIVERGING_256[0 if dark else 1] if colors == "256" else _diverging(dark)
    return ramp[level((share + 1) / 2, len(ramp))]


def difference_glyph(share: float, ascii_only: bool) -> str:
    """Return the glyph of `share` in [-1, 1]: one family of signs above zero, another below, blank near it."""
    if not abs(share) >= 1 / 9:
        return " "
    positive, negative = (ASCII_POSITIVE, ASCII_NEGATIVE) if ascii_only else (POSITIVE_GLYPHS, NEGATIVE_GLYPHS)
    return (positive if share > 0 else negative)[level((abs(share) - 1 / 9) * 9 / 8, 4)]


@lru_cache(maxsize=1)
def _sequential() -> tuple[RGB, ...]:
    last = LEVELS - 1
    return tuple(_oklch(0.26 + 0.66 * i / last, 0.14, 305 - 200 * i / last) for i in range(LEVELS))


def _hex(*colors: str) -> tuple[RGB, ...]:
    return tuple((int(c[:2], 16), int(c[2:4], 16), int(c[4:], 16)) for c in colors)


_SEQUENTIAL_256 = _hex("00005f", "000087", "0000af", "005f87", "008787", "00af87", "5fd75f", "d7d75f", "ffff5f")
"""The ramp in colours of the 256, in steps of lightness as equal as they allow."""
_DIVERGING_256 = (
    _hex("afd7ff", "5fafff", "0087d7", "005faf", "005f87", "303030", "875f00", "af5f00", "d78700", "ff8700", "ffd787"),
    _hex("005faf", "5f87d7", "87afff", "87d7ff", "d7d7ff", "ffffff", "ffd7af", "ffaf5f", "ff8700", "af5f00", "875f00"),
)
"""From far below zero to far above, on dark and on light, in colours of the 256."""


@lru_cache(maxsize=2)
def _diverging(dark: bool) -> tuple[RGB, ...]:
    start, end = (0.30, 0.84) if dark else (0.96, 0.50)
    arm = [i / (LEVELS // 2) for i in range(1, LEVELS // 2 + 1)]
    below = [_oklch(start + (end - start) * t, 0.15 * t, 250) for t in reversed(arm)]
    above = [_oklch(start + (end - start) * t, 0.15 * t, 65) for t in arm]
    return (*below, _oklch(start, 0.0, 0), *above)


def _oklch(lightness: float, chroma: float, hue: float) -> RGB:
    """Return the sRGB colour nearest to the OKLCH one, giving up chroma where the screen can't show it."""
    low, high = 0.0, chroma
    color = _oklab_linear(lightness, chroma, hue)
    if not _shown(color):
        for _ in range(16):
            middle = (low + high) / 2
            if _shown(_oklab_linear(lightness, middle, hue)):
                low = middle
            else:
                high = middle
        color = _oklab_linear(lightness, low, hue)
    red, green, blue = (round(255 * _gamma(min(max(channel, 0.0), 1.0))) for channel in color)
    return red, green, blue


def _shown(color: tuple[float, float, float]) -> bool:
    return all(-1e-4 <= channel <= 1 + 1e-4 for channel in color)


def _oklab_linear(lightness: float, chroma: float, hue: float) -> tuple[float, float, float]:
    """OKLCH to linear sRGB, by Ottosson's matrices."""
    a, b = chroma * math.cos(math.radians(hue)), chroma * math.sin(math.radians(hue))
    long = (lightness + 0.3963377774 * a + 0.2158037573 * b) ** 3
    medium = (lightness - 0.1055613458 * a - 0.0638541728 * b) ** 3
    short = (lightness - 0.0894841775 * a - 1.2914855480 * b) ** 3
    return (
        4.0767416621 * long - 3.3077115913 * medium + 0.2309699292 * short,
        -1.2684380046 * long + 2.6097574011 * medium - 0.3413193965 * short,
        -0.0041960863 * long - 0.7034186147 * medium + 1.7076147010 * short,
    )


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


def _gamma(channel: float) -> float:
    return channel * 12.92 if channel <= 0.0031308 else 1.055 * channel ** (1 / 2.4) - 0.055
