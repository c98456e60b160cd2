"""Commands that keep order among experiments: history, delete, trash, restore."""

from __future__ import annotations

from typing import Annotated

import typer

from tui_attn.cli import completing
from tui_attn.cli.app import TIDY, WATCH, command
from tui_attn.cli.options import RUNS, AsJson, Mouse, RunsDir, Theme
from tui_attn.cli.watching import full_screen

Named = Annotated[
    list[str],
    typer.Argument(
        metavar="EXPERIMENT...", help="Ids, starts of them, names, or paths.", autocompletion=completing.experiments
    ),
]
Trashed = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="EXPERIMENT...",
        help="Ids, starts of them, or names. [what was deleted last]",
        autocompletion=completing.in_the_trash,
    ),
]


@command(WATCH, "history                   to find, open, compare and tidy up")
def history(runs_dir: RunsDir = RUNS, mouse: Mouse = None, theme: Theme = None) -> None:
    """Show all experiments; where no dashboard can be shown, list them."""
    if not full_screen():
        from tui_attn import commands

        raise typer.Exit(commands.list_experiments(runs_dir, as_json=False))
    from tui_attn.cli.given import screen_options
    from tui_attn.ui import run_dashboard

    raise typer.Exit(run_dashboard(None, options=screen_options(), runs_dir=runs_dir))


@command(TIDY, "delete my-lab             moves it to runs/.trash", "delete 20261123 20261124  two of them")
def delete(experiments: Named, runs_dir: RunsDir = RUNS) -> None:
    """Move experiments to the trash; 'restore' takes them back."""
    from tui_attn import shelf, talk

    for folder in dict.fromkeys(shelf.find_any(runs_dir, name) for name in experiments):
        shelf.trash(folder)
        talk.say(f"{folder.id} is in the trash: 'tui-attn restore {folder.id}' takes it back")


@command(TIDY, "trash", "trash --json | jq '.[].experiment'")
def trash(runs_dir: RunsDir = RUNS, as_json: AsJson = False) -> None:
    """List what was deleted, the last first."""
    from tui_attn import commands

    raise typer.Exit(commands.list_trash(runs_dir, as_json=as_json))


@command(TIDY, "restore                   what was deleted last", "restore 20261123")
def restore(experiments: Trashed = None, runs_dir: RunsDir = RUNS) -> None:
    """Take experiments back from the trash."""
    from tui_attn import shelf, talk

    found = [shelf.find_trashed(runs_dir, name) for name in experiments or []]
    for item in found or [shelf.find_trashed(runs_dir, None)]:
        talk.say(f"{shelf.restore(item).id} is back")
