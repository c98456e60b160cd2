"""The options that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from tui_attn.cli.completion import OF_SETTING, experiments, runs_of
from tui_attn.cli.context import kept, settled
from tui_attn.cli.option_table import BY_NAME

RUNS = Path("runs")


def option(name: str, panel: str | None = None) -> Any:
    """The option of the setting `name`, for commands without a value of their own."""
    setting = BY_NAME[name]
    declared = {"no-ui": "--no-ui/--ui"}.get(name, f"--{name}" if setting.metavar else f"--{name}/--no-{name}")
    text = f"{setting.help} [{setting.default}]" if setting.metavar and setting.group != "start" else setting.help
    return typer.Option(
        declared,
        metavar=setting.metavar or None,
        help=text,
        show_default=False,
        rich_help_panel=panel,
        callback=settled(name) if name in {"runs-dir", "no-ui"} else kept(name) if setting.group == "screen" else None,
        autocompletion=OF_SETTING.get(name),
    )


RunsDir = Annotated[Path, option("runs-dir")]
Experiment = Annotated[
    str | None,
    typer.Argument(
        metavar="EXPERIMENT",
        help="Its id, the start of it, its name, or a path. [the newest]",
        autocompletion=experiments,
    ),
]
Experiments = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="EXPERIMENT...",
        help="Ids, starts of them, names, or paths. [the newest]",
        autocompletion=experiments,
    ),
]
NoUi = Annotated[bool, option("no-ui")]
Mouse = Annotated[bool | None, option("mouse")]
Theme = Annotated[str | None, option("theme")]
AsJson = Annotated[bool, typer.Option("--json", help="JSON on stdout.")]
OneRun = Annotated[
    str | None, typer.Option("--run", metavar="RUN", help="Only this run, such as se-s0.", autocompletion=runs_of)
]
DataDir = Annotated[Path | None, typer.Option("--data-dir", metavar="DIR", help="Look here first.")]
TrustCode = Annotated[
    bool, typer.Option("--trust-code", help="Run the code of models of one's own in it, whoever wrote it.")
]
