"""The interfaces of workers and launchers; the environment of a worker; exit codes and what they mean."""

from __future__ import annotations

import contextlib
import math
import os
import signal
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from tui_attn.experiment import trust
from tui_attn.experiment.config import ExperimentConfig
from tui_attn.experiment.folders import ExperimentDir, RunDir
from tui_attn.system.plain_file import open_to_write, read_part
from tui_attn.system.signals import signal_name
from tui_attn.system.text import safe_text

CANNOT_WORK = 70
"""Exit code of a worker that could not work at all, so that starting another makes no sense."""
CANNOT_RECORD = 71
"""Exit code of a worker that could not write the end of a run into the run's log."""
DEVICE_LOST = 72
"""Exit code of a worker whose device fails at every call: another worker takes up its runs."""
DISPLACED = 73
"""Exit code of a worker whose run another worker has taken over."""
TERMINATED = 143
"""Exit code of a worker that was sent SIGTERM and kept what there was."""


REMOTE = "TUI_ATTN_REMOTE"
"""Set in the environment of workers on other hosts: they take a run over from one that may still live."""
_TRAVELLING = ("XDG_CACHE_HOME", "XDG_STATE_HOME", "TUI_ATTN_LEASE", "TUI_ATTN_FAULT")
SPIN = "20000"
"""Turns that a waiting thread spins before it sleeps; benchmarks/spinning.py compares."""


@dataclass(frozen=True, slots=True)
class Slot:
    """A place for one worker on a device; several workers may share a device."""

    device: str
    index: int
    """Which of the device's slots, from 0."""


class Worker(Protocol):
    """What the supervisor needs of a worker. No method may wait for another machine."""

    slot: Slot
    held: list[str]
    """The runs that it was given and hasn't ended."""
    token: int
    """Identifies it on every host, as a process id would on one."""
    started_at: float = -math.inf
    """By `time.monotonic`."""
    custom_model: str = ""
    """The only custom model that it trains; "" for built-in models."""
    engine: str = "local"
    job: str | None = None
    """Its id in the scheduler; None where there is no scheduler, and before it is submitted."""
    waits: str | None = None
    """Why a scheduler has it wait; None once it runs."""
    gives_back: bool = False
    """Whether a pause takes the run away from it, so that it can end and free its place."""
    outlives: bool = False
    """Whether it goes on without its supervisor, so that another one may adopt it."""

    @property
    def cancelled(self) -> bool:
        """Whether somebody cancelled its job in the scheduler, and so wants its runs stopped."""
        return False

    @property
    def evicted(self) -> bool:
        """Whether the scheduler preempted it or lost its node: no run is to blame, whether it was opened or not."""
        return False

    def tell(self, do: str, run: str | None = None) -> None:
        """Send a command; a dead worker's is dropped."""

    def exit_code(self) -> int | None:
        """None while it lives, else its exit code, negative for a signal."""

    def excuse(self) -> str | None:
        """Why it died where none of its runs can be to blame, such as the loss of its node; else None."""
        return None

    def kill(self, signum: int) -> None:
        """Send it SIGTERM or SIGKILL if it is still alive."""

    def close(self) -> None:
        """Let go of it: it checkpoints what it holds and ends."""


class Launcher(Protocol):
    """Starts workers on one engine. No method may wait for another machine."""

    workers: int | None = None
    """How many workers there are without `--jobs`; None for one a device."""
    single: bool = False
    """Whether a worker trains one run and ends."""
    remote: bool = True
    """Whether workers use other machines' devices."""
    tick: float = 0.05
    """Seconds between two looks of the supervisor at logs, commands and workers."""

    def start(self, slot: Slot, log: RunDir) -> Worker:
        """A new worker for `slot`, which prints to the log of that run. Raises `OSError`."""

    def look(self) -> Sequence[str]:
        """Called at every tick of the supervisor; what the user should know."""
        return ()

    def adopt(self, slots: Sequence[Slot]) -> Sequence[Worker]:
        """The workers that an earlier supervisor left and that go on, on `slots`."""
        return ()


