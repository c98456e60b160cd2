"""The process that trains a study: it starts its experiments one after another, and outlives every terminal.

`python -m tui_attn.study.runner FOLDER [--notify] [--trust-code]`: with `--notify` it reads a `[notify]` table as JSON
from stdin; with `--trust-code` the user answers for the code of custom models in the study's experiments. Killed at any
moment, it can be replaced by a new one: which experiments have begun and ended is read from their folders, and the
supervisor of the running one continues independently.
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
from dataclasses import replace
from pathlib import Path

from tui_attn import data
from tui_attn.data import DataError, Progress
from tui_attn.experiment import trust, writing
from tui_attn.experiment.config import ExperimentConfig
from tui_attn.experiment.folders import ExperimentDir
from tui_attn.experiment.follower import read_state
from tui_attn.experiment.manifest import RunsError
from tui_attn.experiment.notices import KINDS, Notice
from tui_attn.experiment.options import ConfigError
from tui_attn.experiment.ownership import supervisor_alive
from tui_attn.experiment.study import Cell, StudyDir, StudyPlan
from tui_attn.launch import control, starting
from tui_attn.launch.control import LaunchError
from tui_attn.launch.starting import Caller, Permit
from tui_attn.study.analysis import choose_winners, read_results
from tui_attn.supervision.notifier import Notifier
from tui_attn.supervision.notify_settings import NotifySettings, parse
from tui_attn.system import liveness
from tui_attn.system.console import open_standard_streams
from tui_attn.system.plain_file import read_part
from tui_attn.system.signals import Signals
from tui_attn.system.text import command_line, safe_text

TICK = 0.1
READY_WITHIN = 30.0
"""Seconds that the process gets to take its lock."""


def create(plan: StudyPlan, runs_dir: Path, caller: Caller = Caller()) -> StudyDir:
    """Fetch the data and make the folder of a new study. Raises `DataError`, `RunsError` and `CancelledError`."""
    config = replace(plan.config, dataset=data.parse_dataset(plan.config.dataset))  # an absolute path
    data.ensure(config.dataset, None if config.data_dir is None else Path(config.data_dir), progress=caller.progress)
    if not caller.may_start():
        raise starting.CancelledError
    plan = plan._replace(config=config)
    _trust(plan)
    name = config.name or f"{plan.kind}-{config.dataset}"
    study = StudyDir(writing.make_experiment(runs_dir, replace(config, name=name)).path)
    try:
        study.write(plan)
    except OSError as error:
        raise RunsError(f"can't write to {safe_text(study.path, one_line=True)}: {error.strerror}") from None
    return study


def allow(study: StudyDir, permit: Permit, progress: Progress = data.silent) -> None:
    """Record in the plan what `permit` says, before the study is resumed.

    Raises `LaunchError` where the plan chooses code or hosts that the user didn't, and for data other than the study's
    original; `ConfigError`, `DataError` and `RunsError`.
    """
    control.check_owner(ExperimentDir(study.path))
    plan = study.plan()
    config = plan.config
    if _needs_trust(plan) and not trust.is_trusted(_digest(plan)):
        if config.custom_models and not permit.trust_code:
            names = ", ".join(model.shown for model in config.custom_models)
            raise LaunchError(f"{study.id} runs code, and you did not start it here: {names}\n"
                              "read it, then add --trust-code if you trust it")  # fmt: skip
        if not config.engine.here and permit.on is None:
            where = safe_text(config.on, one_line=True)
            raise LaunchError(f"{study.id} ran on {where}, and you did not start it here: say where with --on")
    if permit.on is not None:
        config = replace(config, on=permit.on)
    if permit.data_dir is not None:
        config = _moved(study, config, permit.data_dir, progress)
    if config != plan.config:
        plan = study.change(config=config)
    _trust(plan)


def _moved(study: StudyDir, config: ExperimentConfig, data_dir: Path, progress: Progress) -> ExperimentConfig:
    if config.dataset.startswith(data.FOLDER):
        config = replace(config, dataset=data.parse_dataset(f"{data.FOLDER}{data_dir}"))
    else:
        config = replace(config, data_dir=str(data_dir.absolute()))
    place = None if config.data_dir is None else Path(config.data_dir)
    version = data.ensure(config.dataset, place, progress=progress).version
    if any(member.manifest_data().data.get("version") != version for member in study.members()):
        raise LaunchError(f"{safe_text(data_dir, one_line=True)} holds other data than {study.id} began with")
    return config


def _needs_trust(plan: StudyPlan) -> bool:
    """Whether the plan names code to run or hosts to run on, which a plan from elsewhere must not choose."""
    return bool(plan.config.custom_models) or not plan.config.engine.here


def _trust(plan: StudyPlan) -> None:
    """Remember that the user answers for what the plan chooses."""
    if _needs_trust(plan):
        try:
            trust.trust(_digest(plan))
        except trust.TrustError as error:
            raise RunsError(str(error)) from None


def _digest(plan: StudyPlan) -> str:
    fixed = plan._replace(winners={}, config=replace(plan.config, name=None)).to_json()
    return hashlib.sha256(json.dumps(fixed, sort_keys=True).encode("utf-8", "surrogateescape")).hexdigest()


def start(study: StudyDir, caller: Caller = Caller(), *, trust_code: bool = False) -> subprocess.Popen[bytes]:
    """Start the process that trains `study`; return once it has begun. Raises `LaunchError`."""
    control.check_owner(ExperimentDir(study.path))
    if study.running:
        raise LaunchError(f"{study.id} is running already: '{command_line('attach', study.path)}' shows it")
    log = control.open_log(study.log)
    try:
        words = ["--trust-code"] if trust_code else []
        process = control.start_detached("tui_attn.study.runner", study.path, words, log, caller.notify)
    finally:
        os.close(log)
    deadline = time.monotonic() + READY_WITHIN
    while time.monotonic() < deadline and process.poll() is None:
        if liveness.holder(study.lock) == process.pid:
            return process
        caller.wait(0.02)
    if process.poll() == 0:
        return process
    raise LaunchError(f"{study.id} could not start: {last_words(study) or 'it said nothing'}")


def begin(plan: StudyPlan, runs_dir: Path, caller: Caller) -> tuple[StudyDir, subprocess.Popen[bytes]]:
    """Create a study and start its process. Raises what `create` and `start` raise."""
    study = create(plan, runs_dir, caller)
    return study, start(study, caller)


def stop(study: StudyDir) -> bool:
    """Request a stop after the step in progress; returns whether the study was running."""
    return liveness.signal_holder(study.lock, signal.SIGTERM)


def last_words(study: StudyDir) -> str:
    """The last line of its log; empty without one."""
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
    notify = parse(json.load(sys.stdin)) if "--notify" in arguments[1:] else None
    with Signals([signal.SIGTERM, signal.SIGINT]) as signals:
        try:
            control.check_owner(ExperimentDir(study.path))
            lock = liveness.Lock(study.lock)
            try:
                return _Runner(study, signals, notify, trust_code="--trust-code" in arguments[1:]).run()
            finally:
                lock.release()
                _tell_end(study, notify)
        except BlockingIOError:
            _tell("another process trains this study")
        except (RunsError, LaunchError, DataError, ConfigError, OSError) as error:
            _tell(str(error).replace("\n", ": "))
    return 1


def _tell_end(study: StudyDir, notify: NotifySettings | None) -> None:
    """Notify of the end; the experiments' supervisors notify of failures and stalls."""
    if notify is None:
        return
    found = read_results(study)
    said = f"{found.kind} {found.state}: {found.ended} of {found.total} runs ended"
    kind = "finished" if found.state in {"finished", "stopped"} else "failed"
    Notifier(notify, ExperimentDir(study.path), _tell).end([Notice(kind, said)], with_verdict=False)


