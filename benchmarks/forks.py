"""The program as forks of one process that has imported torch: its own code, at a tenth of the processor time."""

import os
import signal
import subprocess
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from tui_attn.cli import entry, lines
from tui_attn.export import live
from tui_attn.launch import control, starting
from tui_attn.supervision import process
from tui_attn.system import children, liveness
from tui_attn.system.signals import HELD
from tui_attn.train import interventions, worker, worker_context

assert torch, worker_context
assert lines
assert control, starting

SMALL = ["--models", "base,se", "--dataset", "synthetic", "--epochs", "2", "--train-limit", "80", "--batch-size", "16"]
SMALL += ["--test-limit", "50", "--device", "cpu", "--precision", "fp32"]
MODULES = {
    "tui_attn.supervision.process": ("supervisor", process.main),
    "tui_attn.train.worker": ("worker", worker.main),
    "tui_attn.train.interventions": ("probe", interventions.main),
    "tui_attn.export.live": ("exporter", live.main),
}

Prepare = Callable[[str], object]
"""Called in each process with its role: front, supervisor or worker."""


def start(arguments: list[str], output: Path, prepare: Prepare) -> int:
    """Start `tui-attn arguments` as a fork in a session of its own, and return its pid."""
    return start_call(lambda: entry.run(arguments), output, prepare)


def start_call(main: Callable[[], int], output: Path, prepare: Prepare) -> int:
    """Start `main`, which runs commands, as `start` does."""
    pid = os.fork()
    if pid == 0:
        os.setsid()
        file, nothing = os.open(output, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), os.open(os.devnull, os.O_RDONLY)
        for source, copy in ((nothing, 0), (file, 1), (file, 2)):
            os.dup2(source, copy)
        os.closerange(3, 64)
        setattr(children, "python", _forking(prepare))  # noqa: B010 - mypy would take it for a mistake
        _become("front", main, prepare)
    return pid


def _forking(prepare: Prepare) -> Callable[..., subprocess.Popen[bytes]]:
    def python(
        module: str, *arguments: str | Path, hold_signals: bool = False, **options: Any
    ) -> subprocess.Popen[bytes]:
        role, main = MODULES[module]
        words = [str(argument) for argument in arguments]
        passed = [int(word.split("/")[4]) for word in words if word.startswith("/proc/self/fd/")]

        def become() -> None:
            liveness._held.clear()
            signal.set_wakeup_fd(-1)
            for signum in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):  # as in a process of its own
                signal.signal(signum, signal.default_int_handler if signum == signal.SIGINT else signal.SIG_DFL)
            signal.pthread_sigmask(signal.SIG_SETMASK, HELD if hold_signals else ())
            previous = 3
            for fd in sorted(passed):
                os.closerange(previous, fd)
                previous = fd + 1
            os.closerange(previous, 64)
            _become(role, lambda: main(words), prepare)

        # It never gets to the executable.
        return children.program(sys.executable, pass_fds=passed, preexec_fn=become, **options)

    return python


def _become(role: str, main: Callable[[], int], prepare: Prepare) -> None:
    code = 1
    try:
        prepare(role)
        code = main()
        sys.stdout.flush()
        sys.stderr.flush()
    except SystemExit as left:
        code = left.code if isinstance(left.code, int) else 1
    except BaseException:
        traceback.print_exc()
    finally:
        sys.settrace(None)
        os._exit(code)
