"""Paused runs: by a command, or because the disk is full."""

from __future__ import annotations

from tui_attn.supervision.experiment_log import ExperimentLog
from tui_attn.supervision.worker_pool import WorkerPool


class Pauses:
    """Tells the workers of `pool` to pause runs and to go on with them, and records it."""

    def __init__(self, pool: WorkerPool, log: ExperimentLog) -> None:
        self._pool, self._log = pool, log
        self._paused: set[str] = set()
        """By a command."""
        self._waiting: set[str] = set()
        """Until there is room on the disk."""

    def __contains__(self, run: str) -> bool:
        """Whether somebody paused `run`."""
        return run in self._paused

    def pause(self, run: str, *, queued: bool) -> bool:
        """Pause a run that a worker holds or that is `queued`; False where there is nothing to pause."""
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
        """Let a paused run go on, on a full disk as soon as there is room; False where it isn't paused."""
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
        """Have all runs in training wait for room."""
        for worker in self._pool.workers:
            for run in worker.held:
                if run not in self._paused:
                    self._waiting.add(run)
                    worker.tell("pause", run)
                    self._log.record("run_paused", run=run)

    def there_is_room(self) -> None:
        """Let those go on that waited for room."""
        waiting, self._waiting = self._waiting, set()
        for worker in self._pool.workers:
            for run in worker.held:
                if run in waiting:
                    worker.tell("unpause", run)
                    self._log.record("run_unpaused", run=run)

    def lost_worker(self, run: str) -> None:
        """The worker of `run` is dead: nothing waits for room any more. A paused run stays paused."""
        self._waiting.discard(run)

    def forget(self, run: str) -> None:
        """The run has ended."""
        self._paused.discard(run)
        self._waiting.discard(run)
