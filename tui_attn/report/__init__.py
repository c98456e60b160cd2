"""The report: one self-contained HTML page, tables as CSV, pictures as PNG and SVG; the only place with matplotlib."""

from __future__ import annotations

from pathlib import Path

from tui_attn.experiment.follower import Follower
from tui_attn.report.output import ReportError, write_files

PAGE = "report.html"
PICTURES, TABLES = "pictures", "tables"

NEEDS = "the report's pictures need matplotlib: pip install 'tui-attn[report]'"

__all__ = ["PAGE", "ReportError", "write_report"]


def write_report(follower: Follower, folder: Path) -> Path:
    """Write the report of an experiment, as its logs stand, into `folder`, and return the path of its page.

    The folder may hold other files: only those of an earlier report are replaced or removed. Equal experiments give
    equal bytes with the same versions of the libraries. Raises `ReportError`.
    """
    try:
        import matplotlib.figure  # noqa: F401
    except ImportError:
        raise ReportError(NEEDS) from None
    from tui_attn.report.content import gather
    from tui_attn.report.figures import assign
    from tui_attn.report.page import page
    from tui_attn.report.sections import draw
    from tui_attn.report.tables import csv_files

    content = gather(follower)
    assign(follower.manifest.config.models)
    drawn = draw(content)
    files = {f"{TABLES}/{name}": table for name, table in csv_files(content).items()}
    for picture in drawn.all:
        files[f"{PICTURES}/{picture.name}.png"] = picture.png
        files[f"{PICTURES}/{picture.name}.svg"] = picture.svg
    files[PAGE] = page(content, drawn, sorted(files)).encode("utf-8")
    write_files(folder, files, last=PAGE)
    return folder / PAGE
