"""Runs the program in a pseudo-terminal for benchmarks: its output, its processor time, its latency."""

from __future__ import annotations

import contextlib
import fcntl
import os
import pty
import signal
import struct
import sys
import tempfile
import termios
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pyte

from tui_attn.experiment.folders import ExperimentDir

OPEN = """
import platform, sys
from pathlib import Path
from tui_attn.experiment.folders import ExperimentDir
from tui_attn.ui import UiOptions, run_dashboard
platform.node = lambda: "recorder"  # whose recordings these are, so that the devices are measured too
if "--textual-output" in sys.argv:
    from tui_attn.ui.textual_private import BufferedApp
    BufferedApp.unreadable = True  # Textual draws every update itself
sys.exit(run_dashboard(ExperimentDir(Path(sys.argv[1])), options=UiOptions(theme="dark", ascii=False)))
"""


class Terminal:
    """A program in a pseudo-terminal, whose output is read and counted in a thread."""

    def __init__(self, arguments: list[str], *, columns: int = 120, rows: int = 40) -> None:
        environment = {**os.environ, "TERM": "xterm-256color", "COLORTERM": "truecolor", "LANG": "C.UTF-8"}
        for name in ("NO_COLOR", "SSH_CONNECTION", "SSH_CLIENT", "SSH_TTY", "PYTHONDONTWRITEBYTECODE"):
            environment.pop(name, None)
        self.begun = time.perf_counter()
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            os.execvpe(arguments[0], arguments, environment)
        fcntl.ioctl(self.fd, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
        self.chunks: list[tuple[float, bytes]] = []
        self._shown = 0
        self._screen = pyte.Screen(columns, rows)
        self._stream = pyte.ByteStream(self._screen)
        self._news = threading.Condition()
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def _read(self) -> None:
        while True:
            try:
                data = os.read(self.fd, 1 << 16)
            except OSError:
                return
            with self._news:
                self.chunks.append((time.perf_counter(), data))
                self._news.notify_all()

    @property
    def count(self) -> int:
        """Bytes that the program wrote."""
        return sum(len(data) for _, data in self.chunks)

    def wait_for(self, needle: str, *, since: int = 0, seconds: float = 60.0) -> float:
        """The time at which the program had written `needle`, after `since` chunks."""
        end, wanted = time.perf_counter() + seconds, needle.encode()
        with self._news:
            while wanted not in b"".join(data for _, data in self.chunks[since:]):
                if not self._news.wait(end - time.perf_counter()):
                    raise TimeoutError(needle)
            return self.chunks[-1][0]

    def ended(self) -> None:
        """Wait for the end of the program."""
        os.waitpid(self.pid, 0)
        self.pid = 0

    def quiet(self, seconds: float, *, limit: float = 60.0) -> None:
        """Wait until nothing has been written for `seconds`."""
        end = time.perf_counter() + limit
        while time.perf_counter() < end:
            count = self.count
            time.sleep(seconds)
            if self.count == count:
                return

    def text(self) -> str:
        """The text on the screen."""
        with self._news:
            new, self._shown = self.chunks[self._shown :], len(self.chunks)
        for _, data in new:
            self._stream.feed(data)
        return "\n".join(self._screen.display)

    def send(self, text: str) -> float:
        """Press keys; returns the time."""
        at = time.perf_counter()
        os.write(self.fd, text.encode())
        return at

    def close(self) -> None:
        """End the program. The reader ends with it, before its descriptor may become another terminal's."""
        if self.pid:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGKILL)
            self.ended()
        self._thread.join()
        os.close(self.fd)


@contextlib.contextmanager
def dashboard(folder: ExperimentDir, *options: str) -> Iterator[Terminal]:
    """The dashboard on `folder`."""
    terminal = Terminal([sys.executable, "-c", OPEN, str(folder.path), *options])
    try:
        yield terminal
    finally:
        terminal.close()


@contextlib.contextmanager
def scratch() -> Iterator[Path]:
    """A folder for experiments, deleted in the end."""
    with tempfile.TemporaryDirectory(prefix="tui-attn-bench-") as name:
        yield Path(name)
