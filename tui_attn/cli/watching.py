"""Commands that show an experiment, and those that continue one: attach, resume, extend."""

from __future__ import annotations

import contextlib
import math
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NamedTuple

import typer

from tui_attn.cli.app import WATCH, command
from tui_attn.cli.context import engine, file_settings, ui_options, user_path
from tui_attn.cli.option_types import (
    BY_NAME,
    RUNS,
    AsJson,
    Detach,
    DryRun,
    Experiment,
    Mouse,
    NoUi,
    RunsDir,
    Theme,
    TrustCode,
)
from tui_attn.cli.output import output_width, print_json, print_line
from tui_attn.experiment.options import ConfigError
from tui_attn.system import console
from tui_attn.system.signals import Signals
from tui_attn.system.text import command_line
from tui_attn.system.textfit import wrap

if TYPE_CHECKING:
    import subprocess

    from tui_attn.data import Progress
    from tui_attn.experiment.folders import ExperimentDir
    from tui_attn.launch.preview import Preview
    from tui_attn.launch.starting import Caller, Permit

MovedData = Annotated[
    Path | None,
    typer.Option("--data-dir", metavar="DIR", callback=user_path, help="Where the data set is now, if it was moved."),
]
On = Annotated[
    str | None,
    typer.Option("--on", metavar="ENGINE", help="Where its workers run, if not where they ran from here before."),
]
OtherDevice = Annotated[
    str | None, typer.Option("--device", metavar="LIST", help="Continue there: auto, all, cpu, or as cuda:1.")
]
MixDevices = Annotated[bool, typer.Option("--mix-devices", help="Let its comparison mix models of device.")]


def full_screen() -> bool:
    """Whether a dashboard can be shown: stdin and stdout are a terminal that isn't dumb."""
    return sys.stdout.isatty() and sys.stdin.isatty() and os.environ.get("TERM", "dumb") != "dumb"


class Showing(NamedTuple):
    """How a command shows the training; options that it lacks are off."""

    no_ui: bool
    as_json: bool
    detach: bool

    @classmethod
    def of(cls, context: typer.Context) -> Showing:
        """The options of the command being run."""
        return cls(*(bool(context.params.get(name)) for name in cls._fields))

    @property
    def dashboard(self) -> bool:
        """Whether to show a dashboard."""
        return not (self.no_ui or self.as_json or self.detach) and full_screen()


class Interruptible(Signals):
    """Aborts a start on SIGINT and SIGTERM; until `start` is called, the default handlers apply."""

    meanwhile: Callable[[], object] | None = None
    """Work to do once, in place of the first pause."""

    def pause(self, seconds: float) -> None:
        """Wait for `seconds`. Raises `KeyboardInterrupt` or `SystemExit` after a signal."""
        if self.meanwhile is not None:
            todo, self.meanwhile = self.meanwhile, None
            todo()
        elif self.started:
            self.wait(seconds)
        else:
            time.sleep(seconds)
        if self.received:
            raise KeyboardInterrupt if self.received[0] == signal.SIGINT else SystemExit(143)

    def caller(self, context: typer.Context, progress: Progress) -> Caller:
        """The caller of a start, resume or extension."""
        from tui_attn.launch.starting import Caller

        notify = file_settings(context).notify
        return Caller(progress=progress, tell=console.say, may_start=self.start, notify=notify, wait=self.pause)


@contextlib.contextmanager
def interruptible(context: typer.Context) -> Iterator[Interruptible]:
    """Collect SIGINT and SIGTERM once something is created; import the dashboard while the supervisor starts."""
    signals = Interruptible([signal.SIGINT, signal.SIGTERM])
    if Showing.of(context).dashboard:
        from tui_attn.ui import load

        signals.meanwhile = lambda: load(ui_options(context))
    try:
        yield signals
    finally:
        signals.close()


def show_preview(found: Preview, *, as_json: bool) -> int:
    """Print what would be trained; return the exit code."""
    if as_json:
        return print_json(found.to_json())

    width = max(len(label) for label, _ in found.rows)
    for label, text in found.rows if found.runs else ():
        first, *more = wrap(text, max(output_width() - width - 2, 20))
        print_line("\n".join([f"{label:<{width}}  {first}", *(" " * (width + 2) + line for line in more)]))
    console.say(
        "nothing was started: omit --dry-run to start it" if found.runs else "nothing to train: all runs are over"
    )
    return 0


def show(
    context: typer.Context,
    folder: ExperimentDir,
    *,
    own: bool = True,
    supervisor: subprocess.Popen[bytes] | None = None,
    signals: Signals | None = None,
    greeting: str = "",
) -> int:
    """Show an experiment: the dashboard, lines until it ends, or when detached only its id. Returns the exit code."""
    showing = Showing.of(context)
    ends = signals is not None and bool(signals.received)  # a signal came as the start ended
    if showing.detach and not ends:
        console.say(f"training continues in the background: '{command_line('attach', folder.path)}' shows it")
        print_line(folder.id)
        return 0
    if showing.dashboard and not ends:
        from tui_attn.ui import run_dashboard

        if signals is not None:
            signals.close()
        return run_dashboard(folder, options=ui_options(context))
    from tui_attn.cli import lines

    if greeting:
        console.say(greeting)
    return lines.watch(folder, as_json=showing.as_json, own=own, supervisor=supervisor, signals=signals)


