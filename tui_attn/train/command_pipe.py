"""The worker's end of the pipe from its supervisor."""

from __future__ import annotations

import json
import os
import select
import threading
from collections import deque
from dataclasses import dataclass

COMMANDS = frozenset({"train", "pause", "unpause", "stop", "skip", "exit"})
_ENDS = frozenset({"stop", "skip"})


@dataclass(frozen=True, slots=True)
class Message:
    """One command: what to do, and with which run."""

    do: str
    run: str | None


class CommandPipe:
    """Reads commands from `fd` in a thread of its own; the end of the pipe means that the supervisor is gone."""

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._messages: deque[Message] = deque()
        self._news = threading.Event()
        self.abandoned = False
        """The supervisor is gone, or this process was told to end: checkpoint and exit."""
        self.terminated = False
        """Whether it was told to end by a signal."""
        self._end = select.poll()
        self._end.register(fd, 0)  # the end of a pipe is always reported
        threading.Thread(target=self._read, name="pipe", daemon=True).start()

    @property
    def waiting(self) -> bool:
        """Whether there is anything to attend to; costs next to nothing, a millionth of a second.

        The end of the pipe is looked for here too: on a busy machine, many steps may pass before the thread has a turn.
        """
        if not self.abandoned and any(events & select.POLLHUP for _, events in self._end.poll(0)):
            self.abandon()
        return self.abandoned or bool(self._messages)

    def ends(self, run: str) -> bool:
        """Whether `run` is to end: a stop or skip of it waits, or the supervisor is gone."""
        return self.abandoned or any(message.run == run and message.do in _ENDS for message in tuple(self._messages))

    def take(self) -> list[Message]:
        """The commands since the last call, oldest first."""
        self._news.clear()
        return [self._messages.popleft() for _ in range(len(self._messages))]

    def wait(self, seconds: float) -> None:
        """Return when there is something to attend to, or after `seconds`."""
        if not self.waiting:
            self._news.wait(seconds)

    def abandon(self) -> None:
        """Treat the supervisor as gone."""
        self.abandoned = True
        self._news.set()

    def terminate(self) -> None:
        """SIGTERM came."""
        self.terminated = True
        self.abandon()

    def _read(self) -> None:
        rest = b""
        while True:
            try:
                chunk = os.read(self._fd, 65536)
            except OSError:
                chunk = b""
            if not chunk:
                self.abandon()
                return
            *lines, rest = (rest + chunk).split(b"\n")
            for line in lines:
                self._put(line)

    def _put(self, line: bytes) -> None:
        try:
            data = json.loads(line)
            message = Message(str(data["do"]), data["run"])
        except (ValueError, KeyError, TypeError):
            return
        if message.do in COMMANDS:
            self._messages.append(message)
            self._news.set()
