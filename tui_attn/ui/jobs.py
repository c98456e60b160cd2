"""Programs that the dashboard starts for a while, such as the interventions, and listens to while they work."""

from __future__ import annotations

import subprocess
import threading
from collections.abc import Callable

from tui_attn.system.text import safe_text

KEPT = 50
"""Lines of a job that are remembered."""


class Job:
    """A program at work. Its lines and its end are told to `listener`, from a thread; it may be set at any time."""

    def __init__(self, start: Callable[[], subprocess.Popen[bytes]]) -> None:
        self.lines: list[str] = []
        self.code: int | None = None
        """How it ended; None while it is at work."""
        self.listener: Callable[[Job], object] = lambda _: None
        self._start = start
        self._process: subprocess.Popen[bytes] | None = None
        self._ended = False
        threading.Thread(target=self._work, name="job", daemon=True).start()

    @property
    def working(self) -> bool:
        """Whether it hasn't ended."""
        return self.code is None

    def end(self) -> None:
        """End it, if it hasn't ended by itself."""
        self._ended = True
        if self._process is not None and self._process.poll() is None:
            self._process.terminate()

    def _work(self) -> None:
        try:
            process = self._process = self._start()
        except Exception as error:  # whatever it is, it is the user who must know
            self._say(safe_text(error, one_line=True))
            self._close(1)
            return
        if self._ended:
            process.terminate()
        for line in process.stderr or ():
            self._say(safe_text(line.decode(errors="replace").strip(), one_line=True))
        self._close(process.wait())

    def _say(self, line: str) -> None:
        if line:
            self.lines = [*self.lines, line][-KEPT:]
            self.listener(self)

    def _close(self, code: int) -> None:
        self.code = code
        self.listener(self)


class Jobs:
    """The jobs of a dashboard, by name; they end with it."""

    def __init__(self) -> None:
        self._jobs: dict[str, Job] = {}

    def get(self, name: str) -> Job | None:
        """The newest job called `name`, whether at work or not."""
        return self._jobs.get(name)

    def start(self, name: str, start: Callable[[], subprocess.Popen[bytes]], listener: Callable[[Job], object]) -> Job:
        """Start a job, or return the one that is at work under this name already."""
        found = self._jobs.get(name)
        if found is None or not found.working:
            found = self._jobs[name] = Job(start)
        found.listener = listener
        listener(found)  # it may have ended before anyone listened
        return found

    def stop(self) -> None:
        """End all of them."""
        for job in self._jobs.values():
            job.end()