MOST = 50
"""Workers at once without `--jobs` where a scheduler starts each once there is room for it."""


def most_workers(config: ExperimentConfig) -> int:
    """How many workers there are without `--jobs` where a scheduler places them: one a run, up to a limit."""
    return min(MOST, len(config.models) * config.seeds)


def new_token() -> int:
    """A token for a worker."""
    return int.from_bytes(os.urandom(6)) + 1


def worker_environment(threads: int, *, crowded: bool, uuid: str | None = None) -> dict[str, str]:
    """What a worker with `threads` threads needs in its environment; `crowded`: others compute on the same cores.

    With `uuid` it sees that GPU alone, as cuda:0; with an empty one none. Indices change when another GPU falls off the
    bus, and of several MIG slices CUDA shows a process only the first.
    """
    # By default a thread of libgomp that waits for its sisters spins for about a millisecond. Where another program
    # takes one of the cores, every operator then waits out a time slice: training ran ten times slower.
    chosen = {
        "CUBLAS_WORKSPACE_CONFIG": ":4096:8",
        "CUDA_DEVICE_MAX_CONNECTIONS": "32",  # for runs side by side: with the default 8, streams wait for each other
        "GOMP_SPINCOUNT": "1000" if crowded else SPIN,
    }
    fixed = {"CUDA_DEVICE_ORDER": "PCI_BUS_ID", "PYTHONUNBUFFERED": "1"}
    fixed |= {} if uuid is None else {"CUDA_VISIBLE_DEVICES": uuid}
    threads_of = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS"), str(threads))
    return {name: os.environ.get(name, value) for name, value in chosen.items()} | fixed | threads_of


def remote_environment(folder: ExperimentDir, threads: int) -> dict[str, str]:
    """What a worker on another host needs in its environment: also the digests of the code that this user trusts."""
    trusted = [own.sha256 for own in folder.manifest_data().config.custom_models if trust.is_trusted(str(own.sha256))]
    kept = [name for name in _TRAVELLING if name in os.environ]
    return (
        worker_environment(threads, crowded=False)
        | {name: os.environ[name] for name in kept}
        | {REMOTE: "1"}
        | ({trust.TRAVELLED: ",".join(map(str, trusted))} if trusted else {})
    )


def exit_reason(code: int, log: Path, *, oom_killed: bool) -> str:
    """Why a worker with exit code `code` is dead, in one line."""
    if code == -signal.SIGKILL and oom_killed:
        return "its worker was killed because the machine ran out of memory: use fewer --jobs or a smaller --batch-size"
    if code < 0:
        hint = " (if nobody did this, the machine may have run out of memory)" if code == -signal.SIGKILL else ""
        return f"its worker was killed by {signal_name(-code)}{hint}"
    last = last_lines(log).strip().splitlines()
    said = f": {last[-1][:400]}" if last else ""
    if code == CANNOT_WORK and last:
        return f"its worker could not begin{said}"
    reasons = {
        TERMINATED: "its worker was ended by SIGTERM",
        DEVICE_LOST: f"its device failed{said}",
        DISPLACED: "another worker took its run over",
        CANNOT_RECORD: "its worker could not write its log",
        0: "its worker ended with exit code 0 (a custom model may have called os._exit)",
    }
    return reasons.get(code, f"its worker ended with exit code {code}{said}")


def add_line(log: Path, text: str) -> None:
    """Append a line to a worker's log, if that can be written."""
    with contextlib.suppress(OSError), os.fdopen(open_to_write(log, os.O_APPEND), "wb") as file:
        file.write(f"{text}\n".encode(errors="replace"))


def last_lines(log: Path, size: int = 4096) -> str:
    """The end of a worker's log, safe to show; empty when there is none."""
    try:
        return safe_text(read_part(log, size, -size).decode(errors="replace"))
    except OSError:
        return ""
