"""The page on a study: what its text says, with pictures of its intervals."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from tui_attn.compare.pairs import BASE
from tui_attn.experiment.study import StudyDir
from tui_attn.report.figures import FAINT, Picture, ink, look, marker, name_rows, picture_files, plot
from tui_attn.report.output import write_files
from tui_attn.report.page import render
from tui_attn.study.analysis import StudyResults, Versus, read_results
from tui_attn.study.tables import (
    cell_rows,
    cells_title,
    final_title,
    remarks,
    slope_label,
    slope_rows,
    slope_title,
    title,
)
from tui_attn.system.text import safe_text

if TYPE_CHECKING:
    from matplotlib.axes import Axes

PAGE = "index.html"


def write_study(study: StudyDir, folder: Path) -> Path:
    """Write the page and its pictures into `folder`, and return the page's path. Raises `ReportError`, `RunsError`."""
    found = read_results(study)
    with look(found.models):
        pictures = study_pictures(found)
    page = render(
        "study.html.j2",
        title=safe_text(found.name or found.study, one_line=True),
        what=title(found),
        slopes=slope_rows(found) if found.slopes else [],
        finals=cell_rows(found.finals) if found.finals else [],
        finals_title=final_title(found),
        cells=cell_rows(found.cells, list(found.winners.items())),
        cells_title=cells_title(found),
        pictures=pictures,
        remarks=remarks(found),
    )
    write_files(folder, picture_files(pictures) | {PAGE: page.encode("utf-8")}, last=PAGE)
    return folder / PAGE


def study_pictures(found: StudyResults) -> list[Picture]:
    """Of a curve the differences by size and their slopes; of a sweep the differences by cell."""
    pictures = []
    if found.slopes:
        pictures.append(_curve(found))
        slopes = [(slope_label(each), each.model, each.versus) for each in found.slopes]
        pictures += _forest("slopes", f"The {slope_title(found)}, with 95 % intervals.", slopes)
    for name, cells, where in (("finals", found.finals, " on the test set"), ("differences", found.cells, "")):
        rows = [(f"{row.label}  {row.model}", row.model, row.versus) for row in cells]
        if not (found.slopes and name == "differences"):
            pictures += _forest(name, f"Differences from {BASE}{where}, points, with 95 % intervals.", rows)
    return pictures


def _curve(found: StudyResults) -> Picture:
    """Differences from base against the size of the training data, in a logarithmic scale."""

    def draw(axes: Axes) -> None:
        axes.axhline(0, color=FAINT, linewidth=1, linestyle=(0, (3, 3)), zorder=1)
        for place, model in enumerate(found.models):
            rows = [
                (row.size * (1 + 0.02 * place), row.versus) for row in found.cells if row.model == model and row.size
            ]
            known = [(x, 100 * versus.delta, versus.ci95) for x, versus in rows if versus and versus.delta is not None]
            xs, ys = [x for x, _, _ in known], [y for _, y, _ in known]
            if known:
                axes.plot(xs, ys, marker=marker(model), color=ink(model), label=model)
            for x, _, ends in known:
                if ends is not None:
                    axes.plot([x, x], [100 * end for end in ends], color=ink(model), linewidth=1)
        sizes = sorted({row.size for row in found.cells if row.size})
        axes.set_xscale("log", base=2)
        axes.set_xticks(sizes, [f"{size:,}" for size in sizes])
        axes.set_xlabel("training images")

    caption = f"Differences from {BASE} at equal steps, with 95 % intervals; places are moved apart a little."
    title = f"difference from {BASE}, points"
    return plot("curve", caption, caption, draw, title=title, legend=True, height=3.2)


def _forest(name: str, caption: str, rows: Sequence[tuple[str, str, Versus | None]]) -> list[Picture]:
    """One picture of the differences that are known, if any."""
    each = [(label, model, versus) for label, model, versus in reversed(rows) if versus]
    known = [(label, model, versus.delta, versus.ci95) for label, model, versus in each if versus.delta is not None]

    def draw(axes: Axes) -> None:
        axes.axvline(0, color=FAINT, linewidth=1, linestyle=(0, (3, 3)), zorder=1)
        for place, (_, model, delta, ci95) in enumerate(known):
            if ci95 is not None:
                axes.plot([100 * end for end in ci95], [place, place], color=ink(model), linewidth=1.8)
            axes.plot([100 * delta], [place], marker=marker(model), color=ink(model), markersize=6)
        name_rows(axes, [label for label, *_ in known], labelsize=8)

    height = 0.9 + 0.3 * len(known)
    return [plot(name, caption, caption, draw, title="points", height=height, width=6.0)] if known else []
