"""The supervisor: owns one experiment, hands its runs to workers, records how each ended, outlives every terminal.

`python -m tui_attn.supervise FOLDER`. Everything it decides it writes to the experiment's event log first, so that
another supervisor can go on from the log alone.
"""

from __future__ import annotations

import contextlib
import errno
import json
import math
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tui_attn import liveness, runs, state, workers
from tui_attn.eventlog import LogReader, LogWriter
from tui_attn.events import Event
from tui_attn.follow import Follower
from tui_attn.runs import ExperimentDir, RunDir, RunsError
from tui_attn.scheduling import Slot, make_slots, queue_order, share
from tui_attn.slots import SlotLocks
from tui_attn.workers import Worker, WorkerProcess

TICK = 0.05
"""Seconds between two looks at the logs, the commands and the workers."""
GRACE = 30.0
"""Seconds that workers get to stop by themselves, before SIGTERM; SIGKILL follows after `HARD_GRACE` more."""
HARD_GRACE = 10.0
MAX_DEATHS = 3
"""A run whose worker died this often at the same step is failed."""
RESERVE = 65536
"""Bytes kept back in the folder, freed when the disk is full so that this can be logged."""

Spawn = Callable[[Slot, RunDir], Worker]


class Supervisor:
    """One experiment's supervisor. Raises `BlockingIOError` when another one lives, `RunsError`, `OSError`."""

    def __init__(
        self,
        folder: ExperimentDir,
        *,
        spawn: Spawn | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.folder = folder
        self._lock = liveness.Lock(folder.supervisor_lock)
        self._follower = Follower(folder)
        self._follower.poll()
        self._manifest = self._follower.manifest
        self._log = LogWriter(folder.events)
        self._control = LogReader(folder.control)
        self._clock = clock
        config = self._manifest.config
        self._slots = make_slots(self._manifest.devices, config.jobs)
        self._crowded = self._manifest.devices == ("cpu",) and len(self._slots) > 1
        self._spawn = spawn or self._spawn_process
        self._workers: list[Worker] = []
        self._leaving: list[Worker] = []
        """Workers that were told to exit."""
        self._queue: list[str] = []
        self._paused: set[str] = set()
        self._deaths: dict[str, list[int]] = {}
        self._evicting: dict[str, float] = {}
        self._oom_kills = workers.oom_kills()
        self._stopping_since: float | None = None
        self._signals = 0
        self._disk_full = False
        self._next_beat = 0.0
        self._locks = SlotLocks()

    @property
    def state(self) -> state.ExperimentState:
        """The experiment as its logs tell it."""
        return self._follower.state

    # ---- the course of an experiment

    def begin(self) -> None:
        """Take charge: record it, queue what isn't finished, and pass over commands that came too late."""
        _remove_stale_files(self.folder.path)
        self._keep_reserve()
        resumed = bool(self.state.runs)
        self._record(
            "experiment_started",
            experiment=self.folder.id,
            devices=list(self._manifest.devices),
            jobs=len(self._slots),
            resumed=resumed,
        )
        for event in self._control.read():
            if event["id"] not in self.state.acknowledged:
                self._acknowledge(event, "came too late: nothing was running")
        self._queue_runs()
        shared = self._locks.take(self._slots, self.folder.id)
        for device, other in shared.items():
            self._record("warning", message=f"{device} is also used by experiment {other}: both train more slowly")

    def tick(self) -> None:
        """One look at everything, and what follows from it."""
        for run_id, event in self._follower.poll():
            if run_id is not None and event.type == "ended":
                self._run_ended(run_id, event)
        for command in self._control.read():
            if command["id"] not in self.state.acknowledged:
                self._obey(command)
        self._reap()
        self._press_on_stopping()
        self._hand_out()
        self._watch_disk()

    @property
    def done(self) -> bool:
        """Whether nothing is queued, held or alive any more."""
        return not self._queue and not self._workers

    def end(self) -> None:
        """Record how the experiment ended and let go of it."""
        self._follower.poll()
        self._record(
            "experiment_finished",
            experiment=self.folder.id,
            state=state.outcome(run.state for run in self.state.runs.values()),
        )
        self._log.sync()
        with contextlib.suppress(OSError):
            self._reserve.unlink(missing_ok=True)
        self._locks.release()
        self._lock.release()

    def signalled(self) -> None:
        """SIGTERM or SIGINT came: stop everything; the second time at once."""
        self._signals += 1

    # ---- runs

    def _queue_runs(self) -> None:
        config = self._manifest.config
        for model, seed in queue_order(config.models, config.seed_list):
            id_ = runs.run_id(model, seed)
            known = self.state.runs.get(id_)
            if (known is not None and known.state in {"finished", "skipped"}) or id_ in self._queue:
                continue
            if any(id_ in worker.held for worker in self._workers):
                continue
            self.folder.run(id_).make()
            self._record("run_queued", run=id_, model=model, seed=seed)
            self._queue.append(id_)

    def _run_ended(self, run_id: str, event: Event) -> None:
        for worker in self._workers:
            if run_id in worker.held:
                worker.held.remove(run_id)
                self._finish_run(run_id, event["state"], event["reason"], event["traceback"])

    def _finish_run(self, run_id: str, how: str, reason: str | None, traceback: str | None = None) -> None:
        self._paused.discard(run_id)
        extra = {"traceback": traceback} if traceback else {}
        self._record("run_ended", run=run_id, state=how, reason=reason, **extra)

    # ---- workers

    def _spawn_process(self, slot: Slot, log: RunDir) -> Worker:
        return WorkerProcess(self.folder, slot, threads=self._manifest.threads, crowded=self._crowded, log=log)

    def _hand_out(self) -> None:
        idle = [worker for worker in self._workers if not worker.held and worker not in self._leaving]
        busy = {worker.slot for worker in self._workers}
        takers: list[Worker | Slot] = [*idle, *(slot for slot in self._slots if slot not in busy)]
        ready: list[str] = []
        if takers and self._stopping_since is None:
            ready = [run for run in self._queue if run not in self._paused and self._is_free(run)]
        for number, taker in enumerate(takers):
            taken = ready[: share(len(ready), len(takers) - number, len(self._manifest.config.models))]
            ready = ready[len(taken) :]
            if taken:
                self._give(taker, taken)
            elif not isinstance(taker, Slot) and (not self._queue or self._stopping_since is not None):
                self._leaving.append(taker)
                taker.tell("exit")

    def _give(self, taker: Worker | Slot, taken: list[str]) -> None:
        worker = taker
        if isinstance(worker, Slot):
            worker = self._spawn(worker, self.folder.run(taken[0]))
            self._workers.append(worker)
        for run in taken:
            self._queue.remove(run)
            worker.held.append(run)
            attempt = self.state.runs[run].attempt + 1 if run in self.state.runs else 1
            self._record("run_started", run=run, device=worker.slot.device, worker=worker.pid, attempt=attempt)
            worker.tell("train", run)

    def _is_free(self, run: str) -> bool:
        """Whether no other process writes this run; the worker of a dead supervisor is given time, then ended."""
        pid = liveness.holder(self.folder.run(run).lock)
        if pid is None:
            self._evicting.pop(run, None)
            return True
        waited = self._clock() - self._evicting.setdefault(run, self._clock())
        if waited > GRACE and pid > 0:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL if waited > GRACE + HARD_GRACE else signal.SIGTERM)
        return False

    def _reap(self) -> None:
        for worker in [worker for worker in self._workers if worker.exit_code() is not None]:
            for run_id, event in self._follower.poll():
                if run_id is not None and event.type == "ended":
                    self._run_ended(run_id, event)
            worker.close()
            self._workers.remove(worker)
            if worker in self._leaving:
                self._leaving.remove(worker)
            if worker.held:
                self._bury(worker, worker.exit_code() or 0)

    def _bury(self, worker: Worker, code: int) -> None:
        """Decide what becomes of the runs that a dead worker held."""
        held, worker.held = worker.held, []
        culprit = self._in_turn(held)
        log = min((self.folder.run(run).worker_log for run in held), key=_last_touched)
        kills, self._oom_kills = self._oom_kills, workers.oom_kills()
        reason = workers.obituary(code, log, oom_killed=self._oom_kills > kills)
        again: list[str] = []
        for run in held:
            if self._stopping_since is not None:
                self._finish_run(run, "stopped", f"stopped; {reason}")
            elif code == workers.CANNOT_WORK or self._gives_up(run, run == culprit or culprit is None):
                self._finish_run(run, "failed", reason, workers.last_lines(log) or None)
            else:
                self._record("run_restarted", run=run, reason=reason)
                again.append(run)
        # The run that was in turn comes last, so that the others get on before it may take the worker down again.
        again.sort(key=lambda run: run == culprit)
        self._queue[:0] = again

    def _in_turn(self, held: list[str]) -> str | None:
        """The run that the dead worker was training: the one whose heartbeat is newest."""
        if any(self.state.runs[run].state != "starting" for run in held if run in self.state.runs):
            ages = {run: liveness.age(self.folder.run(run).heartbeat) for run in held}
            known = {run: age for run, age in ages.items() if age is not None}
            return min(known, key=known.__getitem__) if known else None
        return None

    def _gives_up(self, run: str, blamed: bool) -> bool:
        if not blamed:
            return False
        step = self.state.runs[run].step if run in self.state.runs else 0
        steps = self._deaths.setdefault(run, [])
        steps.append(step)
        return steps.count(step) > MAX_DEATHS

    # ---- commands

    def _acknowledge(self, command: Event, result: str) -> None:
        self._record("control_ack", id=command["id"], command=command.type, run=command.get("run"), result=result)

    def _obey(self, command: Event) -> None:
        if command.type == "extend":
            self._acknowledge(command, self._extend(command["seeds"]))
            return
        named = command.get("run")
        known = list(self.state.runs)
        if named is not None and named not in known:
            self._acknowledge(command, "refused: there is no such run")
            return
        action = {
            "pause": self._pause,
            "unpause": self._unpause,
            "stop": self._stop,
            "skip": self._skip,
            "retry": self._retry,
        }.get(command.type)
        if action is None:
            return
        if named is None and command.type == "stop":
            self._stopping_since = self._stopping_since or self._clock()
        done = [run for run in (known if named is None else [named]) if action(run)]
        self._acknowledge(command, "done" if done else "nothing to do")

    def _holder(self, run: str) -> Worker | None:
        return next((worker for worker in self._workers if run in worker.held), None)

    def _pause(self, run: str) -> bool:
        worker = self._holder(run)
        if run in self._paused or (worker is None and run not in self._queue):
            return False
        self._paused.add(run)
        if worker is not None:
            worker.tell("pause", run)
        self._record("run_paused", run=run)
        return True

    def _unpause(self, run: str) -> bool:
        if run not in self._paused:
            return False
        self._paused.discard(run)
        worker = self._holder(run)
        if worker is not None:
            worker.tell("unpause", run)
        self._record("run_unpaused", run=run)
        return True

    def _stop(self, run: str) -> bool:
        return self._leave(run, "stop", "stopped")

    def _skip(self, run: str) -> bool:
        return self._leave(run, "skip", "skipped")

    def _leave(self, run: str, do: str, how: str) -> bool:
        worker = self._holder(run)
        if worker is not None:
            worker.tell(do, run)
            return True
        if run not in self._queue:
            return False
        self._queue.remove(run)
        self._finish_run(run, how, f"{how} while it was queued")
        return True

    def _retry(self, run: str) -> bool:
        known = self.state.runs.get(run)
        if self._stopping_since is not None or known is None or known.state not in {"failed", "stopped", "skipped"}:
            return False
        self._deaths.pop(run, None)
        self._record("run_queued", run=run, model=known.model, seed=known.seed)
        self._queue.append(run)
        return True

    def _extend(self, seeds: int) -> str:
        if self._stopping_since is not None:
            return "refused: the experiment is stopping"
        try:
            self._manifest = runs.extend_manifest(self.folder, seeds)
        except (RunsError, OSError) as error:
            return f"refused: {error}"
        self._record("extended", seeds=seeds)
        self._queue_runs()
        return "done"

    def _press_on_stopping(self) -> None:
        if self._signals and self._stopping_since is None:
            self._stopping_since = self._clock()
            for run in list(self.state.runs):
                self._stop(run)
        if self._stopping_since is None:
            return
        waited = self._clock() - self._stopping_since
        if waited > GRACE + HARD_GRACE or self._signals > 1:
            for worker in self._workers:
                worker.kill(signal.SIGKILL)
        elif waited > GRACE:
            for worker in self._workers:
                worker.kill(signal.SIGTERM)

    # ---- the log and the disk

    @property
    def _reserve(self) -> Path:
        return self.folder.path / ".reserve"

    def _record(self, type_: str, **payload: Any) -> None:
        """Append to the event log; on a full disk free the reserve, and wait for room if that isn't enough."""
        while True:
            try:
                self._log.append(type_, **payload)
            except OSError as error:
                if error.errno not in {errno.ENOSPC, errno.EDQUOT}:
                    raise
                self._disk_is_full()
                self._lock.beat()
                time.sleep(TICK)
            else:
                return

    def _disk_is_full(self) -> None:
        if self._disk_full:
            return
        self._disk_full = True
        with contextlib.suppress(OSError):
            self._reserve.unlink(missing_ok=True)
        with contextlib.suppress(OSError):
            self._log.append("warning", message="the disk is full: training waits until there is room")

    def _keep_reserve(self) -> None:
        try:
            fd = os.open(self._reserve, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        except OSError:
            return
        try:
            os.posix_fallocate(fd, 0, RESERVE)
        except OSError:
            self._disk_is_full()
        finally:
            os.close(fd)

    def _watch_disk(self) -> None:
        """Once a second: beat the heart, and look whether there is room."""
        now = self._clock()
        if now < self._next_beat:
            return
        self._next_beat = now + 1.0
        self._lock.beat()
        room = os.statvfs(self.folder.path)
        free = room.f_bavail * room.f_frsize
        if not self._disk_full and free < RESERVE // 2:
            self._disk_is_full()
        elif self._disk_full and free > 4 * RESERVE:
            self._disk_full = False
            self._keep_reserve()
            self._record("warning", message="there is room on the disk again: training goes on")


def _last_touched(path: Path) -> float:
    age = liveness.age(path)
    return math.inf if age is None else age


def _remove_stale_files(folder: Path) -> None:
    """Remove the temporary files of writers that died; this process owns the experiment, so none is in use."""
    for pattern in (".*.tmp", "*/.*.tmp", "*/*/.*.tmp"):
        for path in folder.glob(pattern):
            with contextlib.suppress(OSError):
                path.unlink()


def main(arguments: list[str]) -> int:
    """Supervise the experiment in the folder that `arguments` names, to its end."""
    os.umask(0o077)
    folder = ExperimentDir(Path(arguments[0]))
    try:
        supervisor = Supervisor(folder)
    except BlockingIOError:
        print("another supervisor owns this experiment", file=sys.stderr)  # noqa: T201 - read by the launcher
        return 1
    except (RunsError, OSError) as error:
        print(error, file=sys.stderr)  # noqa: T201
        return 1
    wake = threading.Event()

    def on_signal(signum: int, frame: object) -> None:
        supervisor.signalled()
        wake.set()

    signal.signal(signal.SIGTERM, on_signal)
    signal.signal(signal.SIGINT, on_signal)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    supervisor.begin()
    _say_ready(folder)
    supervisor.tick()
    while not supervisor.done:
        wake.wait(TICK)
        wake.clear()
        supervisor.tick()
    supervisor.end()
    return 0


def _say_ready(folder: ExperimentDir) -> None:
    data = {"identity": liveness.identity().to_json(), "ready": True, "t": time.time()}
    runs.write_atomically(folder.supervisor, json.dumps(data).encode() + b"\n")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
