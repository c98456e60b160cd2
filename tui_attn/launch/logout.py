"""Whether processes survive a logout: systemd may be configured to end them."""

from __future__ import annotations

import os
from pathlib import Path

from tui_attn.system.children import output_of

_SETTING = ("org.freedesktop.login1", "/org/freedesktop/login1", "org.freedesktop.login1.Manager", "KillUserProcesses")


def remedy() -> str | None:
    """What to do so that processes survive a logout; None where they do."""
    if not Path("/run/systemd/system").exists():
        return None
    kills = output_of("busctl", "get-property", *_SETTING)
    lingers = output_of("loginctl", "show-user", str(os.getuid()), "--property=Linger")
    try:
        group = Path("/proc/self/cgroup").read_text()
    except OSError:
        group = ""
    return remedy_for(kills=kills.endswith("true"), lingers=lingers.endswith("yes"), group=group)


def remedy_for(*, kills: bool, lingers: bool, group: str) -> str | None:
    """As `remedy`, from logind's KillUserProcesses and Linger and this process's control groups.

    KillUserProcesses ends the processes in the session's scope, even if the user lingers. Processes of the user's own
    systemd end with it: at logout, unless the user lingers.
    """
    outside = "/user@" in group
    if outside and not lingers:
        return "loginctl enable-linger"
    if kills and not outside:
        start = "systemd-run --user --scope tui-attn"
        return start if lingers else f"loginctl enable-linger, then start with: {start}"
    return None
