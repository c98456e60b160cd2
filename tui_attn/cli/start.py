"""What `tui-attn` does without a command: start an experiment and watch it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer

from tui_attn import __version__, talk
from tui_attn.cli.app import app
from tui_attn.cli.options import RUNS, NoMouse, NoUi, RunsDir
from tui_attn.cli.watching import dashboard_wanted
from tui_attn.text import command_line

WHAT = "Options: what to train"
HOW = "Options: where and how"
SHOW = "Options: what is shown and kept"


@dataclass(slots=True)
class Started:
    """How a start is watched."""

    runs_dir: Path
    no_ui: bool
    as_json: bool
    detach: bool
    mouse: bool = True


def _version(shown: bool) -> None:
    if shown:
        typer.echo(f"tui-attn {__version__}")
        raise typer.Exit


def _option(panel: str, metavar: str, help: str) -> Any:
    return typer.Option(metavar=metavar, help=help, rich_help_panel=panel)


@app.callback()
def start(
    context: typer.Context,
    models: Annotated[
        str | None,
        _option(WHAT, "LIST", "base, se, self-attention, or your own as in ./my_net.py:MyNet. [the three]"),
    ] = None,
    dataset: Annotated[
        str | None,
        _option(
            WHAT, "NAME", "fashion-mnist, cifar10, synthetic, mnist, kmnist, cifar100 or folder:PATH. [fashion-mnist]"
        ),
    ] = None,
    epochs: Annotated[int | None, _option(WHAT, "N", "Epochs of each run. [15]")] = None,
    seeds: Annotated[int | None, _option(WHAT, "N", "How many seeds of each model. [1]")] = None,
    seed: Annotated[int | None, _option(WHAT, "FIRST", "The first seed. [0]")] = None,
    batch_size: Annotated[int | None, _option(WHAT, "N", "Images in a training step. [128]")] = None,
    lr: Annotated[float | None, _option(WHAT, "X", "Adam's learning rate. [0.001]")] = None,
    augment: Annotated[str | None, _option(WHAT, "LIST", "crop, flip, or crop,flip. [none]")] = None,
    train_limit: Annotated[int | None, _option(WHAT, "N", "Train on the first N images only.")] = None,
    test_limit: Annotated[int | None, _option(WHAT, "N", "Test on the first N images only.")] = None,
    device: Annotated[str | None, _option(HOW, "LIST", "auto, cpu, mps, cuda, or cuda:0,cuda:1. [auto]")] = None,
    precision: Annotated[
        str | None, _option(HOW, "P", "auto, fp32 or bf16 (auto: bf16 where it is fast). [auto]")
    ] = None,
    jobs: Annotated[int | None, _option(HOW, "N", "Workers. [one a device]")] = None,
    data_dir: Annotated[str | None, _option(HOW, "DIR", "Where the data set is, in torchvision's layout.")] = None,
    config: Annotated[Path | None, _option(HOW, "FILE.toml", "Options from a file.")] = None,
    name: Annotated[str | None, _option(SHOW, "TEXT", "A name to show.")] = None,
    runs_dir: RunsDir = RUNS,
    no_ui: NoUi = False,
    as_json: Annotated[bool, typer.Option("--json", help="Every event as a JSON line; implies --no-ui.")] = False,
    detach: Annotated[bool, typer.Option("--detach", help="Start, print the experiment's id, and return.")] = False,
    no_mouse: NoMouse = False,
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Start an experiment and watch it."""
    if context.invoked_subcommand is not None:
        return
    from tui_attn import configfile
    from tui_attn.config import ExperimentConfig, absolute, split_list

    given: dict[str, Any] = {
        "models": None if models is None else split_list(models),
        "dataset": dataset,
        "epochs": epochs,
        "seeds": seeds,
        "seed": seed,
        "batch_size": batch_size,
        "lr": lr,
        "augment": None if augment is None else split_list(augment),
        "device": device,
        "precision": precision,
        "jobs": jobs,
        "train_limit": train_limit,
        "test_limit": test_limit,
        "name": name,
        "data_dir": data_dir,
    }
    values = configfile.read(config) if config is not None else {}
    values |= {key: value for key, value in given.items() if value is not None}
    values["data_dir"] = absolute(values.get("data_dir"))
    experiment = ExperimentConfig(**values)
    raise typer.Exit(_start(experiment, Started(runs_dir, no_ui, as_json, detach, mouse=not no_mouse)))


def _start(config: Any, how: Started) -> int:
    from tui_attn import starting

    mention_cut_off(how.runs_dir)
    progress = talk.FetchProgress()
    try:
        started = starting.start(config, runs_dir=how.runs_dir, progress=progress, tell=talk.say)
    finally:
        progress.close()
    folder = started.folder
    if how.detach:
        talk.say(f"training goes on in the background: '{command_line('attach', folder.path)}' shows it")
        typer.echo(folder.id)
        return 0
    show = dashboard_wanted(how.no_ui, how.as_json, not how.mouse)
    if show is not None:
        return int(show(folder))
    from tui_attn import headless

    talk.say(f"training {folder.id} on {', '.join(folder.manifest_data().devices)}")
    return headless.watch(folder, as_json=how.as_json, own=True, supervisor=started.supervisor)


def mention_cut_off(runs_dir: Path) -> None:
    """Before something new begins: what was cut off, and how to take it up again."""
    from tui_attn import launch

    found = launch.cut_off(runs_dir)
    if found:
        more = f", and {len(found) - 1} more: 'tui-attn ls' lists them" if len(found) > 1 else ""
        talk.say(f"{found[0].id} was cut off: '{command_line('resume', found[0].path)}' takes it up again{more}")
