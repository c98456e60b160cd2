"""Fault injection for tests.

With `TUI_ATTN_FAULT=point:count` the process kills itself at the `count`-th call of `fault(point)`; with
`point:count:stop` it stops there (SIGSTOP), so that a test can choose which process to kill at that moment. Without the
variable a call costs one comparison.
"""

from __future__ import annotations

import os
import signal

_point = ""
_left = 0
_signal = signal.SIGKILL


def arm(order: str) -> None:
    """Set the fault to inject; an empty `order` sets none."""
    global _point, _left, _signal  # noqa: PLW0603 - one per process, checked in every step
    _point, _, rest = order.partition(":")
    count, _, how = rest.partition(":")
    _left = int(count or 1)
    _signal = signal.SIGSTOP if how == "stop" else signal.SIGKILL


def fault(point: str) -> None:
    """Kill or stop this process if a fault was set for this point and is due."""
    global _left  # noqa: PLW0603
    if point == _point:
        _left -= 1
        if _left == 0:
            os.kill(os.getpid(), _signal)


arm(os.environ.get("TUI_ATTN_FAULT", ""))
