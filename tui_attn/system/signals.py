"""Signals that are collected and handled later, so that none can deadlock a process, whenever it arrives."""

from __future__ import annotations

import contextlib
import os
import select
import signal
from collections.abc import Callable, Iterable

HELD = (signal.SIGINT, signal.SIGTERM)
"""Signals that can be blocked in a new child until it starts its `Signals`."""


def signal_name(number: int) -> str:
    """The name of a signal, such as SIGTERM; real-time signals have only numbers."""
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


class Signals:
    """Collects signals from `start` to `close`; for the main thread.

    A handler runs between any two bytecodes of the main thread, so it takes no lock: it only appends to a list. The
    interpreter's write to a wake-up pipe ends a wait.
    """

    def __init__(self, signums: Iterable[int]) -> None:
        self._signums = tuple(signums)
        self._restore: Callable[[], None] | None = None
        self.received: list[int] = []
        """The signals received, in order."""

    def start(self) -> bool:
        """Install the handlers if they aren't; always True, so that it can be a callback that agrees."""
        if self._restore is None:
            self._woken, wake = os.pipe()
            for fd in (self._woken, wake):
                os.set_blocking(fd, False)
            before = signal.set_wakeup_fd(wake, warn_on_full_buffer=False)
            handlers = {signum: signal.signal(signum, self._note) for signum in self._signums}

            def restore() -> None:
                for signum, handler in handlers.items():
                    signal.signal(signum, handler)
                signal.set_wakeup_fd(before)
                for fd in (self._woken, wake):
                    os.close(fd)

            self._restore = restore
            signal.pthread_sigmask(signal.SIG_UNBLOCK, HELD)
        return True

    def _note(self, signum: int, frame: object) -> None:
        self.received.append(signum)

    @property
    def started(self) -> bool:
        """Whether the handlers are installed."""
        return self._restore is not None

    @property
    def fd(self) -> int:
        """A descriptor that becomes readable when a signal arrives."""
        return self._woken

    def wait(self, seconds: float) -> None:
        """Return after `seconds`, or as soon as a signal arrives."""
        select.select([self._woken], [], [], seconds)
        self.drain()

    def drain(self) -> None:
        """Empty the pipe behind `fd`."""
        with contextlib.suppress(BlockingIOError):
            while os.read(self._woken, 4096):
                pass

    def close(self) -> None:
        """Restore the previous handlers."""
        restore, self._restore = self._restore, None
        if restore is not None:
            restore()

    def __enter__(self) -> Signals:
        self.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()
