"""Whether an experiment has a living supervisor, and whether a run makes progress."""

from __future__ import annotations

import os

from tui_attn.experiment.folders import ExperimentDir, RunDir
from tui_attn.system import liveness
from tui_attn.system.files import read_json

STALLED_AFTER = 30.0
"""Seconds of silence after which a live worker counts as stalled, and one on another host as lost."""


def supervisor_identity(folder: ExperimentDir) -> liveness.Identity | None:
    """The process that supervises `folder`, or did so last."""
    return liveness.Identity.from_json((read_json(folder.supervisor) or {}).get("identity"))


def supervisor_alive(folder: ExperimentDir, *, now: float | None = None) -> bool:
    """Whether a supervisor owns `folder` now: by its lock here, by its heartbeat on another host."""
    pid = liveness.holder(folder.supervisor_lock)
    if pid is not None:
        return True
    who = supervisor_identity(folder)
    if who is None or who.here():
        return False
    if who.host == os.uname().nodename:  # this host, before its last boot
        return False
    age = liveness.age(folder.supervisor_lock, now=now)
    return age is not None and age < STALLED_AFTER


def run_silent(run: RunDir, *, now: float | None = None) -> bool:
    """Whether the worker of `run` has shown no progress for `STALLED_AFTER` seconds."""
    age = liveness.age(run.heartbeat, now=now)
    return age is not None and age > STALLED_AFTER
