"""What a logout does to processes: systemd may be set to end them."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from tui_attn.system.children import clean_environment

_SETTING = ("org.freedesktop.login1", "/org/freedesktop/login1", "org.freedesktop.login1.Manager", "KillUserProcesses")


def remedy() -> str | None:
    """What to do so that processes survive a logout; None where they do."""
    if not Path("/run/systemd/system").exists():
        return None
    kills = _ask("busctl", "get-property", *_SETTING)
    lingers = _ask("loginctl", "show-user", str(os.getuid()), "--property=Linger")
    try:
        group = Path("/proc/self/cgroup").read_text()
    except OSError:
        group = ""
    return remedy_for(kills=kills.endswith("true"), lingers=lingers.endswith("yes"), group=group)


def remedy_for(*, kills: bool, lingers: bool, group: str) -> str | None:
    """The same by logind's KillUserProcesses and Linger and by this process's control groups.

    KillUserProcesses ends what is in the session's scope, whether the user lingers or not; what the user's own systemd
    runs ends with it, which is at logout unless the user lingers.
    """
    outside = "/user@" in group
    if outside and not lingers:
        return "loginctl enable-linger"
    if kills and not outside:
        start = "systemd-run --user --scope tui-attn"
        return start if lingers else f"loginctl enable-linger, then start with: {start}"
    return None


def _ask(*command: str) -> str:
    try:
        done = subprocess.run(
            command, cwd="/", env=clean_environment(), capture_output=True, text=True, timeout=5, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip()
