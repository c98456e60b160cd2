"""Watching an experiment without a dashboard: lines, JSON lines, or a live display, until it ends."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any, Protocol

from tui_attn.compare.remarks import find_remarks
from tui_attn.compare.summary import summarise
from tui_attn.compare.text_tables import comparison_table
from tui_attn.experiment import reducer
from tui_attn.experiment.events import Event
from tui_attn.experiment.folders import ID, ExperimentDir
from tui_attn.experiment.follower import Follower
from tui_attn.experiment.ownership import supervisor_alive
from tui_attn.experiment.reducer import ExperimentState, RunState
from tui_attn.launch import control
from tui_attn.system import liveness
from tui_attn.system.console import complain, say
from tui_attn.system.text import command_line, duration, safe_text

if TYPE_CHECKING:
    from rich.live import Live
    from rich.table import Table

TICK = 0.1
CLOSED_PIPE = 141
"""Exit code after the reader of stdout went away, as a shell reports SIGPIPE; the training goes on."""
EXIT_SIGNALS = {signal.SIGINT: 130, signal.SIGTERM: 143}

News = list[tuple[str | None, Event]]


class OutputError(Exception):
    """What stdout leads to can't be written; the message says why."""


class Reporter(Protocol):
    """How progress is shown."""

    def show(self, follower: Follower, news: News) -> None:
        """Show what is new; called ten times a second, also without news."""

    def close(self, follower: Follower) -> None:
        """The experiment has ended, or is left: show what comes last."""


def watch(
    folder: ExperimentDir,
    *,
    as_json: bool = False,
    own: bool,
    supervisor: subprocess.Popen[bytes] | None = None,
) -> int:
    """Show the experiment until it ends, and return the exit code of design.md's command line.

    `own`: SIGINT and SIGTERM stop the experiment; else they leave it running. Raises `RunsError`.
    """
    follower = Follower(folder)
    reporter = make_reporter(as_json)
    with _Signals() as signals:
        try:
            code = _watch(follower, reporter, signals, own=own, supervisor=supervisor)
            sys.stdout.flush()
        except BrokenPipeError:
            give_up_stdout()
            return CLOSED_PIPE
        except OutputError as error:
            give_up_stdout()
            complain(f"{error}\nthe training is not touched: '{command_line('attach', folder.path)}' shows it")
            return 1
    return code


def give_up_stdout() -> None:
    """What is still buffered has no reader: let the interpreter's last flush go nowhere."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)


def make_reporter(as_json: bool) -> Reporter:
    """JSON lines where asked for; a live display on a terminal; else one line per epoch and run."""
    if as_json:
        return JsonReporter()
    if sys.stdout.isatty() and os.environ.get("TERM", "dumb") != "dumb":
        return LiveReporter()
    return LineReporter()


def _watch(
    follower: Follower,
    reporter: Reporter,
    signals: _Signals,
    *,
    own: bool,
    supervisor: subprocess.Popen[bytes] | None,
) -> int:
    folder = follower.folder
    obeyed = 0
    told: set[str] = set()
    while True:
        news = follower.poll()
        reporter.show(follower, news)
        for name, why in follower.problems.items():
            if name not in told:
                told.add(name)
                complain(f"{name} can't be read: {why}")
        if follower.state.state in reducer.EXPERIMENT_ENDED:
            break
        if not _owned(folder, supervisor):
            follower.poll()
            if follower.state.state in reducer.EXPERIMENT_ENDED:
                continue
            reporter.close(follower)
            if own and signals.caught:
                return signals.exit_code
            again = command_line("resume", folder.path)
            complain(f"the supervisor of {folder.id} is gone: '{again}' takes the work up again")
            return 1
        if len(signals.caught) > obeyed:
            obeyed = len(signals.caught)
            if not own:
                reporter.close(follower)
                show, stop = command_line("attach", folder.path), command_line("stop", folder.path)
                say(f"training goes on: '{show}' shows it, '{stop}' stops it")
                return signals.exit_code
            _stop(folder, hard=obeyed > 1)
        signals.wait(TICK)
    if supervisor is not None:
        supervisor.wait()
    while liveness.holder(folder.supervisor_lock) is not None:
        signals.wait(0.01)
    reporter.close(follower)
    return signals.exit_code if own and signals.caught else follower.state.exit_code


def _owned(folder: ExperimentDir, supervisor: subprocess.Popen[bytes] | None) -> bool:
    if supervisor is not None:
        return supervisor.poll() is None
    return supervisor_alive(folder)


def _stop(folder: ExperimentDir, *, hard: bool) -> None:
    if not hard:
        say("stopping after this step; what there is is kept. Press Ctrl+C again to end at once")
        try:
            control.send(folder, "stop")
        except control.LaunchError as error:
            complain(str(error))
            control.kill(folder)
        return
    say("ending at once")
    control.kill(folder)


class _Signals:
    """Collects SIGINT and SIGTERM for as long as it is entered."""

    def __init__(self) -> None:
        self.caught: list[int] = []
        self._news = threading.Event()
        self._before: dict[int, Any] = {}

    def __enter__(self) -> _Signals:
        for signum in EXIT_SIGNALS:
            self._before[signum] = signal.signal(signum, self._catch)
        return self

    def __exit__(self, *exception: object) -> None:
        for signum, handler in self._before.items():
            signal.signal(signum, handler)

    def _catch(self, signum: int, frame: object) -> None:
        self.caught.append(signum)
        self._news.set()

    @property
    def exit_code(self) -> int:
        """The exit code for the first signal that came."""
        return EXIT_SIGNALS[signal.Signals(self.caught[0])] if self.caught else 0

    def wait(self, seconds: float) -> None:
        """Return after `seconds`, or at once when a signal comes."""
        self._news.wait(seconds)
        self._news.clear()


# ---- reporters


class JsonReporter:
    """Every event as one JSON line, and last how the experiment ended."""

    def show(self, follower: Follower, news: News) -> None:
        """Print the events."""
        for run, event in news:
            if event.type == "experiment_finished":
                continue
            record = {"type": event.type, "experiment": follower.folder.id, "seq": event.seq, "t": event.t}
            if run is not None:
                record["run"] = run
            print_line(json.dumps(record | dict(event.data), ensure_ascii=True))

    def close(self, follower: Follower) -> None:
        """Print the last line; what isn't ended is told as it is."""
        shown = follower.situation().experiment
        print_line(json.dumps({"type": "experiment_finished", "experiment": follower.folder.id, "state": shown}))


