"""The life cycle of a run: queued, assigned to a worker, requeued after the worker's death, ended."""

from __future__ import annotations

import math
import os
import signal
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from tui_attn.engines import workers
from tui_attn.engines.workers import Slot, Worker
from tui_attn.experiment.event_log import LogWriter, last_event
from tui_attn.experiment.events import Event
from tui_attn.experiment.folders import ExperimentDir
from tui_attn.experiment.follower import Follower
from tui_attn.experiment.reducer import ExperimentState
from tui_attn.supervision.experiment_log import ExperimentLog
from tui_attn.supervision.restarts import MAX_DEATHS, MAX_LOSSES, DeviceLosses, RestartPolicy, StaleWorkers
from tui_attn.supervision.scheduling import SIDE_BY_SIDE, Speeds, share, share_by_speed
from tui_attn.supervision.worker_pool import Pauses, Stopping, WorkerPool
from tui_attn.system import control_groups, files, liveness
from tui_attn.system.fault_injection import fault


class Dispatch:
    """Queues runs and assigns them to workers. Every step is recorded before it is taken."""

    def __init__(
        self,
        folder: ExperimentDir,
        follower: Follower,
        log: ExperimentLog,
        pool: WorkerPool,
        pauses: Pauses,
        stopping: Stopping,
        clock: Callable[[], float],
    ) -> None:
        self._folder, self._follower, self._log = folder, follower, log
        self._pool, self._pauses, self._stopping = pool, pauses, stopping
        self._queue: list[str] = []
        self._ending: dict[str, str] = {}
        """Runs whose worker was told to stop or skip them -> how they end if it dies before it does so."""
        self._restarts = RestartPolicy()
        self._losses = DeviceLosses()
        self._stale_workers = StaleWorkers(clock, lambda message: log.record("warning", message=message))
        self._oom_kills = control_groups.oom_kills()
        self._job_news: dict[str, tuple[int | None, str | None, str | None]] = {}
        """By run, what was last recorded of its job: worker, job, why it waits."""
        self._code: dict[int, str] = {}
        """By worker token, the only custom model that it trains; "" for built-in models."""

    def _code_of(self, run: str) -> str:
        """The custom model of `run`, "" for a built-in model. Its code may affect the process that trains it."""
        model = run.rpartition("-s")[0]
        return model if model in {own.name for own in self._follower.manifest.config.custom_models} else ""

    @property
    def _state(self) -> ExperimentState:
        return self._follower.state

    @property
    def done(self) -> bool:
        """Whether no run is queued and no worker is left."""
        return not self._queue and not self._pool.workers

    # ---- the queue

    def queue(self, run: str, model: str, seed: int) -> None:
        """Append a run to the queue."""
        self._log.record("run_queued", run=run, model=model, seed=seed)
        self._queue.append(run)

    def is_queued(self, run: str) -> bool:
        """Whether `run` waits for a worker."""
        return run in self._queue

    def retry(self, run: str, model: str, seed: int) -> None:
        """Queue a run that has ended again, and forget the deaths of its workers."""
        self._restarts.forget(run)
        self.queue(run, model, seed)

    def leave(self, run: str, do: str, how: str) -> bool:
        """Tell the run's worker to `do` stop or skip, or remove it from the queue; False where neither has it."""
        worker = self._pool.holder(run)
        if worker is not None:
            worker.tell(do, run)
            if worker.waits is None:
                self._ending[run] = how
                return True
            worker.held.remove(run)  # it isn't trained yet, and its job may wait for days
            self._finish(run, how, f"{how} while it waited: {worker.waits}")
            if not worker.held:
                self._pool.dismiss(worker)
            return True
        if run not in self._queue:
            return False
        self._queue.remove(run)
        self._finish(run, how, f"{how} while it was queued")
        return True

    def pause(self, run: str) -> bool:
        """Pause a run, releasing its job where the engine can give others; False where there is nothing to pause."""
        worker = self._pool.holder(run)
        if worker is None or not worker.gives_back:
            return self._pauses.pause(run, queued=run in self._queue)
        if run in self._pauses:
            return False
        self._log.record("run_waits", run=run, reason="paused")
        self._pauses.pause(run, queued=False)
        worker.held.remove(run)
        self._queue.insert(0, run)
        if not worker.held:
            self._pool.dismiss(worker)
        return True

    def adopt(self) -> None:
        """Adopt live workers of an earlier supervisor."""
        for worker in self._pool.launcher.adopt(self._pool.slots):
            self._pool.workers.append(worker)
            self._restarts.started(worker.token, time.monotonic())
            for run in list(worker.held):
                known = self._state.runs.get(run)
                last = last_event(self._folder.run(run).events)
                if known is None or known.ended:
                    worker.held.remove(run)
                    worker.tell("stop", run)
                elif last is not None and last.type == "ended":
                    self._run_ended(run, last)
            self._code[worker.token] = self._code_of(worker.held[0]) if worker.held else ""

    def follow_jobs(self) -> None:
        """Record what a scheduler did with the jobs of the workers' runs."""
        for worker in self._pool.workers:
            if worker.job is None:
                continue
            for run in worker.held:
                before, now = self._job_news.get(run, (None, None, None)), (worker.token, worker.job, worker.waits)
                if before == now:
                    continue
                self._job_news[run] = now
                if before[:2] != now[:2]:
                    self._log.record("run_submitted", run=run, engine=worker.engine, job=worker.job)
                if worker.waits is not None:
                    self._log.record("run_waits", run=run, reason=worker.waits)
                else:
                    self._record_start(worker, run)

    def _record_start(self, worker: Worker, run: str) -> None:
        attempt = self._state.runs[run].attempt + 1 if run in self._state.runs else 1
        self._log.record("run_started", run=run, device=worker.slot.device, worker=worker.token, attempt=attempt)

    # ---- ended runs

    def take_news(self) -> None:
        """Read the logs, and record the ends of runs that workers reported."""
        for run_id, event in self._follower.poll():
            if run_id is not None and event.type == "ended":
                self._run_ended(run_id, event)

    def _run_ended(self, run: str, event: Event) -> None:
        worker = self._pool.holder(run)
        if worker is not None:
            worker.held.remove(run)
            worker.tell("forget", run)
            self._finish(run, event["state"], event["reason"], event["traceback"])

    def _finish(self, run: str, how: str, reason: str | None, traceback: str | None = None) -> None:
        self._pauses.forget(run)
        self._ending.pop(run, None)
        extra = {"traceback": traceback} if traceback else {}
        fault("record-end")
        self._log.record("run_ended", run=run, state=how, reason=reason, **extra)
        self._log.sync()

    # ---- assignment

    def hand_out(self, models: int) -> None:
        """Assign runs to idle workers, or let these exit.

        A worker takes at most the runs of one seed's `models`, which take turns; on CUDA, which computes many runs side
        by side, those of several seeds.
        """
        takers = self._pool.takers()
        ready: list[str] = []
        if takers and not self._stopping.under_way and not self._log.full:
            able = [run for run in self._queue if run not in self._pauses]
            ready = [run for run in able if self._stale_workers.is_free(self._folder.run(run))]
        launcher = self._pool.launcher
        models = 1 if launcher.single else models
        for number, taker in enumerate(takers):
            if launcher.single and not isinstance(taker, Slot):
                self._pool.dismiss(taker)
                continue
            first = self._code_of(ready[0]) if ready else ""
            code = first if isinstance(taker, Slot) else self._code[taker.token]
            alike = [run for run in ready if self._code_of(run) == code]
            most = min(models, len({run.rpartition("-s")[0] for run in alike}))
            if alike and _slot(taker).device.startswith("cuda") and not launcher.single:
                most *= max(1, SIDE_BY_SIDE // most)
            taken = alike[: self._share(alike, takers[number:], most)]
            ready = [run for run in ready if run not in taken]
            if taken:
                self._give(taker, taken)
            elif not isinstance(taker, Slot) and (
                self._stopping.under_way or not self._queue or ready or taker.gives_back
            ):
                self._pool.dismiss(taker)

    def _share(self, ready: list[str], takers: Sequence[Worker | Slot], models: int) -> int:
        """How many of the `ready` runs the first of the `takers` gets, by measured speeds of the devices."""
        if len(self._pool.devices) < 2 or not ready:
            return share(len(ready), len(takers), models)
        runs = self._state.runs
        told = [(run.device, run.model, run.images_per_second) for run in runs.values()]
        speeds = Speeds((device, model, speed) for device, model, speed in told if device and speed)

        def seconds(device: str, run: str) -> float:
            known = runs.get(run)
            return speeds.seconds(device, run.rpartition("-s")[0], 1.0 - (known.progress if known else 0.0))

        idle = [seconds(_slot(taker).device, ready[0]) for taker in takers]
        working = [worker for worker in self._pool.workers if worker.held and worker.slot.device in self._pool.devices]
        busy = [
            (seconds(worker.slot.device, ready[0]), sum(seconds(worker.slot.device, run) for run in worker.held))
            for worker in working
        ]
        return share_by_speed(len(ready), idle, busy, models)

    def _give(self, taker: Worker | Slot, taken: list[str]) -> None:
        self.take_news()  # a late event of a run's former worker must not be taken for the new one's
        taken = [run for run in taken if self._is_usable(run)]
        worker = self._start_worker(taker, taken) if isinstance(taker, Slot) else taker
        if worker is None:
            return
        for run in taken:
            self._queue.remove(run)
            worker.held.append(run)
            if worker.waits is None:
                self._record_start(worker, run)
                self._job_news[run] = worker.token, worker.job, None
            fault("hand-out")
            worker.tell("train", run)

    def _is_usable(self, run: str) -> bool:
        """Whether the run's files can be written; if not, the run fails, or waits for room on the disk."""
        folder = self._folder.run(run)
        try:
            folder.make()
            LogWriter(folder.events).close()
        except OSError as error:
            if error.errno in files.FULL:
                self._log.disk_is_full()
            else:
                self._queue.remove(run)
                what = os.path.relpath(error.filename or folder.path, self._folder.path)
                self._finish(run, "failed", f"its files can't be written: {what}: {error.strerror}")
            return False
        return True

    def _start_worker(self, slot: Slot, taken: list[str]) -> Worker | None:
        """Start a worker for the runs `taken`; None where there are none or it can't be started."""
        if not taken:
            return None
        now = time.monotonic()
        try:
            worker = self._pool.start(slot, self._folder.run(taken[0]))
        except OSError as error:
            if error.errno in files.FULL:
                self._log.disk_is_full()
                return None
            for run in taken:
                self._queue.remove(run)
                self._finish(run, "failed", f"no worker could be started: {error.strerror}")
            return None
        self._restarts.started(worker.token, now)
        self._code[worker.token] = self._code_of(taken[0])
        return worker

    # ---- dead workers

    def reap(self) -> None:
        """Take back the runs of dead workers."""
        for worker in self._pool.dead():
            self.take_news()
            self._pool.remove(worker)
            if worker.held:
                self._handle_exit(worker, worker.exit_code() or 0)

    def _handle_exit(self, worker: Worker, code: int) -> None:
        """Requeue or end the runs of a dead worker."""
        held, worker.held = worker.held, []
        suspected = self._restarts.suspected_run(self._folder, worker.token, held)
        # A worker that has opened none of its runs may fail to do so anywhere.
        excuse = worker.excuse() if suspected is not None or worker.evicted else None
        lost = code == workers.DEVICE_LOST and excuse is None
        logs = [self._folder.run(run).worker_log for run in held if suspected in {run, None}]
        log = min(logs, key=_last_touched)
        reason = excuse or self._reason(code, log)
        toxic, elsewhere = self._device_lost(worker.slot.device, suspected, reason) if lost else (None, False)
        again: list[str] = []
        for run in held:
            self._pauses.lost_worker(run)
            ending = self._ending.get(run, "stopped" if self._stopping.under_way else None)
            if ending is None and worker.cancelled:
                self._finish(run, "stopped", "cancelled in SLURM: 'tui-attn resume' continues it")
                continue
            if ending is not None:
                self._finish(run, ending, f"{ending}; {reason}")
            elif (code == workers.CANNOT_WORK and excuse is None) or (lost and suspected is None and not elsewhere):
                self._finish(run, "failed", reason, workers.last_lines(log) or None)
            elif run == toxic:
                self._finish(run, "failed", f"{reason}; so did another device at it", workers.last_lines(log) or None)
            elif excuse is None and not elsewhere and suspected in {run, None} and self._gives_up(run):
                why = f"{reason}; restarting it {MAX_DEATHS} times did not help"
                self._finish(run, "failed", why, workers.last_lines(log) or None)
            else:
                self._log.record("run_restarted", run=run, reason=reason)
                again.append(run)
                if run in self._pauses:
                    self._log.record("run_paused", run=run)
        fault("bury")
        # The suspected run comes last, so that the others advance before it may kill the worker again.
        again.sort(key=lambda run: run == suspected)
        self._queue[:0] = again

    def _device_lost(self, device: str, suspected: str | None, reason: str) -> tuple[str | None, bool]:
        """Avoid a device that fails repeatedly, where there are others.

        Returns the run that makes devices fail, if there is one, and whether the others can continue elsewhere.
        """
        losses, pool = self._losses, self._pool
        losses.add(device, suspected)
        toxic = suspected if losses.blames(suspected) else None
        if toxic is not None:
            losses.forgive(toxic)
        others = [other for other in pool.devices if other not in losses.failing]
        if others and device in losses.failing and device not in pool.avoided:
            self._log.record(
                "warning", message=f"{device} failed {MAX_LOSSES} times: training continues on {', '.join(others)}"
            )
        if others:
            pool.avoided = losses.failing
        return toxic, toxic is None and any(other != device for other in others)

    def _reason(self, code: int, log: Path) -> str:
        """Why a worker with exit code `code` died, in one line."""
        kills, self._oom_kills = self._oom_kills, control_groups.oom_kills()
        if self._stopping.under_way and code in {-signal.SIGKILL, -signal.SIGTERM, workers.TERMINATED}:
            return "its worker did not end by itself in time"
        return workers.exit_reason(code, log, oom_killed=self._oom_kills > kills)

    def _gives_up(self, run: str) -> bool:
        return self._restarts.gives_up(run, self._state.runs[run].step if run in self._state.runs else 0)


def _slot(taker: Worker | Slot) -> Slot:
    return taker if isinstance(taker, Slot) else taker.slot


def _last_touched(path: Path) -> float:
    age = liveness.age(path)
    return math.inf if age is None else age
