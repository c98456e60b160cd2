"""Commands that read what experiments found: ls, compare, probe."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from tui_attn.cli.app import RESULTS, command
from tui_attn.cli.options import RUNS, AsJson, Experiment, OneRun, RunsDir


@command(RESULTS, "ls", "ls --json | jq '.[0]'")
def ls(runs_dir: RunsDir = RUNS, as_json: AsJson = False) -> None:
    """List the experiments, newest first."""
    from tui_attn import commands

    raise typer.Exit(commands.list_experiments(runs_dir, as_json=as_json))


@command(RESULTS, "compare                   the newest experiment", "compare --report lab      also a page to hand in")
def compare(
    experiment: Experiment = None,
    runs_dir: RunsDir = RUNS,
    as_json: AsJson = False,
    report: Annotated[
        Path | None, typer.Option("--report", metavar="DIR", help="Also write a page with tables and pictures to DIR.")
    ] = None,
) -> None:
    """Compare the models of an experiment."""
    from tui_attn import commands

    raise typer.Exit(commands.compare_models(runs_dir, experiment, as_json=as_json, report=report))


@command(RESULTS, "probe                     all finished runs with attention", "probe --run se-s0         one run")
def probe(experiment: Experiment = None, run: OneRun = None, runs_dir: RunsDir = RUNS, as_json: AsJson = False) -> None:
    """Replace the attention, and see what the accuracy becomes."""
    from tui_attn import commands

    raise typer.Exit(commands.probe(runs_dir, experiment, run, as_json=as_json))
