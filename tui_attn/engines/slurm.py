"""Workers as SLURM jobs: submitted by sbatch, commanded through files, watched by squeue.

SLURM schedules; this submits and watches. A job that SLURM queues again, for a preemption, a lost node or `scontrol
requeue`, goes on by itself. Nothing here waits for slurmctld.
"""

from __future__ import annotations

import contextlib
import signal
import time
from collections.abc import Sequence

from tui_attn.engines.mailbox import JobNote, Mailbox, mailboxes, open_runs
from tui_attn.engines.slurm_commands import LATER, Command, Queue, job_name, scancel, send_scancels, submit
from tui_attn.engines.workers import CANNOT_WORK, TERMINATED, Launcher, Slot, Worker, add_line, most_workers, new_token
from tui_attn.experiment.engine_spec import EngineSpec
from tui_attn.experiment.folders import ExperimentDir, RunDir
from tui_attn.system.text import safe_text

TICK = 1.0
_WAITING = frozenset({"PENDING", "REQUEUED", "REQUEUE_HOLD", "REQUEUE_FED", "SPECIAL_EXIT", "CONFIGURING"})
_ALIVE = _WAITING | {"RUNNING", "SUSPENDED", "COMPLETING", "RESIZING", "SIGNALING", "STAGE_OUT", "STOPPED"}
_NO_FAULT = {
    "NODE_FAIL": "its node failed",
    "BOOT_FAIL": "its node failed to boot",
    "PREEMPTED": "its job was preempted",
    "TIMEOUT": "its job reached its time limit",
    "DEADLINE": "its job reached its deadline",
    "held": "SLURM held its job after too many lost nodes",
}
_HELD_FOR_GOOD = frozenset({"jobholdmaxrequeue", "launch failed requeued held"})
"""Reasons of jobs that SLURM itself holds for good, for instance after five lost nodes; a person's hold has others."""
_GONE = "SLURM does not know its job any more"


