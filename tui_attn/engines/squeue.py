"""This user's jobs as squeue lists them: asked for periodically, and never waited for."""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Callable
from typing import IO, NamedTuple

from tui_attn.system import children
from tui_attn.system.text import safe_text

SLOW = 5.0
"""Seconds after which an answer counts as slow: the next question waits twice as long."""
_LONGEST = 120.0
_GIVEN_UP = 60.0
"""Seconds after which a squeue that says nothing is ended."""
_IN_VAIN = 2
"""After so many questions in a row without an answer the user is told."""


class Job(NamedTuple):
    """One job, or one task of an array."""

    state: str
    """As `squeue -o %T` has it, such as PENDING."""
    reason: str
    """Why it waits; for one that has to wait for a time with that time."""
    name: str


class Command:
    """A program of SLURM's that runs beside this process. Raises `OSError`."""

    def __init__(self, *words: str) -> None:
        self.began = time.monotonic()
        self._out: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115 - closed when it is done
        environment = {"LC_ALL": "C", "SLURM_TIME_FORMAT": "standard"}
        self._process = children.program(*words, environment=environment, output=self._out)

    def done(self, within: float = _GIVEN_UP) -> bool:
        """Whether it is over; after `within` seconds it is ended."""
        if self._process.poll() is None and time.monotonic() - self.began > within:
            self._process.kill()
            self._process.wait()
        return self._process.poll() is not None

    def wait(self, within: float) -> tuple[int, str]:
        """Its result, after `within` seconds at most."""
        while not self.done(within):
            time.sleep(0.02)
        return self.result()

    def result(self) -> tuple[int, str]:
        """Its exit code and what it printed, once it is done."""
        with self._out as file:
            file.seek(0)
            return self._process.returncode, file.read(1 << 24).decode(errors="replace")


class Queue:
    """This user's jobs as squeue told them last; `clock` is monotonic."""

    def __init__(self, interval: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._interval, self._clock = interval, clock
        self._factor = 1.0
        self._next = clock()
        self._asking: Command | None = None
        self._asked = 0.0
        self.jobs: dict[str, Job] = {}
        """By id, an array's task as `4711_3`."""
        self.known_at = -1.0
        """When the question was asked that `jobs` answers; negative before the first answer."""
        self.answers = 0
        self._in_vain = 0
        self._said = ""

    @property
    def problem(self) -> str | None:
        """What squeue says instead of an answer; None while it answers, and after a single failure."""
        return self._said if self._in_vain >= _IN_VAIN else None

    def look(self) -> None:
        """Take an answer that has come, or ask again when it is time."""
        now = self._clock()
        if self._asking is not None and self._asking.done():
            code, text = self._asking.result()
            slow = now - self._asked > SLOW or code != 0
            self._factor = min(self._factor * 2, _LONGEST / self._interval) if slow else 1.0
            self._factor = max(1.0, self._factor)
            self._asking = None
            self._next = self._asked + self._interval * self._factor
            if code == 0:
                self.jobs = dict(_parsed(text))
                self.known_at, self.answers, self._in_vain = self._asked, self.answers + 1, 0
            else:
                self._in_vain += 1
                last = (text.strip().splitlines() or [f"squeue said nothing for {_GIVEN_UP:.0f} s"])[-1]
                self._said = safe_text(last, one_line=True)[:200]
        if self._asking is None and now >= self._next:
            self._asked, self._next = now, now + self._interval
            words = ("--me", "--noheader", "--array", "--states=all", "-o", "%i|%T|%r|%S|%j")
            try:
                self._asking = Command("squeue", *words)
            except OSError:
                return

    def hurry(self) -> None:
        """Ask soon: something has happened."""
        self._next = min(self._next, self._asked + max(1.0, self._interval / 3) * self._factor)


def _parsed(text: str) -> list[tuple[str, Job]]:
    found = []
    for line in text.splitlines():
        fields = line.split("|", 4)
        if len(fields) == 5 and fields[0][:1].isdigit():
            id_, state, reason, begin, name = fields
            at = _clock(begin) if reason == "BeginTime" else ""
            reason = safe_text(f"{reason}, not before {at}" if at else reason, one_line=True)
            found.append((id_, Job(state, reason[:100], name)))
    return found


def _clock(moment: str) -> str:
    """The hour of a moment such as 2026-11-30T04:22:10, on another day with the date; empty for no moment."""
    day, _, clock = moment.partition("T")
    return clock[:5] if day == time.strftime("%Y-%m-%d") or not clock else f"{day} {clock[:5]}"


def poll_interval(asked: str | None) -> float:
    """Seconds between two questions: what the user `asked` for, 30 by default; tests ask more often."""
    return float(os.environ.get("TUI_ATTN_SQUEUE_EVERY") or asked or 30)