class LineReporter:
    """One line per epoch and run, and the comparison at the end."""

    def show(self, follower: Follower, news: News) -> None:
        """Print a line for each epoch, each end and each warning among `news`."""
        for run_id, event in news:
            for line in self._lines(follower.state, run_id, event):
                print_line(line)

    def _lines(self, now: ExperimentState, run_id: str | None, event: Event) -> Iterator[str]:
        if event.type == "epoch" and run_id is not None:
            yield epoch_line(now, now.runs[run_id], event)
        elif event.type == "run_ended" and event["state"] != "finished":
            reason = "" if event["reason"] is None else f": {event['reason']}"
            yield safe_text(f"{event['run']}  {event['state']}{reason}", one_line=True)
        elif event.type == "warning":
            who = "" if run_id is None else f"{run_id}  "
            yield safe_text(f"{who}warning: {event['message']}", one_line=True)
        elif event.type == "run_restarted":
            yield safe_text(f"{event['run']}  taken up again: {event['reason']}", one_line=True)
        elif event.type == "resumed" and run_id is not None:
            skipped = "".join(f"; skipped {item}" for item in event["skipped"])
            yield safe_text(f"{run_id}  goes on from step {event['from_step']:,}{skipped}", one_line=True)

    def close(self, follower: Follower) -> None:
        """Print the comparison and where the files are."""
        print_result(follower)


class LiveReporter:
    """A table that is drawn over while training goes on, for a terminal."""

    def __init__(self) -> None:
        from rich.console import Console
        from rich.live import Live

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
        left = reducer.experiment_eta(now, time.time())
        table = Table(box=None, pad_edge=False, title_justify="left", caption_justify="left")
        table.title = Text(
            f"{follower.folder.id}   {now.state}" + ("" if left is None else f"   {duration(left)} left")
        )
        for name in ("run", "state", "epoch", "", "loss", "test acc.", "images/s"):
            table.add_column(name, justify="left" if name in {"run", "state", ""} else "right", no_wrap=True)
        room = max(3, self._console.size.height - 6)
        shown = [run for run in now.runs.values() if run.state in reducer.RUN_LIVE] or list(now.runs.values())
        for run in shown[:room]:
            table.add_row(*_row(run))
        counts = "  ".join(f"{count} {name}" for name, count in now.counts().items())
        table.caption = Text(counts + "   Ctrl+C stops and keeps what there is")
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
        safe_text(run.id),
        run.state,
        f"{run.epoch}/{epochs}",
        "█" * filled + "░" * (16 - filled),
        f"{run.losses[-1]:.4f}" if run.losses else "–",
        f"{run.epochs[-1].test_accuracy:.4f}" if run.epochs else "–",
        "–" if rate is None else f"{rate:,.0f}",
    )


def epoch_line(now: ExperimentState, run: RunState, event: Event) -> str:
    """One epoch of one run: loss, accuracy, training images a second, and the time left for the experiment."""
    images, seconds = event["images"], float(event["train_seconds"])
    rate = f"{images / seconds:>9,.0f} images/s" if seconds > 0 else ""
    left = reducer.experiment_eta(now, event.t)
    eta = "" if left is None else f"  ETA {duration(left)}"
    return (
        f"{safe_text(run.id):<20} epoch {event['epoch']:>3}/{run.about.get('epochs', '?')}"
        f"  train loss {float(event['train_loss']):.4f}  test loss {float(event['test_loss']):.4f}"
        f"  test accuracy {float(event['test_accuracy']):.4f}  {rate}{eta}"
    )


def print_result(follower: Follower) -> None:
    """The comparison table and where the files are."""
    summary = summarise(follower)
    width = os.get_terminal_size(1).columns if os.isatty(1) else 100
    print_line("")
    for line in comparison_table(summary, find_remarks(follower, summary), width=width, folder=follower.folder.path):
        print_line(line)
    print_line("")
    print_line(f"files: {safe_text(follower.folder.path, one_line=True)}")
    for run in follower.state.runs.values():
        if run.state == "failed":
            log = follower.folder.run(run.id).worker_log if ID.fullmatch(run.id) else follower.folder.path
            print_line(f"why {run.id} failed: {safe_text(log, one_line=True)}")


def print_line(line: str) -> None:
    """One line to stdout, at once. Raises `BrokenPipeError` when nobody reads, `OutputError` on a full disk."""
    try:
        try:
            sys.stdout.write(line + "\n")
        except UnicodeEncodeError:
            encoding = sys.stdout.encoding or "ascii"
            sys.stdout.write(line.encode(encoding, "replace").decode(encoding) + "\n")
        sys.stdout.flush()
    except BrokenPipeError:
        raise
    except OSError as error:
        raise OutputError(f"can't write the output: {error.strerror}") from None
