"""Starting experiments and steering them: makes the folder, starts the supervisor, appends commands."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from tui_attn import __version__
from tui_attn.experiment import event_log, writing
from tui_attn.experiment.config import ExperimentConfig
from tui_attn.experiment.custom_model import CustomModelError
from tui_attn.experiment.finding import experiments
from tui_attn.experiment.folders import ExperimentDir
from tui_attn.experiment.manifest import Manifest, RunsError
from tui_attn.experiment.ownership import supervisor_alive, supervisor_identity
from tui_attn.experiment.writing import extend_manifest, make_experiment, write_manifest
from tui_attn.launch import custom_models, devices
from tui_attn.system import files, liveness
from tui_attn.system.text import command_line, safe_text

READY_WITHIN = 60.0
"""Seconds that a supervisor gets to say that it is ready."""
ELSEWHERE_WITHIN = 5.0
"""Seconds for which the heart of a supervisor on another host is watched before it is taken for dead."""


class LaunchError(Exception):
    """An experiment can't be started or steered; the message is one line and says what to do."""


def create(
    config: ExperimentConfig,
    *,
    runs_dir: Path,
    data: dict[str, Any],
    machine: devices.Machine,
    sources: Sequence[custom_models.Source] = (),
) -> ExperimentDir:
    """Make the folder of a new experiment. Raises `ConfigError` or `RunsError`, before anything is written.

    `data` is the data set's root, source and version; `sources` are the models of one's own in `config`, both as
    `custom_models.prepare` gives them.
    """
    chosen = devices.choose(config.device, machine)
    folder = make_experiment(runs_dir, config)
    manifest = Manifest(
        id=folder.id,
        created=time.time(),
        config=config,
        threads=devices.threads(),
        devices=chosen,
        precision=config.precision,
        data=data,
        versions=_versions(),
        host=platform.node(),
    )
    try:
        custom_models.keep(folder, sources)
        write_manifest(folder, manifest)
    except OSError as error:
        raise RunsError(f"can't write to {safe_text(folder.path, one_line=True)}: {error.strerror}") from None
    return folder


def start_supervisor(folder: ExperimentDir, *, wait: Callable[[float], object] = time.sleep) -> subprocess.Popen[bytes]:
    """Start a supervisor that outlives this process and every terminal, and return once it is ready.

    Raises `LaunchError` when another one owns the experiment, or when it ends before it is ready.
    """
    pid = liveness.holder(folder.supervisor_lock)
    if pid is not None:
        raise LaunchError(
            f"{folder.id} is running already (pid {pid}): '{command_line('attach', folder.path)}' shows it"
        )
    log = _open_log(folder)
    begin = os.fstat(log).st_size
    try:
        process = subprocess.Popen(
            [sys.executable, "-P", "-m", "tui_attn.supervision.process", str(folder.path)],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
            cwd="/",
        )
    finally:
        os.close(log)
    deadline = time.monotonic() + READY_WITHIN
    try:
        while time.monotonic() < deadline:
            who = supervisor_identity(folder)
            # The pid alone may be that of an earlier one, from before it was given to this process.
            if who is not None and who.pid == process.pid and who.runs():
                return process
            if process.poll() is not None:
                raise LaunchError(_last_words(folder, begin))
            wait(0.01)
    except KeyboardInterrupt:
        process.terminate()
        process.wait()
        raise
    process.kill()
    process.wait()
    raise LaunchError(f"the supervisor did not start within {READY_WITHIN:.0f} s: see {folder.supervisor_log}")


def _open_log(folder: ExperimentDir) -> int:
    flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOFOLLOW
    try:
        return os.open(folder.supervisor_log, flags, 0o600)
    except OSError as error:
        where = safe_text(folder.path, one_line=True)
        todo = "make room" if error.errno in files.FULL else "make it writable, or copy it elsewhere"
        raise LaunchError(f"can't write to {where} ({error.strerror}): {todo}") from None


def resume(
    folder: ExperimentDir, *, trust_code: bool = False, wait: Callable[[float], object] = time.sleep
) -> subprocess.Popen[bytes]:
    """Take an experiment up again: a new supervisor goes on with what isn't finished. Raises `LaunchError`.

    `trust_code`: the user answers for the models of one's own in it, whoever wrote them.
    """
    check_owner(folder)
    check_code(folder, trust_code=trust_code)
    _check_elsewhere(folder, wait)
    return start_supervisor(folder)


def check_code(folder: ExperimentDir, *, trust_code: bool = False) -> None:
    """Refuse to run code that was altered, or that this user hasn't named on this machine. Raises `LaunchError`."""
    try:
        custom_models.check(folder, folder.manifest_data(), trusted=trust_code)
    except CustomModelError as error:
        raise LaunchError(str(error)) from None


