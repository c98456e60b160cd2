"""Heatmaps of gates and of attention, each beside that of the untrained network."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from tui_attn.compare.heatmaps import Probes
from tui_attn.compare.results import ModelHeatmaps
from tui_attn.compare.wording import two_digits
from tui_attn.experiment.model_info import gate_range_of
from tui_attn.report.figures import FAINT, INK, MOST_CLASSES, WIDTH, Picture, picture, plain, shortened, without_frame

Matrix = NDArray[np.float32]
Scale = tuple[float, float, str]
GATES, DEVIATIONS = "viridis", "RdBu_r"


CONSTANT = 1e-4
"""Largest difference between classes, as a share of the largest value, that is taken for rounding."""


def heatmap_pictures(heatmaps: ModelHeatmaps) -> list[Picture]:
    """The heatmaps of one run of a model, layer by layer."""
    run, probes = heatmaps.shown
    about = (run.id, probes, heatmaps.classes)
    found: list[Picture] = []
    for facts in probes.facts:
        found += _attention(*about) if facts.layer == "attention" else [_gates(facts.layer, *about)]
    return found


def _gates(layer: str, run: str, probes: Probes, classes: Sequence[str]) -> Picture:
    """Mean gates by class and channel, and the classes' deviations from their mean."""
    trained = probes.trained[f"{layer}/by_class"]
    untrained = _fitting(probes, f"{layer}/by_class", trained)
    order = trained.mean(axis=0).argsort()[::-1]
    known = [("trained", trained[:, order])] + ([] if untrained is None else [("untrained", untrained[:, order])])
    most = float(abs(trained - trained.mean(axis=0)).max())
    panels = [(f"{which}: mean gate", matrix, GATES, *gate_range_of(layer)) for which, matrix in known]
    if most > CONSTANT:  # else the same for every image: no differences between classes to show
        panels += [
            (f"{which}: difference from the mean of all classes", matrix - matrix.mean(axis=0), DEVIATIONS, -most, most)
            for which, matrix in known
        ]

    def draw(figure: Figure) -> None:
        rows: Any = figure.subplots(len(panels), 1, sharex=True, squeeze=False)[:, 0]
        for axes, (what, matrix, cmap, low, high) in zip(rows, panels, strict=True):
            image = axes.imshow(matrix, cmap=cmap, vmin=low, vmax=high, interpolation="none", aspect="auto")
            few = len(matrix) <= MOST_CLASSES
            axes.set_yticks(range(len(matrix)) if few else [], [shortened(each, 13) for each in classes] if few else [])
            axes.set_xticks([])
            axes.tick_params(length=0, labelsize=6.6, labelcolor=INK)
            without_frame(axes)
            axes.set_title(f"{layer}, {what}")
            _scale(figure, axes, image)
        rows[-1].set_xlabel(f"{trained.shape[1]} channels, the most open after training first")

    caption = (
        f"{run}, epoch {probes.epoch}: mean gate of each class (rows) and channel. Trained and untrained network share "
        "both scales and the order of the channels."
    )
    alt = f"Heatmap of the mean gates in {layer} of {plain(run)}, trained and untrained."
    height = max(len(panels) * (0.5 + min(0.1 * len(trained), 2.5)), 2.0)
    return picture(f"gates-{run}-{layer}", alt, caption, draw, height=height)


def _fitting(probes: Probes, name: str, trained: Matrix) -> Matrix | None:
    """The untrained network's array, where it has the shape of the `trained` one's."""
    found: Matrix | None = (probes.untrained or {}).get(name)
    return None if found is None or found.shape != trained.shape else found


def _attention(run: str, probes: Probes, classes: Sequence[str]) -> list[Picture]:
    """The mean weights beside the untrained network's, head by head, and class by class, in even shares."""
    heads = probes.trained.get("attention/by_head")
    by_class = probes.trained["attention/by_class"]
    if heads is None or heads.ndim != 3 or heads.shape[1:] != by_class.shape[1:]:
        heads = by_class[:1] * 0 + by_class.mean(axis=0)
    before = _fitting(probes, "attention/by_head", heads)
    even, where = 1 / heads.shape[-1], f"{run}, epoch {probes.epoch}"
    shown = {"trained": heads.mean(axis=0) / even} | (
        {} if before is None else {"untrained": before.mean(axis=0) / even}
    )
    most = float(shown["trained"].max())
    mean = _grid(
        f"attention-{run}",
        f"Mean attention matrix of {plain(run)}; the largest weight is {most:.1f} times an even share.",
        f"{where}: how much each channel looks at each other, as a multiple of an even share "
        f"(1/{heads.shape[-1]}); 1 everywhere is plain averaging.",
        [(f"{which}, mean of {len(heads)} heads", matrix) for which, matrix in shown.items()],
        (0.0, max(most, 1.0), GATES),
        labels=True,
    )
    by_head = _grid(
        f"attention-{run}-heads",
        f"Mean attention matrices of the {len(heads)} heads of {plain(run)}.",
        f"{where}: every head's mean weights, as multiples of an even share.",
        [(f"head {number}", matrix) for number, matrix in enumerate(heads / even, start=1)],
        (0.0, max(float(heads.max()) / even, 1.0), GATES),
    )
    if float(abs(by_class - by_class.mean(axis=0)).max()) <= CONSTANT * float(by_class.max()):
        return [mean, by_head]
    by_class = by_class[:MOST_CLASSES]
    deviations = (by_class - by_class.mean(axis=0)) / even
    most = max(float(abs(deviations).max()), 1e-6)
    between = _grid(
        f"attention-{run}-classes",
        f"Differences between classes in the attention of {plain(run)}.",
        f"{where}: the mean weights of each class less those of all classes, in even shares "
        f"(at most {two_digits(most)}).",
        [(shortened(name, 13), matrix) for name, matrix in zip(classes, deviations, strict=False)],
        (-most, most, DEVIATIONS),
    )
    return [mean, by_head, between]


def _grid(
    name: str, alt: str, caption: str, shown: Sequence[tuple[str, Matrix]], scale: Scale, *, labels: bool = False
) -> Picture:
    """Matrices side by side, on one scale: (low, high, colours); with `labels` a few large ones, else small ones."""
    columns = len(shown) if labels else 4 if len(shown) <= 8 else 5
    lines = -(-len(shown) // columns)
    low, high, colors = scale

    def draw(figure: Figure) -> None:
        grid: Any = figure.subplots(lines, columns, squeeze=False)
        for axes in grid.flat[len(shown) :]:
            axes.set_visible(False)
        small: Any = {} if labels else {"fontsize": 7, "fontweight": "normal"}
        for axes, (title, matrix) in zip(grid.flat, shown, strict=False):
            image = axes.imshow(matrix, cmap=colors, vmin=low, vmax=high, interpolation="none")
            axes.set_title(title, **small)
            axes.set(xticks=[], yticks=[], xlabel="to channel" if labels else None)
            without_frame(axes)
        grid[0, 0].set_ylabel("from channel" if labels else None)
        _scale(figure, grid, image)

    height = 2.5 if labels else lines * (WIDTH - 0.6) / columns + 0.25 * lines
    return picture(name, alt, caption, draw, height=height)


def _scale(figure: Figure, axes: Any, image: Any) -> None:
    bar = figure.colorbar(image, ax=axes, pad=0.02, aspect=12, fraction=0.05)
    bar.outline.set_visible(False)
    bar.ax.tick_params(labelsize=6, labelcolor=FAINT, length=0)
    bar.ax.grid(visible=False)
