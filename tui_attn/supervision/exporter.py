"""Starts and restarts the process that writes TensorBoard's event files.

A failing exporter must not affect training: nothing here raises, and only `finish` waits, after training has ended.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import time
from collections.abc import Callable

from tui_attn.engines.workers import last_lines
from tui_attn.experiment.folders import ExperimentDir
from tui_attn.system import children
from tui_attn.system.plain_file import open_to_write
from tui_attn.system.signals import signal_name

LOG = "exporter.log"
"""What the exporter printed; normally nothing."""
CANNOT_WORK = 70
"""Exit code of an exporter that could not work, or not write everything; its log says why."""
BUSY = 75
"""Exit code of an exporter that found another one at work."""
PAUSE = 10.0
"""Seconds until an exporter that ended early is restarted."""
ATTEMPTS = 5
"""Starts, at most."""
FINISH_WITHIN = 20.0
"""Seconds within which the exporter must write what is left."""


class Exporter:
    """Keeps an exporter of `folder` running; `look` restarts it. `warn` is called once if that fails."""

    def __init__(
        self, folder: ExperimentDir, warn: Callable[[str], None], *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._folder, self._warn, self._clock = folder, warn, clock
        self._process: subprocess.Popen[bytes] | None = None
        self._left = ATTEMPTS
        self._next = clock()

    @property
    def pid(self) -> int | None:
        """The process id of the exporter; None while none runs."""
        return None if self._process is None else self._process.pid

    def look(self) -> None:
        """Notice an exporter that ended, and start one if none runs and it is time."""
        process = self._process
        if process is not None and process.poll() is not None:
            self._let_go(process)
            if process.returncode == CANNOT_WORK:
                self._left = 0
            self._failed(self._exit_reason(process.returncode))
        if self._process is None and self._left and self._clock() >= self._next:
            self._start()

    def finish(self) -> None:
        """Let the exporter write what is left and end; one that doesn't is killed."""
        self._next = self._clock()
        self.look()
        self._left = 0
        process = self._process
        if process is None:
            return
        self._let_go(process)
        try:
            process.wait(FINISH_WITHIN)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def _start(self) -> None:
        self._left -= 1
        try:
            log = open_to_write(self._folder.path / LOG, os.O_APPEND)
            try:
                command = "tui_attn.export.live", self._folder.path.absolute(), self._folder.id
                self._process = children.python(*command, stdin=subprocess.PIPE, output=log)
            finally:
                os.close(log)
        except OSError as error:
            self._failed(f"the exporter could not be started ({error.strerror})")

    def _failed(self, why: str) -> None:
        """Schedule another attempt, or give up with a warning."""
        self._next = self._clock() + PAUSE
        if self._left == 0:
            self._warn(
                f"TensorBoard's event files are not kept up to date: {why}; training goes on, and "
                f"'tui-attn export {self._folder.id} --tensorboard' completes them"
            )

    def _let_go(self, process: subprocess.Popen[bytes]) -> None:
        """Close the pipe, which tells the exporter to finish."""
        self._process = None
        if process.stdin is not None:
            with contextlib.suppress(OSError):
                process.stdin.close()

    def _exit_reason(self, code: int) -> str:
        last = last_lines(self._folder.path / LOG).strip().splitlines()
        if code == BUSY:
            return "another process writes them"
        if code == CANNOT_WORK and last:
            return last[-1][:300]
        how = f"was killed by {signal_name(-code)}" if code < 0 else f"ended with exit code {code}"
        return f"the exporter {how}" + (f" ({last[-1][:200]})" if last else "")
