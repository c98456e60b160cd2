"""The life cycle of a run: queued, assigned to a worker, requeued after the worker's death, ended."""

from __future__ import annotations

import math
import os
import signal
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from tui_attn.engines import workers
from tui_attn.engines.workers import Slot, Worker
from tui_attn.experiment.config import ExperimentConfig
from tui_attn.experiment.event_log import LogWriter, last_event
from tui_attn.experiment.events import Event
from tui_attn.experiment.folders import ExperimentDir, run_id
from tui_attn.experiment.follower import Follower
from tui_attn.supervision.experiment_log import ExperimentLog
from tui_attn.supervision.restarts import MAX_DEATHS, MAX_LOSSES, DeviceLosses, StaleWorkers, suspected_run
from tui_attn.supervision.scheduling import SIDE_BY_SIDE, Speeds, queue_order, share, share_by_speed
from tui_attn.supervision.worker_pool import Pauses, WorkerPool
from tui_attn.system import control_groups, files, liveness
from tui_attn.system.fault_injection import fault

ENDINGS = {"stop": "stopped", "skip": "skipped"}
"""Command -> the state in which the run ends."""


class Dispatch:
    """Queues runs and assigns them to workers. Every step is recorded before it is taken."""

    def __init__(
        self, folder: ExperimentDir, follower: Follower, log: ExperimentLog, pool: WorkerPool, pauses: Pauses
    ) -> None:
        self.folder, self.follower, self.log, self.pool, self.pauses = folder, follower, log, pool, pauses
        self._queue: list[str] = []
        self._ending: dict[str, str] = {}
        """Runs whose worker was told to stop or skip them -> how they end if it dies before it does so."""
        self._deaths: Counter[tuple[str, int]] = Counter()
        """By run and step, of its workers."""
        self._losses = DeviceLosses()
        self._stale_workers = StaleWorkers(pool.clock, log.warn)
        self._oom_kills = control_groups.oom_kills()
        self._job_news: dict[str, tuple[int | None, str | None, str | None]] = {}
        """By run, what was last recorded of its job: worker, job, why it waits."""

    def _custom_model_of(self, run: str) -> str:
        """The custom model of `run`, "" for a built-in model. Its code may affect the process that trains it."""
        model = _model_of(run)
        return model if model in {own.name for own in self.follower.manifest.config.custom_models} else ""

    @property
    def done(self) -> bool:
        """Whether no run is queued and no worker is left."""
        return not self._queue and not self.pool.workers

    # ---- the queue

    def queue(self, run: str, model: str, seed: int) -> None:
        """Append a run to the queue."""
        self.log.record("run_queued", run=run, model=model, seed=seed)
        self._queue.append(run)

    def queue_missing(self, config: ExperimentConfig) -> None:
        """Queue every run that is neither finished, skipped, queued nor assigned."""
        for model, seed in queue_order(config.models, config.seed_list):
            run = run_id(model, seed)
            known = self.follower.state.runs.get(run)
            over = known is not None and known.state in {"finished", "skipped"}
            if not over and run not in self._queue and self.pool.holder(run) is None:
                self.queue(run, model, seed)

    def retry(self, run: str, model: str, seed: int) -> None:
        """Queue a run that has ended again, and forget the deaths of its workers."""
        for key in [key for key in self._deaths if key[0] == run]:
            del self._deaths[key]
        self.queue(run, model, seed)

    def leave(self, do: str, run: str) -> bool:
        """Stop or skip `run`, whichever `do` says, in its worker or in the queue. False if it is in neither."""
        how = ENDINGS[do]
        worker = self.pool.holder(run)
        if worker is not None:
            worker.tell(do, run)
            if worker.waits is None:
                self._ending[run] = how
                return True
            worker.held.remove(run)  # it isn't trained yet, and its job may wait for days
            self._finish(run, how, f"{how} while it waited: {worker.waits}")
            if not worker.held:
                self.pool.dismiss(worker)
            return True
        if run not in self._queue:
            return False
        self._queue.remove(run)
        self._finish(run, how, f"{how} while it was queued")
        return True

    def pause(self, run: str) -> bool:
        """Pause a run, releasing its job where the engine can give others; False where there is nothing to pause."""
        worker = self.pool.holder(run)
        if worker is None or not worker.gives_back:
            return self.pauses.pause(run, queued=run in self._queue)
        if run in self.pauses:
            return False
        self.log.record("run_waits", run=run, reason="paused")
        self.pauses.pause(run, queued=False)
        worker.held.remove(run)
        self._queue.insert(0, run)
        if not worker.held:
            self.pool.dismiss(worker)
        return True

    def adopt(self) -> None:
        """Adopt live workers of an earlier supervisor."""
        for worker in self.pool.launcher.adopt(self.pool.slots):
            self.pool.workers.append(worker)
            worker.started_at = time.monotonic()
            for run in list(worker.held):
                known = self.follower.state.runs.get(run)
                last = last_event(self.folder.run(run).events)
                if known is None or known.ended:
                    worker.held.remove(run)
                    worker.tell("stop", run)
                elif last is not None and last.type == "ended":
                    self._run_ended(run, last)
            worker.custom_model = self._custom_model_of(worker.held[0]) if worker.held else ""

    def follow_jobs(self) -> None:
        """Record what a scheduler did with the jobs of the workers' runs."""
        for worker in self.pool.workers:
            if worker.job is None:
                continue
            for run in worker.held:
                before, now = self._job_news.get(run, (None, None, None)), (worker.token, worker.job, worker.waits)
                if before == now:
                    continue
                self._job_news[run] = now
                if before[:2] != now[:2]:
                    self.log.record("run_submitted", run=run, engine=worker.engine, job=worker.job)
                if worker.waits is not None:
                    self.log.record("run_waits", run=run, reason=worker.waits)
                else:
                    self._record_start(worker, run)

    def _record_start(self, worker: Worker, run: str) -> None:
        attempt = self.follower.state.runs[run].attempt + 1 if run in self.follower.state.runs else 1
        self.log.record("run_started", run=run, device=worker.slot.device, worker=worker.token, attempt=attempt)

    # ---- ended runs

    def take_news(self) -> None:
        """Read the logs, and record the ends of runs that workers reported."""
        for run, event in self.follower.poll():
            if run is not None and event.type == "ended":
                self._run_ended(run, event)

    def _run_ended(self, run: str, event: Event) -> None:
        worker = self.pool.holder(run)
        if worker is not None and not self._is_late(run, event, worker):
            worker.held.remove(run)
            worker.tell("forget", run)
            self._finish(run, event["state"], event["reason"], event["traceback"])

    def _is_late(self, run: str, event: Event, worker: Worker) -> bool:
        """Whether `event` is the last word of the worker that had `run` before `worker`."""
        known, writer = self.follower.state.runs[run], event.get("w")
        if writer is None or writer in known.displaced:
            return writer is not None
        return writer == known.writer and known.begun_by not in {None, worker.token}

    def _finish(self, run: str, how: str, reason: str | None, traceback: str | None = None) -> None:
        self.pauses.forget(run)
        self._ending.pop(run, None)
        extra = {"traceback": traceback} if traceback else {}
        fault("record-end")
        self.log.record("run_ended", run=run, state=how, reason=reason, **extra)
        self.log.sync()

    # ---- assignment

    def hand_out(self, models: int) -> None:
        """Assign runs to idle workers, or let these exit.

        A worker takes at most the runs of one seed's `models`, which take turns; on CUDA, which computes many runs side
        by side, those of several seeds.
        """
        launcher, takers = self.pool.launcher, self.pool.takers()
        ready: list[str] = []
        if takers and not self.pool.stopping and not self.log.full:
            able = [run for run in self._queue if run not in self.pauses]
            ready = [run for run in able if self._stale_workers.is_free(self.folder.run(run))]
        for number, (slot, worker) in enumerate(takers):
            if launcher.single and worker is not None:
                self.pool.dismiss(worker)
                continue
            first = self._custom_model_of(ready[0]) if ready else ""
            custom_model = first if worker is None else worker.custom_model
            alike = [run for run in ready if self._custom_model_of(run) == custom_model]
            most = min(1 if launcher.single else models, len(set(map(_model_of, alike))))
            if alike and slot.device.startswith("cuda") and not launcher.single:
                most *= max(1, SIDE_BY_SIDE // most)
            taken = alike[: self._share(alike, [slot for slot, _ in takers[number:]], most)]
            ready = [run for run in ready if run not in taken]
            if taken:
                self._give(slot, worker, taken)
            elif worker is not None and (self.pool.stopping or not self._queue or ready or worker.gives_back):
                self.pool.dismiss(worker)

    def _share(self, ready: list[str], idle: Sequence[Slot], models: int) -> int:
        """How many of the `ready` runs the first of the `idle` slots gets, by measured speeds of the devices."""
        devices, runs = self.pool.devices, self.follower.state.runs
        if len(devices) < 2 or not ready:
            return share(len(ready), len(idle), models)
        told = [(run.device, run.model, run.images_per_second) for run in runs.values()]
        speeds = Speeds((device, model, speed) for device, model, speed in told if device and speed)

        def seconds(slot: Slot, run: str) -> float:
            known = runs.get(run)
            return speeds.seconds(slot.device, _model_of(run), 1.0 - (known.progress if known else 0.0))

        busy = [
            (seconds(worker.slot, ready[0]), sum(seconds(worker.slot, run) for run in worker.held))
            for worker in self.pool.workers
            if worker.held and worker.slot.device in devices
        ]
        return share_by_speed(len(ready), [seconds(slot, ready[0]) for slot in idle], busy, models)

    def _give(self, slot: Slot, worker: Worker | None, taken: list[str]) -> None:
        self.take_news()  # a late event of a run's former worker must not be taken for the new one's
        taken = [run for run in taken if self._is_usable(run)]
        if worker is None:
            worker = self._start_worker(slot, taken)
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
        folder = self.folder.run(run)
        try:
            folder.make()
            LogWriter(folder.events).close()
        except OSError as error:
            what = os.path.relpath(error.filename or folder.path, self.folder.path)
            self._cannot([run], error, f"its files can't be written: {what}")
            return False
        return True

    def _start_worker(self, slot: Slot, taken: list[str]) -> Worker | None:
        """Start a worker for the runs `taken`; None where there are none or it can't be started."""
        if not taken:
            return None
        now = time.monotonic()
        try:
            worker = self.pool.launcher.start(slot, self.folder.run(taken[0]))
        except OSError as error:
            self._cannot(taken, error, "no worker could be started")
            return None
        self.pool.workers.append(worker)
        worker.started_at, worker.custom_model = now, self._custom_model_of(taken[0])
        return worker

    def _cannot(self, runs: Sequence[str], error: OSError, what: str) -> None:
        """Let queued runs wait for room on the disk, or fail."""
        if error.errno in files.FULL:
            self.log.disk_is_full()
            return
        for run in runs:
            self._queue.remove(run)
            self._finish(run, "failed", f"{what}: {error.strerror}")

    # ---- dead workers

    def reap(self) -> None:
        """Take back the runs of dead workers."""
        for worker in list(self.pool.workers):
            if (code := worker.exit_code()) is not None:
                self.take_news()
                self.pool.remove(worker)
                if worker.held:
                    self._handle_exit(worker, code)

    def _handle_exit(self, worker: Worker, code: int) -> None:
        """Requeue or end the runs of a dead worker."""
        held, worker.held = worker.held, []
        suspected = suspected_run(self.folder, worker.started_at, held)
        # A worker that has opened none of its runs may fail to do so anywhere.
        excuse = worker.excuse() if suspected is not None or worker.evicted else None
        lost = code == workers.DEVICE_LOST and excuse is None
        logs = [self.folder.run(run).worker_log for run in held if suspected in {run, None}]
        log = min(logs, key=_last_touched)
        reason = excuse or self._reason(code, log)
        toxic, elsewhere = self._device_lost(worker.slot.device, suspected, reason) if lost else (None, False)
        again: list[str] = []
        for run in held:
            self.pauses.lost_worker(run)
            ending = self._ending.get(run, "stopped" if self.pool.stopping else None)
            failure = None
            if ending is not None:
                self._finish(run, ending, f"{ending}; {reason}")
                continue
            if worker.cancelled:
                self._finish(run, "stopped", "cancelled in SLURM: 'tui-attn resume' continues it")
                continue
            if (code == workers.CANNOT_WORK and excuse is None) or (lost and suspected is None and not elsewhere):
                failure = reason
            elif run == toxic:
                failure = f"{reason}; so did another device at it"
            elif excuse is None and not elsewhere and suspected in {run, None} and self._gives_up(run):
                failure = f"{reason}; restarting it {MAX_DEATHS} times did not help"
            if failure is not None:
                self._finish(run, "failed", failure, workers.last_lines(log) or None)
                continue
            self.log.record("run_restarted", run=run, reason=reason)
            again.append(run)
            if run in self.pauses:
                self.log.record("run_paused", run=run)
        fault("bury")
        # The suspected run comes last, so that the others advance before it may kill the worker again.
        again.sort(key=lambda run: run == suspected)
        self._queue[:0] = again

    def _device_lost(self, device: str, suspected: str | None, reason: str) -> tuple[str | None, bool]:
        """Avoid a device that fails repeatedly, where there are others.

        Returns the run that makes devices fail, if there is one, and whether the others can continue elsewhere.
        """
        losses, pool = self._losses, self.pool
        losses.add(device, suspected)
        toxic = suspected if losses.blames(suspected) else None
        if toxic is not None:
            losses.forgive(toxic)
        others = [other for other in pool.devices if other not in losses.failing]
        if others and device in losses.failing and device not in pool.avoided:
            self.log.warn(f"{device} failed {MAX_LOSSES} times: training continues on {', '.join(others)}")
        if others:
            pool.avoided = losses.failing
        return toxic, toxic is None and any(other != device for other in others)

    def _reason(self, code: int, log: Path) -> str:
        """Why a worker with exit code `code` died, in one line."""
        kills, self._oom_kills = self._oom_kills, control_groups.oom_kills()
        if self.pool.stopping and code in {-signal.SIGKILL, -signal.SIGTERM, workers.TERMINATED}:
            return "its worker did not end by itself in time"
        return workers.exit_reason(code, log, oom_killed=self._oom_kills > kills)

    def _gives_up(self, run: str) -> bool:
        """Count a death of the run's worker at its step; whether the run has to be given up."""
        death = run, self.follower.state.runs[run].step if run in self.follower.state.runs else 0
        self._deaths[death] += 1
        return self._deaths[death] > MAX_DEATHS


def _model_of(run: str) -> str:
    return run.rpartition("-s")[0]


def _last_touched(path: Path) -> float:
    age = liveness.age(path)
    return math.inf if age is None else age
