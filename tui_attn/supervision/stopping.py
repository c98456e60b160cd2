"""Stopping a whole experiment: requested, waited for, then enforced."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable

from tui_attn.supervision.restarts import GRACE, HARD_GRACE
from tui_attn.supervision.worker_pool import WorkerPool
from tui_attn.system.signals import Signals

PAUSE = 0.05
"""Seconds between two looks whether the workers are gone."""


class Stopping:
    """Whether the experiment is to stop, and which signals its workers get."""

    def __init__(self, pool: WorkerPool, clock: Callable[[], float], signals: Signals) -> None:
        self._pool, self._clock = pool, clock
        self._since: float | None = None
        self._signals = signals
        self._warned: set[int] = set()
        """The workers that were sent SIGTERM, which they are only once."""

    @property
    def asked(self) -> bool:
        """Whether a signal came that was not acted on yet."""
        return bool(self._signals.received) and not self.under_way

    @property
    def at_once(self) -> bool:
        """Whether a second signal came, which skips the grace period."""
        return len(self._signals.received) > 1

    @property
    def under_way(self) -> bool:
        """Whether the experiment is to stop: no run is handed out any more."""
        return self._since is not None

    def begin(self) -> None:
        """Start the workers' grace period."""
        if self._since is None:
            self._since = self._clock()

    def press_on(self) -> None:
        """Send workers SIGTERM after `GRACE` and SIGKILL after `HARD_GRACE` more, or SIGKILL at once."""
        if self._since is None:
            return
        waited = self._clock() - self._since
        if waited > GRACE + HARD_GRACE or self.at_once:
            self._pool.kill(signal.SIGKILL)
        elif waited > GRACE:
            for worker in self._pool.workers:
                if worker.token not in self._warned:
                    self._warned.add(worker.token)
                    worker.kill(signal.SIGTERM)

    def let_go(self) -> None:
        """End the workers without recording anything: they checkpoint if they can, and are killed after `GRACE`.

        Those that outlive their supervisor are the next one's.
        """
        workers = [worker for worker in self._pool.workers if not worker.outlives]
        for worker in workers:
            worker.close()
        deadline = self._clock() + GRACE
        while any(worker.exit_code() is None for worker in workers):
            if self._clock() > deadline or self.at_once:
                for worker in workers:
                    worker.kill(signal.SIGKILL)
            time.sleep(PAUSE)
