"""Commands about this machine rather than about an experiment: data, doctor."""

from __future__ import annotations

from typing import Annotated

import typer

from tui_attn.cli.app import MACHINE, command
from tui_attn.cli.completion import datasets
from tui_attn.cli.options import RUNS, AsJson, DataDir, RunsDir


@command(MACHINE, "data                      what is here", "data cifar10              fetch CIFAR-10 where missing")
def data(
    names: Annotated[
        list[str] | None, typer.Argument(metavar="NAME...", help="Fetch these where missing.", autocompletion=datasets)
    ] = None,
    fetch: Annotated[bool, typer.Option("--fetch", help="Fetch all that are missing.")] = False,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Show which data sets are where, and fetch what is missing."""
    from tui_attn.cli import commands

    raise typer.Exit(commands.show_data(data_dir, names or [], fetch=fetch, as_json=as_json))


@command(MACHINE, "doctor")
def doctor(runs_dir: RunsDir = RUNS, as_json: AsJson = False) -> None:
    """Check devices, torch, data, terminal, disk, and what a logout does."""
    from tui_attn.cli import doctor as checks

    raise typer.Exit(checks.report(runs_dir, as_json=as_json))
