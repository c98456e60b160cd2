"""The command line: parse, check, hand over. Everything heavy is imported where it is needed."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer

from tui_attn import __version__, talk

PANEL_RUN = "What to train"
HELP = """Train the lab's three networks side by side and see what channel attention does.

Without a command it starts an experiment and shows it: a dashboard on a terminal, lines elsewhere or with
--no-ui. The training belongs to no terminal: it goes on when this one closes, and 'tui-attn attach' shows it
again.

\b
Examples:
  tui-attn                                      the lab: 3 models, Fashion-MNIST
  tui-attn --no-ui --epochs 5 --seeds 5         five seeds of each, as lines
  tui-attn --models base,se --dataset cifar10   two models on CIFAR-10
  tui-attn attach                               back to the newest experiment
  tui-attn compare --json | jq .                its figures, for a program
"""

app = typer.Typer(
    add_completion=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    invoke_without_command=True,
    context_settings={"help_option_names": ["-h", "--help"]},
)

RunsDir = Annotated[Path, typer.Option("--runs-dir", metavar="DIR", help="Where experiments are kept.")]
Experiment = Annotated[
    str | None, typer.Argument(metavar="[EXPERIMENT]", help="Its id, the start of it, its name, or a path; the newest.")
]
NoUi = Annotated[bool, typer.Option("--no-ui", help="Lines instead of the dashboard.")]
AsJson = Annotated[bool, typer.Option("--json", help="JSON on stdout.")]
OneRun = Annotated[str | None, typer.Option("--run", metavar="RUN", help="Only this run, such as se-s0.")]
RUNS = Path("runs")


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


@app.callback(help=HELP)
def start(
    context: typer.Context,
    models: Annotated[
        str | None, typer.Option(metavar="LIST", help="Models, comma-separated: base, se, self-attention. [all three]")
    ] = None,
    dataset: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="fashion-mnist, cifar10, synthetic, mnist, kmnist, cifar100 or folder:PATH. [fashion-mnist]",
        ),
    ] = None,
    epochs: Annotated[int | None, typer.Option(metavar="N", help="Epochs of each run. [15]")] = None,
    seeds: Annotated[int | None, typer.Option(metavar="N", help="How many seeds of each model. [1]")] = None,
    seed: Annotated[int | None, typer.Option(metavar="FIRST", help="The first seed. [0]")] = None,
    batch_size: Annotated[int | None, typer.Option(metavar="N", help="Images in a training step. [128]")] = None,
    lr: Annotated[float | None, typer.Option(metavar="X", help="Adam's learning rate. [0.001]")] = None,
    augment: Annotated[str | None, typer.Option(metavar="LIST", help="crop, flip, or crop,flip. [none]")] = None,
    device: Annotated[
        str | None, typer.Option(metavar="LIST", help="auto, cpu, mps, cuda, or cuda:0,cuda:1. [auto]")
    ] = None,
    precision: Annotated[
        str | None, typer.Option(metavar="P", help="auto, fp32 or bf16 (auto: bf16 where it is fast). [auto]")
    ] = None,
    jobs: Annotated[int | None, typer.Option(metavar="N", help="Workers. [one a device]")] = None,
    train_limit: Annotated[int | None, typer.Option(metavar="N", help="Train on the first N images only.")] = None,
    test_limit: Annotated[int | None, typer.Option(metavar="N", help="Test on the first N images only.")] = None,
    name: Annotated[str | None, typer.Option(metavar="TEXT", help="A name to show.")] = None,
    data_dir: Annotated[
        str | None, typer.Option(metavar="DIR", help="Where the data set is, in torchvision's layout.")
    ] = None,
    config: Annotated[Path | None, typer.Option(metavar="FILE.toml", help="Options from a file.")] = None,
    runs_dir: RunsDir = RUNS,
    no_ui: NoUi = False,
    as_json: Annotated[bool, typer.Option("--json", help="Every event as a JSON line; implies --no-ui.")] = False,
    detach: Annotated[bool, typer.Option("--detach", help="Start, print the experiment's id, and return.")] = False,
    no_mouse: Annotated[bool, typer.Option("--no-mouse", help="Leave the mouse to the terminal.")] = False,
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
    from dataclasses import replace

    from tui_attn import data, devices, launch

    _mention_cut_off(how.runs_dir)
    config = replace(config, dataset=data.parse_dataset(config.dataset))  # a folder's path is made absolute
    machine = devices.probe()
    devices.choose(config.device, machine)
    progress = talk.FetchProgress()
    try:
        located = data.ensure(config.dataset, Path(config.data_dir) if config.data_dir else None, progress=progress)
    finally:
        progress.close()
    where = {
        "root": str(located.root),
        "files": [str(file) for file in located.files],
        "source": located.source,
        "version": located.version,
    }
    folder = launch.create(config, runs_dir=how.runs_dir, data=where, machine=machine)
    supervisor = launch.start_supervisor(folder)
    if how.detach:
        talk.say(f"training goes on in the background: 'tui-attn attach {folder.id}' shows it")
        typer.echo(folder.id)
        return 0
    if not (how.no_ui or how.as_json) and _full_screen():
        return _dashboard(folder, mouse=how.mouse)
    from tui_attn import headless

    talk.say(f"training {folder.id} on {', '.join(folder.manifest_data().devices)}")
    return headless.watch(folder, as_json=how.as_json, own=True, supervisor=supervisor)


def _mention_cut_off(runs_dir: Path) -> None:
    """Before something new begins: what was cut off, and how to take it up again."""
    from tui_attn import launch

    found = launch.cut_off(runs_dir)
    if found:
        more = f", and {len(found) - 1} more: 'tui-attn ls' lists them" if len(found) > 1 else ""
        talk.say(f"{found[0].id} was cut off: 'tui-attn resume {found[0].id}' takes it up again{more}")


def _full_screen() -> bool:
    """Whether a dashboard can be shown: a terminal on both ends that can do more than print."""
    return sys.stdout.isatty() and sys.stdin.isatty() and os.environ.get("TERM", "dumb") != "dumb"


def _dashboard(folder: Any, *, mouse: bool) -> int:
    from tui_attn.ui import UiOptions, run_dashboard

    return run_dashboard(folder, options=UiOptions(mouse=mouse))


@app.command()
def attach(
    experiment: Experiment = None, runs_dir: RunsDir = RUNS, no_ui: NoUi = False, as_json: AsJson = False
) -> None:
    """Show an experiment, live or ended; leaving it (Ctrl+C) doesn't stop it."""
    from tui_attn import headless, runs

    folder = runs.find_experiment(runs_dir, experiment)
    if not (no_ui or as_json) and _full_screen():
        raise typer.Exit(_dashboard(folder, mouse=True))
    raise typer.Exit(headless.watch(folder, as_json=as_json, own=False))


