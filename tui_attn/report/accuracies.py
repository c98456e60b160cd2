"""The accuracies of all seeds, and their differences from base."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from tui_attn.compare.pairs import BASE
from tui_attn.compare.summary import ModelSummary, Summary, Versus
from tui_attn.compare.wording import percent
from tui_attn.report.figures import (
    FAINT,
    GRID,
    INK,
    PAPER,
    Picture,
    ink,
    marker,
    picture,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def accuracies_picture(summary: Summary) -> Picture | None:
    """Every run's final test accuracy, the runs of one seed joined, and each model's mean with its interval."""
    entries = [entry for entry in summary.models if entry.accuracy is not None]
    if not entries:
        return None
    found = [entry.accuracies for entry in entries]
    several = any(len(values) > 1 for values in found)

    def draw(figure: Figure) -> None:
        axes = figure.add_subplot()
        for seed in summary.seeds:
            joined = [(place, 100 * values[seed]) for place, values in enumerate(found) if seed in values]
            axes.plot([x for x, _ in joined], [y for _, y in joined], color=GRID, linewidth=0.8, zorder=1)
        for place, entry in enumerate(entries):
            _draw_model(axes, place, entry)
        axes.set_xticks(range(len(entries)), [entry.model for entry in entries])
        axes.set_xlim(-0.5, len(entries) - 0.5)
        axes.tick_params(axis="x", length=0, labelcolor=INK, labelsize=8)
        axes.set_title("test accuracy, %")

    caption = "Final test accuracy of every run"
    caption += (
        "; a line joins the runs of one seed, the bar is the mean with its 95 % interval over seeds."
        if several
        else "."
    )
    means = ", ".join(f"{entry.model} {percent(entry.accuracy)} %" for entry in entries)
    return picture("accuracies", f"Test accuracies: {means}.", caption, draw, height=2.9)


def _draw_model(axes: Axes, place: int, entry: ModelSummary) -> None:
    color = ink(entry.model)
    y = [100 * value for value in entry.accuracies.values()]
    shown: Any = {"color": color, "markersize": 5, "markeredgecolor": PAPER, "zorder": 3}
    axes.plot([place] * len(y), y, linestyle="none", marker=marker(entry.model), **shown)
    if entry.accuracy is not None and entry.ci95 is not None:
        at = place + 0.22
        axes.plot([at, at], [100 * end for end in entry.ci95], color=color, linewidth=1.2, zorder=2)
        axes.plot([at - 0.09, at + 0.09], [100 * entry.accuracy] * 2, color=color, linewidth=2.4, zorder=2)


def differences_picture(summary: Summary) -> Picture | None:
    """Each model's difference from base, seed by seed, and the interval that decides."""
    shown = [(entry.model, entry.versus_base) for entry in summary.models if entry.versus_base]
    if not shown:
        return None

    def draw(figure: Figure) -> None:
        axes = figure.add_subplot()
        axes.axvline(0, color=FAINT, linewidth=1, zorder=1)
        for place, (model, versus) in enumerate(reversed(shown)):
            _draw_difference(axes, place, model, versus, summary)
        axes.set_yticks(range(len(shown)), [model for model, _ in reversed(shown)])
        axes.set_ylim(-0.6, len(shown) - 0.4)
        axes.tick_params(axis="y", length=0, labelcolor=INK, labelsize=8)
        axes.grid(axis="x")
        axes.grid(visible=False, axis="y")
        axes.set_title(f"difference from {BASE}, points")

    if any(versus.ci95 for _, versus in shown):
        level = (
            "95 %" if summary.comparisons == 1 else f"{100 * shown[0][1].level:g} %, so that all hold at once in 95 %"
        )
        caption = (
            f"Differences from {BASE} by seed (small) and their mean with the interval that decides (level {level})."
        )
    else:
        caption = f"Differences from {BASE}. With one seed there is no interval: another seed would move them."
    alt = ", ".join(f"{model} {100 * versus.delta:+.2f} points" for model, versus in shown)
    return picture("differences", f"Differences from {BASE}: {alt}.", caption, draw, height=0.9 + 0.55 * len(shown))


def _draw_difference(axes: Axes, place: int, model: str, versus: Versus, summary: Summary) -> None:
    color = ink(model)
    base, other = summary.get(BASE).accuracies, summary.get(model).accuracies
    points = [100 * (other[seed] - base[seed]) for seed in versus.seeds]
    if len(points) > 1:
        axes.plot(points, _spread(place - 0.22, len(points)), linestyle="none", marker=".", color=color, alpha=0.5)
    if versus.ci95 is not None:
        axes.plot([100 * end for end in versus.ci95], [place, place], color=color, linewidth=1.8, zorder=2)
    axes.plot([100 * versus.delta], [place], marker=marker(model), color=color, markersize=6, zorder=3)


def _spread(middle: float, count: int) -> Sequence[float]:
    """Places a little apart, so that equal points don't hide each other."""
    return [middle + 0.05 * (index % 3 - 1) for index in range(count)]
