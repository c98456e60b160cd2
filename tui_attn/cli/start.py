"""What `tui-attn` does without a command: start an experiment and watch it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tui_attn import __version__
from tui_attn.cli.app import app
from tui_attn.cli.context import before_command, file_settings, keep_screen
from tui_attn.cli.option_table import SETTINGS
from tui_attn.cli.options import RUNS, option
from tui_attn.cli.watching import show
from tui_attn.system import console
from tui_attn.system.text import command_line

if TYPE_CHECKING:
    from tui_attn.experiment.config import ExperimentConfig

WHAT = "Options: what to train"
WHERE = "Options: where"
SHOW = "Options: what is shown"


def _version(shown: bool) -> None:
    if shown:
        typer.echo(f"tui-attn {__version__}")
        raise typer.Exit


@app.callback()
def start(
    context: typer.Context,
    models: Annotated[str | None, option("models", WHAT)] = None,
    dataset: Annotated[str | None, option("dataset", WHAT)] = None,
    epochs: Annotated[int | None, option("epochs", WHAT)] = None,
    seeds: Annotated[int | None, option("seeds", WHAT)] = None,
    seed: Annotated[int | None, option("seed", WHAT)] = None,
    batch_size: Annotated[int | None, option("batch-size", WHAT)] = None,
    lr: Annotated[float | None, option("lr", WHAT)] = None,
    augment: Annotated[str | None, option("augment", WHAT)] = None,
    train_limit: Annotated[int | None, option("train-limit", WHAT)] = None,
    test_limit: Annotated[int | None, option("test-limit", WHAT)] = None,
    device: Annotated[str | None, option("device", WHERE)] = None,
    precision: Annotated[str | None, option("precision", WHERE)] = None,
    jobs: Annotated[int | None, option("jobs", WHERE)] = None,
    data_dir: Annotated[str | None, option("data-dir", WHERE)] = None,
    runs_dir: Annotated[Path, option("runs-dir", WHERE)] = RUNS,
    name: Annotated[str | None, option("name", WHERE)] = None,
    tensorboard: Annotated[bool | None, option("tensorboard", WHERE)] = None,
    no_ui: Annotated[bool, option("no-ui", SHOW)] = False,
    as_json: Annotated[
        bool,
        typer.Option("--json", help="Every event as a JSON line; implies --no-ui.", rich_help_panel=SHOW),
    ] = False,
    detach: Annotated[bool | None, option("detach", SHOW)] = None,
    theme: Annotated[str | None, option("theme", SHOW)] = None,
    ascii: Annotated[bool | None, option("ascii", SHOW)] = None,
    mouse: Annotated[bool | None, option("mouse", SHOW)] = None,
    animations: Annotated[bool | None, option("animations", SHOW)] = None,
    config: Annotated[
        Path | None,
        typer.Option(metavar="FILE.toml", help="Settings from this file.", is_eager=True),
    ] = None,
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> int | None:
    """Start an experiment and watch it."""
    if context.invoked_subcommand is not None:
        before_command(context)
        return None
    found = file_settings(context)
    found.check()
    keep_screen(context)
    experiment = configuration(context)
    detached = bool(found.values.get("detach") if detach is None else detach)
    return _start(experiment, runs_dir, no_ui=no_ui, as_json=as_json, detach=detached)


def configuration(context: typer.Context) -> ExperimentConfig:
    """The experiment that the command line and the file ask for. Raises `ConfigError`."""
    from tui_attn.experiment.config import ExperimentConfig, absolute

    values = file_settings(context).experiment() | given_experiment(context)
    values["data_dir"] = absolute(values.get("data_dir"))
    return ExperimentConfig(**values)


def given_experiment(context: typer.Context) -> dict[str, Any]:
    """The fields of `ExperimentConfig` that the command line gives."""
    from tui_attn.experiment.config import split_list

    values: dict[str, Any] = {}
    for setting in SETTINGS:
        value = context.params.get(setting.field)
        if setting.group == "experiment" and value is not None:
            values[setting.field] = split_list(value) if setting.field in {"models", "augment"} else value
    return values


def _start(config: ExperimentConfig, runs_dir: Path, *, no_ui: bool, as_json: bool, detach: bool) -> int:
    from tui_attn.launch import starting

    mention_interrupted(runs_dir)
    with console.FetchProgress() as progress:
        started = starting.start(config, runs_dir=runs_dir, progress=progress, tell=console.say)
    folder = started.folder
    greeting = f"training {folder.id} on {', '.join(folder.manifest_data().devices)}"
    return show(folder, no_ui=no_ui, as_json=as_json, detach=detach, supervisor=started.supervisor, greeting=greeting)


def mention_interrupted(runs_dir: Path) -> None:
    """Before a new experiment begins: say which one was interrupted, and how to continue it."""
    from tui_attn.launch import control

    found = control.interrupted(runs_dir)
    if found:
        more = f", and {len(found) - 1} more: 'tui-attn ls' lists them" if len(found) > 1 else ""
        console.say(f"{found[0].id} was interrupted: '{command_line('resume', found[0].path)}' continues it{more}")
