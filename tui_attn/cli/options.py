"""The options that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

RUNS = Path("runs")

RunsDir = Annotated[Path, typer.Option("--runs-dir", metavar="DIR", help="Where experiments are kept.")]
Experiment = Annotated[
    str | None, typer.Argument(metavar="EXPERIMENT", help="Its id, the start of it, its name, or a path; the newest.")
]
NoMouse = Annotated[bool, typer.Option("--no-mouse", help="Leave the mouse to the terminal.")]
NoUi = Annotated[bool, typer.Option("--no-ui", help="Lines instead of the dashboard.")]
AsJson = Annotated[bool, typer.Option("--json", help="JSON on stdout.")]
OneRun = Annotated[str | None, typer.Option("--run", metavar="RUN", help="Only this run, such as se-s0.")]
DataDir = Annotated[Path | None, typer.Option("--data-dir", metavar="DIR", help="Look here first.")]
TrustCode = Annotated[
    bool, typer.Option("--trust-code", help="Run the code of models of one's own in it, whoever wrote it.")
]
