"""The terminal: writing to it without ever waiting for it, noticing that it went away, and what it can show."""

from __future__ import annotations

import asyncio
import contextlib
import os
import select
import signal
import sys
import termios
import threading
import time
from typing import TYPE_CHECKING, Any, cast

from textual.drivers.linux_driver import LinuxDriver
from textual.message import Message

if TYPE_CHECKING:
    from textual.app import App

EXIT_HANGUP = 128 + signal.SIGHUP
_WATCH_MS = 500
_LATEST_EXIT_SECONDS = 0.8
_GIVE_BACK_SECONDS = 0.1
_GIVEN_BACK = (
    "\x1b[?2026l\x1b[?2004l\x1b[?7h\x1b[?2048l\x1b[?1000l\x1b[?1003l\x1b[?1015l\x1b[?1006l"
    "\x1b[<u\x1b[?1049l\x1b[?25h\x1b[?1004l"
)
"""All that Textual sends when it leaves."""


class TerminalFile:
    """The terminal as a file for Textual's writer thread, which knows how much of what it was given is still unsent."""

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._parts: list[str] = []
        self._given = 0
        self._sent = 0
        self.write_seconds = 0.0
        """How long the terminal took for the last write."""
        self._written_at = 0.0

    @property
    def backlog(self) -> bool:
        """Whether the terminal has not yet taken all that was given."""
        return self._given > self._sent

    @property
    def idle_seconds(self) -> float:
        """How long ago the last write ended."""
        return time.monotonic() - self._written_at

    def give(self) -> None:
        """Count one text that is on its way to `write`."""
        self._given += 1

    def write(self, text: str) -> int:
        """Keep `text` for the next `flush`."""
        self._parts.append(text)
        return len(text)

    def flush(self) -> None:
        """Write what was kept; waits for the terminal. Ends the process when the terminal is gone."""
        parts, self._parts = self._parts, []
        data = memoryview("".join(parts).encode("utf-8", "replace"))
        begun = time.monotonic()
        while data:
            try:
                data = data[os.write(self._fd, data) :]
            except BlockingIOError:
                select.select([], [self._fd], [], 1.0)
            except OSError:
                leave_at_once()
        self._written_at = time.monotonic()
        self.write_seconds = self._written_at - begun
        self._sent += len(parts)

    def fileno(self) -> int:
        """The terminal's descriptor."""
        return self._fd


class TerminalRegained(Message, bubble=False):
    """The terminal is the dashboard's again; what it shows is not known."""


class TerminalDriver(LinuxDriver):
    """Textual's driver on stdout, which exits with its terminal and says when the terminal is behind."""

    def __init__(
        self, app: App[Any], *, debug: bool = False, mouse: bool = True, size: tuple[int, int] | None = None
    ) -> None:
        super().__init__(app, debug=debug, mouse=mouse, size=size)
        # Textual draws on stderr; here stderr may be a file while the screen goes on.
        self.terminal = TerminalFile((sys.__stdout__ or sys.stdout).fileno())
        self._file = cast(Any, self.terminal)
        self._started = False

    def write(self, data: str) -> None:
        """Hand `data` to the writer thread."""
        self.terminal.give()
        super().write(data)

    def _get_terminal_size(self) -> tuple[int, int]:
        """What the terminal says, not what COLUMNS and LINES were when someone exported them."""
        try:
            width, height = os.get_terminal_size(self.terminal.fileno())
        except OSError:
            width = height = 0
        return width or 80, height or 25

    def start_application_mode(self) -> None:
        """Take the terminal over, and watch that it stays; after a suspension, draw everything again."""
        if self._started:
            self._app.post_message(TerminalRegained())
        else:
            self._started = True
            threading.Thread(target=_watch, args=(self.fileno,), name="terminal-watch", daemon=True).start()
        super().start_application_mode()  # type: ignore[no-untyped-call]

    def give_back(self) -> None:
        """Leave the terminal as it was found, whatever Textual does meanwhile; may wait for the terminal."""
        if self.attrs_before is not None:
            with contextlib.suppress(termios.error):
                termios.tcsetattr(self.fileno, termios.TCSANOW, self.attrs_before)
        with contextlib.suppress(OSError):
            os.write(self.terminal.fileno(), _GIVEN_BACK.encode())


def leave_at_once(code: int = EXIT_HANGUP) -> None:
    """End this process now. A dashboard owns nothing: the training doesn't notice."""
    os._exit(code)


def _leave_late(app: App[Any], code: int) -> None:
    """End a process that takes too long to leave, without waiting for its terminal."""
    if isinstance(app._driver, TerminalDriver):
        giving = threading.Thread(target=app._driver.give_back, name="give-back", daemon=True)
        giving.start()
        giving.join(_GIVE_BACK_SECONDS)
    leave_at_once(code)


def exit_on_signals(app: App[Any]) -> None:
    """Let SIGTERM, SIGHUP and SIGINT leave the terminal as it was found; soon, in any case."""
    loop = asyncio.get_running_loop()
    for signum in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
        code = 0 if signum == signal.SIGINT else 128 + signum

        def leave(code: int = code) -> None:
            late = threading.Timer(_LATEST_EXIT_SECONDS, _leave_late, (app, code))
            late.daemon = True
            late.start()
            app.exit(return_code=code)

        try:
            loop.add_signal_handler(signum, leave)
        except (ValueError, RuntimeError):  # not the main thread: a test's app
            return


def _watch(fd: int) -> None:
    """Wait until the terminal hangs up, then end the process.

    SIGHUP alone is not enough: a caller may have it ignored, and then Textual spins on a descriptor at its end.
    """
    poll = select.poll()
    poll.register(fd, 0)  # POLLHUP, POLLERR and POLLNVAL are always reported
    while True:
        found = poll.poll(_WATCH_MS)
        if any(mask & (select.POLLHUP | select.POLLERR) for _, mask in found) or not _is_terminal(fd):
            leave_at_once()
        if found:  # POLLNVAL for a terminal: systems that can't poll one
            time.sleep(_WATCH_MS / 1000)


def _is_terminal(fd: int) -> bool:
    try:
        return os.isatty(fd)
    except OSError:
        return False


def light_background() -> bool:
    """Whether the terminal says that its background is light, in COLORFGBG as rxvt, Konsole and others set it."""
    return os.environ.get("COLORFGBG", "").rpartition(";")[2] in {"7", "15"}


def ascii_only(environ: dict[str, str] | None = None) -> bool:
    """Whether the locale is one without Unicode, such as LANG=C. One that isn't set at all says nothing."""
    env = _first_environment() if environ is None else environ
    for name in ("LC_ALL", "LC_CTYPE", "LANG"):
        value = env.get(name)
        if value:
            return "utf" not in value.lower()
    return False


def _first_environment() -> dict[str, str]:
    """The environment as the caller gave it: Python itself sets LC_CTYPE when it finds LANG=C."""
    try:
        with open("/proc/self/environ", "rb") as file:  # noqa: PTH123
            pairs = (entry.partition(b"=") for entry in file.read().split(b"\0") if entry)
            return {os.fsdecode(name): os.fsdecode(value) for name, _, value in pairs}
    except OSError:
        return dict(os.environ)


def over_ssh() -> bool:
    """Whether this session came over SSH."""
    return any(os.environ.get(name) for name in ("SSH_CONNECTION", "SSH_CLIENT", "SSH_TTY"))
