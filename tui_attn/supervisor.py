"""The supervisor: owns one experiment, hands its runs to workers, records how each ended.

Everything it decides it writes to the experiment's event log first, so that another supervisor can go on from the
log alone.
"""

from __future__ import annotations

import errno
import math
import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from tui_attn import liveness, runs, state, storage, workers
from tui_attn.config import ExperimentConfig
from tui_attn.eventlog import LogReader, LogWriter
from tui_attn.events import CONTROL_EVENTS, Event
from tui_attn.faults import fault
from tui_attn.follow import Follower
from tui_attn.ledger import Ledger
from tui_attn.restarts import GRACE, HARD_GRACE, MAX_DEATHS, Deaths, Evictions
from tui_attn.runs import ExperimentDir, RunDir, RunsError
from tui_attn.scheduling import Slot, make_slots, queue_order, share
from tui_attn.slots import SlotLocks
from tui_attn.workers import Worker, WorkerProcess

TICK = 0.05
"""Seconds between two looks at the logs, the commands and the workers."""
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
        self._ledger = Ledger(folder, on_full=self._disk_is_full, on_room=self._there_is_room)
        self._ledger.while_waiting = self._while_waiting
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
        self._ending: dict[str, str] = {}
        """Runs whose worker was told to stop or skip them -> how they end, should it die before it obeys."""
        self._waiting: set[str] = set()
        """Runs that train no further until there is room on the disk."""
        self._deaths = Deaths()
        self._evictions = Evictions(clock, lambda message: self._record("warning", message=message))
        self._oom_kills = workers.oom_kills()
        self._stopping_since: float | None = None
        self._signals = 0
        self._next_look = 0.0
        self._locks = SlotLocks()

    @property
    def state(self) -> state.ExperimentState:
        """The experiment as its logs tell it."""
        return self._follower.state

    @property
    def config(self) -> ExperimentConfig:
        """What the experiment is, as it was when this supervisor began."""
        return self._manifest.config

    def warn(self, message: str) -> None:
        """Record a warning in the experiment's log."""
        self._record("warning", message=message)

    # ---- the course of an experiment

    def begin(self) -> None:
        """Take charge: record it, queue what isn't finished, and pass over commands that came too late.

        Raises `OSError` when it can't be recorded.
        """
        storage.remove_stale_files(self.folder.path)
        resumed = bool(self.state.runs)
        self._record(
            "experiment_started",
            experiment=self.folder.id,
            devices=list(self._manifest.devices),
            jobs=len(self._slots),
            resumed=resumed,
        )
        for command in self._new_commands():
            self._acknowledge(command, "came too late: nothing was running")
        self._queue_runs()
        fault("queue")
        self._ledger.patient = True
        shared = self._locks.take(self._slots, self.folder.id)
        for device, other in shared.items():
            self._record("warning", message=f"{device} is also used by experiment {other}: both train more slowly")

    def tick(self) -> None:
        """One look at everything, and what follows from it. Raises `FolderGoneError`."""
        self._take_news()
        for command in self._new_commands():
            self._obey(command)
        self._reap()
        self._press_on_stopping()
        self._hand_out()
        self._look_around()

    @property
    def done(self) -> bool:
        """Whether nothing is queued, held or alive any more."""
        return not self._queue and not self._workers

    def end(self) -> None:
        """Record how the experiment ended and let go of it."""
        self._follower.poll()
        fault("finish")
        self._record(
            "experiment_finished",
            experiment=self.folder.id,
            state=state.outcome(run.state for run in self.state.runs.values()),
        )
        self._ledger.close()
        storage.remove_stale_files(self.folder.path)
        self._locks.release()
        self._lock.release()

    def let_go(self) -> None:
        """End the workers without a word in the logs: they checkpoint if they can, and are killed after `GRACE`."""
        for worker in self._workers:
            worker.close()
        deadline = self._clock() + GRACE
        while any(worker.exit_code() is None for worker in self._workers):
            if self._clock() > deadline or self._signals > 1:
                for worker in self._workers:
                    worker.kill(signal.SIGKILL)
            time.sleep(TICK)

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
            self._record("run_queued", run=id_, model=model, seed=seed)
            self._queue.append(id_)

    def _take_news(self) -> None:
        for run_id, event in self._follower.poll():
            if run_id is not None and event.type == "ended":
                self._run_ended(run_id, event)

    def _run_ended(self, run_id: str, event: Event) -> None:
        for worker in self._workers:
            if run_id in worker.held:
                worker.held.remove(run_id)
                self._finish_run(run_id, event["state"], event["reason"], event["traceback"])

    def _finish_run(self, run_id: str, how: str, reason: str | None, traceback: str | None = None) -> None:
        self._paused.discard(run_id)
        self._waiting.discard(run_id)
        self._ending.pop(run_id, None)
        extra = {"traceback": traceback} if traceback else {}
        fault("record-end")
        self._record("run_ended", run=run_id, state=how, reason=reason, **extra)
        self._ledger.sync()

    # ---- workers

    def _spawn_process(self, slot: Slot, log: RunDir) -> Worker:
        return WorkerProcess(self.folder, slot, threads=self._manifest.threads, crowded=self._crowded, log=log)

    def _hand_out(self) -> None:
        idle = [worker for worker in self._workers if not worker.held and worker not in self._leaving]
        busy = {worker.slot for worker in self._workers}
        takers: list[Worker | Slot] = [*idle, *(slot for slot in self._slots if slot not in busy)]
        ready: list[str] = []
        if takers and self._stopping_since is None and not self._ledger.full:
            able = [run for run in self._queue if run not in self._paused]
            ready = [run for run in able if self._evictions.is_free(self.folder.run(run))]
        for number, taker in enumerate(takers):
            taken = ready[: share(len(ready), len(takers) - number, len(self._manifest.config.models))]
            ready = ready[len(taken) :]
            if taken:
                self._give(taker, taken)
            elif not isinstance(taker, Slot) and (not self._queue or self._stopping_since is not None):
                self._leaving.append(taker)
                taker.tell("exit")

    def _give(self, taker: Worker | Slot, taken: list[str]) -> None:
        self._take_news()  # a last word of the worker that held one of them before is not the new worker's
        taken = [run for run in taken if self._is_usable(run)]
        worker = self._start_worker(taker, taken) if isinstance(taker, Slot) else taker
        if worker is None:
            return
        for run in taken:
            self._queue.remove(run)
            worker.held.append(run)
            attempt = self.state.runs[run].attempt + 1 if run in self.state.runs else 1
            self._record("run_started", run=run, device=worker.slot.device, worker=worker.pid, attempt=attempt)
            fault("hand-out")
            worker.tell("train", run)

    def _is_usable(self, run: str) -> bool:
        """Whether a worker can write the run and say so in its log; if not, the run is failed, or waits for room."""
        folder = self.folder.run(run)
        try:
            folder.make()
            LogWriter(folder.events).close()
        except OSError as error:
            if error.errno in storage.FULL:
                self._ledger.disk_is_full()
            else:
                self._queue.remove(run)
                self._finish_run(run, "failed", f"its files can't be written: {error.filename}: {error.strerror}")
            return False
        return True

    def _start_worker(self, slot: Slot, taken: list[str]) -> Worker | None:
        """A new worker for `taken`, or None when there is nothing to train or none can be started."""
        if not taken:
            return None
        try:
            worker = self._spawn(slot, self.folder.run(taken[0]))
        except OSError as error:
            if error.errno in storage.FULL:
                self._ledger.disk_is_full()
                return None
            for run in taken:
                self._queue.remove(run)
                self._finish_run(run, "failed", f"no worker could be started: {error.strerror}")
            return None
        self._workers.append(worker)
        return worker

    def _reap(self) -> None:
        for worker in [worker for worker in self._workers if worker.exit_code() is not None]:
            self._take_news()
            worker.close()
            self._workers.remove(worker)
            if worker in self._leaving:
                self._leaving.remove(worker)
            if worker.held:
                self._bury(worker, worker.exit_code() or 0)

    def _bury(self, worker: Worker, code: int) -> None:
        """Decide what becomes of the runs that a dead worker held."""
        held, worker.held = worker.held, []
        culprit = self._deaths.culprit(self.folder, self.state, held)
        log = min((self.folder.run(run).worker_log for run in held), key=_last_touched)
        kills, self._oom_kills = self._oom_kills, workers.oom_kills()
        reason = workers.obituary(code, log, oom_killed=self._oom_kills > kills)
        if self._stopping_since is not None and code in {-signal.SIGKILL, -signal.SIGTERM, workers.TERMINATED}:
            reason = "its worker did not end by itself in time"
        again: list[str] = []
        for run in held:
            self._waiting.discard(run)
            ending = self._ending.get(run, "stopped" if self._stopping_since is not None else None)
            if ending is not None:
                self._finish_run(run, ending, f"{ending}; {reason}")
            elif code == workers.CANNOT_WORK:
                self._finish_run(run, "failed", reason, workers.last_lines(log) or None)
            elif culprit in {run, None} and self._gives_up(run):
                why = f"{reason}; restarting it {MAX_DEATHS} times did not help"
                self._finish_run(run, "failed", why, workers.last_lines(log) or None)
            else:
                self._record("run_restarted", run=run, reason=reason)
                again.append(run)
                if run in self._paused:
                    self._record("run_paused", run=run)
        fault("bury")
        # The run that was in turn comes last, so that the others get on before it may take the worker down again.
        again.sort(key=lambda run: run == culprit)
        self._queue[:0] = again

    def _gives_up(self, run: str) -> bool:
        return self._deaths.gives_up(run, self.state.runs[run].step if run in self.state.runs else 0)

    # ---- commands

    def _new_commands(self) -> Iterator[Event]:
        """The commands that nobody has acknowledged; what else is in the control log is passed over."""
        for event in self._control.read():
            if event.type in CONTROL_EVENTS and event.get("id") not in self.state.acknowledged:
                yield event

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
        self._waiting.discard(run)
        if worker is not None:
            worker.tell("pause", run)
        self._record("run_paused", run=run)
        return True

    def _unpause(self, run: str) -> bool:
        if run not in self._paused:
            return False
        self._paused.discard(run)
        worker = self._holder(run)
        if worker is not None and self._ledger.full:
            self._waiting.add(run)
            return True
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
            self._ending[run] = how
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
        self._deaths.forget(run)
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

    def _record(self, type_: str, **payload: Any) -> None:
        self._ledger.record(type_, **payload)

    def _while_waiting(self) -> None:
        """Nothing can be recorded for want of room: show that this process lives, and end if told so twice."""
        self._lock.beat()
        if self._signals > 1:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def _disk_is_full(self) -> None:
        for worker in self._workers:
            for run in worker.held:
                if run not in self._paused:
                    self._waiting.add(run)
                    worker.tell("pause", run)
                    self._record("run_paused", run=run)

    def _there_is_room(self) -> None:
        waiting, self._waiting = self._waiting, set()
        for worker in self._workers:
            for run in worker.held:
                if run in waiting:
                    worker.tell("unpause", run)
                    self._record("run_unpaused", run=run)

    def _look_around(self) -> None:
        """Once a second: leave a sign of life, and look after the disk and the folder. Raises `FolderGoneError`."""
        now = self._clock()
        if now >= self._next_look:
            self._next_look = now + 1.0
            self._lock.beat()
            self._ledger.look()


def _last_touched(path: Path) -> float:
    age = liveness.age(path)
    return math.inf if age is None else age
