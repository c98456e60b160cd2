"""The terminal: output that never blocks the app, hang-ups, signals, and what the terminal can show."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import select
import signal
import sys
import termios
import threading
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from textual.message import Message

from tui_attn.ui.textual_private import BufferedApp, OutputDriver

if TYPE_CHECKING:
    from textual.app import App

EXIT_HANGUP = 128 + signal.SIGHUP
_WATCH_MS = 500
_LATEST_EXIT_SECONDS = 0.8
_GIVE_BACK_SECONDS = 0.1
_REPLY_SECONDS = 5.0
"""For so long the beginning of a reply is told from keys; a reply that comes later in one piece is still none."""
_ASK_RGB = "\x1b[48;2;1;2;3m\x1bP$qm\x1b\\\x1b[0m"
"""Sets an RGB background, asks which it is (DECRQSS), and takes it back."""
_RGB_REPLY = re.compile(r"(?:.*[;:])?48[:;]2[:;](?:[:;]|1[:;])?1[:;]2[:;]3(?:[:;].*)?m")
_GIVEN_BACK = (
    "\x1b[?2026l\x1b[?2004l\x1b[?7h\x1b[?2048l\x1b[?1000l\x1b[?1003l\x1b[?1015l\x1b[?1006l"
    "\x1b[<u\x1b[?1049l\x1b[?25h\x1b[?1004l"
)
"""The sequences that Textual sends on exit."""


class TerminalFile:
    """The terminal as a file for Textual's writer thread. Counts texts that are not yet written."""

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._parts: list[str] = []
        self._given = 0
        self._sent = 0
        self.write_seconds = 0.0
        """Seconds that the last write took."""
        self._written_at = 0.0

    @property
    def backlog(self) -> bool:
        """Whether texts are still to be written."""
        return self._given > self._sent

    @property
    def idle_seconds(self) -> float:
        """Seconds since the last write ended."""
        return time.monotonic() - self._written_at

    def give(self) -> None:
        """Count a text that the writer thread is about to `write`."""
        self._given += 1

    def write(self, text: str) -> int:
        """Keep `text` for the next `flush`."""
        self._parts.append(text)
        return len(text)

    def flush(self) -> None:
        """Write what was kept; blocks. Ends the process when the terminal is gone."""
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
    """The process was continued after a suspension: the screen must be drawn again."""


class TerminalDriver(OutputDriver):
    """Textual's driver on stdout. Ends the process when its terminal hangs up."""

    def __init__(
        self, app: App[Any], *, debug: bool = False, mouse: bool = True, size: tuple[int, int] | None = None
    ) -> None:
        # Textual draws on stderr, which may be redirected to a file.
        self.terminal = TerminalFile((sys.__stdout__ or sys.stdout).fileno())
        super().__init__(app, self.terminal, debug=debug, mouse=mouse, size=size)
        self._started = False

    def write(self, data: str) -> None:
        """Hand `data` to the writer thread."""
        self.terminal.give()
        super().write(data)

    def terminal_size(self) -> tuple[int, int]:
        """Columns and rows as the terminal tells them; COLUMNS and LINES may be old."""
        try:
            width, height = os.get_terminal_size(self.terminal.fileno())
        except OSError:
            width = height = 0
        return width or 80, height or 25

    def start_application_mode(self) -> None:
        """Set the terminal up, and watch for a hang-up; after a suspension, draw everything again."""
        if self._started:
            self.app.post_message(TerminalRegained())
        else:
            self._started = True
            threading.Thread(target=_watch, args=(self.fileno,), name="terminal-watch", daemon=True).start()
        super().start_application_mode()  # type: ignore[no-untyped-call]
        if isinstance(self.app, BufferedApp) and self.app.asks_for_rgb:
            self.app.asks_for_rgb = False
            self.awaits_reply = True
            self.write(_ASK_RGB)
            self.app.set_timer(_REPLY_SECONDS, self._stop_waiting)

    def _stop_waiting(self) -> None:
        self.awaits_reply = False

    def give_back(self) -> None:
        """Restore the terminal without Textual; may block."""
        if self.attrs_before is not None:
            with contextlib.suppress(termios.error):
                termios.tcsetattr(self.fileno, termios.TCSANOW, self.attrs_before)
        with contextlib.suppress(OSError):
            os.write(self.terminal.fileno(), _GIVEN_BACK.encode())


def leave_at_once(code: int = EXIT_HANGUP) -> None:
    """End this process now. The training does not depend on it."""
    os._exit(code)


def _leave_late(app: BufferedApp, code: int) -> None:
    """End a process that takes too long to exit, without waiting for its terminal."""
    driver = app.output_driver
    if isinstance(driver, TerminalDriver):
        giving = threading.Thread(target=driver.give_back, name="give-back", daemon=True)
        giving.start()
        giving.join(_GIVE_BACK_SECONDS)
    leave_at_once(code)


def exit_on_signals(app: BufferedApp) -> None:
    """Install signal handlers that restore the terminal on exit."""
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
    """End the process when the terminal hangs up.

    SIGHUP is not enough: a caller may ignore it, and then Textual spins on a closed descriptor.
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


def claims_rgb(term: str | None = None) -> bool:
    """Whether terminfo says that the terminal shows RGB colours (`RGB` or `Tc`), where COLORTERM says nothing."""
    import curses  # only where a terminal has 256 colours

    try:
        curses.setupterm(term, 1)
    except (OSError, ValueError, curses.error):
        return False
    names = ("RGB", "Tc")
    return any(curses.tigetflag(name) > 0 or curses.tigetnum(name) > 0 or curses.tigetstr(name) for name in names)


def may_ask(environ: Mapping[str, str] = os.environ) -> bool:
    """Whether the terminal may be asked: screen passes the question on, tmux and Terminal.app have no answer."""
    between = environ.get("TERM", "").startswith(("screen", "tmux")) or "TMUX" in environ or "STY" in environ
    return not between and environ.get("TERM_PROGRAM") != "Apple_Terminal"


def tells_rgb(reply: str) -> bool:
    """Whether this reply to `_ASK_RGB` has the RGB background that was set."""
    return _RGB_REPLY.fullmatch(reply) is not None