class _StoppedError(Exception):
    """A stop of the study or of one of its experiments was requested."""


class _Runner:
    def __init__(
        self, study: StudyDir, signals: Signals, notify: NotifySettings | None, *, trust_code: bool = False
    ) -> None:
        self._study, self._signals, self._trust_code = study, signals, trust_code
        kinds = [] if notify is None else [kind for kind in notify.on if kind != KINDS[0]]
        of_members = None if notify is None else parse({**notify.table, "on": kinds})
        self._caller = Caller(tell=_tell, notify=of_members, wait=signals.wait)

    def run(self) -> int:
        plan = self._study.plan()
        if _needs_trust(plan) and not trust.is_trusted(_digest(plan)):
            raise LaunchError("it names custom models or another host, and you did not start it here: start it anew")
        with contextlib.suppress(_StoppedError):
            for cell in plan.cells:
                self._train(plan.cell_config(cell), cell)
            if plan.selects and not plan.winners:  # chosen once: a later choice would open the test set again
                plan = self._study.change(winners=choose_winners(self._study, plan))
            for cell in plan.finals if plan.selects else ():
                self._train(plan.cell_config(cell), cell)
        return 0

    def _train(self, config: ExperimentConfig, cell: Cell) -> None:
        """Start or resume the experiment of `cell`, and wait until it has ended."""
        member = self._study.member(cell)
        if self._signals.received:
            raise _StoppedError
        supervisor: subprocess.Popen[bytes] | None = None
        if not self._study.begun(cell):
            if member.path.exists():  # a start that was killed before it wrote the manifest
                shutil.rmtree(member.path)
            started = starting.start(config, runs_dir=self._study.path, id_=cell.id, caller=self._caller)
            supervisor = started.supervisor
        elif not supervisor_alive(member):
            with contextlib.suppress(starting.NothingToResumeError):
                permit = Permit(trust_code=self._trust_code, data_dir=_moved_to(member, config), on=config.on)
                supervisor = starting.resume(member, permit, self._caller).supervisor
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


def _moved_to(member: ExperimentDir, config: ExperimentConfig) -> Path | None:
    """The present location of the study's data, if `member` records another."""
    began = member.manifest_data().config
    if (began.dataset, began.data_dir) == (config.dataset, config.data_dir):
        return None
    return Path(config.data_dir or config.dataset.removeprefix(data.FOLDER))


def _tell(text: str) -> None:
    print(text, file=sys.stderr, flush=True)  # noqa: T201 - this is study.log


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