@app.command()
def resume(
    experiment: Experiment = None, runs_dir: RunsDir = RUNS, no_ui: NoUi = False, as_json: AsJson = False
) -> None:
    """Take up what was stopped, failed or lost, and show it."""
    from tui_attn import commands

    raise typer.Exit(
        commands.resume(runs_dir, experiment, as_json=as_json, dashboard=_dashboard_wanted(no_ui, as_json))
    )


@app.command()
def extend(
    seeds: Annotated[int, typer.Option(metavar="N", help="How many seeds each model shall have in all.")],
    experiment: Experiment = None,
    runs_dir: RunsDir = RUNS,
    no_ui: NoUi = False,
    as_json: AsJson = False,
) -> None:
    """Bring an experiment to N seeds, and show it."""
    from tui_attn import commands

    dashboard = _dashboard_wanted(no_ui, as_json)
    raise typer.Exit(commands.extend(runs_dir, experiment, seeds, as_json=as_json, dashboard=dashboard))


def _dashboard_wanted(no_ui: bool, as_json: bool) -> Any:
    if no_ui or as_json or not _full_screen():
        return None
    return lambda folder: _dashboard(folder, mouse=True)


@app.command()
def pause(experiment: Experiment = None, run: OneRun = None, runs_dir: RunsDir = RUNS) -> None:
    """Pause the training after the step in progress."""
    _steer("pause", experiment, run, runs_dir)


@app.command()
def unpause(experiment: Experiment = None, run: OneRun = None, runs_dir: RunsDir = RUNS) -> None:
    """Go on after a pause."""
    _steer("unpause", experiment, run, runs_dir)


@app.command()
def stop(experiment: Experiment = None, run: OneRun = None, runs_dir: RunsDir = RUNS) -> None:
    """Stop after the step in progress; results are kept, and 'resume' goes on."""
    _steer("stop", experiment, run, runs_dir)


