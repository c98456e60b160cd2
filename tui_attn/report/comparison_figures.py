"""All pictures of a report: accuracies, differences from base, classes and interventions here, others elsewhere."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Sequence
from math import fsum
from typing import Any

import numpy as np
from matplotlib.axes import Axes

from tui_attn.compare.effects import ENOUGH, Effects, dependence_sentence, kind_words, layer_words
from tui_attn.compare.pairs import BASE
from tui_attn.compare.predictions import ClassResults
from tui_attn.compare.results import Results, step_seconds
from tui_attn.compare.summary import Summary
from tui_attn.experiment.model_info import joined, replaced_words
from tui_attn.report.curve_figures import curve_pictures
from tui_attn.report.figures import (
    FAINT,
    GRID,
    INK,
    MOST_CLASSES,
    PAPER,
    Picture,
    ink,
    marker,
    name_rows,
    plain,
    plot,
    shortened,
    without_frame,
)
from tui_attn.report.heatmap_figures import heatmap_pictures
from tui_attn.system.text import percent

Drawn = dict[str, list[Picture]]
"""The pictures by section of the page, in its order; those of one model under `heatmaps MODEL` and `effects MODEL`."""


def draw(results: Results) -> Drawn:
    """Draw all that there is something to draw of."""
    sections: dict[str, Iterable[Picture | None]] = {
        "accuracies": [_accuracies(results.summary), _differences(results.summary)],
        "curves": curve_pictures(results),
        "classes": [_class(results.classes), *map(_confusion, results.classes)],
        "calibration": [_reliability(results.classes), _cost(results)],
        **{f"heatmaps {found.model}": heatmap_pictures(found) for found in results.heatmaps},
        **{f"effects {found.model}": [_effects(found)] for found in results.effects},
    }
    return {name: [picture for picture in pictures if picture is not None] for name, pictures in sections.items()}


def _accuracies(summary: Summary) -> Picture | None:
    """Every run's final test accuracy, the runs of one seed joined, and each model's mean with its interval."""
    entries = [entry for entry in summary.models if entry.accuracy is not None]
    if not entries:
        return None
    found = [entry.accuracies for entry in entries]

    def draw(axes: Axes) -> None:
        for seed in summary.seeds:
            joined = [(place, 100 * values[seed]) for place, values in enumerate(found) if seed in values]
            axes.plot([x for x, _ in joined], [y for _, y in joined], color=GRID, linewidth=0.8, zorder=1)
        for place, entry in enumerate(entries):
            color, y = ink(entry.model), [100 * value for value in entry.accuracies.values()]
            shown: Any = {"color": color, "markersize": 5, "markeredgecolor": PAPER, "zorder": 3}
            axes.plot([place] * len(y), y, linestyle="none", marker=marker(entry.model), **shown)
            if entry.accuracy is not None and entry.ci95 is not None:
                at = place + 0.22
                axes.plot([at, at], _percent(entry.ci95), color=color, linewidth=1.2, zorder=2)
                axes.plot([at - 0.09, at + 0.09], [100 * entry.accuracy] * 2, color=color, linewidth=2.4, zorder=2)
        slanted: Any = {"rotation": 30, "ha": "right"} if len(entries) > 4 else {"rotation": 0, "ha": "center"}
        axes.set_xticks(range(len(entries)), [shortened(entry.model, 24) for entry in entries], **slanted)
        axes.set_xlim(-0.5, len(entries) - 0.5)
        axes.tick_params(axis="x", length=0, labelcolor=INK, labelsize=8)

    joins = "; a line joins the runs of one seed, the bar is the mean with its 95 % interval over seeds"
    caption = f"Final test accuracy of every run{joins if any(len(values) > 1 for values in found) else ''}."
    means = ", ".join(f"{entry.model} {percent(entry.accuracy)} %" for entry in entries)
    return plot("accuracies", f"Test accuracies: {means}.", caption, draw, title="test accuracy, %", height=2.9)


def _percent(ends: Sequence[float]) -> list[float]:
    return [100 * end for end in ends]


def _differences(summary: Summary) -> Picture | None:
    """Each model's difference from base, seed by seed, and the interval that decides."""
    shown = [(entry, entry.versus_base) for entry in summary.models if entry.versus_base]
    if not shown:
        return None
    base = summary.get(BASE).accuracies

    def draw(axes: Axes) -> None:
        axes.axvline(0, color=FAINT, linewidth=1, zorder=1)
        for place, (entry, versus) in enumerate(reversed(shown)):
            color = ink(entry.model)
            points = [100 * (entry.accuracies[seed] - base[seed]) for seed in versus.seeds]
            if len(points) > 1:  # a little apart, so that equal ones don't hide each other
                heights = [place - 0.22 + 0.05 * (index % 3 - 1) for index in range(len(points))]
                axes.plot(points, heights, linestyle="none", marker=".", color=color, alpha=0.5)
            if versus.ci95 is not None:
                style: Any = {"linewidth": 1.8} if versus.decides else {"linewidth": 1.2, "linestyle": (0, (2, 1.5))}
                axes.plot(_percent(versus.ci95), [place, place], color=color, zorder=2, **style)
            look: Any = {"color": color, "mfc": color if versus.decides else PAPER, "markersize": 6, "zorder": 3}
            axes.plot([100 * versus.delta], [place], marker=marker(entry.model), **look)
        name_rows(axes, [entry.model for entry, _ in reversed(shown)], labelsize=8)
        axes.set_ylim(-0.6, len(shown) - 0.4)

    caption = f"Differences from {BASE}. There is no interval before the first look, nor with one seed."
    if any(versus.ci95 for _, versus in shown):
        controls = any(not versus.decides for _, versus in shown)
        each = "; those of controls (dashed, no verdict) each by itself" if controls else ""
        held = "the intervals of compared models hold jointly in 95 %"
        caption = f"Differences from {BASE} by seed (small), their mean and interval: {held}{each}."
    told = ", ".join(f"{entry.model} {100 * versus.delta:+.2f} points" for entry, versus in shown)
    alt, title = f"Differences from {BASE}: {told}.", f"difference from {BASE}, points"
    return plot("differences", alt, caption, draw, title=title, height=0.9 + 0.55 * len(shown))


