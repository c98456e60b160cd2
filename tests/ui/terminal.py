"""A real terminal for the dashboard: a pseudo-terminal, with a screen that is emulated by pyte."""

from __future__ import annotations

import codecs
import contextlib
import fcntl
import os
import pty
import re
import select
import signal
import struct
import sys
import termios
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import pyte

from tui_attn.experiment.folders import ExperimentDir

DEADLINE = 240.0
"""Seconds after which something that doesn't happen fails the test: long, for machines that are busy."""

ESCAPE = "\x1b[27u"
"""The key as terminals with kitty's protocol send it. A lone ESC together with the next key means Alt and that key."""

OPEN = """
import platform, signal, sys
from pathlib import Path
from tui_attn.experiment.folders import ExperimentDir
from tui_attn.ui import UiOptions, run_dashboard
platform.node = lambda: "recorder"
signal.signal(signal.SIGHUP, signal.SIG_IGN if sys.argv[2] == "ignored" else signal.SIG_DFL)
sys.exit(run_dashboard(ExperimentDir(Path(sys.argv[1])), options=UiOptions()))
"""

ENVIRONMENT = {"TERM": "xterm-256color", "COLORTERM": "truecolor", "LANG": "C.UTF-8", "TZ": "UTC"}
_CUT = re.compile(rb"\x1b(\[[\d;?$<>]*)?\Z")
"""The beginning of an escape sequence whose end is yet to come."""
_UNSET = ("NO_COLOR", "LC_ALL", "LC_CTYPE", "SSH_CONNECTION", "SSH_CLIENT", "SSH_TTY", "TEXTUAL_FPS", "TMUX", "STY")


class Terminal:
    """The dashboard in a terminal of its own."""

    def __init__(
        self,
        folder: ExperimentDir,
        *,
        columns: int = 120,
        rows: int = 40,
        environment: Mapping[str, str] | None = None,
        sighup: str = "default",
        cwd: Path | None = None,
        command: Sequence[str] = (),
    ) -> None:
        """`command`: what to run instead of the dashboard on `folder`, as arguments of the interpreter."""
        self.raw = b""
        """Everything that was written to the terminal."""
        self.screen = pyte.Screen(columns, rows)
        self._stream = pyte.ByteStream(self.screen)
        merged = {name: value for name, value in os.environ.items() if name not in _UNSET}
        merged |= ENVIRONMENT | {"PYTHONPATH": str(Path(__file__).resolve().parents[2])} | dict(environment or {})
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            with contextlib.suppress(BaseException):
                fcntl.ioctl(0, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
                if cwd is not None:
                    os.chdir(cwd)
                arguments = [*command] or ["-c", OPEN, str(folder.path), sighup]
                os.execve(sys.executable, [sys.executable, *arguments], merged)
            os._exit(127)
        self._open = True
        self.status: int | None = None

    def read(self, seconds: float) -> bool:
        """Take in what is written within `seconds`, at least something; whether there was anything."""
        if not self._open or not select.select([self.fd], [], [], max(seconds, 0.0))[0]:
            return False
        try:
            data = os.read(self.fd, 1 << 16)
        except OSError:  # the program has ended
            data = b""
        self.raw += data
        self._stream.feed(data)
        return bool(data)

    def text(self) -> str:
        """What the screen shows."""
        return "\n".join(line.rstrip() for line in self.screen.display)

    def until(self, condition: str | Callable[[str], bool]) -> str:
        """Read until the screen shows a text, or until a condition on it holds; the screen."""
        end = time.monotonic() + DEADLINE
        while True:
            text = self.text()
            if condition in text if isinstance(condition, str) else condition(text):
                return text
            left = end - time.monotonic()
            assert left > 0, f"waited in vain for {condition!r} on:\n{text}"
            if not self.read(left) and self.ended():
                raise AssertionError(f"it ended with {self.status} before {condition!r} showed:\n{text}")

    def complete(self) -> bytes:
        """Everything that was written, read on to the end of the escape sequence or character that it ends within."""
        end = time.monotonic() + DEADLINE
        while _is_cut(self.raw[-64:]) and self.read(end - time.monotonic()):
            pass
        return self.raw

    def settle(self, seconds: float = 0.6) -> None:
        """Read until nothing is written for `seconds`."""
        end = time.monotonic() + DEADLINE
        while self.read(seconds):
            assert time.monotonic() < end, "it never stops writing"

    def press(self, keys: str) -> None:
        """Press keys."""
        os.write(self.fd, keys.encode())

    def resize(self, columns: int, rows: int) -> None:
        """Give the terminal another size."""
        self.screen.resize(rows, columns)
        fcntl.ioctl(self.fd, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def signal(self, signum: signal.Signals) -> None:
        """Send a signal."""
        os.kill(self.pid, signum)

    def hang_up(self) -> None:
        """Take the terminal away."""
        self._open = False
        os.close(self.fd)

    def ended(self) -> bool:
        """Whether the program has ended; its status is then known."""
        if self.status is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            self.status = os.waitstatus_to_exitcode(status) if pid else None
        return self.status is not None

    def wait(self) -> int:
        """Wait for the end of the program, reading on; its exit code, negative for a signal."""
        end = time.monotonic() + DEADLINE
        while not self.ended():
            assert time.monotonic() < end, f"it doesn't end; it shows:\n{self.text()}"
            if not self.read(0.01):
                select.select([], [], [], 0.01)
        while self.read(0.0):
            pass
        return self.status if self.status is not None else 127

    def after_leaving(self) -> str:
        """What was printed once the screen was given back."""
        return self.raw.rpartition(b"\x1b[?1004l")[2].decode("utf-8", "replace").replace("\r\n", "\n")

    def close(self) -> None:
        """End whatever still runs."""
        if not self.ended():
            os.kill(self.pid, signal.SIGKILL)
            os.waitpid(self.pid, 0)
        if self._open:
            os.close(self.fd)


def _is_cut(tail: bytes) -> bool:
    """Whether more must come: it ends within an escape sequence or within a character of several bytes."""
    decoder = codecs.getincrementaldecoder("utf-8")("replace")
    decoder.decode(tail)
    return bool(decoder.getstate()[0]) or _CUT.search(tail) is not None


@contextlib.contextmanager
def opened(folder: ExperimentDir, **options: object) -> Iterator[Terminal]:
    """The dashboard on `folder`, in a terminal; ended when left. `options`: see `Terminal`."""
    terminal = Terminal(folder, **options)  # type: ignore[arg-type]
    try:
        yield terminal
    finally:
        terminal.close()