@command(
    WATCH,
    "attach                    the newest experiment",
    "attach 2026-1123          the one whose id begins so",
    "attach --no-ui            lines, one for each epoch",
)
def attach(
    context: typer.Context,
    experiment: Experiment = None,
    runs_dir: RunsDir = RUNS,
    no_ui: NoUi = False,
    as_json: AsJson = False,
    mouse: Mouse = None,
    theme: Theme = None,
) -> int:
    """Show an experiment or a study; leaving it doesn't stop it."""
    from tui_attn.experiment.finding import find_experiment
    from tui_attn.experiment.study import find_study

    if study := find_study(runs_dir, experiment):
        from tui_attn.cli import studying

        if Showing.of(context).dashboard:
            return studying.show_study(context, study)
        return studying.watch_study(study, as_json=as_json)
    return show(context, find_experiment(runs_dir, experiment), own=False)


@command(WATCH, "wait && tui-attn compare", "wait my-lab --timeout 3600")
def wait(
    experiment: Experiment = None,
    timeout: Annotated[
        float | None, typer.Option("--timeout", metavar="S", min=0, help="Seconds to wait at most; then exit code 124.")
    ] = None,
    runs_dir: RunsDir = RUNS,
) -> int:
    """Wait until an experiment or a study ends, and return its exit code."""
    from tui_attn.cli import lines
    from tui_attn.experiment.finding import find_experiment
    from tui_attn.experiment.study import find_study

    if timeout is not None and math.isnan(timeout):
        raise ConfigError("must be a number of seconds, not nan", "timeout")
    if study := find_study(runs_dir, experiment):
        from tui_attn.cli.studying import watch_study

        return watch_study(study, silent=True, timeout=timeout)
    return lines.watch(find_experiment(runs_dir, experiment), own=False, silent=True, timeout=timeout)


@command(WATCH, "resume", "resume my-lab --no-ui", "resume --data-dir /new/place", "resume --device cuda:1")
def resume(
    context: typer.Context,
    experiment: Experiment = None,
    runs_dir: RunsDir = RUNS,
    data_dir: MovedData = None,
    on: On = None,
    device: OtherDevice = None,
    mix_devices: MixDevices = False,
    no_ui: NoUi = False,
    as_json: AsJson = False,
    detach: Detach = False,
    dry_run: DryRun = False,
    mouse: Mouse = None,
    theme: Theme = None,
    trust_code: TrustCode = False,
) -> int:
    """Continue a stopped, failed or interrupted experiment or study."""
    from tui_attn.cli.lines import print_result
    from tui_attn.experiment.finding import find_experiment
    from tui_attn.experiment.follower import read_state
    from tui_attn.experiment.study import find_study
    from tui_attn.launch import starting

    if study := find_study(runs_dir, experiment):
        from tui_attn.cli.studying import resume_study

        if dry_run:
            raise ConfigError("shows one experiment: name one, or leave the option out", "dry-run")
        for name, value in {"device": device, "mix-devices": mix_devices}.items():
            if value:
                raise ConfigError("continues a single experiment elsewhere, not a whole study: leave it out", name)
        return resume_study(context, study, _permit(context))
    folder = find_experiment(runs_dir, experiment)
    if dry_run:
        from tui_attn.launch import control, preview

        control.check_not_running(folder)
        return show_preview(preview.preview_rest(folder), as_json=as_json)
    with interruptible(context) as signals:
        try:
            with console.FetchProgress() as progress:
                started = starting.resume(folder, _permit(context), signals.caller(context, progress))
        except starting.NothingToResumeError:
            follower = read_state(folder)
            print_result(follower)
            return follower.state.exit_code
        return show(context, folder, supervisor=started.supervisor, signals=signals, greeting=f"resuming {folder.id}")


@command(WATCH, "extend --seeds 5          five seeds of each in all, for a verdict")
def extend(
    context: typer.Context,
    seeds: Annotated[str, typer.Option(metavar="N", help="How many seeds each model shall have in all.")],
    experiment: Experiment = None,
    runs_dir: RunsDir = RUNS,
    data_dir: MovedData = None,
    on: On = None,
    device: OtherDevice = None,
    mix_devices: MixDevices = False,
    no_ui: NoUi = False,
    as_json: AsJson = False,
    detach: Detach = False,
    dry_run: DryRun = False,
    mouse: Mouse = None,
    theme: Theme = None,
    trust_code: TrustCode = False,
) -> int:
    """Bring an experiment to N seeds, and show it."""
    from tui_attn.cli.steering import await_answer
    from tui_attn.compare.summary import summarise
    from tui_attn.compare.wording import extension_sentences
    from tui_attn.experiment.finding import find_experiment
    from tui_attn.experiment.follower import read_state
    from tui_attn.launch import starting

    number: int = BY_NAME["seeds"].parse(seeds)
    folder = find_experiment(runs_dir, experiment)
    for sentence in extension_sentences(summarise(read_state(folder)), number):
        console.say(sentence)
    if dry_run:
        from tui_attn.launch import preview

        return show_preview(preview.preview_rest(folder, number), as_json=as_json)
    with interruptible(context) as signals:
        with console.FetchProgress() as progress:
            started = starting.extend(folder, number, _permit(context), signals.caller(context, progress))
        if isinstance(started, str) and (answer := await_answer(folder, started)) != "done":
            raise ConfigError(answer)
        supervisor = None if isinstance(started, str) else started.supervisor
        return show(context, folder, supervisor=supervisor, signals=signals)


def _permit(context: typer.Context) -> Permit:
    """What the options that `resume` and `extend` share permit."""
    from tui_attn.launch.starting import Permit

    said = context.params
    return Permit(
        trust_code=said["trust_code"],
        on=None if said["on"] is None else engine(context, said["on"]),
        data_dir=said["data_dir"],
        device=None if said["device"] is None else BY_NAME["device"].parse(said["device"]),
        mix_devices=said["mix_devices"],
    )
