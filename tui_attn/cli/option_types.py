"""The options of the command line and the configuration file, and the types of those that several commands share."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperOption

from tui_attn.cli.completion import complete, experiments, runs_of
from tui_attn.cli.context import resolve, user_path
from tui_attn.experiment.config import OPTIONS
from tui_attn.experiment.options import SHOW, WHERE, Option, PathKind, Switch, option, options_of
from tui_attn.ui.options import UI_OPTIONS


@dataclass(init=False, repr=False, eq=False)
class StartOptions:
    """Options of a start that don't change what is trained."""

    runs_dir: str = option(
        "runs", PathKind(), "Where experiments are kept.", heading=WHERE, unset="runs", example='"~/runs"'
    )
    no_ui: bool = option(False, Switch(), "Lines instead of the dashboard.", heading=SHOW, example="true")
    detach: bool = option(
        False, Switch(), "Start, print the experiment's id, and return.", heading=SHOW, example="true"
    )


START_OPTIONS = options_of(StartOptions)
SETTINGS: tuple[Option, ...] = (*OPTIONS, *START_OPTIONS, *UI_OPTIONS)
"""The settings that a configuration file may hold, each also an option of the command line."""
BY_NAME: Mapping[str, Option] = {each.name: each for each in SETTINGS}
RUNS = Path("runs")


def declaration(each: Option) -> dict[str, Any]:
    """typer's arguments for an option, except its name."""
    switch = isinstance(each.kind, Switch)
    default = "" if switch or each in START_OPTIONS else f" [{each.unset}]"
    return {
        "metavar": each.kind.metavar or None,
        "help": f"{each.help}{default}",
        "show_default": False,
        "autocompletion": complete(each),
    }


def spelling(each: Option) -> str:
    """Its spelling on the command line; of a switch, also how it is turned off."""
    if not isinstance(each.kind, Switch):
        return f"--{each.name}"
    return "--no-ui/--ui" if each.name == "no-ui" else f"--{each.name}/--no-{each.name}"


def parameters(options: Iterable[Option]) -> list[TyperOption]:
    """Command-line parameters for `options`."""
    return [
        TyperOption(
            param_decls=[each.field, spelling(each)],
            type=None if isinstance(each.kind, Switch) else str,
            is_flag=True if isinstance(each.kind, Switch) else None,
            multiple=each.kind.metavar == "LIST",
            callback=_settle(each),
            rich_help_panel=each.heading,
            **declaration(each),
        )
        for each in options
    ]


def _settle(each: Option) -> Any:
    """The callback that parses an option's text, or takes the value from the next source of settings.

    A list option may also be given several times, with one item each.
    """
    return lambda context, _parameter, value: resolve(
        context, each, ",".join(value) if isinstance(value, tuple) else value
    )


def _shared(name: str) -> Any:
    each = BY_NAME[name]
    return typer.Option(spelling(each), callback=_settle(each), **declaration(each))


RunsDir = Annotated[Path, _shared("runs-dir")]


def named(help: str, *, several: bool = False, offers: Any = experiments) -> Any:
    """An argument that names an experiment or a study, or several."""
    return typer.Argument(metavar="EXPERIMENT..." if several else "EXPERIMENT", help=help, autocompletion=offers)


Experiment = Annotated[str | None, named("Its id, the start of it, its name, or a path. [the newest]")]
Experiments = Annotated[list[str] | None, named("Ids, starts of them, names, or paths. [the newest]", several=True)]
NoUi = Annotated[bool, _shared("no-ui")]
Mouse = Annotated[bool | None, _shared("mouse")]
Theme = Annotated[str | None, _shared("theme")]
AsJson = Annotated[bool, typer.Option("--json", help="JSON on stdout.")]
Detach = Annotated[bool, typer.Option("--detach", help="Train in the background: print the id and return.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Show what would be trained, and how long; start nothing.")]
OneRun = Annotated[
    str | None, typer.Option("--run", metavar="RUN", help="Only this run, such as se-s0.", autocompletion=runs_of)
]
DataDir = Annotated[Path | None, typer.Option("--data-dir", metavar="DIR", callback=user_path, help="Look here first.")]
TrustCode = Annotated[
    bool, typer.Option("--trust-code", help="Run the code of its custom models, also if you did not write it.")
]
