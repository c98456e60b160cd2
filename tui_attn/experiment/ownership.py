"""Whether an experiment has a living supervisor, and whether a run makes progress."""

from __future__ import annotations

import os
from pathlib import Path

from tui_attn.experiment.folders import ExperimentDir, RunDir
from tui_attn.system import liveness
from tui_attn.system.files import read_json

STALLED_AFTER = 30.0
"""Seconds without a heartbeat after which a live worker counts as stalled, and one on another host as lost."""


def supervisor_identity(folder: ExperimentDir) -> liveness.Identity | None:
    """The process that supervises `folder`, or did so last."""
    return liveness.Identity.from_json((read_json(folder.supervisor) or {}).get("identity"))


def supervisor_alive(folder: ExperimentDir, *, now: float | None = None) -> bool:
    """Whether a supervisor owns `folder` now: by its lock here, by its heartbeat on another host."""
    pid = liveness.holder(folder.supervisor_lock)
    if pid is not None:
        return True
    who = supervisor_identity(folder)
    if who is None or not may_run_elsewhere(who, folder.supervisor_lock):
        return False
    age = liveness.age(folder.supervisor_lock, now=now)
    return age is not None and age < STALLED_AFTER


def may_run_elsewhere(who: liveness.Identity, heart: Path) -> bool:
    """Whether a process of another boot or host may be alive, with the heartbeat `heart`.

    Two machines may have the same name, but have different boot ids. A heartbeat from before this boot was this
    machine's.
    """
    if who.here():
        return False
    try:
        beaten = heart.stat(follow_symlinks=False).st_mtime
    except OSError:
        return False
    return who.host != os.uname().nodename or beaten >= liveness.boot_time()


def run_silent(run: RunDir, *, now: float | None = None) -> bool:
    """Whether the worker of `run` has shown no progress for `STALLED_AFTER` seconds."""
    age = liveness.age(run.heartbeat, now=now)
    return age is not None and age > STALLED_AFTER
