"""Commands that organize experiments: history, rename, note, pin, unpin, delete, trash, restore."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated

import typer

from tui_attn.cli.app import TIDY, WATCH, command
from tui_attn.cli.completion import in_the_trash
from tui_attn.cli.context import ui_options
from tui_attn.cli.option_types import RUNS, AsJson, Mouse, RunsDir, Theme, named
from tui_attn.cli.output import print_json, print_line
from tui_attn.cli.watching import full_screen
from tui_attn.system import console
from tui_attn.system.text import command_line, safe_text

Named = Annotated[list[str], named("Ids, starts of them, names, or paths.", several=True)]
One = Annotated[str, named("Its id, the start of it, its name, or a path.")]
Trashed = Annotated[
    list[str] | None,
    named("Ids, starts of them, or names. [what was deleted last]", several=True, offers=in_the_trash),
]


@command(WATCH, "history                   to find, open, compare and tidy up")
def history(context: typer.Context, runs_dir: RunsDir = RUNS, mouse: Mouse = None, theme: Theme = None) -> int:
    """Show all experiments; where no dashboard can be shown, list them."""
    if not full_screen():
        from tui_attn.cli.results import list_experiments

        return list_experiments(runs_dir, as_json=False)
    from tui_attn.ui import run_dashboard

    return run_dashboard(None, options=ui_options(context), runs_dir=runs_dir)


@command(TIDY, "rename 20261123 'the lab'", "rename 20261123 ''        takes its name away")
def rename(
    experiment: One,
    name: Annotated[str, typer.Argument(metavar="NAME", help="What it is called; '' takes its name away.")],
    runs_dir: RunsDir = RUNS,
) -> None:
    """Give an experiment another name; its id stays."""
    from tui_attn.history import organize

    folder = organize.find_any(runs_dir, experiment)
    organize.rename(folder, name)
    called = safe_text(name.strip(), one_line=True)
    console.say(f"{folder.id} is called '{called}' now" if called else f"{folder.id} has no name now")


@command(TIDY, "note my-lab 'use this for the report'", "note my-lab ''            takes the note away")
def note(
    experiment: One,
    text: Annotated[str, typer.Argument(metavar="TEXT", help="What is noted; '' takes the note away.")],
    runs_dir: RunsDir = RUNS,
) -> None:
    """Note something on an experiment; the history finds it."""
    from tui_attn.history import organize

    folder = organize.find_any(runs_dir, experiment)
    before = organize.read_annotations(folder).note
    organize.note(folder, text)
    if not text.strip():
        console.say(f"{folder.id} has no note now")
    else:
        console.say(f"noted on {folder.id}" + (f", in place of: {before}" if before else ""))


@command(TIDY, "pin my-lab", "pin 20261123 20261124     two of them")
def pin(experiments: Named, runs_dir: RunsDir = RUNS) -> None:
    """Keep experiments at the top of the history."""
    _pin(experiments, runs_dir, pinned=True)


@command(TIDY, "unpin my-lab")
def unpin(experiments: Named, runs_dir: RunsDir = RUNS) -> None:
    """Unpin experiments from the top of the history."""
    _pin(experiments, runs_dir, pinned=False)


def _pin(experiments: list[str], runs_dir: Path, *, pinned: bool) -> None:
    from tui_attn.history import organize

    for folder in dict.fromkeys(organize.find_any(runs_dir, name) for name in experiments):
        organize.pin(folder, pinned)
        console.say(f"{folder.id} is {'pinned' if pinned else 'no longer pinned'}")


@command(TIDY, "delete my-lab             moves it to runs/.trash", "delete 20261123 20261124  two of them")
def delete(experiments: Named, runs_dir: RunsDir = RUNS) -> None:
    """Move experiments to the trash; 'restore' takes them back."""
    from tui_attn.history import organize

    for folder in dict.fromkeys(organize.find_any(runs_dir, name) for name in experiments):
        organize.trash(folder)
        console.say(f"{folder.id} is in the trash: '{command_line('restore', folder.path)}' takes it back")


@command(TIDY, "trash", "trash --json | jq '.[].experiment'")
def trash(runs_dir: RunsDir = RUNS, as_json: AsJson = False) -> None:
    """List what was deleted, newest first."""
    from tui_attn.history import organize

    items = organize.trashed(runs_dir)
    if as_json:
        found = [{"experiment": item.id, "deleted": item.since, "path": str(item.folder.path)} for item in items]
        print_json(found)
        return
    if not items:
        console.say(f"nothing is in the trash of {safe_text(runs_dir, one_line=True)}")
    for item in items:
        when = time.strftime("%Y-%m-%d %H:%M", time.localtime(item.since))
        name = "damaged" if item.manifest is None and not item.study else item.name or ""
        print_line(f"{item.id}  deleted {when}  {safe_text(name, one_line=True)}".rstrip())


@command(TIDY, "restore                   what was deleted last", "restore 20261123")
def restore(experiments: Trashed = None, runs_dir: RunsDir = RUNS) -> None:
    """Take experiments back from the trash."""
    from tui_attn.history import organize

    found = [organize.find_trashed(runs_dir, name) for name in experiments or []]
    for item in found or [organize.find_trashed(runs_dir, None)]:
        console.say(f"{organize.restore(item).id} is back")
