"""Opens the dashboard and says, on the way out, how things stand."""

from __future__ import annotations

import contextlib
import gc
import importlib
import os
import shutil
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from tui_attn.experiment.folders import ExperimentDir
from tui_attn.experiment.manifest import RunsError
from tui_attn.system.console import over_ssh, takes_ascii
from tui_attn.system.files import user_folder
from tui_attn.system.plain_file import open_to_write
from tui_attn.system.text import command_line, safe_text
from tui_attn.ui.options import UiOptions

if TYPE_CHECKING:
    from tui_attn.ui.feed import Snapshot

_FRAMES_PER_SECOND = "30"
_SSH_FRAMES_PER_SECOND = "20"


def run_dashboard(
    folder: ExperimentDir | None, *, options: UiOptions | None = None, runs_dir: Path | None = None
) -> int:
    """Show the experiment in `folder`, or the history of `runs_dir`, until the user leaves; return the exit code.

    `runs_dir` is by default the folder that `folder` is in. The code is about the experiment that was shown last: 0
    while training goes on, else as the experiment ended; 143 after SIGTERM, 129 when the terminal went away, 1 when the
    dashboard itself failed. Needs a terminal on stdin and stdout, and the main thread. Raises `RunsError` when the
    folder can't be read.
    """
    options = options or UiOptions()
    load(options)
    from tui_attn.ui.app import DashboardApp

    # A thread that reads a long history must not hold a key press up for long.
    sys.setswitchinterval(0.001)
    app = DashboardApp(folder, options, runs_dir=runs_dir)
    # What was imported stays, and is not looked through for garbage again and again while a long history is read.
    gc.freeze()
    app.run(mouse=options.mouse)
    if app.failure is not None:
        _report(app.folder, app.failure)
    elif not app.return_code and app.folder is not None:
        _say_goodbye(app.folder, app.snapshot)
    if app.return_code:
        return app.return_code
    return app.snapshot.exit_code if app.snapshot is not None and app.snapshot.ended else 0


def load(options: UiOptions) -> None:
    """Import what the first frame needs. Garbage is not collected until then: nothing of it becomes garbage soon."""
    _prepare(options)
    gc.disable()
    importlib.import_module("tui_attn.ui.app")


def _prepare(options: UiOptions) -> None:
    """Set what Textual reads when it is imported, unless the user did."""
    ssh = over_ssh()
    animations = not ssh if options.animations is None else options.animations
    os.environ.setdefault("TEXTUAL_FPS", _SSH_FRAMES_PER_SECOND if ssh else _FRAMES_PER_SECOND)
    os.environ.setdefault("TEXTUAL_ANIMATIONS", "full" if animations else "none")
    os.environ.setdefault("TEXTUAL_SMOOTH_SCROLL", "1" if animations else "0")


def _say_goodbye(folder: ExperimentDir, snapshot: Snapshot | None) -> None:
    """Print that training goes on, or the result. A terminal that is gone hears nothing."""
    with contextlib.suppress(OSError, ValueError, RunsError):
        for line, file in farewell(folder, snapshot):
            print(line, file=file)


def farewell(folder: ExperimentDir, snapshot: Snapshot | None) -> list[tuple[str, TextIO]]:
    """What to print on the way out, each line with its stream: figures on stdout, talk on stderr."""
    if snapshot is None:
        return [(f"leaving; '{command_line('attach', folder.path)}' comes back", sys.stderr)]
    if snapshot.ended:
        return [(line, sys.stdout) for line in _comparison(folder, shutil.get_terminal_size().columns)]
    if not snapshot.supervised:
        return [(f"nobody trains {folder.id}: '{command_line('resume', folder.path)}' takes it up again", sys.stderr)]
    return [
        (f"training goes on: '{command_line('attach', folder.path)}' comes back", sys.stderr),
        (f"                  '{command_line('stop', folder.path)}' stops it and keeps what there is", sys.stderr),
    ]


def _comparison(folder: ExperimentDir, width: int) -> list[str]:
    """The comparison of an experiment as its logs stand now, as lines of at most `width` cells. Raises `RunsError`."""
    from tui_attn.compare.remarks import find_remarks
    from tui_attn.compare.summary import summarise
    from tui_attn.compare.text_tables import comparison_table
    from tui_attn.experiment.follower import read_state

    follower = read_state(folder)
    summary = summarise(follower)
    return comparison_table(
        summary, find_remarks(follower, summary), width, takes_ascii(sys.stdout), folder=folder.path
    )


def _report(folder: ExperimentDir | None, failure: str) -> None:
    """Keep what went wrong in the dashboard in a file, and say so in two lines."""
    state = user_folder("state") or Path(tempfile.gettempdir())
    where = state / "dashboard.log"
    try:
        state.mkdir(mode=0o700, parents=True, exist_ok=True)
        with os.fdopen(open_to_write(where, os.O_TRUNC), "w", encoding="utf-8", errors="backslashreplace") as file:
            file.write(failure)
        kept = f"; what happened is in {where}"
    except OSError:
        kept = ""
    last = failure.strip().splitlines()[-1] if failure.strip() else "unknown"
    with contextlib.suppress(OSError):
        print(f"the dashboard failed ({safe_text(last, one_line=True)}){kept}", file=sys.stderr)  # noqa: T201
        back = "" if folder is None else f": '{command_line('attach', folder.path)}' comes back"
        print(f"the training is not touched{back}", file=sys.stderr)  # noqa: T201
