"""Heatmaps of gates and of attention, each beside that of the untrained network."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from tui_attn.compare.heatmaps import Probes
from tui_attn.compare.wording import two_digits
from tui_attn.experiment.model_info import gate_range_of
from tui_attn.report.comparison_figures import MOST_CLASSES, shortened
from tui_attn.report.figures import FAINT, INK, WIDTH, Picture, picture, plain, without_frame

if TYPE_CHECKING:
    import numpy as np
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from numpy.typing import NDArray

    Matrix = NDArray[np.float32]

GATES, DEVIATIONS = "viridis", "RdBu_r"


CONSTANT = 1e-4
"""Largest difference between classes, as a share of the largest value, that is taken for rounding."""


def gates_picture(run: str, layer: str, probes: Probes, classes: Sequence[str]) -> Picture:
    """One SE layer of one run: mean gates by class and channel, and the classes' deviations from their mean."""
    trained = probes.trained[f"{layer}/by_class"]
    untrained = (probes.untrained or {}).get(f"{layer}/by_class")
    if untrained is not None and untrained.shape != trained.shape:
        untrained = None
    order = trained.mean(axis=0).argsort()[::-1]
    shown = [("trained", trained), ("untrained", untrained)]
    known = [(which, matrix[:, order]) for which, matrix in shown if matrix is not None]
    most = float(abs(trained - trained.mean(axis=0)).max())
    parts = 2 if most > CONSTANT else 1  # the same for every image: no differences between classes to show
    low, high = gate_range_of(layer)

    def draw(figure: Figure) -> None:
        rows: Any = figure.subplots(parts * len(known), 1, sharex=True, squeeze=False)[:, 0]
        for axes, (which, matrix) in zip(rows[: len(known)], known, strict=True):
            image = _show(axes, matrix, classes, cmap=GATES, low=low, high=high)
            axes.set_title(f"{layer}, {which}: mean gate")
            _scale(figure, axes, image)
        for axes, (which, matrix) in zip(rows[len(known) :], known, strict=parts == 2):
            image = _show(axes, matrix - matrix.mean(axis=0), classes, cmap=DEVIATIONS, low=-most, high=most)
            axes.set_title(f"{layer}, {which}: difference from the mean of all classes")
            _scale(figure, axes, image)
        rows[-1].set_xlabel(f"{trained.shape[1]} channels, the most open after training first")

    row = 0.5 + min(0.1 * len(trained), 2.5)
    caption = (
        f"{run}, epoch {probes.epoch}: mean gate of each class (rows) and channel. Trained and untrained network share "
        "both scales and the order of the channels."
    )
    alt = f"Heatmap of the mean gates in {layer} of {plain(run)}, trained and untrained."
    return picture(f"gates-{run}-{layer}", alt, caption, draw, height=max(parts * len(known) * row, 2.0))


def attention_pictures(run: str, probes: Probes, classes: Sequence[str]) -> list[Picture]:
    """The attention of one run: its mean beside the untrained network's, head by head, and class by class."""
    heads = probes.trained.get("attention/by_head")
    by_class = probes.trained["attention/by_class"]
    if heads is None or heads.ndim != 3 or heads.shape[1:] != by_class.shape[1:]:
        heads = by_class[:1] * 0 + by_class.mean(axis=0)
    before = (probes.untrained or {}).get("attention/by_head")
    if before is not None and before.shape != heads.shape:
        before = None
    constant = float(abs(by_class - by_class.mean(axis=0)).max()) <= CONSTANT * float(by_class.max())
    found = [_mean_picture(run, probes, heads, before), _heads_picture(run, probes, heads)]
    return found if constant else [*found, _classes_picture(run, probes, by_class, classes)]


