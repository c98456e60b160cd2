"""Messages, errors and the progress of downloads on stderr. stdout is for data.

Both are ASCII on a terminal that lacks other signs.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import re
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from typing import TextIO

from tui_attn.system.text import duration, plain, safe_text, size

_ASCII_TERMINALS = re.compile(r"(linux|vt\d|cons25|wy\d|dumb$).*")


def open_standard_streams() -> None:
    """Open /dev/null in place of each standard stream that is closed.

    Otherwise the next file that is opened would get its number, and output would go there.
    """
    for fd, name in enumerate(("stdin", "stdout", "stderr")):
        try:
            os.fstat(fd)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # gets the lowest free number, which is `fd`
        if getattr(sys, name) is None:
            setattr(sys, name, open(fd, "r" if fd == 0 else "w", closefd=False))  # noqa: SIM115


def ascii_only(environ: Mapping[str, str] | None = None) -> bool:
    """Whether to write ASCII only: the locale is one without Unicode, such as LANG=C, or the terminal can't show it.

    The Linux console and hardware terminals lack most signs. A locale that isn't set at all says nothing.
    """
    env = _first_environment() if environ is None else environ
    if _ASCII_TERMINALS.fullmatch(env.get("TERM", "")):
        return True
    for name in ("LC_ALL", "LC_CTYPE", "LANG"):
        value = env.get(name)
        if value:
            return "utf" not in value.lower()
    return False


@cache
def _first_environment() -> dict[str, str]:
    """The environment as the caller gave it: Python itself sets LC_CTYPE when it finds LANG=C."""
    try:
        with open("/proc/self/environ", "rb") as file:  # noqa: PTH123
            pairs = (entry.partition(b"=") for entry in file.read().split(b"\0") if entry)
            return {os.fsdecode(name): os.fsdecode(value) for name, _, value in pairs}
    except OSError:
        return dict(os.environ)


def over_ssh(environ: Mapping[str, str] = os.environ) -> bool:
    """Whether this session came over SSH."""
    return any(environ.get(name) for name in ("SSH_CONNECTION", "SSH_CLIENT", "SSH_TTY"))


def takes_ascii(stream: TextIO) -> bool:
    """Whether `stream` takes nothing but ASCII: by its encoding, or because it is a terminal that can't show more."""
    return "utf" not in (stream.encoding or "utf").lower() or (stream.isatty() and ascii_only())


def _redraw(text: str = "") -> None:
    """Replace the present line of the terminal."""
    sys.stderr.write(f"\r\x1b[2K{text}")
    sys.stderr.flush()


def _on_terminal() -> bool:
    return sys.stderr.isatty() and os.environ.get("TERM") != "dumb"


def say(message: str) -> None:
    """Print a message. A closed stderr is ignored."""
    try:
        text = safe_text(message)
        print(plain(text) if takes_ascii(sys.stderr) else text, file=sys.stderr, flush=True)  # noqa: T201
    except (OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), 2)


def complain(message: str) -> None:
    """Print an error of at most two lines."""
    lines = [line for line in safe_text(message).splitlines() if line.strip()][:2]
    say("tui-attn: " + "\n".join(lines))


def fetch_line(phase: str, done: int, total: int | None, *, fresh: int, seconds: float) -> str:
    """The progress of a download: `done` of `total` bytes, of which `fresh` came in the last `seconds`."""
    if not total and not done:
        return phase
    rate = fresh / seconds if seconds > 0 else 0.0
    if not total:
        return f"{phase}  {size(done)}  {size(rate)}/s"
    filled = round(20 * min(done / total, 1.0))
    left = duration((total - done) / rate) if rate > 0 else "–"
    bar = "#" * filled + "." * (20 - filled)
    return f"{phase}  [{bar}] {size(done)} of {size(total)}  {size(rate)}/s  {left} left"


@contextlib.contextmanager
def working(text: str) -> Iterator[None]:
    """On a terminal, show `text` with a turning sign while the block takes longer than half a second."""
    if not _on_terminal():
        yield
        return
    ended = threading.Event()

    def turn() -> None:
        wait, shown = 0.5, False
        for sign in itertools.cycle("|/-\\"):
            if ended.wait(wait):
                break
            wait, shown = 0.2, True
            _redraw(f"{sign} {text}")
        if shown:
            _redraw()

    thread = threading.Thread(target=turn, name="working", daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


class FetchProgress:
    """Shows the progress of a download: a line that is redrawn on a terminal, else a line every five seconds."""

    def __init__(self, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._terminal = _on_terminal()
        self._phase = ""
        self._begun = 0.0
        self._begun_at = 0
        self._next = 0.0
        self._open_line = False

    def __call__(self, phase: str, done: int, total: int | None) -> None:
        """Report progress; see `tui_attn.data.Progress`."""
        now = self._clock()
        if phase != self._phase:
            self.close()
            self._phase, self._begun, self._begun_at = phase, now, done
            self._next = now + (0.2 if self._terminal else 2.0)
            if not self._terminal:
                say(phase if total is None else f"{phase} ({size(total)})")
            return
        if now < self._next:
            return
        self._next = now + (0.2 if self._terminal else 5.0)
        text = fetch_line(phase, done, total, fresh=done - self._begun_at, seconds=now - self._begun)
        if self._terminal:
            columns = os.get_terminal_size(2).columns if os.isatty(2) else 80
            _redraw(safe_text(text, one_line=True)[: columns - 1])
            self._open_line = True
        else:
            say(text)

    def __enter__(self) -> FetchProgress:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def close(self) -> None:
        """Clear the line."""
        if self._open_line:
            _redraw()
            self._open_line = False
