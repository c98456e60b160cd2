"""Workers in actors of a Ray cluster. A process of its own speaks with Ray: see `ray_relay`."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from typing import Any

from tui_attn.engines.workers import CANNOT_WORK, Launcher, Slot, Worker, new_token
from tui_attn.experiment.folders import ExperimentDir, RunDir
from tui_attn.system import children
from tui_attn.system.plain_file import open_to_write
from tui_attn.system.text import safe_text

MOST = 50
"""Workers without `--jobs`: Ray starts each once a node has room for it."""
_SILENT = 15.0
"""Seconds after which a relay that says nothing hangs."""


class RayWorker(Worker):
    """A worker in an actor of a Ray cluster."""

    engine = "ray"
    gives_back = True

    def __init__(self, relay: _RelayProcess, slot: Slot, log: RunDir) -> None:
        self.slot = slot
        self.held: list[str] = []
        self.token = new_token()
        self.job: str | None = f"{self.token:012x}"[:6]
        self.waits: str | None = "not placed yet"
        self._relay, self._log = relay, log
        self._code: int | None = None
        self._excuse: str | None = None
        relay.workers[self.token] = self
        relay.order("start", self.token, device=slot.device, log=log.id)

    def tell(self, do: str, run: str | None = None) -> None:
        """Send a command; a dead worker's is dropped."""
        self._relay.order("feed", self.token, what={"do": do, "run": run})

    def exit_code(self) -> int | None:
        """None while it lives, as far as is known here."""
        if self._code is None and self._relay.over:
            self._code, self._excuse = self._relay.code, self._relay.excuse
            if self._relay.failure:  # in the log of a worker, whose last line is the reason
                with (
                    contextlib.suppress(OSError),
                    os.fdopen(open_to_write(self._log.worker_log, os.O_APPEND), "a") as log,
                ):
                    log.write(f"{self._relay.failure}\n")
        return self._code

    def excuse(self) -> str | None:
        """What was lost between here and the worker, where that is how it ended."""
        return self._excuse

    def kill(self, signum: int) -> None:
        """Send it SIGTERM, or end its actor; a relay that hangs is ended, and all its workers with it."""
        if signum == signal.SIGKILL:
            self._relay.order("kill", self.token)
            self._relay.end_if_silent()
        else:
            self._relay.order("signal", self.token, what=int(signum))

    def close(self) -> None:
        """Have it checkpoint and exit."""
        self._relay.order("finish", self.token)

    def hear(self, news: dict[str, Any]) -> None:
        """Take what the relay tells of it."""
        if "code" in news:
            self._code, self._excuse = news["code"], news["excuse"]
        self.waits = news.get("waits")


class _RelayProcess:
    """The process that speaks with Ray. Its pipes never block."""

    def __init__(self, folder: ExperimentDir, address: str | None) -> None:
        """Raises `OSError`."""
        self.workers: dict[int, RayWorker] = {}
        self.excuse: str | None = "the connection to Ray was lost"
        self.code = -signal.SIGKILL
        self.failure = ""
        """Why it could not join a cluster."""
        self._unsent = bytearray()
        self._begun = bytearray()
        self._heard = time.monotonic()
        self._process = children.python(
            "tui_attn.engines.ray_relay",
            folder.path.absolute(),
            folder.id,
            *([address] if address else []),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=sys.stderr.fileno(),
        )
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                os.set_blocking(pipe.fileno(), False)

    @property
    def over(self) -> bool:
        """Whether it ended, and all was heard that it said."""
        return self._process.poll() is not None

    def order(self, do: str, worker: int, **what: Any) -> None:
        """Send an order."""
        self._unsent += json.dumps({"do": do, "worker": worker, **what}).encode() + b"\n"
        self._send()

    def _send(self) -> None:
        if self._process.stdin is None:
            return
        try:
            while self._unsent:
                del self._unsent[: os.write(self._process.stdin.fileno(), self._unsent)]
        except BlockingIOError:
            pass
        except OSError:
            self._unsent.clear()

    def look(self) -> None:
        """Take what it says."""
        self._send()
        if self._process.stdout is None:
            return
        with contextlib.suppress(BlockingIOError):
            while data := os.read(self._process.stdout.fileno(), 1 << 16):
                self._begun += data
                self._heard = time.monotonic()
        *lines, rest = bytes(self._begun).split(b"\n")
        self._begun[:] = rest
        for line in lines:
            self._hear(json.loads(line))

    def _hear(self, news: dict[str, Any]) -> None:
        if "failed" in news:
            self.code, self.excuse, self.failure = CANNOT_WORK, None, safe_text(news["failed"], one_line=True)
        elif news.get("worker") in self.workers:
            self.workers[news["worker"]].hear(news)

    def end_if_silent(self) -> None:
        """End it where it hangs."""
        if time.monotonic() - self._heard > _SILENT:
            self._process.kill()


class RayLauncher(Launcher):
    """Starts workers in actors of a Ray cluster, by way of one relay."""

    single = True

    def __init__(self, folder: ExperimentDir, address: str | None) -> None:
        """Raises `RunsError`."""
        config = folder.manifest_data().config
        self.workers = min(MOST, len(config.models) * config.seeds)
        self._folder, self._address = folder, address
        self._relay: _RelayProcess | None = None

    def start(self, slot: Slot, log: RunDir) -> RayWorker:
        """A new worker for `slot`. Raises `OSError`."""
        if self._relay is None or self._relay.over:
            self._relay = _RelayProcess(self._folder, self._address)
        return RayWorker(self._relay, slot, log)

    def look(self) -> None:
        """Take what the relay says."""
        if self._relay is not None:
            self._relay.look()
