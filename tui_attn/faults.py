"""Deliberate deaths, for the tests that prove that nothing is lost.

`TUI_ATTN_FAULT=point:count` makes the process kill itself the `count`-th time it passes `fault(point)`. Without the
variable a call costs one comparison.
"""

from __future__ import annotations

import itertools
import os
import signal

_point, _, _count = os.environ.get("TUI_ATTN_FAULT", "").partition(":")
_passes = itertools.count(1)


def fault(point: str) -> None:
    """Die here by SIGKILL if this is the point and the time that the environment asks for."""
    if point == _point and next(_passes) == int(_count or 1):
        os.kill(os.getpid(), signal.SIGKILL)
