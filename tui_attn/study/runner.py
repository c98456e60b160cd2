"""The process that trains a study: it starts its experiments one after another, and outlives every terminal.

`python -m tui_attn.study.runner FOLDER`. Killed at any moment, it leaves nothing that a new one doesn't take up: which
experiments have begun and ended is read from their folders, and the running one's supervisor goes on by itself.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from tui_attn import data
from tui_attn.data import DataError, Progress
from tui_attn.experiment import trust, writing
from tui_attn.experiment.config import ExperimentConfig
from tui_attn.experiment.folders import ExperimentDir
from tui_attn.experiment.follower import read_state
from tui_attn.experiment.manifest import RunsError
from tui_attn.experiment.options import ConfigError
from tui_attn.experiment.ownership import supervisor_alive
from tui_attn.experiment.study import Cell, StudyDir, StudyPlan
from tui_attn.launch import control, starting
from tui_attn.launch.control import LaunchError
from tui_attn.study.analysis import choose_winners
from tui_attn.system import children, liveness
from tui_attn.system.console import open_standard_streams
from tui_attn.system.plain_file import open_to_write, read_part
from tui_attn.system.signals import Signals
from tui_attn.system.text import command_line, safe_text

TICK = 0.1
READY_WITHIN = 30.0
"""Seconds that the process gets to take its lock."""


def create(
    plan: StudyPlan,
    runs_dir: Path,
    progress: Progress = data.silent,
    may_create: Callable[[], bool] = lambda: True,
) -> StudyDir:
    """Fetch the data and make the folder of a new study. Raises `DataError`, `RunsError` and `CancelledError`."""
    config = replace(plan.config, dataset=data.parse_dataset(plan.config.dataset))  # an absolute path
    data.ensure(config.dataset, None if config.data_dir is None else Path(config.data_dir), progress=progress)
    if not may_create():
        raise starting.CancelledError
    plan = replace(plan, config=config)
    if _needs_trust(plan):
        try:
            trust.trust(_digest(plan))
        except trust.TrustError as error:
            raise RunsError(str(error)) from None
    name = config.name or f"{plan.kind}-{config.dataset}"
    study = StudyDir(writing.make_experiment(runs_dir, replace(config, name=name)).path)
    try:
        study.write(plan)
    except OSError as error:
        raise RunsError(f"can't write to {safe_text(study.path, one_line=True)}: {error.strerror}") from None
    return study


def _needs_trust(plan: StudyPlan) -> bool:
    """Whether the plan names code to run or hosts to run on, which no plan from elsewhere may choose."""
    return bool(plan.config.custom_models) or not plan.config.engine.here


def _digest(plan: StudyPlan) -> str:
    fixed = replace(plan, winners={}, config=replace(plan.config, name=None)).to_json()
    return hashlib.sha256(json.dumps(fixed, sort_keys=True).encode("utf-8", "surrogateescape")).hexdigest()


def start(study: StudyDir, *, wait: Callable[[float], object] = time.sleep) -> subprocess.Popen[bytes]:
    """Start the process that trains `study`; return once it has begun. Raises `LaunchError`."""
    control.check_owner(ExperimentDir(study.path))
    if study.running:
        raise LaunchError(f"{study.id} is running already: '{command_line('attach', study.path)}' shows it")
    try:
        log = open_to_write(study.log, os.O_APPEND)
    except OSError as error:
        raise LaunchError(f"can't write to {safe_text(study.path, one_line=True)}: {error.strerror}") from None
    try:
        process = children.python(
            "tui_attn.study.runner",
            study.path.absolute(),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    finally:
        os.close(log)
    deadline = time.monotonic() + READY_WITHIN
    while time.monotonic() < deadline and process.poll() is None:
        if liveness.holder(study.lock) == process.pid:
            return process
        wait(0.02)
    if process.poll() == 0:
        return process
    raise LaunchError(f"{study.id} could not start: {last_words(study) or 'it said nothing'}")


def begin(
    plan: StudyPlan, runs_dir: Path, progress: Progress, may_create: Callable[[], bool]
) -> tuple[StudyDir, subprocess.Popen[bytes]]:
    """Create a study and start its process. Raises what `create` and `start` raise."""
    study = create(plan, runs_dir, progress, may_create)
    return study, start(study)


def stop(study: StudyDir) -> bool:
    """Have the study stop after the step in progress; whether it was running."""
    return liveness.signal_holder(study.lock, signal.SIGTERM)


def last_words(study: StudyDir) -> str:
    """The last line of its log; empty where it said nothing."""
    try:
        lines = read_part(study.log, 4096, -4096).decode(errors="replace").strip().splitlines()
    except OSError:
        lines = []
    return safe_text(lines[-1], one_line=True)[:300] if lines else ""


def main(arguments: list[str]) -> int:
    """Train the study in the folder that `arguments` names."""
    os.umask(0o077)
    open_standard_streams()
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    study = StudyDir(Path(arguments[0]))
    with Signals([signal.SIGTERM, signal.SIGINT]) as signals:
        try:
            control.check_owner(ExperimentDir(study.path))
            lock = liveness.Lock(study.lock)
            try:
                return _Runner(study, signals).run()
            finally:
                lock.release()
        except BlockingIOError:
            return _give_up("another process trains this study")
        except (RunsError, LaunchError, DataError, ConfigError, OSError) as error:
            return _give_up(str(error))


def _give_up(reason: str) -> int:
    print(reason.replace("\n", ": "), file=sys.stderr)  # noqa: T201 - this is study.log
    return 1


class _StoppedError(Exception):
    """The study was told to stop, or one of its experiments was."""


class _Runner:
    def __init__(self, study: StudyDir, signals: Signals) -> None:
        self._study, self._signals = study, signals

    def run(self) -> int:
        plan = self._study.plan()
        if _needs_trust(plan) and not trust.is_trusted(_digest(plan)):
            raise LaunchError("it names custom models or another host, and you did not start it here: start it anew")
        try:
            for cell in plan.cells:
                self._train(plan.cell_config(cell), cell)
            if plan.selects:
                if not plan.winners:  # chosen once: a later choice would open the test set again
                    plan = self._study.change(winners=choose_winners(self._study, plan))
                for cell in plan.finals:
                    self._train(plan.cell_config(cell), cell)
        except _StoppedError:
            return 0
        return 0

    def _train(self, config: ExperimentConfig, cell: Cell) -> None:
        """Start or resume the experiment of `cell`, and wait until it has ended."""
        member = self._study.member(cell)
        self._check_stopped()
        supervisor: subprocess.Popen[bytes] | None = None
        if not self._study.begun(cell):
            if member.path.exists():  # a start that was killed before it wrote the manifest
                shutil.rmtree(member.path)
            supervisor = starting.start(
                config, runs_dir=self._study.path, id_=cell.id, tell=_tell, wait=self._signals.wait
            ).supervisor
        elif not supervisor_alive(member):
            with contextlib.suppress(starting.NothingToResumeError):
                supervisor = starting.resume(member, tell=_tell, wait=self._signals.wait).supervisor
        self._check_code(member)
        self._wait(member, supervisor)
        if read_state(member).state.state == "stopped":
            raise _StoppedError

    def _check_code(self, member: ExperimentDir) -> None:
        """Refuse a custom model whose file changed since the study's first experiment began."""
        first = next(each for each in map(self._study.member, self._study.plan().cells) if each.manifest.is_file())
        digests = {own.name: own.sha256 for own in first.manifest_data().config.custom_models}
        for own in member.manifest_data().config.custom_models:
            if own.sha256 != digests.get(own.name):
                control.kill(member)
                shutil.rmtree(member.path)
                raise LaunchError(f"{own.name} was changed since the study began: restore its file, then resume")

    def _wait(self, member: ExperimentDir, supervisor: subprocess.Popen[bytes] | None) -> None:
        told = False
        while supervisor.poll() is None if supervisor is not None else supervisor_alive(member):
            if self._signals.received and not told:
                control.send(member, "stop")
                told = True
            self._signals.wait(TICK)

    def _check_stopped(self) -> None:
        if self._signals.received:
            raise _StoppedError


def _tell(text: str) -> None:
    print(text, file=sys.stderr, flush=True)  # noqa: T201 - this is study.log


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
