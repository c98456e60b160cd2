"""Writing on a disk that may be full: training waits for room, and gives up only when it is told to end."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

from tui_attn.system import files

PAUSE = 0.2
"""Seconds between two attempts."""

T = TypeVar("T")


class NoRoomError(Exception):
    """The disk is full, and this process was told to end before there was room."""


def wait_for_room(write: Callable[[], T], *, hurried: Callable[[], bool], sign_of_life: Callable[[], object]) -> T:
    """Do `write`, again and again while the disk is full. Raises `NoRoomError` when `hurried`, and other `OSError`."""
    while True:
        try:
            return write()
        except OSError as error:
            if error.errno not in files.FULL:
                raise
        if hurried():
            raise NoRoomError
        sign_of_life()
        time.sleep(PAUSE)
