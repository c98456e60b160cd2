"""Draws all pictures of a report."""

from __future__ import annotations

from collections.abc import Iterable

from tui_attn.compare.results import Results
from tui_attn.report.comparison_figures import (
    accuracies_picture,
    class_picture,
    confusion_picture,
    cost_picture,
    differences_picture,
    effects_picture,
    reliability_picture,
)
from tui_attn.report.curve_figures import curve_pictures
from tui_attn.report.figures import Picture
from tui_attn.report.heatmap_figures import heatmap_pictures

Drawn = dict[str, list[Picture]]
"""The pictures by section of the page, in its order; those of one model under `heatmaps MODEL` and `effects MODEL`."""


def draw(results: Results) -> Drawn:
    """Draw all that there is something to draw of."""
    sections: dict[str, Iterable[Picture | None]] = {
        "accuracies": [accuracies_picture(results.summary), differences_picture(results.summary)],
        "curves": curve_pictures(results),
        "classes": [class_picture(results.classes), *map(confusion_picture, results.classes)],
        "calibration": [reliability_picture(results.classes), cost_picture(results)],
        **{f"heatmaps {found.model}": heatmap_pictures(found) for found in results.heatmaps},
        **{f"effects {found.model}": [effects_picture(found)] for found in results.effects},
    }
    return {name: [picture for picture in pictures if picture is not None] for name, pictures in sections.items()}
