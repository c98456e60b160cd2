"""Waiting for other processes, by short polls and with a deadline."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

import psutil


def eventually(
    condition: Callable[[], Any], what: str = "the condition", *, seconds: float = 240.0, interval: float = 0.03
) -> Any:
    """Wait until `condition` holds, looking every `interval` seconds, and return what it said."""
    pause = threading.Event()
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        value = condition()
        if value:
            return value
        pause.wait(interval)
    raise AssertionError(f"{what} never came to hold")


def lives(pid: int) -> bool:
    """Whether process `pid` runs; a corpse that whoever inherited it has yet to bury doesn't."""
    try:
        return bool(psutil.Process(pid).status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False
