"""SLURM's own programs: sbatch, squeue and scancel. Nothing but a check before a start waits for them."""

from __future__ import annotations

import contextlib
import os
import shlex
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from typing import IO, NamedTuple

from tui_attn.engines.mailbox import Mailbox
from tui_attn.engines.workers import remote_environment
from tui_attn.experiment.engine_spec import EngineSpec
from tui_attn.experiment.folders import ExperimentDir
from tui_attn.system import children
from tui_attn.system.plain_file import open_to_write
from tui_attn.system.text import safe_text

SLOW = 5.0
"""Seconds after which an answer counts as slow: the next question waits twice as long."""
_LONGEST = 120.0
_GIVEN_UP = 60.0
"""Seconds after which a squeue that says nothing is ended."""
_IN_VAIN = 2
"""After so many questions in a row without an answer the user is told."""


TEST_WITHIN = 10.0
"""Seconds for which a start waits for SLURM to say whether it would take a job."""
NOTICE = 60
"""Seconds before its time limit at which SLURM tells a job to checkpoint and leave; less where the limit is short."""
LATER = "unable to contact", "timed out", "connection refused", "zero bytes", "temporarily", "controller", "try again"
"""What sbatch says where the same may work later; the job may exist nevertheless."""


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


# ---- sbatch


def job_name(folder: ExperimentDir, token: int) -> str:
    """What a job is called: nobody who sends an experiment can make it name another job of this user."""
    return f"{folder.id[:40]}.{token:012x}"


def preview(spec: EngineSpec, *, short: bool = False) -> str:
    """The command that submits a job, for people; if `short`, with the user's options only."""
    if short:
        return " ".join(["sbatch ...", shlex.join(spec.slurm_options), "job.sh"])
    return shlex.join([*_sbatch_words(spec, "EXPERIMENT", "EXPERIMENT.TOKEN", 1), "job.sh"])


def refusal(spec: EngineSpec) -> str | None:
    """Why SLURM would not take a job, as `sbatch --test-only` says; None where it would, or doesn't answer in time."""
    command = Command(*_sbatch_words(spec, "test", "test", 1), "--test-only", "--wrap=true")
    code, text = command.wait(within=TEST_WITHIN)
    said = (text.strip().splitlines() or [""])[-1]
    # Without a controller it can't tell; one that is full takes the job nevertheless.
    unsure = code <= 0 or any(words in text.lower() for words in (*LATER, "busy", "not available"))
    return None if unsure or not said else safe_text(said.removeprefix("allocation failure: "), one_line=True)[:200]


def _sbatch_words(spec: EngineSpec, experiment: str, name: str, count: int) -> list[str]:
    """The sbatch command for `count` alike workers, but for the script. Only known options reach it."""
    notice = min(NOTICE, max(10, _seconds(spec.slurm.get("time", "1:00:00")) // 4))
    fixed = (
        "sbatch --parsable --requeue --nodes=1 --ntasks=1 --chdir=/ --input=/dev/null --output=/dev/null --export=ALL"
    )
    about = [f"--signal=B:TERM@{notice}", f"--job-name={name}", f"--comment=tui-attn {experiment}"]
    array = [f"--array=0-{count - 1}"] if count > 1 else []
    return [*fixed.split(), *about, *array, *spec.slurm_options]


def _seconds(limit: str) -> int:
    """A time limit in seconds: minutes, M:S, H:M:S, D-H, D-H:M or D-H:M:S."""
    days, dash, rest = limit.rpartition("-")
    parts = [int(part) for part in rest.split(":")]
    units = (3600, 60, 1) if dash or len(parts) == 3 else (60, 1)
    return int(days or 0) * 86400 + sum(part * unit for part, unit in zip(parts, units, strict=False))


def submit(
    folder: ExperimentDir, spec: EngineSpec, name: str, threads: int, device: str, mailboxes: Sequence[Mailbox]
) -> Command:
    """Begin to submit alike workers as one job, or an array of jobs, called `name`. Raises `OSError`."""
    script = mailboxes[0].script
    with os.fdopen(open_to_write(script, os.O_TRUNC, mode=0o700), "wb") as file:
        file.write(os.fsencode(_job_script(folder, threads, device, mailboxes)))
    return Command(*_sbatch_words(spec, folder.id, name, len(mailboxes)), str(script.resolve()))


def _job_script(folder: ExperimentDir, threads: int, device: str, mailboxes: Sequence[Mailbox]) -> str:
    """The script of a job, in which every name stands in quotes. Each task of an array finds its mailbox by number."""
    path = folder.path.resolve()
    variables = remote_environment(folder, threads).items()
    exports = "\n".join(f"export {name}={shlex.quote(value)}" for name, value in variables)
    cases = "\n".join(f"{number}) mailbox={mailbox.path.name} ;;" for number, mailbox in enumerate(mailboxes))
    worker = shlex.join([sys.executable, "-P", "-m", "tui_attn.train.worker", str(path), device, folder.id])
    return f"""#!/bin/bash
case "${{SLURM_ARRAY_TASK_ID:-0}}" in
{cases}
esac
box={shlex.quote(str(path / mailboxes[0].path.parent.name))}/$mailbox
[ -e "$box/inbox.jsonl" ] || exit 0
exec >>"$box/out.log" 2>&1
umask 077
{exports}
exec {worker} "$((16#$mailbox))" "$box"
"""


# ---- squeue


class Job(NamedTuple):
    """One job, or one task of an array."""

    state: str
    """As `squeue -o %T` has it, such as PENDING."""
    reason: str
    """Why it waits; for one that has to wait for a time with that time."""
    name: str


class Queue:
    """This user's jobs as squeue told them last."""

    def __init__(self, interval: str | None = None, clock: Callable[[], float] = time.monotonic) -> None:
        """`interval`: seconds between two questions, 30 by default; tests ask more often. `clock` is monotonic."""
        self._interval, self._clock = float(os.environ.get("TUI_ATTN_SQUEUE_EVERY") or interval or 30), clock
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


# ---- scancel


def scancel(job: str, name: str, *how: str) -> None:
    """Have a job cancelled or signalled at the next `send_scancels`, if it has this name."""
    _wanted.setdefault((name, *how), []).append(job)


def send_scancels() -> None:
    """Begin to cancel and signal the jobs for which that was asked, alike ones by one command."""
    _scancels[:] = [command for command in _scancels if not command.done()]
    while _wanted:
        (name, *how), jobs = _wanted.popitem()
        with contextlib.suppress(OSError):  # no such program here: the jobs end for want of an inbox
            _scancels.append(Command("scancel", "--quiet", f"--name={name}", *how, *jobs))


_wanted: dict[tuple[str, ...], list[str]] = {}
"""By a job's name and what else scancel is told: jobs."""
_scancels: list[Command] = []
"""Those that may not be over yet."""
