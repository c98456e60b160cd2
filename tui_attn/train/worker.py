"""The process that trains: `python -m tui_attn.train.worker FOLDER DEVICE ID TOKEN`.

It takes commands from a pipe on its standard input. It imports torch and loads the data once, and its runs take turns.
An exception ends only its own run. When the pipe closes, the worker writes checkpoints and exits.
"""

from __future__ import annotations

import contextlib
import faulthandler
import os
import signal
import socket
import sys
import traceback
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from tui_attn.engines.mailbox import Mailbox
from tui_attn.engines.workers import CANNOT_RECORD, CANNOT_WORK, DEVICE_LOST, DISPLACED, TERMINATED
from tui_attn.experiment.folders import ExperimentDir
from tui_attn.experiment.manifest import Manifest
from tui_attn.system.console import open_standard_streams
from tui_attn.system.plain_file import open_to_write
from tui_attn.system.signals import Signals
from tui_attn.system.text import safe_text
from tui_attn.train.command_pipe import CommandPipe, Inbox, Message
from tui_attn.train.progress import stops
from tui_attn.train.reading import read
from tui_attn.train.run_writer import DisplacedError, NoRoomError

if TYPE_CHECKING:
    from tui_attn.train.worker_context import WorkerContext

IDLE = 0.5
"""Seconds for which an idle worker waits for a command."""
SETTLING = 0.002
"""Seconds between two checks of runs whose last files are being computed."""


def main(arguments: list[str]) -> int:
    """Train the runs that the supervisor sends, until it sends exit or is gone."""
    os.umask(0o077)
    open_standard_streams()
    faulthandler.enable()
    mailbox = Mailbox(Path(arguments[4])) if len(arguments) > 4 else None
    # Schedulers announce the end of a job by any of the three.
    signals = Signals([signal.SIGTERM] if mailbox is None else [signal.SIGTERM, signal.SIGUSR1, signal.SIGUSR2])
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    signals.start()
    stops.install()
    folder, device = ExperimentDir(Path(arguments[0]), name=arguments[2]), arguments[1]
    pipe = CommandPipe(0 if mailbox is None else _open_mailbox(mailbox, folder), signals)
    if device == "cpu":
        os.nice(5)
    try:
        manifest = folder.manifest_data()
        worker = _prepare(folder, manifest, device, pipe, token=int(arguments[3]))
    except Exception as error:  # of any kind: the last line tells the supervisor the reason
        traceback.print_exc()
        print(safe_text(_explain(error), one_line=True), file=sys.stderr)  # noqa: T201 - worker.log
        return DEVICE_LOST if device.startswith("cuda") and _gpu_failed(error) else CANNOT_WORK
    return worker.work()


def _gpu_failed(error: Exception) -> bool:
    """Whether torch could not use the GPU, so that another GPU may work."""
    return isinstance(error, RuntimeError) and any(name in str(error) for name in ("CUDA", "NVIDIA", "HIP"))


def _open_mailbox(mailbox: Mailbox, folder: ExperimentDir) -> int:
    """The descriptor from which the mailbox's commands are read; `_leave` will tell the mailbox the exit code."""
    start = int(os.environ.get("SLURM_RESTART_COUNT", "0"))
    mailbox.note_begin(start, socket.gethostname())
    _leaving.append(lambda code: mailbox.note_end(start, code))
    inbox = Inbox(mailbox, folder.supervisor_lock)
    inbox.start()
    return inbox.fd


_leaving: list[Callable[[int], object]] = []
"""Functions that `_leave` calls with the exit code."""


def _leave(code: int) -> NoReturn:
    """Exit without cleaning up, which takes torch a tenth of a second: the system frees everything."""
    with contextlib.suppress(OSError):
        for say in _leaving:
            say(code)
        if os.getpgrp() == os.getpid():  # end processes that a custom model started
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
            os.killpg(0, signal.SIGTERM)
    os._exit(code)


def _explain(error: Exception) -> str:
    try:
        from tui_attn.train.worker_context import explain
    except Exception:  # it is torch itself that can't be imported
        return f"{type(error).__name__}: {error}"
    return explain(error)


def _prepare(folder: ExperimentDir, manifest: Manifest, device: str, pipe: CommandPipe, *, token: int) -> Worker:
    """Import torch while another thread reads the data; either takes a second or two."""
    reader = ThreadPoolExecutor(1)
    arrays = reader.submit(read, manifest, manifest.config.seed)
    reader.shutdown(wait=False)

    import torch

    from tui_attn.train.worker_context import WorkerContext

    torch.set_num_threads(manifest.threads)
    return Worker(folder, WorkerContext(folder, manifest, device, token=token, arrays=arrays.result), pipe)


