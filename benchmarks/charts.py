"""Cost of drawing charts of different sizes and histories.

    python benchmarks/charts.py [--repeats 15]

Every variant is drawn once in each round, and the medians over the rounds are compared. The figures are CPU
milliseconds of this process: from curves that have changed to the strips that Textual takes.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import platform
import random
import statistics
import time
from array import array
from collections.abc import Callable

import numpy as np
from rich.style import Style
from textual.strip import Strip

from tui_attn.ui.charts.matrix import MatrixView, compose_matrix, matrix
from tui_attn.ui.charts.plot import View, compose
from tui_attn.ui.charts.series import Curve, CurveStore
from tui_attn.ui.styles import DrawingMode, Styles
from tui_attn.ui.widgets.gate_strip import compose_gates

MODELS = ("base", "se", "self-attention")


def dark_styles() -> Styles:
    """A dark theme in true colour."""
    plain = Style(color="#cdd6df")
    return Styles(lambda name: plain, DrawingMode(), dark=True, background="#10151b", selected="#1f2a36")


def losses(points: int, seeds: int = 1) -> list[Curve]:
    """Noisy training losses of three models."""
    rng = random.Random(0)
    curves = []
    for level, model in zip((0.30, 0.24, 0.42), MODELS, strict=True):
        for seed in range(seeds):
            steps = array("d", (9.38 * (i + 1) for i in range(points)))
            values = array("d", (level + 2 * math.exp(-14 * i / points) + rng.gauss(0, 0.04) for i in range(points)))
            group = model if seeds > 1 else None
            curves.append(
                Curve.of(
                    f"{model}-s{seed}", model, model, steps, values, steps_per_epoch=469.0, group=group, revision=1
                )
            )
    return curves


def chart(curves: list[Curve], width: int, height: int, smoothing: float = 0.0) -> Callable[[], list[Strip]]:
    """Return what draws a chart of `curves`, as it does after each change."""
    store, dressed = CurveStore(), dark_styles()

    def draw() -> list[Strip]:
        return compose(View(store.lines(curves, "step", smoothing=smoothing), "Loss"), width, height, dressed).strips

    return draw


def anew(points: int) -> Callable[[], object]:
    """Smoothing of whole series, as after a change of the weight."""
    curves = losses(points)
    return lambda: CurveStore().lines(curves, "step", smoothing=0.6)


def grown(points: int) -> Callable[[], object]:
    """Smoothing of one more point of each series."""
    store, curves = CurveStore(), losses(points)
    store.lines(curves, "step", smoothing=0.6)

    def smooth() -> object:
        for curve in curves:
            curve.steps = np.append(curve.steps, curve.steps[-1] + 9.38)
            curve.values = np.append(curve.values, 0.3)
        return store.lines(curves, "step", smoothing=0.6)

    return smooth


def heatmap() -> object:
    """A heatmap of 10 classes and 64 channels at 80 x 24."""
    rng = random.Random(0)
    data = matrix([[rng.random() for _ in range(64)] for _ in range(10)], range(10), lower=0, upper=1)
    return compose_matrix(MatrixView(data, "Gates"), 80, 24, dark_styles())


def gates() -> object:
    """Gate strips of 32 and 64 channels."""
    rng = random.Random(0)
    layers = {f"se{n}": [rng.random() for _ in range(32 * n)] for n in (1, 2)}
    return compose_gates(layers, "se-s0", "", 120, 3, dark_styles())


VARIANTS: dict[str, Callable[[], object]] = {
    "400 points (3 curves), 120x40": chart(losses(133), 120, 40),
    "3 x 750 points, 120x40": chart(losses(750), 120, 40),
    "3 x 750 points, 120x40, smoothed over raw": chart(losses(750), 120, 40, 0.6),
    "3 x 7,500 points, 120x40": chart(losses(7500), 120, 40),
    "3 x 75,000 points, 120x40": chart(losses(75000), 120, 40),
    "3 x 750 points, 58x14 (half of a dashboard)": chart(losses(750), 58, 14),
    "3 x 750 points, 200x60": chart(losses(750), 200, 60),
    "3 x 100 seeds x 750 points, mean and band, 120x40": chart(losses(750, 100), 120, 40),
    "smoothing 3 x 7,500 points anew": anew(7500),
    "smoothing one more point of each": grown(7500),
    "heatmap 10 x 64, 80x24": heatmap,
    "gate strips 32 + 64, 120x3": gates,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=15)
    repeats = parser.parse_args().repeats
    spent: dict[str, list[float]] = {name: [] for name in VARIANTS}
    for draw in VARIANTS.values():
        draw()
    for _ in range(repeats):
        for name, draw in VARIANTS.items():
            begin = time.process_time()
            draw()
            spent[name].append((time.process_time() - begin) * 1000)
    medians = {name: round(statistics.median(times), 2) for name, times in spent.items()}
    machine = f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}"
    print(json.dumps({"machine": machine, "repeats": repeats, "cpu_ms": medians}, indent=2))


if __name__ == "__main__":
    main()
