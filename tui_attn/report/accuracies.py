"""The accuracies of all seeds, and their differences from base."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from tui_attn.compare import BASE, accuracies, comparisons
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


def accuracies_picture(summary: Mapping[str, Any]) -> Picture | None:
    """Every run's final test accuracy, the runs of one seed joined, and each model's mean with its interval."""
    entries = [entry for entry in summary["models"] if entry["test_accuracy"]["mean"] is not None]
    if not entries:
        return None
    models = [entry["model"] for entry in entries]
    found = {
        entry["model"]: {run["seed"]: run["test_accuracy"] for run in entry["runs"] if run["counts"]}
        for entry in entries
    }
    several = any(len(values) > 1 for values in found.values())

    def draw(figure: Figure) -> None:
        axes = figure.add_subplot()
        for seed in summary["seeds"]:
            joined = [(place, 100 * found[model][seed]) for place, model in enumerate(models) if seed in found[model]]
            axes.plot([x for x, _ in joined], [y for _, y in joined], color=GRID, linewidth=0.8, zorder=1)
        for place, entry in enumerate(entries):
            _draw_model(axes, place, entry, found[entry["model"]])
        axes.set_xticks(range(len(models)), models)
        axes.set_xlim(-0.5, len(models) - 0.5)
        axes.tick_params(axis="x", length=0, labelcolor=INK, labelsize=8)
        axes.set_title("test accuracy, %")

    caption = "Final test accuracy of every run"
    caption += (
        "; a line joins the runs of one seed, the bar is the mean with its 95 % interval over seeds."
        if several
        else "."
    )
    means = ", ".join(f"{model} {100 * sum(values.values()) / len(values):.2f} %" for model, values in found.items())
    return picture("accuracies", f"Test accuracies: {means}.", caption, draw, height=2.9)


def _draw_model(axes: Axes, place: int, entry: Mapping[str, Any], values: Mapping[int, float]) -> None:
    model, (mean, ci95) = entry["model"], (entry["test_accuracy"]["mean"], entry["test_accuracy"]["ci95"])
    color = ink(model)
    x = [place] * len(values)
    y = [100 * value for value in values.values()]
    shown: Any = {"color": color, "markersize": 5, "markeredgecolor": PAPER, "zorder": 3}
    axes.plot(x, y, linestyle="none", marker=marker(model), **shown)
    if len(values) > 1 and ci95 is not None:
        at = place + 0.22
        axes.plot([at, at], [100 * end for end in ci95], color=color, linewidth=1.2, zorder=2)
        axes.plot([at - 0.09, at + 0.09], [100 * mean] * 2, color=color, linewidth=2.4, zorder=2)


def differences_picture(summary: Mapping[str, Any]) -> Picture | None:
    """Each model's difference from base, seed by seed, and the interval that decides."""
    shown = [entry for entry in summary["models"] if entry["versus_base"]]
    if not shown:
        return None

    def draw(figure: Figure) -> None:
        axes = figure.add_subplot()
        axes.axvline(0, color=FAINT, linewidth=1, zorder=1)
        for place, entry in enumerate(reversed(shown)):
            _draw_difference(axes, place, entry, summary)
        axes.set_yticks(range(len(shown)), [entry["model"] for entry in reversed(shown)])
        axes.set_ylim(-0.6, len(shown) - 0.4)
        axes.tick_params(axis="y", length=0, labelcolor=INK, labelsize=8)
        axes.grid(axis="x")
        axes.grid(visible=False, axis="y")
        axes.set_title(f"difference from {BASE}, points")

    m = comparisons([entry["model"] for entry in summary["models"]])
    if any(entry["versus_base"]["ci95"] for entry in shown):
        level = "95 %" if m == 1 else f"{100 * shown[0]['versus_base']['level']:g} %, so that all hold at once in 95 %"
        caption = (
            f"Differences from {BASE} by seed (small) and their mean with the interval that decides (level {level})."
        )
    else:
        caption = f"Differences from {BASE}. With one seed there is no interval: another seed would move them."
    alt = ", ".join(f"{entry['model']} {100 * entry['versus_base']['delta']:+.2f} points" for entry in shown)
    return picture("differences", f"Differences from {BASE}: {alt}.", caption, draw, height=0.9 + 0.55 * len(shown))


def _draw_difference(axes: Axes, place: int, entry: Mapping[str, Any], summary: Mapping[str, Any]) -> None:
    versus, model = entry["versus_base"], entry["model"]
    color, seeds = ink(model), versus["seeds"]
    base, other = (accuracies(summary, name, seeds) for name in (BASE, model))
    points = [100 * (second - first) for first, second in zip(base, other, strict=True)]
    if len(points) > 1:
        axes.plot(points, _spread(place - 0.22, len(points)), linestyle="none", marker=".", color=color, alpha=0.5)
    if versus["ci95"] is not None:
        axes.plot([100 * end for end in versus["ci95"]], [place, place], color=color, linewidth=1.8, zorder=2)
    axes.plot([100 * versus["delta"]], [place], marker=marker(model), color=color, markersize=6, zorder=3)


def _spread(middle: float, count: int) -> Sequence[float]:
    """Places a little apart, so that equal points don't hide each other."""
    return [middle + 0.05 * (index % 3 - 1) for index in range(count)]