def _reliability(results: Sequence[ClassResults]) -> Picture | None:
    """Accuracy against confidence, all runs of a model together."""
    if not results:
        return None

    def draw(axes: Axes) -> None:
        axes.plot([0, 100], [0, 100], color=FAINT, linewidth=1, linestyle=(0, (3, 3)), zorder=1)
        for result in results:
            points = [point for point in result.calibration.points if point[2] >= _FEW_IMAGES]
            places, heights = [100 * point[0] for point in points], [100 * point[1] for point in points]
            axes.plot(places, heights, marker=marker(result.model), color=ink(result.model), label=result.model)
        axes.set_xlabel("mean confidence of the bin, %")

    errors = ", ".join(f"{result.model} {percent(result.calibration.ece)} %" for result in results)
    caption = (
        f"Below the dashed line a network is overconfident. Bins of {_FEW_IMAGES} images or more. "
        f"Expected calibration error: {errors}."
    )
    alt, title = f"Reliability diagram. {caption}", "accuracy by confidence, %"
    return plot("reliability", alt, caption, draw, title=title, height=3.1, legend=True)


_FEW_IMAGES = 10
"""A bin with fewer images shows chance alone."""


def _cost(results: Results) -> Picture | None:
    """Mean accuracy with its interval against the time of a training step."""
    found = [(entry, step_seconds(results, entry)) for entry in results.summary.models if entry.accuracy is not None]
    shown = [(entry, [1000 * each for each in times]) for entry, times in found if times]
    if len(shown) < 2:
        return None

    def draw(axes: Axes) -> None:
        for entry, times in shown:
            color, height, cost = ink(entry.model), 100 * (entry.accuracy or 0.0), fsum(times) / len(times)
            if entry.ci95 is not None:
                axes.plot([cost] * 2, _percent(entry.ci95), color=color, linewidth=1.2, zorder=2)
            look: Any = {"linestyle": "none", "color": color, "label": shortened(entry.model, 24), "zorder": 3}
            axes.plot([cost], [height], marker=marker(entry.model), **look)
            axes.plot([min(times), max(times)], [height] * 2, color=color, linewidth=0.8, alpha=0.6, zorder=1)
        axes.set_xlabel("training step, ms")

    costs = ", ".join(f"{entry.model} {fsum(times) / len(times):.3g} ms" for entry, times in shown)
    caption = "Accuracy against the time of a training step, mean over the runs; upright bars are 95 % "
    caption += "intervals over seeds, level ones go from the fastest to the slowest run."
    title = "test accuracy by cost, %"
    return plot("cost", f"{caption} {costs}.", caption, draw, title=title, height=3.3, legend=True)