class Worker:
    """Trains its runs in turns, and obeys the supervisor between two steps.

    A turn is an epoch, or the steps to the next point on a device that trains several networks concurrently.
    """

    def __init__(self, folder: ExperimentDir, context: WorkerContext, pipe: CommandPipe) -> None:
        self._folder = folder
        self._context = context
        self._pipe = pipe
        self._turns: deque[str] = deque()
        """The open runs, the next one first."""
        self._waiting: deque[str] = deque()
        """Runs to open when the device has room for them."""
        self._paused: set[str] = set()
        self._leaving = False
        self._speechless = False
        """Whether a run failed and its log could not be written."""

    def work(self) -> int:
        """Train until told to exit, or abandoned; returns the exit code."""
        while not self._pipe.abandoned and not self._speechless:
            for message in self._pipe.take():
                self._attend(message)
            while self._waiting and self._context.has_room and not self._pipe.waiting:
                self._open(self._waiting.popleft())
            run = next((run for run in self._turns if run not in self._paused), None)
            if run is not None:
                self._train(run)
            elif self._leaving and not self._waiting:
                return 0
            else:
                self._pipe.wait(IDLE)
        for run in list(self._turns):
            self._guarded(run, lambda run=run: self._context.session(run).suspend())  # type: ignore[misc]
        if self._speechless:
            return CANNOT_RECORD
        return TERMINATED if self._pipe.terminated else 0

    def _attend(self, message: Message) -> None:
        run = message.run
        if message.do == "exit":
            self._leaving = True
        elif run is None:
            return
        elif message.do == "train":
            self._paused.discard(run)  # it may have ended for the supervisor, by a late word of its former worker
            if run not in self._turns and run not in self._waiting:
                self._waiting.append(run)
        elif run in self._waiting and message.do in {"pause", "unpause"}:
            (self._paused.add if message.do == "pause" else self._paused.discard)(run)
        elif run in self._waiting:
            self._waiting.remove(run)
            if message.do != "suspend" and self._open(run):
                self._attend(message)
        elif run not in self._turns:
            return
        elif message.do == "pause":
            self._paused.add(run)
            self._guarded(run, self._context.session(run).settle)
        elif message.do == "unpause":
            self._paused.discard(run)
        elif message.do == "suspend":
            self._guarded(run, lambda: self._context.session(run).suspend())
            self._forget(run)
        elif message.do in {"stop", "skip"}:
            how = "stopped" if message.do == "stop" else "skipped"
            self._guarded(run, lambda: self._context.session(run).leave(how))
            self._forget(run)

    def _open(self, run: str) -> bool:
        _print_to(self._folder, run)
        if not self._guarded(run, lambda: self._context.open(run, should_abort=lambda: self._pipe.ends(run))):
            return False
        self._turns.append(run)
        return True

    def _train(self, run: str) -> None:
        _print_to(self._folder, run)
        session = self._context.session(run)

        def one_turn() -> None:
            before = session.progress.epoch
            try:
                if session.side_by_side:
                    session.train_to_point(lambda: self._pipe.waiting)
                else:
                    session.train_epoch(lambda: self._pipe.waiting)
                if session.complete:
                    session.finish()
                    self._forget(run)
                    return
            except NoRoomError:
                return  # the run is to end: the command comes next
            if session.side_by_side or session.progress.epoch > before:
                self._turns.remove(run)
                self._turns.append(run)
            if session.done and all(self._context.session(other).done for other in self._turns):
                self._pipe.wait(SETTLING)

        self._guarded(run, one_turn)

    def _guarded(self, run: str, action: Callable[[], object]) -> bool:
        """Call `action`; an exception ends only this run. Returns whether there was none."""
        try:
            action()
        except NoRoomError:  # nothing can be recorded: the supervisor knows its own command
            self._speechless = True
            self._forget(run)
            return False
        except DisplacedError:  # another worker writes this run now
            _leave(DISPLACED)
        except (Exception, SystemExit) as error:  # the code of a custom model may call sys.exit
            text = traceback.format_exc() if self._context.needs_traceback(error) else None
            with contextlib.suppress(OSError):
                print(safe_text(text or f"{run}: {error}"), file=sys.stderr, flush=True)  # noqa: T201 - worker.log
            if self._context.device_is_lost(error):  # another process can continue these runs
                _leave(DEVICE_LOST)
            try:
                self._context.fail(run, error, text)
            except Exception:  # no room, no folder, another's file: it can't be recorded
                self._speechless = True
            self._forget(run)
            return False
        return True

    def _forget(self, run: str) -> None:
        if run in self._turns:
            self._turns.remove(run)
        self._paused.discard(run)
        self._context.close(run)


def _print_to(folder: ExperimentDir, run: str) -> None:
    """Redirect the output of this process to the worker log of `run`, if that can be written."""
    with contextlib.suppress(OSError):
        sys.stdout.flush()
        sys.stderr.flush()
        fd = open_to_write(folder.run(run).worker_log, os.O_APPEND)
        os.dup2(fd, 1)
        os.dup2(fd, 2)
        os.close(fd)


if __name__ == "__main__":
    code = main(sys.argv[1:])
    with contextlib.suppress(OSError):
        sys.stdout.flush()
        sys.stderr.flush()
    _leave(code)
