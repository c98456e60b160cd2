"""Watching an experiment without a dashboard until it ends; signals stop it or leave it."""

from __future__ import annotations

import signal
import subprocess
import sys
import time

from tui_attn.cli.output import CLOSED_PIPE, OutputError, give_up_stdout
from tui_attn.cli.reporters import Reporter, make_reporter
from tui_attn.experiment import reducer
from tui_attn.experiment.folders import ExperimentDir
from tui_attn.experiment.follower import Follower
from tui_attn.experiment.ownership import supervisor_alive
from tui_attn.launch import control
from tui_attn.system import liveness
from tui_attn.system.console import complain, say
from tui_attn.system.signals import Signals
from tui_attn.system.text import command_line

TICK = 0.1
TIMED_OUT = 124
"""The exit code of timeout(1)."""
EXIT_SIGNALS = {signal.SIGINT: 130, signal.SIGTERM: 143}


def watch(
    folder: ExperimentDir,
    *,
    as_json: bool = False,
    own: bool,
    supervisor: subprocess.Popen[bytes] | None = None,
    signals: Signals | None = None,
    silent: bool = False,
    timeout: float | None = None,
) -> int:
    """Show the experiment until it ends, and return its exit code, or `TIMED_OUT` after `timeout` seconds.

    `own`: SIGINT and SIGTERM stop the experiment; else they leave it running. `signals`: where they are collected
    already. `silent`: show nothing but errors. Raises `RunsError`.
    """
    follower = Follower(folder)
    reporter = Reporter() if silent else make_reporter(as_json)
    deadline = None if timeout is None else time.monotonic() + timeout
    with signals or Signals(EXIT_SIGNALS) as collected:
        try:
            code = _watch(follower, reporter, collected, own=own, supervisor=supervisor, deadline=deadline)
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
    follower: Follower,
    reporter: Reporter,
    signals: Signals,
    *,
    own: bool,
    supervisor: subprocess.Popen[bytes] | None,
    deadline: float | None,
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
        if not _owned(folder, supervisor):
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
