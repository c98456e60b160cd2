"""The workers of an experiment and the runs they hold; stopping workers, and pausing runs."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable

from tui_attn.engines.workers import Launcher, Slot, Worker
from tui_attn.supervision.experiment_log import ExperimentLog
from tui_attn.supervision.restarts import GRACE, HARD_GRACE
from tui_attn.system.signals import Signals

PAUSE = 0.05
"""Seconds between two checks whether the workers are gone."""


class WorkerPool:
    """The workers on `slots`, one each at most, and the signals that end them."""

    def __init__(self, slots: list[Slot], launcher: Launcher, clock: Callable[[], float], signals: Signals) -> None:
        self.slots, self.launcher, self.clock = slots, launcher, clock
        self.workers: list[Worker] = []
        self._leaving: list[Worker] = []
        """Workers that were told to exit."""
        self.avoided: set[str] = set()
        """Failing devices, on which no worker is started."""
        self._signals = signals
        self._stopping_since: float | None = None
        self._warned: set[int] = set()
        """The workers that were sent SIGTERM, once each."""

    def holder(self, run: str) -> Worker | None:
        """The worker that trains `run`."""
        return next((worker for worker in self.workers if run in worker.held), None)

    def takers(self) -> list[tuple[Slot, Worker | None]]:
        """Workers without runs, then slots without workers."""
        idle = [(worker.slot, worker) for worker in self.workers if not worker.held and worker not in self._leaving]
        busy = {worker.slot for worker in self.workers}
        free = [slot for slot in self.slots if slot not in busy and slot.device not in self.avoided]
        return [*idle, *((slot, None) for slot in free)]

    @property
    def devices(self) -> list[str]:
        """The devices on which workers may be started."""
        return [device for device in dict.fromkeys(slot.device for slot in self.slots) if device not in self.avoided]

    def dismiss(self, worker: Worker) -> None:
        """Tell an idle worker to exit."""
        self._leaving.append(worker)
        worker.tell("exit")

    def remove(self, worker: Worker) -> None:
        """Remove a dead worker, and close its pipe."""
        worker.close()
        self.workers.remove(worker)
        if worker in self._leaving:
            self._leaving.remove(worker)

    # ---- stopping

    @property
    def stop_asked(self) -> bool:
        """Whether a signal was received and not handled yet."""
        return bool(self._signals.received) and not self.stopping

    @property
    def at_once(self) -> bool:
        """Whether a second signal was received, which skips the grace period."""
        return len(self._signals.received) > 1

    @property
    def stopping(self) -> bool:
        """Whether the experiment is stopping: no more runs are assigned."""
        return self._stopping_since is not None

    def begin_stop(self) -> None:
        """Start the workers' grace period."""
        if self._stopping_since is None:
            self._stopping_since = self.clock()

    def press_on(self) -> None:
        """When stopping, send workers SIGTERM after `GRACE`, and SIGKILL after `HARD_GRACE` more or at once."""
        if self._stopping_since is None:
            return
        waited = self.clock() - self._stopping_since
        for worker in self.workers:
            if waited > GRACE + HARD_GRACE or self.at_once:
                worker.kill(signal.SIGKILL)
            elif waited > GRACE and worker.token not in self._warned:
                self._warned.add(worker.token)
                worker.kill(signal.SIGTERM)

    def let_go(self) -> None:
        """End the workers without recording anything: they checkpoint if they can, and are killed after `GRACE`.

        Workers that outlive their supervisor are left to the next one.
        """
        workers = [worker for worker in self.workers if not worker.outlives]
        for worker in workers:
            worker.close()
        deadline = self.clock() + GRACE
        while any(worker.exit_code() is None for worker in workers):
            if self.clock() > deadline or self.at_once:
                for worker in workers:
                    worker.kill(signal.SIGKILL)
            time.sleep(PAUSE)


class Pauses:
    """Tells the workers of `pool` to pause and unpause runs, and records it."""

    def __init__(self, pool: WorkerPool, log: ExperimentLog) -> None:
        self._pool, self._log = pool, log
        self._paused: set[str] = set()
        """Runs paused by a command."""
        self._waiting: set[str] = set()
        """Runs paused until there is room on the disk."""

    def __contains__(self, run: str) -> bool:
        """Whether `run` is paused by a command."""
        return run in self._paused

    def pause(self, run: str, *, queued: bool) -> bool:
        """Pause a run that a worker holds or that is `queued`; False if it is neither, or paused already."""
        worker = self._pool.holder(run)
        if run in self._paused or (worker is None and not queued):
            return False
        self._paused.add(run)
        self._waiting.discard(run)
        if worker is not None:
            worker.tell("suspend" if worker.gives_back else "pause", run)
        self._log.record("run_paused", run=run)
        return True

    def unpause(self, run: str) -> bool:
        """Unpause a run, on a full disk once there is room; False where it isn't paused."""
        if run not in self._paused:
            return False
        self._paused.discard(run)
        worker = self._pool.holder(run)
        if worker is not None and self._log.full:
            self._waiting.add(run)
            return True
        if worker is not None:
            worker.tell("unpause", run)
        self._log.record("run_unpaused", run=run)
        return True

    def disk_is_full(self) -> None:
        """Pause all runs in training until there is room."""
        for worker in self._pool.workers:
            for run in worker.held:
                if run not in self._paused:
                    self._waiting.add(run)
                    worker.tell("pause", run)
                    self._log.record("run_paused", run=run)

    def there_is_room(self) -> None:
        """Unpause the runs that waited for room."""
        waiting, self._waiting = self._waiting, set()
        for worker in self._pool.workers:
            for run in worker.held:
                if run in waiting:
                    worker.tell("unpause", run)
                    self._log.record("run_unpaused", run=run)

    def lost_worker(self, run: str) -> None:
        """The worker of `run` is dead, so the run no longer waits for room. A paused run stays paused."""
        self._waiting.discard(run)

    def forget(self, run: str) -> None:
        """The run has ended."""
        self._paused.discard(run)
        self._waiting.discard(run)
