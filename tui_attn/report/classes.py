"""What each model gets right class by class, and what it mistakes for what."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from tui_attn.compare.predictions import ClassResults
from tui_attn.report.figures import (
    GRID,
    INK,
    Picture,
    ink,
    marker,
    picture,
)
from tui_attn.report.html import plain

if TYPE_CHECKING:
    import numpy as np
    from matplotlib.figure import Figure
    from numpy.typing import NDArray

MOST_CLASSES = 30
"""Classes that can be told apart in a picture."""


def shortened(name: str, length: int = 16) -> str:
    """A name for the side of a picture."""
    name = plain(name)
    return name if len(name) <= length else f"{name[: length - 1]}…"


def class_picture(results: Sequence[ClassResults]) -> Picture | None:
    """The accuracy of each class by model, the hardest class at the bottom."""
    import numpy as np

    names = results[0].names if results else ()
    results = [result for result in results if len(result.names) == len(names)]
    if not results or len(names) > MOST_CLASSES:
        return None
    means = {result.model: _mean(result.accuracy) for result in results}
    order = np.argsort([np.nanmean([mean[index] for mean in means.values()]) for index in range(len(names))])

    def draw(figure: Figure) -> None:
        axes = figure.add_subplot()
        places = range(len(names))
        stack = np.array([mean[order] for mean in means.values()]) * 100
        axes.hlines(places, stack.min(axis=0), stack.max(axis=0), color=GRID, linewidth=1.5, zorder=1)
        for model, mean in means.items():
            look: Any = {"linestyle": "none", "marker": marker(model), "color": ink(model), "zorder": 2}
            axes.plot(100 * mean[order], places, label=model, **look)
        axes.set_yticks(places, [shortened(names[index]) for index in order])
        axes.tick_params(axis="y", length=0, labelcolor=INK)
        axes.grid(axis="x")
        axes.grid(visible=False, axis="y")
        axes.set_title("accuracy of each class, %")
        figure.legend(loc="outside lower center", ncols=3)

    hardest = names[order[0]]
    alt = f"Accuracy of each class by model; the hardest is {plain(hardest)}."
    return picture("classes", alt, "Accuracy of each class, mean over the seeds.", draw, height=1.1 + 0.2 * len(names))


def _mean(accuracy: NDArray[np.float64]) -> NDArray[np.float64]:
    """Over the runs, NaN only where no run knows."""
    import numpy as np

    known = ~np.isnan(accuracy)
    total = np.where(known, accuracy, 0).sum(axis=0)
    found: NDArray[np.float64] = np.divide(
        total, known.sum(axis=0), out=np.full(accuracy.shape[1], np.nan), where=known.any(axis=0)
    )
    return found


def confusion_picture(result: ClassResults) -> Picture | None:
    """What was taken for what, in per cent of each class, all runs of a model together."""
    import numpy as np

    count = len(result.names)
    if count > MOST_CLASSES:
        return None
    images = result.confusion.sum(axis=1, keepdims=True)
    share = np.divide(
        100.0 * result.confusion, images, out=np.zeros(result.confusion.shape, dtype=np.float64), where=images > 0
    )
    wrong = share - np.diag(np.diag(share))

    def draw(figure: Figure) -> None:
        axes = figure.add_subplot()
        # The square root lets rare mistakes show beside what is right.
        axes.imshow(np.sqrt(share / 100), cmap="Blues", vmin=0, vmax=1, interpolation="none", aspect="auto")
        _write_shares(axes, share)
        labels = [shortened(name, 11) for name in result.names]
        axes.set_xticks(range(count), labels, rotation=90)
        axes.set_yticks(range(count), labels)
        axes.tick_params(length=0, labelcolor=INK)
        axes.grid(visible=False)
        axes.spines[:].set_visible(False)
        axes.set_title(f"{result.model}: class (rows) taken for (columns), %")

    row, column = (int(index) for index in np.unravel_index(wrong.argmax(), wrong.shape))
    worst = f"{result.names[row]} taken for {result.names[column]} ({wrong[row, column]:.1f} %)"
    caption = f"{result.model}: most often, {worst}."
    return picture(
        f"confusion-{result.model}", f"Confusion matrix of {caption}", caption, draw, height=0.9 + 0.31 * count
    )


def _write_shares(axes: Any, share: NDArray[np.float64]) -> None:
    size = 6.5 if len(share) <= 12 else 4.5 if len(share) <= 20 else 3.0
    for (row, column), value in _cells(share):
        if value >= 0.05:
            text = f"{value:.0f}" if value >= 9.95 else f"{value:.1f}".removeprefix("0")
            color = "#ffffff" if value > 30 else "#10243e"
            axes.text(column, row, text, ha="center", va="center", fontsize=size, color=color)


def _cells(share: NDArray[np.float64]) -> list[tuple[tuple[int, int], float]]:
    return [((row, column), float(share[row, column])) for row in range(len(share)) for column in range(len(share))]
