"""Commands to a running experiment: pause, unpause, stop, skip, retry."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING

from tui_attn.cli.app import STEER, command
from tui_attn.cli.option_types import RUNS, Experiment, OneRun, RunsDir
from tui_attn.experiment.options import ConfigError
from tui_attn.system.console import say
from tui_attn.system.text import command_line, duration, safe_text

if TYPE_CHECKING:
    from tui_attn.experiment.folders import ExperimentDir
    from tui_attn.experiment.study import StudyDir

ACKNOWLEDGED_WITHIN = 15.0
"""Seconds within which a supervisor must acknowledge a command."""


@command(STEER, "pause                     all runs of the newest experiment", "pause --run se-s0         one run")
def pause(experiment: Experiment = None, run: OneRun = None, runs_dir: RunsDir = RUNS) -> int:
    """Pause the training after the step in progress."""
    return _steer("pause", experiment, run, runs_dir)


@command(STEER, "unpause")
def unpause(experiment: Experiment = None, run: OneRun = None, runs_dir: RunsDir = RUNS) -> int:
    """Continue after a pause."""
    return _steer("unpause", experiment, run, runs_dir)


@command(STEER, "stop                      all runs of the newest experiment", "stop --run se-s0          one run")
def stop(experiment: Experiment = None, run: OneRun = None, runs_dir: RunsDir = RUNS) -> int:
    """Stop after the step in progress; 'resume' continues from there."""
    return _steer("stop", experiment, run, runs_dir)


@command(STEER, "skip --run self-attention-s0")
def skip(experiment: Experiment = None, run: OneRun = None, runs_dir: RunsDir = RUNS) -> int:
    """Leave runs out for good: 'resume' passes them over."""
    return _steer("skip", experiment, run, runs_dir)


@command(STEER, "retry --run se-s0")
def retry(experiment: Experiment = None, run: OneRun = None, runs_dir: RunsDir = RUNS) -> int:
    """Train once more what failed or was skipped, beside the rest."""
    return _steer("retry", experiment, run, runs_dir)


def _stop_study(study: StudyDir) -> int:
    """Stop the experiment in training, and begin no other."""
    from tui_attn.study import runner

    if not runner.stop(study):
        raise ConfigError(f"{study.id} is not running: '{command_line('resume', study.path)}' continues it")
    while study.running:
        time.sleep(0.1)
    say(f"{study.id} is stopped: '{command_line('resume', study.path)}' continues it")
    return 0


def _in_training(study: StudyDir) -> ExperimentDir:
    """The experiment of a study that is being trained. Raises `ConfigError`."""
    from tui_attn.experiment.ownership import supervisor_alive

    for folder in study.members():
        if supervisor_alive(folder):
            return folder
    raise ConfigError(f"{study.id} is not running: '{command_line('resume', study.path)}' continues it")


def _steer(name: str, experiment: str | None, run: str | None, runs_dir: Path) -> int:
    """Send a command to a running experiment and wait for its answer."""
    from tui_attn.experiment.finding import find_experiment
    from tui_attn.experiment.follower import read_state
    from tui_attn.experiment.ownership import supervisor_alive
    from tui_attn.experiment.reducer import EXPERIMENT_ENDED
    from tui_attn.experiment.study import find_study
    from tui_attn.launch import control

    if study := find_study(runs_dir, experiment):
        if name == "stop" and run is None:
            return _stop_study(study)
        folder = _in_training(study)
    else:
        folder = find_experiment(runs_dir, experiment)
    state = read_state(folder).state
    if not supervisor_alive(folder):
        if state.state == "finished" or (state.state in EXPERIMENT_ENDED and name in {"pause", "stop", "skip"}):
            raise ConfigError(f"{folder.id} is {state.state}: there is nothing to {name}")
        raise ConfigError(f"{folder.id} isn't running: '{command_line('resume', folder.path)}' continues it")
    if run is not None and run not in state.runs:
        known = safe_text(", ".join(state.runs), one_line=True)
        raise ConfigError(f"{folder.id} has no run '{safe_text(run, one_line=True)}': it has {known}")
    answer = await_answer(folder, control.send(folder, name, run))
    say(f"{name} {folder.id}{'' if run is None else ' ' + run}: {answer}")
    return 0 if answer == "done" else 1


def await_answer(folder: ExperimentDir, command_id: str) -> str:
    """What the supervisor answers to a command, from the experiment's log; safe to show."""
    from tui_attn.experiment.event_log import LogReader
    from tui_attn.experiment.follower import read_state
    from tui_attn.experiment.ownership import STALLED_AFTER, supervisor_alive
    from tui_attn.experiment.reducer import EXPERIMENT_ENDED
    from tui_attn.system import liveness

    log = LogReader(folder.events)
    deadline = time.monotonic() + ACKNOWLEDGED_WITHIN
    while time.monotonic() < deadline:
        for event in log.read():
            if event.type == "control_ack" and event["id"] == command_id:
                return safe_text(event["result"], one_line=True)
        if not supervisor_alive(folder):
            ended = read_state(folder).state.state
            if ended in EXPERIMENT_ENDED:
                return f"too late: {folder.id} is {ended}"
            return f"the supervisor is gone: '{command_line('resume', folder.path)}' continues the work"
        time.sleep(0.05)
    silent = liveness.age(folder.supervisor_lock)
    if silent is not None and silent > STALLED_AFTER:
        pid = liveness.holder(folder.supervisor_lock)
        return f"no answer: the supervisor (process {pid}) has been silent for {duration(silent)}; is it frozen?"
    return "no answer yet: the command waits in the control log"
