"""Prints the colour ramps of `tui_attn/ui/charts/palette.py`, one per line. `python benchmarks/ramp_colors.py`.

They are computed in OKLCH (Ottosson, "A perceptual color space for image processing", 2020) with lightness growing in
equal steps, so that they also order values for eyes, or terminals, that see no hue.
"""

from __future__ import annotations

import math

RGB = tuple[int, int, int]
LEVELS = 48


def sequential() -> tuple[RGB, ...]:
    last = LEVELS - 1
    return tuple(_oklch(0.26 + 0.66 * i / last, 0.14, 305 - 200 * i / last) for i in range(LEVELS))


def diverging(dark: bool) -> tuple[RGB, ...]:
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


def _gamma(channel: float) -> float:
    return channel * 12.92 if channel <= 0.0031308 else 1.055 * channel ** (1 / 2.4) - 0.055


def main() -> None:
    """Print the sequential ramp, and the diverging ones for dark and for light backgrounds."""
    for ramp in (sequential(), diverging(True), diverging(False)):
        print("".join(bytes(color).hex() for color in ramp))


if __name__ == "__main__":
    main()
