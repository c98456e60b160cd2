"""What `tui-attn` does without a command: start an experiment and watch it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer
from typer.core import TyperOption

from tui_attn import __version__
from tui_attn.cli.context import before_command, engine, file_settings
from tui_attn.cli.output import print_line
from tui_attn.cli.watching import Interruptible, interruptible, show, show_preview
from tui_attn.experiment.config import OPTIONS, ExperimentConfig, absolute
from tui_attn.experiment.options import SHOW
from tui_attn.system import console
from tui_attn.system.text import command_line

if TYPE_CHECKING:
    from tui_attn.launch.starting import Started


def _version(context: Any, _parameter: Any, wanted: bool) -> None:
    if wanted and not context.resilient_parsing:
        print_line(f"tui-attn {__version__}")
        raise typer.Exit


def _option(field: str, name: str, help: str, **about: Any) -> TyperOption:
    return TyperOption(param_decls=[field, name], help=help, **about)


_FLAG: dict[str, Any] = {"is_flag": True, "rich_help_panel": SHOW}
CALL_OPTIONS = [
    _option("as_json", "--json", "Every event as a JSON line; implies --no-ui.", **_FLAG),
    _option("dry_run", "--dry-run", "Show what would be trained, and how long; start nothing.", **_FLAG),
    _option("config", "--config", "Settings from this file.", type=str, metavar="FILE.toml", is_eager=True),
    _option("version", "--version", "Print the version.", is_flag=True, callback=_version, is_eager=True),
]
"""Options of a start that a configuration file can't hold."""


def begin(context: typer.Context) -> int | None:
    """Start an experiment and show it, or check the options before a command."""
    if context.invoked_subcommand is not None:
        before_command(context)
        return None
    file_settings(context).check()
    config, runs_dir = configuration(context), context.params["runs_dir"]
    if context.params["dry_run"]:
        from tui_attn.launch import preview

        as_json = context.params["as_json"]
        tell = (lambda _: None) if as_json else console.say
        return show_preview(preview.preview_start(config, runs_dir, tell), as_json=as_json)
    return _start(context, config, runs_dir)


def configuration(context: typer.Context) -> ExperimentConfig:
    """The experiment that the command line and the file ask for. Raises `ConfigError`."""
    values = {each.field: context.params[each.field] for each in OPTIONS}
    on = engine(context, values["on"])
    return ExperimentConfig(**values | {"data_dir": absolute(values["data_dir"]), "on": on})


def _start(context: typer.Context, config: ExperimentConfig, runs_dir: Path) -> int:
    mention_interrupted(runs_dir)
    with interruptible(context) as signals:
        started = launch(context, config, runs_dir, signals)
        greeting = f"training {started.folder.id} on {', '.join(started.folder.manifest_data().devices)}"
        return show(context, started.folder, supervisor=started.supervisor, signals=signals, greeting=greeting)


def launch(context: typer.Context, config: ExperimentConfig, runs_dir: Path, signals: Interruptible) -> Started:
    """Start an experiment, with its progress on stderr. Raises what `starting.start` raises."""
    from tui_attn.launch import starting

    with console.FetchProgress() as progress:
        return starting.start(config, runs_dir=runs_dir, caller=signals.caller(context, progress))


def mention_interrupted(runs_dir: Path) -> None:
    """Mention interrupted experiments before a new one starts, and how to continue them."""
    from tui_attn.launch import control

    found = control.interrupted(runs_dir)
    if found:
        more = f", and {len(found) - 1} more: 'tui-attn ls' lists them" if len(found) > 1 else ""
        console.say(f"{found[0].id} was interrupted: '{command_line('resume', found[0].path)}' continues it{more}")