class SlurmWorker(Worker):
    """A worker as a job, known by its mailbox."""

    engine = "slurm"
    gives_back = True
    outlives = True

    def __init__(self, mailbox: Mailbox, slot: Slot, name: str) -> None:
        self.mailbox, self.slot, self.name = mailbox, slot, name
        self.token = mailbox.token
        self.held: list[str] = []
        self.job: str | None = None
        self.waits: str | None = "not submitted yet"
        self.place: str | None = None
        self.state = ""
        """As squeue told it last."""
        self._start = -1
        self._seen_at = time.monotonic()
        """When it last changed; an answer to an earlier question may not show that yet."""
        self._gone: int | None = None
        """The number of squeue's answers when its job was first missing."""
        self._over: int | None = None
        self._ours = False
        """Whether its job was cancelled by this program."""

    def submitted(self, job: str) -> None:
        """Its job is `job`. Raises `OSError`."""
        self.job, self.waits, self._seen_at = job, "submitted", time.monotonic()
        self.mailbox.note_job(JobNote(job, self.name, self.slot.device))

    def refused(self, why: str) -> None:
        """SLURM won't take its job."""
        self._over = CANNOT_WORK
        for run in self.held:
            add_line(RunDir(self.mailbox.path.parent.parent / run).worker_log, why)

    # ---- what the supervisor needs of a worker

    def tell(self, do: str, run: str | None = None) -> None:
        """Send a command. One that waits and is told to exit is cancelled at once."""
        try:
            self.mailbox.send(do, run)
        except OSError:  # a folder that is gone: the job ends by itself
            return
        if do == "exit" and self.waits is not None:
            self._cancel()
            self._over = 0

    def exit_code(self) -> int | None:
        """None while its job is queued or runs, else the worker's exit code, negative for a signal."""
        return self._over

    def excuse(self) -> str | None:
        """Why its job ended where no run can be to blame."""
        otherwise = {TERMINATED: "SLURM told its job to end", -signal.SIGKILL: None if self.state else _GONE}
        if self.cancelled or self._over not in otherwise:
            return None
        return _NO_FAULT.get(self.state, otherwise[self._over])

    @property
    def cancelled(self) -> bool:
        """Whether somebody else cancelled its job, who wants it stopped."""
        return self._over is not None and self.state == "CANCELLED" and not self._ours

    @property
    def evicted(self) -> bool:
        """Whether its job was preempted or lost its node, in SLURM's own words."""
        return self.state in {"PREEMPTED", "NODE_FAIL", "BOOT_FAIL"}

    def kill(self, signum: int) -> None:
        """Have SLURM signal it; for SIGKILL cancel its job, and don't wait for that."""
        if self._over is not None:
            return
        if signum == signal.SIGTERM:
            self._scancel("--batch", f"--signal={signum}")
        else:
            self._cancel()
            self._over = -signum

    def close(self) -> None:
        """Let go of it: its job ends by itself, also one that has not begun."""
        self.mailbox.close()
        if self._over is None:
            self._over = 0
            self._ours = True
        # Also where it has ended: a controller that was down may take a job for one that it has yet to start.
        self._scancel("--state=PENDING")

    # ---- what becomes of its job

    def look(self, queue: Queue) -> None:
        """Find out from its files and from squeue's last answer how it is."""
        if self._over is not None or self.job is None:
            return
        begun, ended = self.mailbox.begun(), self.mailbox.ended()
        if begun is not None and begun[0] > self._start:
            self._start, self.place = begun
            self.waits, self._gone, self._seen_at = None, None, time.monotonic()
        if ended is not None and ended[1] >= self._start and ended[0] != TERMINATED:
            self._over = ended[0]
            return
        if queue.problem is not None:
            self.waits = self.waits and "no answer"
            return
        if queue.known_at <= self._seen_at:
            queue.hurry()
            return
        job = queue.jobs.get(self.job)
        self.state = "" if job is None or job.name != self.name else job.state
        if job is not None and self.state in _ALIVE:
            self._gone = None
            if job.reason.casefold() in _HELD_FOR_GOOD:
                self.state, self._over = "held", -signal.SIGKILL
                self._cancel()
            elif self.state in _WAITING:
                self.waits = job.reason if job.reason != "None" else self.state.lower()
            return
        # Its last files may come later than SLURM's word.
        if self._gone is None:
            self._gone = queue.answers
            queue.hurry()
        elif queue.answers > self._gone or ended is not None:
            self._over = -signal.SIGKILL if ended is None else ended[0]

    def _cancel(self) -> None:
        self._ours = True
        self._scancel()

    def _scancel(self, *how: str) -> None:
        if self.job is not None:
            scancel(self.job, self.name, *how)


