"""The commands that train several experiments as one study: sweep, curve."""

from __future__ import annotations

import platform
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tui_attn.cli.app import WATCH, Command, command
from tui_attn.cli.context import file_settings, given, ui_options
from tui_attn.cli.option_types import RUNS, AsJson, Detach, DryRun, NoUi, RunsDir, parameters
from tui_attn.cli.output import output_width, print_json, print_line, print_lines
from tui_attn.cli.watching import Showing
from tui_attn.experiment.config import OPTIONS, ExperimentConfig, absolute
from tui_attn.system import console
from tui_attn.system.signals import Signals
from tui_attn.system.text import command_line

if TYPE_CHECKING:
    from tui_attn.experiment.study import StudyDir, StudyPlan
    from tui_attn.launch.starting import Permit
    from tui_attn.study.analysis import StudyResults

SEEDS = 5
"""Seeds of a study by default; with one seed there are no intervals."""
_VALUES = "tui_attn.settings"
EXIT_CODES = {"finished": 0, "running": 0}


class StudyCommand(Command):
    """A command that also takes the options of an experiment."""

    def __init__(self, *arguments: Any, params: list[Any] | None = None, **keywords: Any) -> None:
        shared = parameters(each._replace(unset=str(SEEDS)) if each.name == "seeds" else each for each in OPTIONS)
        super().__init__(*arguments, params=[*(params or []), *shared], **keywords)

    def invoke(self, ctx: Any) -> Any:
        """Separate the experiment's options from those of the command itself."""
        ctx.meta[_VALUES] = {each.field: ctx.params.pop(each.field) for each in OPTIONS}
        return super().invoke(ctx)


@command(
    WATCH,
    "sweep lr=0.0003,0.001,0.003",
    "sweep lr=0.0001..0.01 batch-size=64,128,256 --random 20",
    "sweep lr=0.0003,0.001,0.003 --validation 5000",
    cls=StudyCommand,
)
def sweep(
    context: typer.Context,
    settings: Annotated[
        list[str] | None,
        typer.Argument(metavar="SETTING=VALUES...", help="What varies. [table [sweep] of the configuration file]"),
    ] = None,
    random: Annotated[
        int | None, typer.Option("--random", metavar="N", min=1, help="Draw N cells instead of the whole grid.")
    ] = None,
    dry_run: DryRun = False,
    runs_dir: RunsDir = RUNS,
    no_ui: NoUi = False,
    as_json: AsJson = False,
    detach: Detach = False,
) -> int:
    """Train a grid or a random draw of settings, as one study."""
    from tui_attn.study.cells import sweep_plan

    table = file_settings(context).studies.get("sweep", {})
    words = settings or [f"{name}={_text(value)}" for name, value in table.items() if name != "random"]
    draws = random if settings or random is not None else table.get("random")
    plan = sweep_plan(_configuration(context), words, draws, now=time.time())
    return _begin(context, plan, runs_dir, dry_run=dry_run)


@command(
    WATCH,
    "curve --dry-run           what would be trained, and for how long",
    "curve --sizes 3000,12000,48000 --steps 470 --controls",
    cls=StudyCommand,
)
def curve(
    context: typer.Context,
    sizes: Annotated[
        str | None,
        typer.Option("--sizes", metavar="LIST", help="Training images. [all, and four halves of the size before]"),
    ] = None,
    dry_run: DryRun = False,
    runs_dir: RunsDir = RUNS,
    no_ui: NoUi = False,
    as_json: AsJson = False,
    detach: Detach = False,
) -> int:
    """Train on several sizes of the data at equal steps, as one study."""
    from tui_attn.study.cells import curve_plan, parse_sizes, training_images

    table = file_settings(context).studies.get("curve", {})
    config = replace(_configuration(context), train_limit=None)
    named = _text(table["sizes"]) if sizes is None and "sizes" in table else sizes
    plan = curve_plan(config, None if named is None else parse_sizes(named), training_images(config), now=time.time())
    return _begin(context, plan, runs_dir, dry_run=dry_run)


def _configuration(context: typer.Context) -> ExperimentConfig:
    """The configuration that all experiments of the study share. Raises `ConfigError`."""
    file_settings(context).check()
    values = dict(context.meta[_VALUES])
    if not given(context, "seeds") and "seeds" not in file_settings(context).values:
        values["seeds"] = SEEDS
    return ExperimentConfig(**values | {"data_dir": absolute(values["data_dir"])})


def _text(value: Any) -> str:
    return ",".join(map(str, value)) if isinstance(value, list) else str(value)


def _begin(context: typer.Context, plan: StudyPlan, runs_dir: Path, *, dry_run: bool) -> int:
    from tui_attn.launch import choosing, devices, estimate
    from tui_attn.launch.starting import Caller
    from tui_attn.study import runner
    from tui_attn.study.cells import guess

    config = plan.config
    chosen = choosing.choose_and_tell(config, devices.probe(), console.say)
    guessed = guess(plan, chosen, estimate.paces(runs_dir, platform.node()))
    runs = len(config.models) * config.seeds
    total = runs * (len(plan.cells) + plan.selects)
    more = ", then the best of each model with new seeds" if plan.selects else ""
    console.say(
        f"{len(plan.cells)} cells x {len(config.models)} models x {config.seeds} seeds{more}: {total} runs; "
        f"{'no estimate: the size of the data set is not known' if guessed is None else guessed.words()}"
    )
    if dry_run:
        for cell in plan.cells:
            print_line(f"{cell.label}  {','.join(config.models)}  seeds {config.seed}-{config.seed_list[-1]}")
        return 0
    with console.FetchProgress() as progress:
        study = runner.create(plan, runs_dir, Caller(progress=progress))
    return run_study(context, study, greeting=f"training {study.id}")