@app.command()
def skip(experiment: Experiment = None, run: OneRun = None, runs_dir: RunsDir = RUNS) -> None:
    """Leave runs out, for good: 'resume' passes them over."""
    _steer("skip", experiment, run, runs_dir)


@app.command()
def retry(experiment: Experiment = None, run: OneRun = None, runs_dir: RunsDir = RUNS) -> None:
    """Train runs that failed, were stopped or skipped once more, while the experiment goes on."""
    _steer("retry", experiment, run, runs_dir)


def _steer(command: str, experiment: str | None, run: str | None, runs_dir: Path) -> None:
    from tui_attn import commands

    raise typer.Exit(commands.steer(runs_dir, experiment, command, run))


@app.command()
def ls(runs_dir: RunsDir = RUNS, as_json: AsJson = False) -> None:
    """List the experiments, newest first."""
    from tui_attn import commands

    raise typer.Exit(commands.list_experiments(runs_dir, as_json=as_json))


@app.command()
def compare(
    experiment: Experiment = None,
    runs_dir: RunsDir = RUNS,
    as_json: AsJson = False,
    report: Annotated[
        Path | None, typer.Option("--report", metavar="DIR", help="Also write a page with tables and pictures to DIR.")
    ] = None,
) -> None:
    """Compare the models of an experiment."""
    from tui_attn import commands

    raise typer.Exit(commands.compare_models(runs_dir, experiment, as_json=as_json, report=report))


@app.command()
def probe(experiment: Experiment = None, run: OneRun = None, runs_dir: RunsDir = RUNS, as_json: AsJson = False) -> None:
    """Replace the attention of the trained networks, and see what their accuracy becomes."""
    from tui_attn import commands

    raise typer.Exit(commands.probe(runs_dir, experiment, run, as_json=as_json))


@app.command()
def data(
    names: Annotated[list[str] | None, typer.Argument(metavar="[NAME]...", help="Fetch these where missing.")] = None,
    fetch: Annotated[bool, typer.Option("--fetch", help="Fetch all that are missing.")] = False,
    data_dir: Annotated[Path | None, typer.Option("--data-dir", metavar="DIR", help="Look here first.")] = None,
    as_json: AsJson = False,
) -> None:
    """Show which data sets are where, verified, and fetch what is missing."""
    from tui_attn import commands

    raise typer.Exit(commands.show_data(data_dir, names or [], fetch=fetch, as_json=as_json))


@app.command()
def doctor(runs_dir: RunsDir = RUNS, as_json: AsJson = False) -> None:
    """Check this machine: devices, torch, data, terminal, disk, and whether training survives a logout."""
    from tui_attn import doctor as checks

    raise typer.Exit(checks.report(runs_dir, as_json=as_json))


def main() -> None:
    """The entry point of `tui-attn`."""
    sys.exit(_run(sys.argv[1:]))


def _run(arguments: list[str]) -> int:
    from tui_attn.config import ConfigError

    try:
        result = app(arguments, prog_name="tui-attn", standalone_mode=False)
    except ConfigError as error:
        return _wrong(str(error))
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        return 141
    except Exception as error:
        return _report(error)
    return result if isinstance(result, int) else 0


def _report(error: Exception) -> int:
    """The exit code for `error`, after telling the user; what is a fault of ours is raised again."""
    from tui_attn.data import DataError
    from tui_attn.launch import LaunchError
    from tui_attn.runs import RunsError

    if isinstance(error, DataError | LaunchError | RunsError):
        return _wrong(str(error))
    message = getattr(error, "format_message", None)
    if message is not None:  # typer's own: a wrong option or value
        return _wrong(f"{message().rstrip('.')}\nsee 'tui-attn --help'")
    if type(error).__name__ == "Abort":
        return 130
    return _crash(error)


def _crash(error: Exception) -> int:
    """A fault of ours: one line for the user, the traceback into a file."""
    import tempfile
    import traceback

    if os.environ.get("TUI_ATTN_DEBUG"):
        raise error
    with tempfile.NamedTemporaryFile("w", prefix="tui-attn-", suffix=".log", delete=False) as file:
        file.write("".join(traceback.format_exception(error)))
    talk.complain(
        f"internal error: {type(error).__name__}: {error}\nthe details are in {file.name}: please report them"
    )
    return 1


def _wrong(message: str) -> int:
    talk.complain(message)
    return 2
