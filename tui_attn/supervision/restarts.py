"""What to do after a worker's death: the run or device to blame, and runs with stale workers."""

from __future__ import annotations

import math
import signal
import time
from collections import Counter
from collections.abc import Callable, Sequence

from tui_attn.experiment.folders import ExperimentDir, RunDir
from tui_attn.system import liveness

MAX_DEATHS = 3
"""A run fails when its workers die more often than this at the same step."""
GRACE = 30.0
"""Seconds before workers that were told to stop get SIGTERM; SIGKILL follows `HARD_GRACE` seconds later."""
HARD_GRACE = 10.0
PATIENCE = 2.0
"""Seconds for which a run waits for the worker of a dead supervisor without a warning."""
_GRAIN = 0.02
"""Seconds by which a file's time stamp may lag behind the clock."""


def suspected_run(folder: ExperimentDir, started_at: float, held: Sequence[str]) -> str | None:
    """The run that a dead worker was starting or training: the one with the latest heartbeat.

    A run's heartbeat is written when it is opened and when its turn comes. Those before the worker `started_at`, by
    `time.monotonic`, are another worker's. None when it died before it opened any of the runs that it `held`.
    """
    signs = {run: _last_sign(folder.run(run)) for run in held}
    its = {run: sign for run, sign in signs.items() if sign >= started_at - _GRAIN}
    return max(its, key=its.__getitem__) if its else None


MAX_LOSSES = 2
"""A device that fails this often is avoided where there are others."""


class DeviceLosses:
    """Counts failures of devices, and decides whether a device or a run is to blame."""

    def __init__(self) -> None:
        self._losses: list[tuple[str, str | None]] = []

    def add(self, device: str, run: str | None) -> None:
        """`device` failed while it trained `run`, or before its worker opened any."""
        self._losses.append((device, run))

    def blames(self, run: str | None) -> bool:
        """Whether `run` makes devices fail: it was training at every failure of several devices."""
        devices = {device for device, suspected in self._losses if suspected == run}
        alone = all(suspected == run for device, suspected in self._losses if device in devices)
        return run is not None and len(devices) > 1 and alone

    def forgive(self, run: str | None) -> None:
        """Forget the failures during which `run` was training."""
        self._losses = [loss for loss in self._losses if loss[1] != run]

    @property
    def failing(self) -> set[str]:
        """The devices that failed too often."""
        counts = Counter(device for device, _ in self._losses)
        return {device for device, count in counts.items() if count >= MAX_LOSSES}


def _last_sign(run: RunDir) -> float:
    """The time of the last heartbeat of `run`, by `time.monotonic`; minus infinity without one."""
    age = liveness.age(run.heartbeat)
    return -math.inf if age is None else time.monotonic() - age


class StaleWorkers:
    """Withholds a run while another process writes it, and ends that process after a grace period.

    Such a process is the worker of a dead supervisor, which checkpoints and exits unless it is frozen.
    """

    def __init__(self, clock: Callable[[], float], warn: Callable[[str], object]) -> None:
        self._clock = clock
        self._warn = warn
        self._since: dict[str, float] = {}
        self._warned: set[str] = set()
        self._terminated: set[int] = set()

    def is_free(self, run: RunDir) -> bool:
        """Whether no process writes `run`; one that keeps writing is sent SIGTERM, then SIGKILL.

        A folder that is a link counts as free: the worker will refuse it.
        """
        pid = None if run.path.is_symlink() else liveness.holder(run.lock)
        if pid is None:
            self._since.pop(run.id, None)
            self._warned.discard(run.id)
            return True
        waited = self._clock() - self._since.setdefault(run.id, self._clock())
        if waited > PATIENCE and run.id not in self._warned:
            self._warned.add(run.id)
            self._warn(f"{run.id} waits for {_describe(pid)}, which still holds it")
        if pid > 0 and waited > GRACE + HARD_GRACE:
            liveness.signal_holder(run.lock, signal.SIGKILL, run.heartbeat)
        elif pid > 0 and waited > GRACE and pid not in self._terminated:
            self._terminated.add(pid)
            liveness.signal_holder(run.lock, signal.SIGTERM, run.heartbeat)
        return False


def _describe(pid: int) -> str:
    return f"process {pid}" if pid > 0 else "a process on another host or in another container"
