"""Other processes, as the tests need them: they say when they are ready, and die when told to."""

from __future__ import annotations

import contextlib
import gc
import os
import socket
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from itertools import chain
from pathlib import Path

import pytest

import tui_attn

ROOT = Path(tui_attn.__file__).parents[1]


def environment(**extra: str) -> dict[str, str]:
    """This process's environment, in which `tui_attn` is found wherever the tests were started."""
    path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    return {**os.environ, "PYTHONPATH": path, **extra}


@contextlib.contextmanager
def python(code: str, *arguments: object, **variables: str) -> Iterator[subprocess.Popen[str]]:
    """A Python process that runs `code`; killed at the end. Talk to it through its stdin and stdout."""
    command = [sys.executable, "-c", textwrap.dedent(code), *map(str, arguments)]
    process = subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment(**variables)
    )
    with process:
        try:
            yield process
        finally:
            process.kill()


def said(process: subprocess.Popen[str]) -> str:
    """The next line that `process` prints."""
    assert process.stdout is not None
    return process.stdout.readline().strip()


def free_ports(count: int = 1) -> int:
    """The first of `count` ports in a row that nobody uses, below those that the system gives out by itself.

    Other processes that ask at the same time look elsewhere first.
    """
    first, last = 20_000, 32_000
    begin = first + os.getpid() * count % (last - first)
    for port in chain(range(begin, last, count), range(first, begin, count)):
        with contextlib.ExitStack() as stack:
            try:
                for number in range(port, port + count):
                    stack.enter_context(socket.socket()).bind(("", number))
            except OSError:
                continue
            return port
    raise AssertionError("no free ports")


def open_descriptors() -> int:
    """How many descriptors this process has; skips the test where the system doesn't tell."""
    folder = Path("/proc/self/fd")
    if not folder.is_dir():
        pytest.skip("this system does not list a process's descriptors")
    gc.collect()  # what earlier tests left is not closed later, between two counts
    gc.freeze()  # the next count looks only at what is new
    return len(list(folder.iterdir()))


def run_python(code: str, *arguments: object, **variables: str) -> subprocess.CompletedProcess[str]:
    """What a Python process that runs `code` printed and how it ended."""
    command = [sys.executable, "-c", textwrap.dedent(code), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False, env=environment(**variables))


AT_EVERY_CALL = """
import os, signal, sys

def die_at_every_call(action, check):
    # Do `action` in a child that is killed at its first call into the system's or Python's own code, then in one
    # that is killed at the second, and so on until one gets to the end; `check` what each leaves.
    deaths = -1
    finished = False
    while not finished:
        deaths += 1
        pid = os.fork()
        if pid == 0:
            left = deaths + 1

            def watch(frame, event, argument):
                nonlocal left
                left -= event in ("c_call", "c_return")
                if left == 0:
                    os.kill(os.getpid(), signal.SIGKILL)

            sys.setprofile(watch)
            action()
            sys.setprofile(None)
            os._exit(0)
        _, status = os.waitpid(pid, 0)
        finished = os.WIFEXITED(status)
        assert os.waitstatus_to_exitcode(status) in (0, -signal.SIGKILL), status
        check(finished)
    print(deaths)
"""
"""Put before a script, it offers `die_at_every_call(action, check)`, which prints the number of deaths."""


TAKE_SLOTS = """
import sys
from pathlib import Path
from tui_attn.supervision.scheduling import make_slots
from tui_attn.supervision.slots import SlotLocks

folder, experiment, jobs, *devices = sys.argv[1:]
locks = SlotLocks(Path(folder))
print(sorted(locks.take(make_slots(devices, int(jobs)), experiment).items()), flush=True)
sys.stdin.readline()
"""
"""Takes slots as a supervisor does, prints who else uses the devices, and holds them until its stdin ends."""