class SlurmLauncher(Launcher):
    """Submits workers as jobs, alike ones as an array."""

    tick = TICK

    def __init__(self, folder: ExperimentDir, spec: EngineSpec) -> None:
        """Raises `RunsError`."""
        manifest = folder.manifest_data()
        self._folder, self._spec, self._manifest = folder, spec, manifest
        self.single = manifest.config.jobs is None
        self.workers = most_workers(manifest.config)
        self.queue = Queue(spec.slurm.get("poll"))
        self._workers: list[SlurmWorker] = []
        self._unsubmitted: list[SlurmWorker] = []
        self._submitting: tuple[Command, list[SlurmWorker]] | None = None
        self._retry_after = -1.0
        """Only a squeue that was asked later shows whether a failed submission created a job after all."""

    def start(self, slot: Slot, log: RunDir) -> SlurmWorker:
        """A worker that is submitted at the next look. Raises `OSError`."""
        token = new_token()
        worker = SlurmWorker(Mailbox.make(self._folder, token), slot, job_name(self._folder, token))
        self._workers.append(worker)
        self._unsubmitted.append(worker)
        return worker

    def adopt(self, slots: Sequence[Slot]) -> list[SlurmWorker]:
        """The workers of a dead supervisor whose jobs may still come or go on, on `slots`; the others are cancelled."""
        free = list(slots)
        for mailbox in mailboxes(self._folder):
            told = mailbox.job()
            slot = next((slot for slot in free if told is not None and slot.device == told.device), None)
            if told is None or slot is None:
                dismiss(mailbox)
                continue
            free.remove(slot)
            worker = SlurmWorker(mailbox, slot, told.name)
            worker.job, worker.waits = told.job, "adopted from an earlier supervisor"
            with contextlib.suppress(OSError):
                worker.held = open_runs(mailbox.read(0))
            self._workers.append(worker)
        return list(self._workers)

    def look(self) -> Sequence[str]:
        """Submit what is to be submitted, and find out how the jobs are."""
        before = self.queue.problem
        self.queue.look()
        self._submit()
        for worker in self._workers:
            worker.look(self.queue)
        self._workers = [worker for worker in self._workers if worker.exit_code() is None]
        send_scancels()
        match before, self.queue.problem:
            case None, str(problem):
                then = "its jobs count as alive until it does; 'tui-attn stop' ends the wait"
                return [f"SLURM does not answer ({problem}): {then}"]
            case str(), None:
                return ["SLURM answers again"]
        return ()

    def _submit(self) -> None:
        if self._submitting is not None:
            command, workers = self._submitting
            if not command.done():
                return
            self._submitting = None
            self._take_answer(*command.result(), workers)
        self._unsubmitted = [worker for worker in self._unsubmitted if worker.exit_code() is None]
        if not self._unsubmitted or self.queue.known_at < self._retry_after:
            return
        if self._retry_after >= 0 and self._found_anyway():
            return
        workers, self._unsubmitted = self._unsubmitted, []
        for worker in workers:
            worker.name = workers[0].name
        try:
            boxes, device = [worker.mailbox for worker in workers], workers[0].slot.device
            command = submit(self._folder, self._spec, workers[0].name, self._manifest.threads, device, boxes)
            self._submitting = command, workers
        except OSError as error:
            for worker in workers:
                worker.refused(f"sbatch can't be run: {error.strerror}")

    def _take_answer(self, code: int, text: str, workers: list[SlurmWorker]) -> None:
        last = (text.strip().splitlines() or ["it said nothing"])[-1]
        said, job = safe_text(last, one_line=True)[:300], last.split(";")[0] if code == 0 else ""
        if job.isdigit():
            self._assign(job, workers)
        elif code < 0 or any(words in text.lower() for words in LATER):
            self._retry_after = time.monotonic()
            self._unsubmitted = [*workers, *self._unsubmitted]
            for worker in workers:
                worker.waits = f"not submitted yet: {said}"
        else:
            for worker in workers:
                worker.refused(f"SLURM refuses the job: {said}")

    def _found_anyway(self) -> bool:
        """Whether a job exists although sbatch said that it failed."""
        self._retry_after = -1.0
        name = self._unsubmitted[0].name
        found = [id_ for id_, job in self.queue.jobs.items() if job.name == name]
        if not found:
            return False
        alike = [worker for worker in self._unsubmitted if worker.name == name]
        self._unsubmitted = [worker for worker in self._unsubmitted if worker.name != name]
        self._assign(found[0].partition("_")[0], alike)
        return True

    def _assign(self, job: str, workers: list[SlurmWorker]) -> None:
        for number, worker in enumerate(workers):
            worker.submitted(job if len(workers) == 1 else f"{job}_{number}")


def dismiss(mailbox: Mailbox) -> None:
    """Let a dead supervisor's worker go: a job that waits is cancelled, one that runs checkpoints and ends."""
    told = mailbox.job()
    mailbox.close()
    if told is not None:
        scancel(told.job, told.name, "--state=PENDING")
        send_scancels()
