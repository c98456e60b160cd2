"""The worker's side of a mailbox: makes of a file that grows the pipe that `CommandPipe` reads."""

from __future__ import annotations

import json
import os
import threading
import time
from pathlib import Path

from tui_attn.engines.mailbox import Mailbox, open_runs
from tui_attn.system.plain_file import read_part

INTERVAL = 1.0
"""Seconds between two looks."""
LEASE = 120.0
"""Seconds without a sign of life of the supervisor after which a worker takes no new runs."""


class Inbox:
    """Hands on the commands of a mailbox through `fd`, whose end means that the worker was let go of.

    The supervisor's heartbeat must change within the lease by this process's own clock. When it doesn't, the worker is
    told to exit: it finishes what it has.
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
        """Begin to hand on, in a thread of its own."""
        threading.Thread(target=self._run, daemon=True).start()

    def _run(self) -> None:
        while self.look():
            time.sleep(INTERVAL)

    def look(self) -> bool:
        """Hand on what is new; False once the mailbox is gone."""
        try:
            self._hand_on()
        except FileNotFoundError:
            os.close(self._end)
            return False
        except OSError:  # a network file system that is away for a while
            pass
        self._watch()
        return True

    def _hand_on(self) -> None:
        data = self._mailbox.read(self._offset)
        whole, newline, _ = data.rpartition(b"\n")
        if not newline:
            return
        if self._offset == 0:  # a job that was queued again: what is over stays over
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
