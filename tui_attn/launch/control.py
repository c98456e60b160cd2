"""Controls an experiment's supervisor: starts the process, sends it commands, ends it."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import time
import uuid
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tui_attn.engines import slurm
from tui_attn.engines.mailbox import mailboxes
from tui_attn.experiment import event_log, writing
from tui_attn.experiment.finding import experiments
from tui_attn.experiment.folders import ExperimentDir, RunDir, run_id
from tui_attn.experiment.manifest import RunsError
from tui_attn.experiment.ownership import may_run_elsewhere, supervisor_alive, supervisor_identity
from tui_attn.system import children, files, liveness
from tui_attn.system.plain_file import open_to_write
from tui_attn.system.text import command_line, safe_text
from tui_attn.system.user_error import UserError

if TYPE_CHECKING:
    from tui_attn.experiment.engine_spec import EngineSpec
    from tui_attn.supervision.notify_settings import NotifySettings

READY_WITHIN = 60.0
"""Seconds within which a supervisor must report that it is ready."""
END_WITHIN = 10.0
"""Seconds within which a supervisor must end when its start is cancelled."""


ELSEWHERE_WITHIN = 5.0
"""Seconds for which the lock file of a supervisor on another host is watched for a heartbeat."""


class LaunchError(UserError):
    """An experiment can't be started, resumed or commanded; the message is one line and says what to do."""


def start_supervisor(
    folder: ExperimentDir,
    *,
    identity: str | None = None,
    notify: NotifySettings | None = None,
    on: EngineSpec | None = None,
    wait: Callable[[float], object] = time.sleep,
) -> subprocess.Popen[bytes]:
    """Start a supervisor that outlives this process and every terminal; return once it is ready.

    The only check is that no other supervisor runs it; `starting` has the others. The supervisor refuses a folder of
    another `identity`. `notify` goes through a pipe, since it may hold secrets. `on`: where the workers run, by default
    on this machine. Raises `LaunchError`.
    """
    check_not_running(folder)
    log = open_log(folder.supervisor_log)
    begin = os.fstat(log).st_size
    try:
        words = [*([f"--identity={identity}"] if identity else []), *([] if on is None else [f"--on={on}"])]
        process = start_detached("tui_attn.supervision.process", folder.path, words, log, notify)
        deadline = time.monotonic() + READY_WITHIN
        try:
            while time.monotonic() < deadline:
                who = supervisor_identity(folder)
                # The pid alone isn't enough: an earlier supervisor may have had the same one.
                if who is not None and who.pid == process.pid and who.runs():
                    return process
                if process.poll() is not None:
                    raise LaunchError(_last_words(folder, os.pread(log, 65536, begin)))
                wait(0.01)
            raise LaunchError(f"the supervisor did not start within {READY_WITHIN:.0f} s: see {folder.supervisor_log}")
        except BaseException:
            _end(process)
            raise
    finally:
        os.close(log)


def start_detached(
    module: str, folder: Path, words: Sequence[str], log: int, notify: NotifySettings | None
) -> subprocess.Popen[bytes]:
    """Start `python -m module FOLDER words`, which outlives this process and every terminal and prints to `log`.

    With `notify` it also gets `--notify`, and the settings as JSON on its stdin. Raises `OSError`.
    """
    process = children.python(
        module,
        folder.absolute(),
        *words,
        *(["--notify"] if notify else []),
        stdin=subprocess.PIPE if notify else subprocess.DEVNULL,
        output=log,
        start_new_session=True,
        hold_signals=True,
    )
    if notify is not None and process.stdin is not None:
        with contextlib.suppress(BrokenPipeError), process.stdin as pipe:  # it has ended: its log says why
            pipe.write(json.dumps(notify.table).encode())
    return process


def _end(process: subprocess.Popen[bytes]) -> None:
    """End a supervisor that is starting. It stops its workers; if it has to be killed, they end by themselves."""
    process.terminate()
    try:
        process.wait(END_WITHIN)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def check_not_running(folder: ExperimentDir) -> None:
    """Raise `LaunchError` where a supervisor on this host runs the experiment."""
    pid = liveness.holder(folder.supervisor_lock)
    if pid is not None:
        raise LaunchError(
            f"{folder.id} is running already (pid {pid}): '{command_line('attach', folder.path)}' shows it"
        )