def run_study(context: typer.Context, study: StudyDir, *, greeting: str, trust_code: bool = False) -> int:
    """Start the process of a study, and show it. Raises `LaunchError`."""
    from tui_attn.launch.starting import Caller
    from tui_attn.study import runner

    showing = Showing.of(context)
    with Signals([signal.SIGINT, signal.SIGTERM]) as signals:
        caller = Caller(notify=file_settings(context).notify, wait=signals.wait)
        process = runner.start(study, caller, trust_code=trust_code)
        if showing.detach and not signals.received:
            console.say(f"training continues in the background: '{command_line('attach', study.path)}' shows it")
            print_line(study.id)
            return 0
        if showing.dashboard and not signals.received:
            signals.close()
            return show_study(context, study)
        if not showing.as_json:
            console.say(greeting)
        return watch_study(study, as_json=showing.as_json, signals=signals, process=process, own=True)


def resume_study(context: typer.Context, study: StudyDir, permit: Permit) -> int:
    """Continue a study that is not running; print the results of a finished one."""
    from tui_attn.study import runner
    from tui_attn.study.analysis import read_results

    if read_results(study).state == "finished":
        print_study(study, as_json=Showing.of(context).as_json)
        return 0
    with console.FetchProgress() as progress:
        runner.allow(study, permit, progress)
    return run_study(context, study, greeting=f"resuming {study.id}", trust_code=permit.trust_code)


def show_study(context: typer.Context, study: StudyDir) -> int:
    """Show the experiments of a study as a history; on leaving, print the results so far."""
    from tui_attn.study.analysis import read_results
    from tui_attn.ui import run_dashboard

    run_dashboard(None, options=ui_options(context), runs_dir=study.path)
    print_study(study, as_json=False)
    if study.running:
        console.say(f"training continues: '{command_line('attach', study.path)}' comes back")
    return EXIT_CODES.get(read_results(study).state, 3)


def watch_study(
    study: StudyDir,
    *,
    as_json: bool = False,
    signals: Signals | None = None,
    process: subprocess.Popen[bytes] | None = None,
    own: bool = False,
    silent: bool = False,
    timeout: float | None = None,
) -> int:
    """Print a line for each cell that ends, then the table; return the exit code.

    `own`: SIGINT and SIGTERM stop the study; otherwise they only end the display.
    """
    from tui_attn.cli.lines import TIMED_OUT, exit_code
    from tui_attn.study import runner
    from tui_attn.study.analysis import read_results

    begun = time.monotonic()
    told: set[str] = set()
    obeyed = 0
    with signals or Signals([signal.SIGINT, signal.SIGTERM]) as collected:
        while process.poll() is None if process is not None else study.running:
            if not (as_json or silent):
                _tell_cells(read_results(study), told)
            if len(collected.received) > obeyed:
                obeyed = len(collected.received)
                if not own:
                    console.say(f"training continues: '{command_line('attach', study.path)}' shows it")
                    return exit_code(collected)
                console.say("stopping after this step; what there is is kept")
                runner.stop(study)
            if timeout is not None and time.monotonic() - begun >= timeout:
                console.complain(f"{study.id} has not ended yet")
                return TIMED_OUT
            collected.wait(0.5)
        found = read_results(study)
        if not silent:
            if not as_json:
                _tell_cells(found, told)
            print_study(study, as_json=as_json)
        if found.state == "stopped":
            again = command_line("resume", study.path)
            said = runner.last_words(study)
            why = f" ({said})" if said and not (own and collected.received) else ""
            console.complain(f"{study.id} has {found.total - found.ended} runs to train{why}: '{again}' continues it")
        return exit_code(collected) if own and collected.received else EXIT_CODES.get(found.state, 3)


def _tell_cells(found: StudyResults, told: set[str]) -> None:
    """A line for each cell whose runs have all ended."""
    rows = (*found.cells, *found.finals)
    for cell in dict.fromkeys(row.cell for row in rows):
        its = [row for row in rows if row.cell == cell]
        if cell not in told and all(len(row.accuracies) == row.seeds for row in its):
            told.add(cell)
            means = ", ".join(f"{row.model} {100 * (row.mean or 0):.2f} %" for row in its)
            console.say(f"{len(told)} of {len({row.cell for row in rows})}: {its[0].label}: {means}")


def print_study(study: StudyDir, *, as_json: bool) -> None:
    """Print what a study found so far."""
    from tui_attn.study.analysis import read_results, results_json
    from tui_attn.study.tables import study_lines

    found = read_results(study)
    if as_json:
        print_json(results_json(found))
        return
    print_lines(study_lines(found, output_width(), ascii=console.takes_ascii(sys.stdout)))
