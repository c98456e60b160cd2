"""Commands to what trains: pause, unpause, stop, skip, retry."""

from __future__ import annotations

from pathlib import Path

import typer

from tui_attn.cli.app import STEER, command
from tui_attn.cli.options import RUNS, Experiment, OneRun, RunsDir


@command(STEER, "pause                     all runs of the newest experiment", "pause --run se-s0         one run")
def pause(experiment: Experiment = None, run: OneRun = None, runs_dir: RunsDir = RUNS) -> None:
    """Pause the training after the step in progress."""
    _steer("pause", experiment, run, runs_dir)


@command(STEER, "unpause")
def unpause(experiment: Experiment = None, run: OneRun = None, runs_dir: RunsDir = RUNS) -> None:
    """Go on after a pause."""
    _steer("unpause", experiment, run, runs_dir)


@command(STEER, "stop                      all runs of the newest experiment", "stop --run se-s0          one run")
def stop(experiment: Experiment = None, run: OneRun = None, runs_dir: RunsDir = RUNS) -> None:
    """Stop after the step in progress; 'resume' goes on from there."""
    _steer("stop", experiment, run, runs_dir)


@command(STEER, "skip --run self-attention-s0")
def skip(experiment: Experiment = None, run: OneRun = None, runs_dir: RunsDir = RUNS) -> None:
    """Leave runs out, for good: 'resume' passes them over."""
    _steer("skip", experiment, run, runs_dir)


@command(STEER, "retry --run se-s0")
def retry(experiment: Experiment = None, run: OneRun = None, runs_dir: RunsDir = RUNS) -> None:
    """Train what failed or was left out once more, beside the rest."""
    _steer("retry", experiment, run, runs_dir)


def _steer(name: str, experiment: str | None, run: str | None, runs_dir: Path) -> None:
    from tui_attn.cli import commands

    raise typer.Exit(commands.steer(runs_dir, experiment, name, run))