def extend(folder: ExperimentDir, seeds: int, *, trust_code: bool = False) -> subprocess.Popen[bytes]:
    """Bring an experiment that nobody runs to `seeds` seeds and take it up: see `resume`. Raises `LaunchError`."""
    check_owner(folder)
    check_code(folder, trust_code=trust_code)
    try:
        extend_manifest(folder, seeds)
    except RunsError as error:
        raise LaunchError(str(error)) from None
    except OSError as error:
        raise LaunchError(f"can't write to {folder.id}: {error.strerror}") from None
    return resume(folder, trust_code=trust_code)


def _check_elsewhere(folder: ExperimentDir, wait: Callable[[float], object]) -> None:
    """Refuse to take up what a supervisor on another host still supervises, whatever that host's clock says.

    Not every network file system shows its lock here, but its heart beats once a second.
    """
    who = supervisor_identity(folder)
    if who is None or who.host == platform.node():
        return
    before = _touched(folder.supervisor_lock)
    for _ in range(round(ELSEWHERE_WITHIN / 0.1)):
        wait(0.1)
        if _touched(folder.supervisor_lock) != before:
            host = safe_text(who.host, one_line=True)
            raise LaunchError(
                f"{folder.id} is running on {host}: stop it there ('{command_line('stop', folder.path)}') first"
            )


def _touched(path: Path) -> int | None:
    try:
        return path.stat(follow_symlinks=False).st_mtime_ns
    except OSError:
        return None


def cut_off(runs_dir: Path) -> list[ExperimentDir]:
    """The experiments that were begun, have not ended and are supervised by nobody any more, newest first.

    Their supervisor was killed, or the machine went down. Only the ends of their logs are read.
    """
    try:
        return [folder for folder in experiments(runs_dir) if _is_cut_off(folder)]
    except RunsError:
        return []


def _is_cut_off(folder: ExperimentDir) -> bool:
    last = event_log.last_event(folder.events)
    return last is not None and last.type != "experiment_finished" and not supervisor_alive(folder)


def send(folder: ExperimentDir, command: str, run: str | None = None, *, seeds: int | None = None) -> str:
    """Append a command to the control log and return its id. Raises `LaunchError` when it can't be written.

    `command`: pause, unpause, stop, skip, retry (of `run`, or of all when None) or extend (to `seeds`).
    """
    check_owner(folder)
    id_ = uuid.uuid4().hex[:16]
    payload: dict[str, Any] = {"id": id_, "seeds": seeds} if command == "extend" else {"id": id_, "run": run}
    try:
        event_log.append_shared(folder.control, command, payload, t=time.time())
    except OSError as error:
        raise LaunchError(f"can't write to {folder.control}: {error.strerror}") from None
    return id_


def check_owner(folder: ExperimentDir) -> None:
    """Refuse to steer or resume another user's experiment. Raises `LaunchError`."""
    try:
        writing.check_owner(folder, "you can watch it, not steer it")
    except RunsError as error:
        raise LaunchError(str(error)) from None


def kill(folder: ExperimentDir, *, wait: Callable[[float], object] = time.sleep) -> None:
    """End the supervisor and the workers of `folder` on this host: SIGTERM, and SIGKILL three seconds later.

    Every process is known by a lock that it holds, so that no other can be hit. Raises `LaunchError`.
    """
    check_owner(folder)
    for signum, seconds in ((signal.SIGTERM, 3.0), (signal.SIGKILL, 3.0)):
        deadline = time.monotonic() + seconds
        signalled: set[int | None] = set()
        for lock in _locks(folder):
            pid = liveness.holder(lock)  # a worker holds the locks of several runs and is told once
            if pid not in signalled and liveness.signal_holder(lock, signum):
                signalled.add(pid)
        while time.monotonic() < deadline:
            if not {liveness.holder(lock) for lock in _locks(folder)} - {None, 0, os.getpid()}:
                return
            wait(0.05)


def _locks(folder: ExperimentDir) -> list[Path]:
    """The locks of those who own `folder` or write one of its runs; links are not followed."""
    try:
        found = [entry.path for entry in os.scandir(folder.path) if entry.is_dir(follow_symlinks=False)]
    except OSError:
        found = []
    return [folder.supervisor_lock, *(Path(path) / "lock" for path in found)]


def _versions() -> dict[str, str]:
    found = {"tui_attn": __version__, "python": platform.python_version()}
    for package in ("torch", "torchvision"):
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            found[package] = "none"
    return found


def _last_words(folder: ExperimentDir, begin: int) -> str:
    """Why a supervisor ended at once, from what it printed."""
    try:
        with folder.supervisor_log.open("rb") as log:
            log.seek(begin)
            lines = log.read(65536).decode(errors="replace").strip().splitlines()
    except OSError:
        lines = []
    reason = safe_text(lines[-1], one_line=True)[:300] if lines else _why_silent(folder)
    return f"the supervisor of {folder.id} could not start: {reason}"


def _why_silent(folder: ExperimentDir) -> str:
    room = files.Reserve(folder.path)
    if not room.room():
        return "the disk is full: make room, then try again"
    room.free()
    return "it said nothing"
