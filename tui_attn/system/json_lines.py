"""JSON objects, one a line, through a pipe between processes of this program."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Mapping
from typing import Any


class LineWriter:
    """Sends JSON objects, one a line, through a pipe without ever blocking: what a frozen reader doesn't take waits."""

    def __init__(self, fd: int) -> None:
        os.set_blocking(fd, False)
        self._fd, self._unsent = fd, bytearray()

    def send(self, message: Mapping[str, Any]) -> None:
        """Send an object; a dead reader's is dropped."""
        self._unsent += json.dumps(message).encode() + b"\n"
        self.flush()

    def flush(self) -> None:
        """Send what waits, as far as the pipe takes it."""
        try:
            while self._unsent:
                del self._unsent[: os.write(self._fd, self._unsent)]
        except BlockingIOError:
            pass
        except OSError:
            self._unsent.clear()

    def close(self) -> None:
        """Close the pipe."""
        fd, self._fd = self._fd, -1
        if fd >= 0:
            os.close(fd)


class LineReader:
    """Reads what a `LineWriter` sends, without ever blocking."""

    def __init__(self, fd: int) -> None:
        os.set_blocking(fd, False)
        self._fd, self._begun = fd, b""
        self.ended = False
        """Whether the pipe was closed at the other end."""

    def read(self) -> list[Any]:
        """The objects that came since the last call."""
        with contextlib.suppress(BlockingIOError):
            while data := os.read(self._fd, 1 << 16):
                self._begun += data
            self.ended = True
        *lines, self._begun = self._begun.split(b"\n")
        return [json.loads(line) for line in lines]