def check_elsewhere(folder: ExperimentDir, wait: Callable[[float], object], *, adopts: bool = False) -> None:
    """Refuse an experiment that a supervisor on another host runs. Clocks of hosts need not agree.

    Not every network file system shows locks of other hosts. But a supervisor touches its lock file every second, and
    its workers touch the heartbeats of their runs, even while the supervisor is frozen. `adopts`: live workers are no
    obstacle, because the next supervisor adopts them. Raises `LaunchError`.
    """
    who = supervisor_identity(folder)
    hearts = [folder.supervisor_lock, *(run.heartbeat for run in ([] if adopts else runs_of(folder)))]
    if who is None or not any(may_run_elsewhere(who, heart) for heart in hearts):
        return
    before = [_touched(heart) for heart in hearts]
    for _ in range(round(ELSEWHERE_WITHIN / 0.1)):
        wait(0.1)
        if [_touched(heart) for heart in hearts] != before:
            host = safe_text(who.host, one_line=True)
            raise LaunchError(
                f"{folder.id} is running on {host}: stop it there ('{command_line('stop', folder.path)}') first"
            )


def _touched(path: Path) -> int | None:
    try:
        return path.stat(follow_symlinks=False).st_mtime_ns
    except OSError:
        return None


def open_log(path: Path) -> int:
    """Open a log for appending. Raises `LaunchError`."""
    try:
        return open_to_write(path, os.O_APPEND)
    except OSError as error:
        where = safe_text(path.parent, one_line=True)
        todo = "make room" if error.errno in files.FULL else "make it writable, or copy it elsewhere"
        raise LaunchError(f"can't write to {where} ({error.strerror}): {todo}") from None


def interrupted(runs_dir: Path) -> list[ExperimentDir]:
    """The experiments that began, have not ended and have no live supervisor, newest first.

    Only the ends of their logs are read.
    """
    found = []
    with contextlib.suppress(RunsError):
        for folder in experiments(runs_dir):
            last = event_log.last_event(folder.events)
            if last is not None and last.type != "experiment_finished" and not supervisor_alive(folder):
                found.append(folder)
    return found


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
    """Refuse to change another user's experiment. Raises `LaunchError`."""
    try:
        writing.check_owner(folder, "you can watch it, not steer it")
    except RunsError as error:
        raise LaunchError(str(error)) from None


def kill(folder: ExperimentDir, *, wait: Callable[[float], object] = time.sleep) -> None:
    """End the supervisor and the workers of `folder` on this host: SIGTERM, and SIGKILL three seconds later.

    Each process is identified by a lock that it holds, so that no other is signalled. Raises `LaunchError`.
    """
    check_owner(folder)
    for mailbox in mailboxes(folder):
        slurm.dismiss(mailbox)
    for signum, seconds in ((signal.SIGTERM, 3.0), (signal.SIGKILL, 3.0)):
        deadline = time.monotonic() + seconds
        signalled: set[int | None] = set()
        for lock in _locks(folder):
            pid = liveness.holder(lock)  # a worker holds the locks of several runs and gets one signal
            heart = lock if lock == folder.supervisor_lock else lock.with_name("heartbeat")
            if pid not in signalled and liveness.signal_holder(lock, signum, heart):
                signalled.add(pid)
        while time.monotonic() < deadline:
            if not {liveness.holder(lock) for lock in _locks(folder)} - {None, 0, os.getpid()}:
                files.Reserve(folder.path).free()
                return
            wait(0.05)


def _locks(folder: ExperimentDir) -> list[Path]:
    """The locks of the supervisor and of the manifest's runs; links are not followed."""
    return [folder.supervisor_lock, *(run.lock for run in runs_of(folder))]


def runs_of(folder: ExperimentDir) -> list[RunDir]:
    """The runs of the manifest, without those whose folders are links; none where it can't be read."""
    try:
        config = folder.manifest_data().config
    except RunsError:
        return []
    runs = [folder.run(run_id(model, seed)) for model in config.models for seed in config.seed_list]
    return [run for run in runs if not run.path.is_symlink()]


def _last_words(folder: ExperimentDir, printed: bytes) -> str:
    """Why a supervisor ended at once: the last line that it printed."""
    lines = printed.decode(errors="replace").strip().splitlines()
    reason = safe_text(lines[-1], one_line=True)[:300] if lines else _why_silent(folder)
    return f"the supervisor of {folder.id} could not start: {reason}"


def _why_silent(folder: ExperimentDir) -> str:
    room = files.Reserve(folder.path)
    if not room.room():
        return "the disk is full: make room, then try again"
    room.free()
    return "it said nothing"
