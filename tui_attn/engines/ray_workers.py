"""Workers in actors of a Ray cluster. A process of its own speaks with Ray: see `ray_relay`."""

from __future__ import annotations

import signal
import sys
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from subprocess import PIPE, Popen
from typing import Any, BinaryIO, cast

from tui_attn.engines.workers import CANNOT_WORK, Launcher, Slot, Worker, add_line, most_workers, new_token
from tui_attn.experiment.folders import ExperimentDir, RunDir
from tui_attn.system import children
from tui_attn.system.json_lines import LineReader, LineWriter
from tui_attn.system.text import safe_text

_SILENT = 15.0
"""Seconds after which a relay that says nothing hangs."""
_AGAIN = 10.0
"""Seconds between two attempts to join a cluster that is gone."""


class RayWorker(Worker):
    """A worker in an actor of a Ray cluster."""

    engine = "ray"
    gives_back = True

    def __init__(self, relay: RayLauncher, slot: Slot, log: RunDir) -> None:
        self.slot = slot
        self.held: list[str] = []
        self.token = new_token()
        self.job: str | None = f"{self.token:012x}"[:6]
        self.waits: str | None = "not placed yet"
        self._relay, self._log = relay, log
        self._code: int | None = None
        self._excuse: str | None = None
        relay.live[self.token] = self
        relay.order("start", self.token, device=slot.device, log=log.id)

    def tell(self, do: str, run: str | None = None) -> None:
        """Send a command; a dead worker's is dropped. Without a cluster, one that is told to exit is over."""
        if do == "exit" and not self._relay.joined:
            self.end(0)
        else:
            self._relay.order("feed", self.token, what={"do": do, "run": run})

    def exit_code(self) -> int | None:
        """None while it lives, as far as is known here."""
        return self._code

    def excuse(self) -> str | None:
        """What was lost between here and the worker, where that is how it ended."""
        return self._excuse

    def kill(self, signum: int) -> None:
        """Send it SIGTERM, or end its actor; a relay that hangs is ended, and all its workers with it."""
        if not self._relay.joined:
            self.end(-signum)
        elif signum == signal.SIGKILL:
            self._relay.order("kill", self.token)
            self._relay.end_if_silent()
        else:
            self._relay.order("signal", self.token, what=int(signum))

    def close(self) -> None:
        """Have it checkpoint and exit."""
        self._relay.order("finish", self.token)

    def end(self, code: int, excuse: str | None = None, *, says: str = "") -> None:
        """It is over, or was never placed. `says`: the reason, as the last line of its log."""
        self._code, self._excuse = code, excuse
        self._relay.live.pop(self.token, None)
        if says:
            add_line(self._log.worker_log, says)


class RayLauncher(Launcher):
    """Starts workers in actors of a Ray cluster, by way of one relay and its successors, processes that speak with Ray.

    A cluster that was joined once and is gone is asked for again and again: the workers wait meanwhile.
    """

    single = True

    def __init__(self, folder: ExperimentDir, address: str | None) -> None:
        """Raises `RunsError`."""
        self.workers = most_workers(folder.manifest_data().config)
        self.live: dict[int, RayWorker] = {}
        """The workers that are not over, by their tokens."""
        self.joined = False
        """Whether the relay is in a cluster, and so takes orders."""
        self._was_in_one = False
        self._arguments: tuple[str | Path, ...] = (folder.path.absolute(), folder.id, *([address] if address else []))
        self._waiting: list[dict[str, Any]] = []
        """Orders that wait for a cluster."""
        self._process: Popen[bytes] | None = None

    def start(self, slot: Slot, log: RunDir) -> RayWorker:
        """A new worker for `slot`. Raises `OSError`."""
        if self._process is None:
            self._launch()
        return RayWorker(self, slot, log)

    def _launch(self) -> None:
        start = partial(children.python, "tui_attn.engines.ray_relay", *self._arguments)
        process = self._process = start(stdin=PIPE, stdout=PIPE, stderr=sys.stderr.fileno())
        orders, news = (cast(BinaryIO, pipe).fileno() for pipe in (process.stdin, process.stdout))
        self._orders, self._news, self._failure = LineWriter(orders), LineReader(news), ""
        self._heard = self._launched = time.monotonic()

    def order(self, do: str, worker: int, **what: Any) -> None:
        """Send an order; a dead worker's is dropped."""
        order = {"do": do, "worker": worker, **what}
        if worker in self.live and self.joined:
            self._orders.send(order)
        elif worker in self.live:
            self._waiting.append(order)

    def look(self) -> Sequence[str]:
        """Take what the relay says, and see to its successor where it has ended."""
        if self._process is not None:
            over = self._process.poll() is not None  # before it is heard, so that nothing it said is missed
            self._orders.flush()
            for news in self._news.read():
                self._heard = time.monotonic()
                self._hear(news)
            if over:
                self._succeed()
        return ()

    def _hear(self, news: dict[str, Any]) -> None:
        worker = self.live.get(news.get("worker", 0))
        if "failed" in news:
            self._failure = safe_text(news["failed"], one_line=True)
        elif "joined" in news:
            self.joined = self._was_in_one = True
            waiting, self._waiting = self._waiting, []
            for order in waiting:
                self.order(**order)
        elif worker is not None and "code" in news:
            worker.end(news["code"], news["excuse"])
        elif worker is not None:
            worker.waits = news.get("waits")

    def _succeed(self) -> None:
        """Start another relay after the end of this one, or say that there can be none."""
        told, was_joined = list(self.live.values()), self.joined
        self.joined = False
        for worker in told:
            if was_joined:
                worker.end(-signal.SIGKILL, "the connection to Ray was lost")
            elif self._was_in_one:
                worker.waits = self._failure or "the Ray cluster is gone"
            else:
                worker.end(CANNOT_WORK, says=self._failure or "the process that speaks with Ray ended")
        if self.live and time.monotonic() > self._launched + _AGAIN:
            self._launch()

    def end_if_silent(self) -> None:
        """End a relay that hangs."""
        if self._process is not None and time.monotonic() - self._heard > _SILENT:
            self._process.kill()
