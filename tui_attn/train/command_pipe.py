"""The worker's end of the pipe from its supervisor, or of a mailbox, a file to which commands are appended."""

from __future__ import annotations

import json
import os
import select
import threading
import time
from collections import deque
from dataclasses import dataclass
from pathlib import Path

from tui_attn.engines.mailbox import Mailbox, open_runs
from tui_attn.system.plain_file import read_part
from tui_attn.system.signals import Signals

COMMANDS = frozenset({"train", "pause", "unpause", "stop", "skip", "suspend", "exit"})
_ENDS = frozenset({"stop", "skip", "suspend"})


@dataclass(frozen=True, slots=True)
class Message:
    """One command: what to do, and with which run."""

    do: str
    run: str | None


class CommandPipe:
    """Reads commands from `fd`; the end of the pipe means that the supervisor is gone."""

    def __init__(self, fd: int, signals: Signals) -> None:
        self._fd, self._signals = fd, signals
        self._messages: deque[Message] = deque()
        self._rest = b""
        self._closed = False
        self._poll = select.poll()
        self._poll.register(fd, select.POLLIN)
        self._poll.register(signals.fd, select.POLLIN)

    @property
    def terminated(self) -> bool:
        """Whether a termination signal has arrived."""
        return bool(self._signals.received)

    @property
    def abandoned(self) -> bool:
        """Whether the supervisor is gone or a signal came: checkpoint and exit."""
        return self._closed or self.terminated

    @property
    def waiting(self) -> bool:
        """Whether a command has come or the worker is to end; costs about a microsecond."""
        self.wait(0.0)
        return self.abandoned or bool(self._messages)

    def ends(self, run: str) -> bool:
        """Whether `run` is to end: a stop or skip of it waits, or the supervisor is gone."""
        return self.waiting and (self.abandoned or any(it.run == run and it.do in _ENDS for it in self._messages))

    def take(self) -> list[Message]:
        """The commands since the last call, oldest first."""
        self.wait(0.0)
        messages = list(self._messages)
        self._messages.clear()
        return messages

    def wait(self, seconds: float) -> None:
        """Receive commands until there is one or the worker is to end, for at most `seconds`."""
        if self.abandoned or (self._messages and seconds > 0):
            return
        for fd, _ in self._poll.poll(seconds * 1000):
            if fd == self._fd:
                self._receive()
            else:
                self._signals.drain()

    def _receive(self) -> None:
        try:
            chunk = os.read(self._fd, 65536)
        except OSError:
            chunk = b""
        self._closed = not chunk
        *lines, self._rest = (self._rest + chunk).split(b"\n")
        for line in lines:
            try:
                data = json.loads(line)
                message = Message(str(data["do"]), data["run"])
            except (ValueError, KeyError, TypeError):
                continue
            if message.do in COMMANDS:
                self._messages.append(message)


# ---- commands from a mailbox


INTERVAL = 1.0
"""Seconds between two reads of the mailbox."""
LEASE = 120.0
"""Seconds without a sign of life of the supervisor after which a worker takes no new runs."""


class Inbox:
    """Forwards the commands of a mailbox through `fd`, which is closed when the worker is released.

    The supervisor's heartbeat must change within the lease by this process's own clock. When it doesn't, the worker
    gets the command to exit, and finishes its open runs first.
    """

    def __init__(self, mailbox: Mailbox, supervisor_lock: Path, *, lease: float | None = None) -> None:
        self._mailbox, self._lock = mailbox, supervisor_lock
        self._lease = float(os.environ.get("TUI_ATTN_LEASE", LEASE)) if lease is None else lease
        self._offset = 0
        self._beat: bytes | None = None
        self._seen = time.monotonic()
        self._left = False
        self.fd, self._end = os.pipe()

    def start(self) -> None:
        """Start to forward commands in a thread."""
        threading.Thread(target=self._run, daemon=True).start()

    def _run(self) -> None:
        while self.look():
            time.sleep(INTERVAL)

    def look(self) -> bool:
        """Forward new commands; False when the mailbox is gone."""
        try:
            self._hand_on()
        except FileNotFoundError:
            os.close(self._end)
            return False
        except OSError:  # a network file system may be unreachable for a while
            pass
        self._watch()
        return True

    def _hand_on(self) -> None:
        data = self._mailbox.read(self._offset)
        whole, newline, _ = data.rpartition(b"\n")
        if not newline:
            return
        if self._offset == 0:  # the job may have been queued again: runs that ended are not begun anew
            words = [json.dumps({"do": "train", "run": run}) for run in open_runs(whole)]
            if any(json.loads(line).get("do") == "exit" for line in whole.splitlines()):
                words.append(_EXIT)
            os.write(self._end, "".join(f"{word}\n" for word in words).encode())
        else:
            os.write(self._end, whole + b"\n")
        self._offset += len(whole) + 1

    def _watch(self) -> None:
        try:
            beat = read_part(self._lock, 128)
        except OSError:
            beat = self._beat or b""
        if beat != self._beat:
            self._beat, self._seen = beat, time.monotonic()
        elif time.monotonic() - self._seen > self._lease and not self._left:
            self._left = True
            os.write(self._end, f"{_EXIT}\n".encode())


_EXIT = json.dumps({"do": "exit", "run": None})
