"""Shows an experiment without a dashboard: JSON lines, a live table on a terminal, else a line per epoch."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from tui_attn.cli.output import CLOSED_PIPE, OutputError, give_up_stdout, output_width, print_json, print_lines
from tui_attn.compare.remarks import find_remarks
from tui_attn.compare.summary import summarise
from tui_attn.compare.text_tables import comparison_table
from tui_attn.experiment import reducer
from tui_attn.experiment.durations import experiment_eta, waiting_words
from tui_attn.experiment.events import Event
from tui_attn.experiment.folders import ID, ExperimentDir
from tui_attn.experiment.follower import Follower
from tui_attn.experiment.ownership import supervisor_alive
from tui_attn.experiment.reducer import ExperimentState, RunState
from tui_attn.launch import control
from tui_attn.system import liveness
from tui_attn.system.console import complain, say, takes_ascii
from tui_attn.system.signals import Signals
from tui_attn.system.text import command_line, duration, percent, plain, safe_text

if TYPE_CHECKING:
    from rich.live import Live
    from rich.table import Table

News = list[tuple[str | None, Event]]
Supervisor = subprocess.Popen[bytes] | None
"""The process that trains, where this one started it."""


class Reporter:
    """Shows the progress; this base class shows nothing."""

    def show(self, follower: Follower, news: News) -> None:
        """Show what is new; called ten times a second, also without news."""

    def close(self, follower: Follower) -> None:
        """Show the result; the experiment has ended, or is left running."""


def make_reporter(as_json: bool) -> Reporter:
    """JSON lines if requested, a live table on a terminal, else one line per epoch and run."""
    if as_json:
        return JsonReporter()
    if sys.stdout.isatty() and os.environ.get("TERM", "dumb") != "dumb":
        return LiveReporter()
    return LineReporter()


class JsonReporter(Reporter):
    """Prints every event as a JSON line, and finally how the experiment ended."""

    def show(self, follower: Follower, news: News) -> None:
        """Print the events."""
        for run, event in news:
            if event.type == "experiment_finished":
                continue
            record = {"type": event.type, "experiment": follower.folder.id, "seq": event.seq, "t": event.t}
            if run is not None:
                record["run"] = run
            print_json(record | dict(event.data))

    def close(self, follower: Follower) -> None:
        """Print the last line; an experiment that has not ended has its present state."""
        shown = follower.situation().experiment
        print_json({"type": "experiment_finished", "experiment": follower.folder.id, "state": shown})


class LineReporter(Reporter):
    """Prints one line per epoch and run, and the comparison at the end."""

    def show(self, follower: Follower, news: News) -> None:
        """Print a line for each epoch and each end among `news`; warnings go to stderr."""
        for run_id, event in news:
            if event.type == "warning":
                say(f"{'' if run_id is None else f'{run_id}: '}warning: {event['message']}")
            print_lines(safe_text(line, one_line=True) for line in self._lines(follower.state, run_id, event))

    def _lines(self, now: ExperimentState, run_id: str | None, event: Event) -> Iterator[str]:
        if event.type == "epoch" and run_id is not None:
            yield epoch_line(now, now.runs[run_id], event)
        elif event.type == "run_ended" and event["state"] != "finished":
            reason = "" if event["reason"] is None else f": {event['reason']}"
            yield f"{event['run']}  {event['state']}{reason}"
        elif event.type == "run_restarted":
            yield f"{event['run']}  restarted: {event['reason']}"
        elif event.type == "resumed" and run_id is not None:
            skipped = "".join(f"; skipped {item}" for item in event["skipped"])
            yield f"{run_id}  resumed from step {event['from_step']:,}{skipped}"

    def close(self, follower: Follower) -> None:
        """Print the comparison and where the files are."""
        print_result(follower)


class LiveReporter(Reporter):
    """A table on a terminal, redrawn while training continues."""

    def __init__(self) -> None:
        from rich.console import Console
        from rich.live import Live

        self._plain = takes_ascii(sys.stdout)
        self._console = Console(highlight=False, markup=False, emoji=False)
        self._live: Live = Live(console=self._console, auto_refresh=False, transient=True)
        self._live.start()
        self._next = 0.0
        self._drawn = -1

    def show(self, follower: Follower, news: News) -> None:
        """Redraw, at most twice a second."""
        if time.monotonic() < self._next or not (news or self._drawn != follower.state.revision):
            return
        self._next = time.monotonic() + 0.5
        self._drawn = follower.state.revision
        self._live.update(self._table(follower), refresh=True)

    def _table(self, follower: Follower) -> Table:
        from rich.table import Table
        from rich.text import Text

        now = follower.state
        left = experiment_eta(now.runs.values())
        table = Table(box=None, pad_edge=False, title_justify="left", caption_justify="left")
        table.title = Text(
            safe_text(f"{follower.folder.id}   {now.state}" + ("" if left is None else f"   {duration(left)} left"))
        )
        for name in ("run", "state", "epoch", "", "loss", "test acc.", "images/s"):
            table.add_column(name, justify="left" if name in {"run", "state", ""} else "right", no_wrap=True)
        room = max(3, self._console.size.height - 6)
        shown = [run for run in now.runs.values() if run.state in reducer.RUN_LIVE] or list(now.runs.values())
        for run in shown[:room]:
            cells = (safe_text(cell, one_line=True) for cell in _row(run))
            table.add_row(*(Text(plain(cell) if self._plain else cell) for cell in cells))
        counts = "  ".join(f"{count} {name}" for name, count in now.counts().items())
        waits = safe_text(waiting_words(now.runs.values()), one_line=True)
        table.caption = Text(counts + (f"   {waits}" if waits else "") + "   Ctrl+C stops and keeps what there is")
        return table

    def close(self, follower: Follower) -> None:
        """Leave the terminal as it was and print the comparison."""
        self._live.stop()
        print_result(follower)


def _row(run: RunState) -> Iterable[str]:
    epochs = run.about.get("epochs", "–")
    filled = round(16 * run.progress)
    rate = run.images_per_second
    return (
        run.id,
        run.state,
        f"{run.epoch}/{epochs}",
        "█" * filled + "░" * (16 - filled),
        f"{run.losses[-1]:.4f}" if run.losses else "–",
        percent(run.epochs[-1].test_accuracy if run.epochs else None, "%"),
        "–" if rate is None else f"{rate:,.0f}",
    )


def epoch_line(now: ExperimentState, run: RunState, event: Event) -> str:
    """One epoch of one run: loss, accuracy, training images a second, and the time left for the experiment."""
    images, seconds = event["images"], float(event["train_seconds"])
    rate = f"{images / seconds:>9,.0f} images/s" if seconds > 0 else ""
    left = experiment_eta(now.runs.values())
    eta = "" if left is None else f"  ETA {duration(left)}"
    return (
        f"{run.id:<20} epoch {event['epoch']:>3}/{run.about.get('epochs', '?')}"
        f"  train loss {float(event['train_loss']):.4f}  test loss {float(event['test_loss']):.4f}"
        f"  test accuracy {percent(event['test_accuracy'])} %  {rate}{eta}"
    )


def print_result(follower: Follower) -> None:
    """The comparison table and where the files are."""
    summary = summarise(follower)
    remarks, folder = find_remarks(follower, summary), follower.folder.path
    table = comparison_table(summary, remarks, output_width(), takes_ascii(sys.stdout), folder=folder)
    print_lines(["", *table, "", f"files: {safe_text(folder, one_line=True)}"])
    for run in follower.state.runs.values():
        if run.state == "failed":
            log = follower.folder.run(run.id).worker_log if ID.fullmatch(run.id) else folder
            print_lines([f"why {run.id} failed: {safe_text(log, one_line=True)}"])


TICK = 0.1
TIMED_OUT = 124
"""The exit code of timeout(1)."""
EXIT_SIGNALS = {signal.SIGINT: 130, signal.SIGTERM: 143}


def watch(
    folder: ExperimentDir,
    *,
    as_json: bool = False,
    own: bool,
    supervisor: Supervisor = None,
    signals: Signals | None = None,
    silent: bool = False,
    timeout: float | None = None,
) -> int:
    """Show the experiment until it ends, and return its exit code, or `TIMED_OUT` after `timeout` seconds.

    `own`: SIGINT and SIGTERM stop the experiment; otherwise it continues without this process. `signals`: a collector
    that has started. `silent`: show nothing but errors. Raises `RunsError`.
    """
    follower = Follower(folder)
    reporter = Reporter() if silent else make_reporter(as_json)
    deadline = None if timeout is None else time.monotonic() + timeout
    with signals or Signals(EXIT_SIGNALS) as collected:
        try:
            code = _watch(follower, reporter, collected, own, supervisor, deadline)
            sys.stdout.flush()
        except BrokenPipeError:
            give_up_stdout()
            return CLOSED_PIPE
        except OutputError as error:
            give_up_stdout()
            complain(f"{error}\nthe training is not touched: '{command_line('attach', folder.path)}' shows it")
            return 1
    return code


def _watch(
    follower: Follower, reporter: Reporter, signals: Signals, own: bool, supervisor: Supervisor, deadline: float | None
) -> int:
    folder = follower.folder
    obeyed = 0
    reported: set[str] = set()
    while True:
        news = follower.poll()
        reporter.show(follower, news)
        for name, why in follower.problems.items():
            if name not in reported:
                reported.add(name)
                complain(f"{name} can't be read: {why}")
        if follower.state.state in reducer.EXPERIMENT_ENDED:
            break
        supervised = supervisor_alive(folder) if supervisor is None else supervisor.poll() is None
        if not supervised:
            follower.poll()
            if follower.state.state in reducer.EXPERIMENT_ENDED:
                continue
            reporter.close(follower)
            if own and signals.received:
                return exit_code(signals)
            again = command_line("resume", folder.path)
            complain(f"the supervisor of {folder.id} is gone: '{again}' continues it")
            return 1
        if len(signals.received) > obeyed:
            obeyed = len(signals.received)
            if not own:
                reporter.close(follower)
                show, stop = command_line("attach", folder.path), command_line("stop", folder.path)
                say(f"training continues: '{show}' shows it, '{stop}' stops it")
                return exit_code(signals)
            _stop(folder, hard=obeyed > 1)
        if deadline is not None and time.monotonic() >= deadline:
            complain(f"{folder.id} has not ended yet: it is {follower.situation().experiment}")
            return TIMED_OUT
        signals.wait(TICK)
    if supervisor is not None:
        supervisor.wait()
    while liveness.holder(folder.supervisor_lock) is not None:
        signals.wait(0.01)
    reporter.close(follower)
    return exit_code(signals) if own and signals.received else follower.state.exit_code


def exit_code(signals: Signals) -> int:
    """The exit code for the first signal that came."""
    return EXIT_SIGNALS[signal.Signals(signals.received[0])] if signals.received else 0


def _stop(folder: ExperimentDir, *, hard: bool) -> None:
    if hard:
        say("ending at once")
        control.kill(folder)
        return
    say("stopping after this step; what there is is kept. Press Ctrl+C again to end at once")
    try:
        control.send(folder, "stop")
    except control.LaunchError as error:
        complain(str(error))
        control.kill(folder)