def _class(results: Sequence[ClassResults]) -> Picture | None:
    """The accuracy of each class by model, the hardest class at the bottom."""
    names = results[0].names if results else ()
    results = [result for result in results if len(result.names) == len(names)]
    if not results or len(names) > MOST_CLASSES:
        return None
    with np.errstate(invalid="ignore"):  # NaN where no run knows
        means = [np.nansum(each.accuracy, axis=0) / np.isfinite(each.accuracy).sum(axis=0) for each in results]
    order = np.argsort([np.nanmean([mean[index] for mean in means]) for index in range(len(names))])

    def draw(axes: Axes) -> None:
        places = range(len(names))
        stack = np.array([mean[order] for mean in means]) * 100
        axes.hlines(places, stack.min(axis=0), stack.max(axis=0), color=GRID, linewidth=1.5, zorder=1)
        for result, mean in zip(results, means, strict=True):
            look: Any = {"linestyle": "none", "marker": marker(result.model), "color": ink(result.model), "zorder": 2}
            axes.plot(100 * mean[order], places, label=result.model, **look)
        name_rows(axes, [shortened(names[index]) for index in order])

    alt = f"Accuracy of each class by model; the hardest is {plain(names[order[0]])}."
    shown: Any = {"title": "accuracy of each class, %", "height": 1.1 + 0.2 * len(names), "legend": True}
    return plot("classes", alt, "Accuracy of each class, mean over the seeds.", draw, **shown)


def _confusion(result: ClassResults) -> Picture | None:
    """What was taken for what, in per cent of each class, all runs of a model together."""
    count = len(result.names)
    if count > MOST_CLASSES:
        return None
    with np.errstate(invalid="ignore"):
        share = np.nan_to_num(100.0 * result.confusion / result.confusion.sum(axis=1, keepdims=True))
    wrong = share - np.diag(np.diag(share))

    def draw(axes: Axes) -> None:
        # The square root lets rare mistakes show beside what is right.
        axes.imshow(np.sqrt(share / 100), cmap="Blues", vmin=0, vmax=1, interpolation="none", aspect="auto")
        size = 6.5 if count <= 12 else 4.5 if count <= 20 else 3.0
        for (row, column), value in np.ndenumerate(share):
            if value >= 0.05:
                text = f"{value:.0f}" if value >= 9.95 else f"{value:.1f}".removeprefix("0")
                color = "#ffffff" if value > 30 else "#10243e"
                axes.text(column, row, text, ha="center", va="center", fontsize=size, color=color)
        labels = [shortened(name, 11) for name in result.names]
        axes.set_xticks(range(count), labels, rotation=90)
        axes.set_yticks(range(count), labels)
        axes.tick_params(length=0, labelcolor=INK)
        without_frame(axes)

    row, column = (int(index) for index in np.unravel_index(wrong.argmax(), wrong.shape))
    worst = f"{result.names[row]} taken for {result.names[column]} ({wrong[row, column]:.1f} %)"
    caption = f"{result.model}: most often, {worst}."
    shown: Any = {"title": f"{result.model}: class (rows) taken for (columns), %", "height": 0.9 + 0.31 * count}
    return plot(f"confusion-{result.model}", f"Confusion matrix of {caption}", caption, draw, **shown)


def _effects(found: Effects) -> Picture:
    """The change of accuracy under each intervention, with its interval; layers one below the other."""
    layers = list(dict.fromkeys(effect.layer for effect in found.effects))
    kinds = list(dict.fromkeys(effect.kind for effect in found.effects))
    styles = {layer: (marker, alpha) for layer, marker, alpha in zip(layers, "ovs", (0.55, 0.75, 1.0), strict=False)}

    def draw(axes: Axes) -> None:
        axes.axvline(0, color=FAINT, linewidth=1, zorder=1)
        for effect in found.effects:
            place = kinds.index(effect.kind) + 0.24 * (layers.index(effect.layer) - (len(layers) - 1) / 2)
            marker, alpha = styles[effect.layer]
            label = layer_words(effect.layer) if effect.kind == kinds[0] and len(layers) > 1 else None
            shown = zip(effect.deltas, effect.intervals, strict=True) if found.few else [(effect.delta, effect.ci95)]
            look: Any = {"color": ink(found.model), "alpha": alpha}
            for number, (delta, ends) in enumerate(shown):
                at = place + 0.12 * number
                axes.plot(_percent(ends), [at] * 2, zorder=2, **look)
                named = label if number == 0 else None
                axes.plot([100 * delta], [at], marker=marker, label=named, linestyle="none", zorder=3, **look)
        name_rows(axes, [textwrap.fill(kind_words(found.model, kind), 20) for kind in kinds])
        axes.invert_yaxis()
        if len(layers) > 1:
            axes.legend(loc="best", ncols=len(layers), handletextpad=0.2, columnspacing=1)

    over = "over the seeds" if len(found.runs) >= ENOUGH else "over the test images"
    names = joined(run.run for run in found.runs) if len(found.runs) < ENOUGH else f"{len(found.runs)} networks"
    what = replaced_words(found.model)
    caption = f"{names}: what becomes of the accuracy when the {what} are replaced by …, with 95 % intervals {over}"
    caption += ", one below the other." if found.few else "."
    height, title = 0.8 + len(kinds) * (0.2 + 0.13 * len(layers)), f"{found.model}: change of accuracy, points"
    return plot(f"interventions-{found.model}", dependence_sentence(found), caption, draw, title=title, height=height)
