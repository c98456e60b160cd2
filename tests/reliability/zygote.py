"""Supervisors and workers as forks of one process that has imported torch already: the product's own code, in a tenth
of the time. `python -m tests.reliability.zygote`, an order a line on standard input, a pid a line on standard output.
"""

import ctypes
import json
import os
import signal
import sys
from pathlib import Path

import torch

from tui_attn.engines.pipe import WorkerProcess
from tui_attn.engines.workers import Launcher, Slot, new_token
from tui_attn.experiment.folders import ExperimentDir, RunDir
from tui_attn.supervision import process
from tui_attn.supervision.supervisor import Supervisor
from tui_attn.system import fault_injection, liveness
from tui_attn.system.json_lines import LineWriter
from tui_attn.system.signals import Signals
from tui_attn.train import worker, worker_context

assert worker_context, torch


class Fork(WorkerProcess):
    """A worker as a fork of its supervisor; apart from how it begins, it is the product's."""

    def __init__(self, slot: Slot, log: RunDir, experiment: str, fault: str) -> None:
        self.slot = slot
        self.held = []
        self.token = new_token()
        self._code: int | None = None
        reading, writing = os.pipe()
        self._pipe = LineWriter(writing)
        self._pid = os.fork()
        if self._pid == 0:
            _become(log.worker_log, reading, keep=int(log.path.parent.name))
            liveness._held.clear()
            fault_injection.arm(fault)
            os._exit(worker.main([str(log.path.parent), slot.device, experiment, str(self.token)]))
        os.close(reading)

    def exit_code(self) -> int | None:
        self._pipe.flush()
        if self._code is None:
            pid, status = os.waitpid(self._pid, os.WNOHANG)
            self._code = os.waitstatus_to_exitcode(status) if pid else None
        return self._code

    def kill(self, signum: int) -> None:
        if self.exit_code() is None:
            os.kill(self._pid, signum)


class Forks(Launcher):
    """Starts workers as forks, the n-th with the n-th of `faults`."""

    remote = False

    def __init__(self, experiment: str, faults: list[str]) -> None:
        self._experiment, self._faults = experiment, iter(faults)

    def start(self, slot: Slot, log: RunDir) -> Fork:
        return Fork(slot, log, self._experiment, next(self._faults, ""))


def _become(log: Path, stdin: int, keep: int = 3) -> None:
    """The descriptors of a process of its own: standard input from `stdin`, output to `log`, and `keep`."""
    out = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    os.dup2(stdin, 0)
    os.dup2(out, 1)
    os.dup2(out, 2)
    os.closerange(3, keep)
    os.closerange(keep + 1, 256)


def supervise_fork(folder: str, fault: str, worker_faults: list[str], group: str | None) -> int:
    """Start a supervisor whose n-th worker gets the n-th of `worker_faults`, and return its pid.

    All of them are put into the control group in the folder `group`, if one is named.
    """
    pid = os.fork()
    if pid:
        return pid
    os.setsid()
    if group is not None:
        Path(group, "cgroup.procs").write_text(str(os.getpid()))
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    os.umask(0o077)
    _become(Path(folder, "supervisor.log"), os.open(os.devnull, os.O_RDONLY))
    fault_injection.arm(fault)

    def make(here: ExperimentDir, *, signals: Signals, launcher: Launcher) -> Supervisor:
        return Supervisor(here, signals=signals, launcher=Forks(here.id, worker_faults))

    setattr(process, "Supervisor", make)  # noqa: B010 - mypy would take it for a mistake
    os._exit(process.main([folder]))


def main() -> None:
    os.nice = lambda by: by  # the tests are in a hurry
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for supervisors here
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG: never outlive the tests
    print("ready", flush=True)  # noqa: T201
    for line in sys.stdin:
        order = json.loads(line)
        print(supervise_fork(**order), flush=True)  # noqa: T201


if __name__ == "__main__":
    main()
