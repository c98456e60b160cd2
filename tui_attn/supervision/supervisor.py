"""The supervisor: owns one experiment, assigns its runs to workers, records how each ended.

Every decision is recorded in the experiment's event log before it is carried out, so that another supervisor can
continue from the log alone.
"""

from __future__ import annotations

import errno
import os
import time
from collections.abc import Callable

from tui_attn.engines.pipe import LocalLauncher
from tui_attn.engines.workers import Launcher
from tui_attn.experiment import reducer
from tui_attn.experiment.folders import ExperimentDir, RunDir
from tui_attn.experiment.follower import Follower
from tui_attn.experiment.manifest import RunsError
from tui_attn.experiment.ownership import supervisor_identity
from tui_attn.experiment.writing import extend_manifest
from tui_attn.supervision.control import Control
from tui_attn.supervision.dispatch import Dispatch
from tui_attn.supervision.experiment_log import ExperimentLog, OwnershipLostError
from tui_attn.supervision.scheduling import make_slots
from tui_attn.supervision.slots import SlotLocks
from tui_attn.supervision.worker_pool import Pauses, WorkerPool
from tui_attn.system import files, liveness
from tui_attn.system.fault_injection import fault
from tui_attn.system.signals import Signals


class Supervisor:
    """One experiment's supervisor. Raises `BlockingIOError` when another one is alive, `RunsError`, `OSError`."""

    def __init__(
        self,
        folder: ExperimentDir,
        *,
        launcher: Launcher | None = None,
        signals: Signals | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.folder = folder
        self.signals = signals or Signals([])
        """SIGTERM or SIGINT stops all runs; a second one skips the grace period."""
        self._lock = liveness.Lock(folder.supervisor_lock)
        self.follower = follower = Follower(folder)
        """Reads the logs."""
        follower.poll()
        self._manifest = follower.manifest
        self.config = self._manifest.config
        self._clock = clock
        self._began = clock()
        """When this supervisor began."""
        launcher = launcher or LocalLauncher(folder)
        slots = make_slots(self._manifest.devices, self._manifest.config.jobs or launcher.workers)
        self.interval = launcher.tick
        """Seconds between two ticks."""
        self._pool = pool = WorkerPool(slots, launcher, clock, self.signals)
        self.log = log = ExperimentLog(folder)
        pauses = Pauses(pool, log)
        log.on_full, log.on_room = pauses.disk_is_full, pauses.there_is_room
        log.while_waiting = self._while_waiting
        self._dispatch = Dispatch(folder, follower, log, pool, pauses)
        self._control = Control(self._dispatch, self._extend)
        self._next_look = 0.0
        self._locks = SlotLocks()

    @property
    def state(self) -> reducer.ExperimentState:
        """The state of the experiment by its logs."""
        return self.follower.state

    # ---- start, tick, end

    def begin(self) -> None:
        """Record the start, queue unfinished runs, and settle unacknowledged commands.

        Raises `OSError` when it can't be recorded.
        """
        self._remove_stale_files()
        resumed = bool(self.state.runs)
        self.log.record(
            "experiment_started",
            experiment=self.folder.id,
            devices=list(self._manifest.devices),
            jobs=len(self._pool.slots),
            resumed=resumed,
        )
        self._control.settle()
        self._dispatch.adopt()
        self._dispatch.queue_missing(self._manifest.config)
        fault("queue")
        self.log.patient = True
        slots = [] if self._pool.launcher.remote else self._pool.slots
        shared = self._locks.take(slots, self.folder.id, self._manifest.uuids)
        for device, other in shared.items():
            self.log.warn(f"{device} is also used by experiment {other}: both train more slowly")

    def fence(self) -> None:
        """From now on, write no event once supervisor.json names another supervisor.

        On a file system whose locks don't reach other hosts, that is the only sign of a take-over.
        """
        ours = liveness.identity()

        def check() -> None:
            newest = supervisor_identity(self.folder)
            if newest is not None and newest != ours:
                raise OwnershipLostError("another supervisor took the experiment over: its training here has ended")

        self.log.check_owner = check

    def tick(self) -> None:
        """Read logs and commands once, and act on them. Raises `OwnershipLostError`."""
        for message in self._pool.launcher.look():
            self.log.warn(message)
        self._dispatch.take_news()
        self._dispatch.follow_jobs()
        self._control.obey()
        self._dispatch.reap()
        if self._pool.stop_asked:
            self._pool.begin_stop()
            for run in list(self.state.runs):
                self._control.stop(run)
        self._pool.press_on()
        self._dispatch.hand_out(len(self._manifest.config.models))
        self._look_around()

    @property
    def done(self) -> bool:
        """Whether no run is queued and no worker is left."""
        return self._dispatch.done

    def end(self) -> None:
        """Record how the experiment ended, and release its locks."""
        self._pool.launcher.look()  # cancels remaining jobs
        if self.log.full:  # the last run may have found room, and ended, since the last check
            self.log.look()
        self.follower.poll()
        fault("finish")
        self.log.record(
            "experiment_finished",
            experiment=self.folder.id,
            state=reducer.outcome(run.state for run in self.state.runs.values()),
            seconds=round(self._clock() - self._began, 3),
        )
        self.log.close()
        self._remove_stale_files()
        self._locks.release()
        self._lock.release()

    def let_go(self) -> None:
        """End the workers without recording anything: they checkpoint if they can, and are killed after `GRACE`."""
        self._pool.let_go()

    # ---- parts

    def _remove_stale_files(self) -> None:
        """Except those of a run that the worker of a dead supervisor still writes."""
        files.remove_stale_files(self.folder.path, in_use=lambda run: liveness.holder(RunDir(run).lock) is not None)

    def _extend(self, seeds: int) -> str:
        if self._pool.stopping:
            return "refused: the experiment is stopping"
        try:
            self._manifest = extend_manifest(self.folder, seeds)
        except (RunsError, OSError) as error:
            return f"refused: {error}"
        fault("extended")
        self.log.record("extended", seeds=seeds)
        self._dispatch.queue_missing(self._manifest.config)
        return "done"

    def _while_waiting(self) -> None:
        """While the disk is full: send heartbeats, and abort on a second signal."""
        self._lock.beat()
        if self._pool.at_once:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def _look_around(self) -> None:
        """Once a second: send a heartbeat, and check the disk and the folder. Raises `OwnershipLostError`."""
        now = self._clock()
        if now >= self._next_look:
            self._next_look = now + 1.0
            self._lock.beat()
            self.log.look()
