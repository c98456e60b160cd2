"""Restart policy: which run a worker's death is attributed to, when a run is given up, and runs with stale workers."""

from __future__ import annotations

import math
import signal
import time
from collections import Counter
from collections.abc import Callable, Sequence

from tui_attn.experiment.folders import ExperimentDir, RunDir
from tui_attn.system import liveness

MAX_DEATHS = 3
"""A run whose worker died more often than this at the same step is failed."""
GRACE = 30.0
"""Seconds that workers get to stop by themselves, before SIGTERM; SIGKILL follows after `HARD_GRACE` more."""
HARD_GRACE = 10.0
PATIENCE = 2.0
"""Seconds for which a run waits silently for the worker of a dead supervisor to let go of it."""
_GRAIN = 0.02
"""Seconds by which a file's time stamp may lag behind the clock."""


class RestartPolicy:
    """Counts the deaths of workers by run and step."""

    def __init__(self) -> None:
        self._births: dict[int, float] = {}
        self._steps: dict[str, list[int]] = {}

    def started(self, worker: int, at: float) -> None:
        """The process `worker` was started `at` this time, by `time.monotonic`."""
        self._births[worker] = at

    def suspected_run(self, folder: ExperimentDir, worker: int, held: Sequence[str]) -> str | None:
        """The run that the dead process `worker` was starting or training: the last that showed a sign of life.

        A run shows one when it is opened and when its turn comes. Signs from before this worker are another's. None
        when the worker died before it opened any of the runs that it `held`.
        """
        started = self._births.pop(worker, -math.inf) - _GRAIN
        signs = {run: _last_sign(folder.run(run)) for run in held}
        its = {run: sign for run, sign in signs.items() if sign >= started}
        return max(its, key=its.__getitem__) if its else None

    def gives_up(self, run: str, step: int) -> bool:
        """Count a death of `run`'s worker at `step`; whether it was one too many there."""
        steps = self._steps.setdefault(run, [])
        steps.append(step)
        return steps.count(step) > MAX_DEATHS

    def forget(self, run: str) -> None:
        """Reset the count of a run."""
        self._steps.pop(run, None)


MAX_LOSSES = 2
"""A device that fails so often is avoided, where there are others."""


class DeviceLosses:
    """Counts the failures of devices, and finds out whether the device or a run is to blame."""

    def __init__(self) -> None:
        self._losses: list[tuple[str, str | None]] = []

    def add(self, device: str, run: str | None) -> None:
        """`device` failed while it trained `run`, or before its worker opened any."""
        self._losses.append((device, run))

    def blames(self, run: str | None) -> bool:
        """Whether devices fail by what `run` does: it was in turn on several, at each of their failures."""
        devices = {device for device, suspected in self._losses if suspected == run}
        alone = all(suspected == run for device, suspected in self._losses if device in devices)
        return run is not None and len(devices) > 1 and alone

    def forgive(self, run: str | None) -> None:
        """Count the failures at which `run` was in turn no more."""
        self._losses = [loss for loss in self._losses if loss[1] != run]

    @property
    def failing(self) -> set[str]:
        """The devices that failed too often."""
        counts = Counter(device for device, _ in self._losses)
        return {device for device, count in counts.items() if count >= MAX_LOSSES}


def _last_sign(run: RunDir) -> float:
    """When `run` last showed a sign of life, by `time.monotonic`; minus infinity when it never did."""
    age = liveness.age(run.heartbeat)
    return -math.inf if age is None else time.monotonic() - age


class StaleWorkers:
    """Keeps a run from being handed out while another process writes it, and ends that process after a grace period.

    Such a process is the worker of a dead supervisor. It checkpoints and exits unless it is frozen.
    """

    def __init__(self, clock: Callable[[], float], warn: Callable[[str], object]) -> None:
        self._clock = clock
        self._warn = warn
        self._since: dict[str, float] = {}
        self._warned: set[str] = set()
        self._terminated: set[int] = set()

    def is_free(self, run: RunDir) -> bool:
        """Whether no process writes `run`; one that does so for too long is sent SIGTERM, then SIGKILL.

        A folder that is a link says nothing of this run: its worker will refuse it.
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
