"""The page that explains a difference: contrasts with intervals, and what probes saw over the epochs."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from tui_attn.compare.explanation import Contrast, Explanation
from tui_attn.compare.wording import UNKNOWN, interval_points, points
from tui_attn.report.output import write_files
from tui_attn.report.page import render
from tui_attn.system.text import safe_text

PAGE = "explain.html"


def contrast_rows(contrasts: Iterable[Contrast]) -> list[list[str]]:
    """A table of contrasts, in points of accuracy, headings first."""
    rows = [["contrast", "what differs", "points", "95 % interval", "seeds"]]
    return rows + [
        [f"{each.first} - {each.second}", each.what, points(each.delta), interval_points(each.ci95), str(each.pairs)]
        for each in contrasts
    ]


def development_rows(found: Explanation) -> list[list[str]]:
    """A table of what the probes say after some epochs, headings first; empty without probes."""
    epochs = found.epochs
    rows = [
        [each.model, each.what, *(f"{each.values[at]:.3f}" if at in each.values else UNKNOWN for at in epochs)]
        for each in found.developments
    ]
    return [["model", "mean over the seeds", *(f"epoch {epoch}" for epoch in epochs)], *rows] if rows else []


def write_explanation(found: Explanation, folder: Path) -> Path:
    """Write the page into `folder` and return its path. Raises `ReportError`."""
    page = render(
        "explain.html.j2",
        title=safe_text(found.experiments[0], one_line=True),
        dataset=safe_text(found.config.dataset, one_line=True),
        found=found,
        contrasts=contrast_rows(found.contrasts),
        against_base=[[row[0], *row[2:]] for row in contrast_rows(found.against_base)],
        developments=development_rows(found),
    )
    write_files(folder, {PAGE: page.encode("utf-8")}, last=PAGE)
    return folder / PAGE
