"""Workers held by a pipe: processes here, over ssh, and steps of a SLURM allocation.

A worker reads commands from its standard input. When the pipe ends, it checkpoints and exits. Another host's worker is
the child of a program that hands on its standard input and its exit code.
"""

from __future__ import annotations

import contextlib
import os
import shlex
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Sequence
from functools import partial

from tui_attn.engines.workers import Launcher, Slot, Worker, new_token, remote_environment, worker_environment
from tui_attn.experiment.engine_spec import SSH
from tui_attn.experiment.folders import ExperimentDir, RunDir
from tui_attn.system import children
from tui_attn.system.json_lines import LineWriter
from tui_attn.system.plain_file import open_to_write

LOST_CONNECTION = 255
"""Exit code of ssh itself."""


class WorkerProcess(Worker):
    """A worker as a child of its supervisor, held by a pipe: when the pipe ends, it checkpoints and exits.

    It leads a session. When it has ended, the processes of that session that a custom model started are killed.
    """

    def __init__(self, slot: Slot, log: RunDir, begin: Callable[..., subprocess.Popen[bytes]]) -> None:
        """`begin` starts it, given its token and the streams of `children.program`. Raises `OSError`."""
        self.slot = slot
        self.held: list[str] = []
        self.token = new_token()
        output = open_to_write(log.worker_log, os.O_APPEND)
        reading, writing = os.pipe()
        try:
            self._process = begin(str(self.token), stdin=reading, output=output)
        except BaseException:
            os.close(writing)
            raise
        finally:
            os.close(output)
            os.close(reading)
        self._pipe = LineWriter(writing)  # a frozen worker must not freeze its supervisor

    def tell(self, do: str, run: str | None = None) -> None:
        """Send a command down the pipe; a dead worker's is dropped."""
        self._pipe.send({"do": do, "run": run})

    def exit_code(self) -> int | None:
        """None while it lives, else its exit code, negative for a signal."""
        self._pipe.flush()
        process = self._process
        with contextlib.suppress(OSError, AttributeError):  # it leads no session; macOS lacks waitid
            # Until `poll` nothing else gets its pid.
            if process.returncode is None and os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT):
                os.killpg(process.pid, signal.SIGKILL)
        return process.poll()

    def kill(self, signum: int) -> None:
        """Send it a signal, unless it is over."""
        self._process.send_signal(signum)

    def close(self) -> None:
        """Let go of the pipe."""
        self._pipe.close()


class LocalLauncher(Launcher):
    """Starts workers as processes of this machine."""

    remote = False

    def __init__(self, folder: ExperimentDir) -> None:
        """Raises `RunsError`."""
        manifest = folder.manifest_data()
        self._folder, self._threads, self._uuids = folder, manifest.threads, manifest.uuids
        self._crowded = manifest.devices == ("cpu",) and (manifest.config.jobs or 1) > 1

    def start(self, slot: Slot, log: RunDir) -> WorkerProcess:
        """A new worker for `slot`. Raises `OSError`."""
        environment = worker_environment(self._threads, crowded=self._crowded, uuid=self._uuids.get(slot.device))
        what = self._folder.path.absolute(), slot.device, self._folder.id
        start = partial(children.python, "tui_attn.train.worker", *what, environment=environment)
        return WorkerProcess(slot, log, partial(start, start_new_session=True, hold_signals=True))


class RemoteProcess(WorkerProcess):
    """A worker on another host, by way of a program that is a child of the supervisor."""

    def __init__(self, command: Sequence[str], slot: Slot, log: RunDir, excuses: dict[int, str]) -> None:
        """`command` gets the worker's token as its last word. `excuses`: what exit codes of the program itself mean."""
        self._excuses = excuses
        super().__init__(slot, log, partial(children.program, *command))

    def excuse(self) -> str | None:
        """What was lost between here and the worker, where that is how it ended."""
        return self._excuses.get(self._process.poll() or 0)

    def kill(self, signum: int) -> None:
        """Close the pipe, which has the worker checkpoint and exit; for SIGKILL end the program between as well.

        srun takes SIGTERM for an order to kill what it runs.
        """
        self.close()
        if signum == signal.SIGKILL:
            self._process.terminate()


class RemoteLauncher(Launcher):
    """Starts workers through `srun` in the allocation that this process is in, or through `ssh` on `hosts`."""

    def __init__(self, folder: ExperimentDir, hosts: Sequence[str] = ()) -> None:
        """Raises `RunsError`."""
        manifest = folder.manifest_data()
        self._folder, self._hosts, self._threads = folder, hosts, manifest.threads
        self._started: list[tuple[str, RemoteProcess]] = []
        self.workers = len(hosts) or int(os.environ.get("SLURM_JOB_NUM_NODES", "1"))

    def start(self, slot: Slot, log: RunDir) -> RemoteProcess:
        """A new worker for `slot`, on the host that has the fewest. Raises `OSError`."""
        worker = worker_command(self._folder, slot.device)
        variables = [f"{name}={value}" for name, value in remote_environment(self._folder, self._threads).items()]
        if not self._hosts:
            step = ["srun", "--nodes=1", "--ntasks=1", "--exact", f"--cpus-per-task={self._threads}"]
            return RemoteProcess([*step, "env", *variables, *worker], slot, log, {0: "its node or its step was lost"})
        self._started = [(host, process) for host, process in self._started if process.exit_code() is None]
        busy = Counter(host for host, _ in self._started)
        host = min(self._hosts, key=lambda host: busy[host])
        # ssh joins its words by blanks, and a shell over there takes them apart again.
        command = [*SSH, "-o", "ServerAliveInterval=15", host, shlex.join(["exec", "env", *variables, *worker])]
        process = RemoteProcess(command, slot, log, {LOST_CONNECTION: f"the connection to {host} was lost"})
        self._started.append((host, process))
        return process


def worker_command(folder: ExperimentDir, device: str) -> list[str]:
    """The command of a worker on another host, but for its token. The folder must be at the same path there."""
    # The supervisor knows the folder by a descriptor, which means nothing elsewhere.
    path = folder.path.resolve()
    return [sys.executable, "-P", "-m", "tui_attn.train.worker", str(path), device, folder.id]
