"""Fault injection, for the tests that show that nothing is lost.

`TUI_ATTN_FAULT=point:count` makes the process kill itself the `count`-th time it passes `fault(point)`, and
`point:count:stop` makes it freeze there instead, so that a test can choose whom to kill at that very moment.
Without the variable a call costs one comparison.
"""

from __future__ import annotations

import os
import signal

_point = ""
_left = 0
_signal = signal.SIGKILL


def arm(order: str) -> None:
    """Die, or freeze, as `order` says; an empty one disarms."""
    global _point, _left, _signal  # noqa: PLW0603 - one order for the process, looked at in every step
    _point, _, rest = order.partition(":")
    count, _, how = rest.partition(":")
    _left = int(count or 1)
    _signal = signal.SIGSTOP if how == "stop" else signal.SIGKILL


def fault(point: str) -> None:
    """Die or freeze here if this is the point and the time that was ordered."""
    global _left  # noqa: PLW0603
    if point == _point:
        _left -= 1
        if _left == 0:
            os.kill(os.getpid(), _signal)


arm(os.environ.get("TUI_ATTN_FAULT", ""))