def _mean_picture(run: str, probes: Probes, heads: Matrix, before: Matrix | None) -> Picture:
    even = 1 / heads.shape[-1]
    trained = heads.mean(axis=0) / even
    shown = [("trained", trained)] + ([] if before is None else [("untrained", before.mean(axis=0) / even)])
    most = float(trained.max())

    def draw(figure: Figure) -> None:
        axes_row: Any = figure.subplots(1, len(shown), sharey=True, squeeze=False)[0]
        for axes, (which, matrix) in zip(axes_row, shown, strict=True):
            image = axes.imshow(matrix, cmap=GATES, vmin=0, vmax=max(most, 1.0), interpolation="none")
            axes.set_title(f"{which}, mean of {len(heads)} heads")
            axes.set_xlabel("to channel")
            _bare(axes)
        axes_row[0].set_ylabel("from channel")
        _scale(figure, axes_row, image)

    caption = (
        f"{run}, epoch {probes.epoch}: how much each channel looks at each other, as a multiple of an even share "
        f"(1/{heads.shape[-1]}); 1 everywhere is plain averaging."
    )
    alt = f"Mean attention matrix of {plain(run)}; the largest weight is {most:.1f} times an even share."
    return picture(f"attention-{run}", alt, caption, draw, height=2.5)


def _heads_picture(run: str, probes: Probes, heads: Matrix) -> Picture:
    even = 1 / heads.shape[-1]
    most = max(float(heads.max()) / even, 1.0)
    titles = [f"head {index + 1}" for index in range(len(heads))]
    caption = f"{run}, epoch {probes.epoch}: every head's mean weights, as multiples of an even share."
    alt = f"Mean attention matrices of the {len(heads)} heads of {plain(run)}."
    return _grid(f"attention-{run}-heads", alt, caption, heads / even, titles, (0.0, most, GATES))


def _classes_picture(run: str, probes: Probes, by_class: Matrix, classes: Sequence[str]) -> Picture:
    by_class = by_class[:MOST_CLASSES]
    even = 1 / by_class.shape[-1]
    deviations = (by_class - by_class.mean(axis=0)) / even
    most = max(float(abs(deviations).max()), 1e-6)
    titles = [shortened(classes[index], 13) for index in range(len(by_class))]
    caption = (
        f"{run}, epoch {probes.epoch}: the mean weights of each class less those of all classes, in even shares "
        f"(at most {two_digits(most)})."
    )
    alt = f"Differences between classes in the attention of {plain(run)}."
    return _grid(f"attention-{run}-classes", alt, caption, deviations, titles, (-most, most, DEVIATIONS))


def _grid(
    name: str, alt: str, caption: str, matrices: Matrix, titles: Sequence[str], scale: tuple[float, float, str]
) -> Picture:
    """Small matrices side by side, on one scale: (low, high, colours)."""
    columns = 4 if len(matrices) <= 8 else 5
    lines = -(-len(matrices) // columns)
    low, high, colors = scale

    def draw(figure: Figure) -> None:
        grid: Any = figure.subplots(lines, columns, squeeze=False)
        for axes in grid.flat[len(matrices) :]:
            axes.set_visible(False)
        for axes, matrix, title in zip(grid.flat, matrices, titles, strict=False):
            image = axes.imshow(matrix, cmap=colors, vmin=low, vmax=high, interpolation="none")
            axes.set_title(title, fontsize=7, fontweight="normal")
            _bare(axes)
        _scale(figure, grid, image)

    return picture(name, alt, caption, draw, height=lines * (WIDTH - 0.6) / columns + 0.25 * lines)


def _show(axes: Axes, matrix: Matrix, classes: Sequence[str], *, cmap: str, low: float, high: float) -> Any:
    image = axes.imshow(matrix, cmap=cmap, vmin=low, vmax=high, interpolation="none", aspect="auto")
    few = len(matrix) <= MOST_CLASSES
    axes.set_yticks(range(len(matrix)) if few else [], [shortened(name, 13) for name in classes] if few else [])
    axes.set_xticks([])
    axes.tick_params(length=0, labelsize=6.6, labelcolor=INK)
    without_frame(axes)
    return image


def _bare(axes: Axes) -> None:
    axes.set_xticks([])
    axes.set_yticks([])
    without_frame(axes)


def _scale(figure: Figure, axes: Any, image: Any) -> None:
    bar = figure.colorbar(image, ax=axes, pad=0.02, aspect=12, fraction=0.05)
    bar.outline.set_visible(False)
    bar.ax.tick_params(labelsize=6, labelcolor=FAINT, length=0)
    bar.ax.grid(visible=False)
