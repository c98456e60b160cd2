"""The workers of an experiment: which are alive, which runs they hold, which are idle."""

from __future__ import annotations

from tui_attn.engines.workers import Launcher, Slot, Worker
from tui_attn.experiment.folders import RunDir


class WorkerPool:
    """The workers on `slots`, one each at most."""

    def __init__(self, slots: list[Slot], launcher: Launcher) -> None:
        self.slots = slots
        self.launcher = launcher
        self.workers: list[Worker] = []
        self._leaving: list[Worker] = []
        """Workers that were told to exit."""
        self.avoided: set[str] = set()
        """Devices on which no worker is started, since they fail."""

    def start(self, slot: Slot, log: RunDir) -> Worker:
        """A new worker on `slot`, which prints to the log of that run. Raises `OSError`."""
        worker = self.launcher.start(slot, log)
        self.workers.append(worker)
        return worker

    def holder(self, run: str) -> Worker | None:
        """The worker that trains `run`."""
        return next((worker for worker in self.workers if run in worker.held), None)

    def takers(self) -> list[Worker | Slot]:
        """Workers that hold nothing, and after them the slots that have no worker."""
        idle = [worker for worker in self.workers if not worker.held and worker not in self._leaving]
        busy = {worker.slot for worker in self.workers}
        return [*idle, *(slot for slot in self.slots if slot not in busy and slot.device not in self.avoided)]

    @property
    def devices(self) -> list[str]:
        """The devices on which workers may be started."""
        return [device for device in dict.fromkeys(slot.device for slot in self.slots) if device not in self.avoided]

    def dismiss(self, worker: Worker) -> None:
        """Tell an idle worker to exit."""
        self._leaving.append(worker)
        worker.tell("exit")

    def dead(self) -> list[Worker]:
        """Workers that exited and were not removed yet."""
        return [worker for worker in self.workers if worker.exit_code() is not None]

    def remove(self, worker: Worker) -> None:
        """Remove a dead worker, and close its pipe."""
        worker.close()
        self.workers.remove(worker)
        if worker in self._leaving:
            self._leaving.remove(worker)

    def kill(self, signum: int) -> None:
        """Send all workers a signal."""
        for worker in self.workers:
            worker.kill(signum)
