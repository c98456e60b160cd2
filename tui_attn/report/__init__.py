"""The report: one self-contained HTML page, tables as CSV, pictures as PNG and SVG; the only place with matplotlib."""

from __future__ import annotations

import os
from dataclasses import replace
from itertools import chain
from pathlib import Path

from tui_attn.compare.results import read_results
from tui_attn.experiment.follower import Follower
from tui_attn.export.tables import csv_blocks, csv_tables
from tui_attn.report.output import ReportError, write_files

PAGE = "report.html"
TABLES = "tables"

NEEDS = "the report's pictures need matplotlib: pip install 'tui-attn[report]'"

NO_FONT = (
    "the pictures show boxes for {}: no installed font has these characters; install one, such as Noto Sans CJK, and "
    "write the report again"
)

__all__ = ["PAGE", "ReportError", "write_report"]


def write_report(follower: Follower, folder: Path) -> Path:
    """Write the report of an experiment, as its logs stand, into `folder`, and return the path of its page.

    The folder may hold other files: only those of an earlier report are replaced or removed. Equal experiments give
    equal bytes with the same versions of the libraries. Raises `ReportError`.
    """
    os.environ["MPLBACKEND"] = "agg"  # that of a notebook may be missing here
    try:
        import matplotlib.figure  # noqa: F401
    except ImportError:
        raise ReportError(NEEDS) from None
    from tui_attn.report.comparison_figures import draw
    from tui_attn.report.figures import look, picture_files
    from tui_attn.report.page import page

    results = read_results(follower)
    names = [name for found in results.classes for name in found.names]
    names += [name for found in results.heatmaps for name in found.classes]
    tables = csv_tables(follower, results, [], curves=False)
    files = {f"{TABLES}/{name}": b"".join(csv_blocks(*table)) for name, table in tables.items()}
    with look(follower.manifest.config.models, names) as missing:
        if missing:
            results = replace(results, remarks=(*results.remarks, NO_FONT.format(missing[:20])))
        drawn = draw(results)
        files |= picture_files(chain(*drawn.values()))
        files[PAGE] = page(results, drawn, sorted(files)).encode("utf-8")
    write_files(folder, files, last=PAGE)
    return folder / PAGE
