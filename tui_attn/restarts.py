"""When a worker died: which of its runs to blame, and when to give one up. And whom a run must wait for."""

from __future__ import annotations

import signal
from collections.abc import Callable, Sequence

from tui_attn import liveness
from tui_attn.runs import ExperimentDir, RunDir
from tui_attn.state import ExperimentState

MAX_DEATHS = 3
"""A run whose worker died more often than this at the same step is failed."""
GRACE = 30.0
"""Seconds that workers get to stop by themselves, before SIGTERM; SIGKILL follows after `HARD_GRACE` more."""
HARD_GRACE = 10.0
PATIENCE = 2.0
"""Seconds for which a run waits silently for the worker of a dead supervisor to let go of it."""


class Deaths:
    """Remembers at which steps workers died."""

    def __init__(self) -> None:
        self._steps: dict[str, list[int]] = {}

    def culprit(self, folder: ExperimentDir, state: ExperimentState, held: Sequence[str]) -> str | None:
        """The run that a dead worker was training: the one whose heartbeat is newest. None before any training."""
        if any(state.runs[run].state != "starting" for run in held if run in state.runs):
            ages = {run: liveness.age(folder.run(run).heartbeat) for run in held}
            known = {run: age for run, age in ages.items() if age is not None}
            return min(known, key=known.__getitem__) if known else None
        return None

    def gives_up(self, run: str, step: int) -> bool:
        """Count a death of `run`'s worker at `step`; whether it was one too many there."""
        steps = self._steps.setdefault(run, [])
        steps.append(step)
        return steps.count(step) > MAX_DEATHS

    def forget(self, run: str) -> None:
        """Begin to count anew."""
        self._steps.pop(run, None)


class Evictions:
    """Sees to it that no run is handed out while another process writes it: it is given time, then ended.

    Such a process is the worker of a dead supervisor. It checkpoints and exits by itself, unless it is frozen.
    """

    def __init__(self, clock: Callable[[], float], warn: Callable[[str], object]) -> None:
        self._clock = clock
        self._warn = warn
        self._since: dict[str, float] = {}
        self._warned: set[str] = set()

    def is_free(self, run: RunDir) -> bool:
        """Whether nobody writes `run`; whoever does so for too long is sent SIGTERM, then SIGKILL."""
        pid = liveness.holder(run.lock)
        if pid is None:
            self._since.pop(run.id, None)
            self._warned.discard(run.id)
            return True
        waited = self._clock() - self._since.setdefault(run.id, self._clock())
        if waited > PATIENCE and run.id not in self._warned:
            self._warned.add(run.id)
            self._warn(f"{run.id} waits for {_describe(pid)}, which still holds it")
        if waited > GRACE and pid > 0:
            liveness.signal_holder(run.lock, signal.SIGKILL if waited > GRACE + HARD_GRACE else signal.SIGTERM)
        return False


def _describe(pid: int) -> str:
    return f"process {pid}" if pid > 0 else "a process on another host or in another container"
