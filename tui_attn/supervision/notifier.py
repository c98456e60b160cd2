"""Decides when a notice is due, and starts a process that sends it.

A failing notice must not affect training: nothing here raises, and only `finish` waits.
"""

from __future__ import annotations

import contextlib
import json
import subprocess
import time
from collections.abc import Callable, Iterable, Sequence
from subprocess import DEVNULL, PIPE
from typing import BinaryIO, cast

from tui_attn.experiment.folders import ExperimentDir
from tui_attn.experiment.follower import Follower
from tui_attn.experiment.notices import Notice, NoticeWatch, RunReport, end_notice
from tui_attn.experiment.reducer import ExperimentState
from tui_attn.supervision.notify_settings import NotifySettings
from tui_attn.system import children
from tui_attn.system.text import safe_text

LOOK_EVERY = 1.0
"""Seconds between two checks."""
LEAST_BETWEEN = 60.0
"""Minimum seconds between two notices of a kind; those in between are merged."""
FINISH_WITHIN = 15.0
"""Seconds within which the notices at the end of an experiment must be sent."""


class Notifier:
    """Sends notices of one experiment."""

    def __init__(
        self,
        settings: NotifySettings,
        folder: ExperimentDir,
        warn: Callable[[str], None],
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._settings, self._folder, self._clock = settings, folder, clock
        self.warn = warn
        """Called when a notice could not be sent."""
        self._watch = NoticeWatch()
        self._waiting: dict[str, Notice] = {}
        self._sent_at: dict[str, float] = {}
        self._senders: list[tuple[str, subprocess.Popen[bytes]]] = []
        self._next = clock()

    @property
    def idle(self) -> bool:
        """Whether no notice is on its way."""
        self._reap()
        return not self._senders

    def look(self, follower: Follower) -> None:
        """Find new notices and send those that are due; at most once a second."""
        now = self._clock()
        if now < self._next:
            return
        self._next = now + LOOK_EVERY
        silent = set(follower.silent_runs())
        for notice in self._watch.look("running", reports(follower.state, silent)):
            self._waiting[notice.kind] = notice
        for kind, notice in list(self._waiting.items()):
            if now - self._sent_at.get(kind, -LEAST_BETWEEN) >= LEAST_BETWEEN:
                del self._waiting[kind]
                self._send(notice, with_verdict=False)
        self._reap()

    def finish(self, state: ExperimentState) -> None:
        """Send the last notices, the notice of the end among them, and wait a while for their delivery."""
        self.end(self._watch.look(state.state, reports(state)) or [end_notice(state.state, reports(state))])

    def end(self, notices: Sequence[Notice], *, with_verdict: bool = True) -> None:
        """Send `notices`, the last one with the verdict, and wait a while for their delivery."""
        for notice in notices:
            self._send(notice, with_verdict=with_verdict and notice is notices[-1])
        deadline = self._clock() + FINISH_WITHIN
        for _, process in self._senders:
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(max(deadline - self._clock(), 0.0))
        self._reap()

    def _send(self, notice: Notice, *, with_verdict: bool) -> None:
        if notice.kind not in self._settings.on:
            return
        self._sent_at[notice.kind] = self._clock()
        asked = notice._asdict() | {"settings": self._settings.table, "with_verdict": with_verdict}
        try:
            command = "tui_attn.supervision.notify_process", self._folder.path.absolute(), self._folder.id
            process = children.python(*command, stdin=PIPE, stdout=DEVNULL, stderr=PIPE, start_new_session=True)
            with cast(BinaryIO, process.stdin) as pipe:
                pipe.write(json.dumps(asked).encode())
        except OSError as error:
            self._failed(notice.kind, error.strerror or "it could not be started")
        else:
            self._senders.append((notice.kind, process))

    def _reap(self) -> None:
        for sender in [each for each in self._senders if each[1].poll() is not None]:
            self._senders.remove(sender)
            kind, process = sender
            with cast(BinaryIO, process.stderr) as pipe:
                said = pipe.read(2000).decode("utf-8", "replace")
            if process.returncode:
                last = said.strip().splitlines()
                self._failed(kind, last[-1][:300] if last else "the server or the command took too long")

    def _failed(self, kind: str, why: str) -> None:
        self.warn(f"the notice '{kind}' was not sent: {safe_text(why, one_line=True)}")


def reports(state: ExperimentState, silent: Iterable[str] = ()) -> list[RunReport]:
    """The runs in `state` for a `NoticeWatch`; `silent` ones count as stalled."""
    return [
        RunReport(run.id, "stalled" if run.id in silent else run.state, run.reason, run.diverged)
        for run in state.runs.values()
    ]
