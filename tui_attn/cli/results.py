"""Commands that read what experiments found: ls, compare, probe, export."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from tui_attn.cli.app import RESULTS, command
from tui_attn.cli.options import RUNS, AsJson, Experiment, Experiments, OneRun, RunsDir


@command(RESULTS, "ls", "ls --json | jq '.[0]'")
def ls(runs_dir: RunsDir = RUNS, as_json: AsJson = False) -> None:
    """List the experiments, newest first."""
    from tui_attn.cli import commands

    raise typer.Exit(commands.list_experiments(runs_dir, as_json=as_json))


@command(
    RESULTS,
    "compare                   the newest experiment",
    "compare lab more-seeds    two experiments as one",
    "compare --report lab      also a page to hand in",
)
def compare(
    experiments: Experiments = None,
    runs_dir: RunsDir = RUNS,
    as_json: AsJson = False,
    report: Annotated[
        Path | None, typer.Option("--report", metavar="DIR", help="Also write a page with tables and pictures to DIR.")
    ] = None,
) -> None:
    """Compare the models of an experiment, or of several together."""
    from tui_attn.cli import commands

    raise typer.Exit(commands.compare_models(runs_dir, experiments or [], as_json=as_json, report=report))


@command(RESULTS, "probe                     all finished runs with attention", "probe --run se-s0         one run")
def probe(experiment: Experiment = None, run: OneRun = None, runs_dir: RunsDir = RUNS, as_json: AsJson = False) -> None:
    """Replace the attention, and see what the accuracy becomes."""
    from tui_attn.cli import commands

    raise typer.Exit(commands.probe(runs_dir, experiment, run, as_json=as_json))


@command(
    RESULTS,
    "export --tensorboard      then: tensorboard --logdir runs",
    "export --csv --out lab    tables of runs, epochs, points and gates",
    "export --safetensors      weights with a model card, run by run",
)
def export(
    experiment: Experiment = None,
    run: OneRun = None,
    tensorboard: Annotated[
        bool, typer.Option("--tensorboard", help="Event files, in the experiment's folder where --out names no other.")
    ] = False,
    csv: Annotated[bool, typer.Option("--csv", help="Tables as CSV.")] = False,
    safetensors: Annotated[
        bool, typer.Option("--safetensors", help="Weights of finished runs, each with a model card.")
    ] = False,
    out: Annotated[
        Path | None, typer.Option("--out", metavar="DIR", help="Where to, an empty folder. [EXPERIMENT-export]")
    ] = None,
    runs_dir: RunsDir = RUNS,
) -> None:
    """Write event files for TensorBoard, CSV tables, or weights."""
    from tui_attn.cli import commands

    kinds = {"tensorboard": tensorboard, "csv": csv, "safetensors": safetensors}
    wanted = [kind for kind, asked in kinds.items() if asked]
    raise typer.Exit(commands.export(runs_dir, experiment, wanted, run=run, out=out))
