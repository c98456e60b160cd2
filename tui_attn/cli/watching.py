"""Commands that show an experiment, and those that train on in one: attach, resume, extend."""

from __future__ import annotations

import os
import sys
from typing import Annotated, Any

import typer

from tui_attn.cli.app import WATCH, command
from tui_attn.cli.context import screen_options
from tui_attn.cli.options import RUNS, AsJson, Experiment, Mouse, NoUi, RunsDir, Theme, TrustCode


def full_screen() -> bool:
    """Whether a dashboard can be shown: a terminal on both ends that can do more than print."""
    return sys.stdout.isatty() and sys.stdin.isatty() and os.environ.get("TERM", "dumb") != "dumb"


def dashboard(folder: Any) -> int:
    """Show the experiment in `folder` as the user likes it; the exit code."""
    from tui_attn.ui import run_dashboard

    return run_dashboard(folder, options=screen_options())


def dashboard_wanted(no_ui: bool, as_json: bool) -> Any:
    """What shows an experiment full screen, or None where lines are wanted."""
    return None if no_ui or as_json or not full_screen() else dashboard


@command(
    WATCH,
    "attach                    the newest experiment",
    "attach 2026-1123          the one whose id begins so",
    "attach --no-ui            lines, one for each epoch",
)
def attach(
    experiment: Experiment = None,
    runs_dir: RunsDir = RUNS,
    no_ui: NoUi = False,
    as_json: AsJson = False,
    mouse: Mouse = None,
    theme: Theme = None,
) -> None:
    """Show an experiment, live or ended; leaving it doesn't stop it."""
    from tui_attn.experiment.finding import find_experiment

    folder = find_experiment(runs_dir, experiment)
    show = dashboard_wanted(no_ui, as_json)
    if show is not None:
        raise typer.Exit(show(folder))
    from tui_attn.cli import lines

    raise typer.Exit(lines.watch(folder, as_json=as_json, own=False))


@command(WATCH, "resume", "resume my-lab --no-ui")
def resume(
    experiment: Experiment = None,
    runs_dir: RunsDir = RUNS,
    no_ui: NoUi = False,
    as_json: AsJson = False,
    mouse: Mouse = None,
    theme: Theme = None,
    trust_code: TrustCode = False,
) -> None:
    """Take up what was stopped, failed or lost, and show it."""
    from tui_attn.cli import commands

    show = dashboard_wanted(no_ui, as_json)
    raise typer.Exit(commands.resume(runs_dir, experiment, as_json=as_json, dashboard=show, trust_code=trust_code))


@command(WATCH, "extend --seeds 5          five seeds of each in all, for a verdict")
def extend(
    seeds: Annotated[int, typer.Option(metavar="N", help="How many seeds each model shall have in all.")],
    experiment: Experiment = None,
    runs_dir: RunsDir = RUNS,
    no_ui: NoUi = False,
    as_json: AsJson = False,
    mouse: Mouse = None,
    theme: Theme = None,
    trust_code: TrustCode = False,
) -> None:
    """Bring an experiment to N seeds, and show it."""
    from tui_attn.cli import commands

    show = dashboard_wanted(no_ui, as_json)
    raise typer.Exit(
        commands.extend(runs_dir, experiment, seeds, as_json=as_json, dashboard=show, trust_code=trust_code)
    )
