"""The worker's end of the pipe from its supervisor."""

from __future__ import annotations

import json
import os
import select
from collections import deque
from dataclasses import dataclass

from tui_attn.system.signals import Signals

COMMANDS = frozenset({"train", "pause", "unpause", "stop", "skip", "suspend", "exit"})
_ENDS = frozenset({"stop", "skip", "suspend"})


@dataclass(frozen=True, slots=True)
class Message:
    """One command: what to do, and with which run."""

    do: str
    run: str | None


class CommandPipe:
    """Reads commands from `fd` whenever it is asked; the end of the pipe means that the supervisor is gone."""

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
        """Whether a signal told this process to end."""
        return bool(self._signals.received)

    @property
    def abandoned(self) -> bool:
        """Whether the supervisor is gone or a signal came: checkpoint and exit."""
        return self._closed or self.terminated

    @property
    def waiting(self) -> bool:
        """Whether there is anything to attend to; costs about a microsecond."""
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
        """Receive what is there; return when there is something to attend to, or after `seconds`."""
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
