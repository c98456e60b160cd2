"""Shared by the attack campaigns: counting, waiting, ending children, and analysing strace logs of commands."""

import argparse
import ctypes
import hashlib
import json
import os
import re
import signal
import stat
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from tui_attn.system import text

PR_SET_CHILD_SUBREAPER = 36
STRACE = ("strace", "-f", "--seccomp-bpf", "-y", "-qq", "-s", "4096")
CHANGES = (
    "rename,renameat,renameat2,unlink,unlinkat,mkdir,mkdirat,rmdir,link,linkat,symlink,symlinkat,truncate,chmod,"
    "fchmodat,chown,lchown,fchownat,mknod,mknodat"
)
"""System calls that change something at a path."""


class Tally:
    """Counts and faults; the exit status of a campaign is 1 if there are any faults."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self.faults: list[str] = []
        self._begun = time.monotonic()

    def fault(self, kind: str, where: str, words: str = "") -> None:
        """Count and print a fault."""
        self.counts[kind] += 1
        self.faults.append(f"{kind}: {where}: {words}")
        print(self.faults[-1], flush=True)

    @property
    def seconds(self) -> float:
        """Seconds since the campaign began."""
        return time.monotonic() - self._begun

    def end(self, file: str | None = None) -> int:
        """Print the figures, write them to `file` too, and return the exit status."""
        figures = {**self.counts, "faults": len(self.faults), "minutes": round(self.seconds / 60, 1)}
        print(json.dumps(figures, indent=1))
        if file:
            Path(file).write_text(json.dumps({"figures": figures, "found": self.faults}, indent=1) + "\n")
        return 1 if self.faults else 0


def parser(documentation: str | None, seconds: float) -> argparse.ArgumentParser:
    """A parser with the options that every campaign has."""
    made = argparse.ArgumentParser(description=documentation, formatter_class=argparse.RawDescriptionHelpFormatter)
    made.add_argument("--seconds", type=float, default=seconds, help="begin nothing more after this time")
    made.add_argument("--seed", type=int, default=0)
    made.add_argument("--json", metavar="FILE", help="write the figures to this file, too")
    return made


def wait(condition: Callable[[], Any], what: str, seconds: float = 300.0) -> Any:
    """Poll until `condition` holds and return its value. Raises `TimeoutError`: something hangs."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        value = condition()
        if value:
            return value
        time.sleep(0.01)
    raise TimeoutError(f"waited {seconds:.0f} s for {what}")


def use_home(folder: Path) -> None:
    """Use a home folder of the campaign's own."""
    for variable in ("HOME", "XDG_CONFIG_HOME", "XDG_STATE_HOME", "XDG_DATA_HOME", "XDG_CACHE_HOME"):
        os.environ[variable] = str(folder / "home")


def adopt_orphans() -> None:
    """Become the parent of descendants whose parents end, so that `end_children` finds and ends them."""
    ctypes.CDLL(None, use_errno=True).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def end_children(within: float = 20.0) -> list[str]:
    """Kill all descendants of this process after a grace period; returns those that had to be killed."""
    ended: list[str] = []
    while children := _children():
        begun = time.monotonic()
        if within <= 0:
            for pid in children:
                with suppress(OSError):
                    ended.append(Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode()[:100])
                os.kill(pid, signal.SIGKILL)
                os.waitpid(pid, 0)
        else:
            time.sleep(0.01)
            within -= min(1.0, time.monotonic() - begun)  # what is more, this process was stopped itself
    return ended


def _children() -> list[int]:
    """This process's live children; dead ones are reaped."""
    own = os.getpid()
    found = [int(pid) for pid in Path(f"/proc/{own}/task/{own}/children").read_text().split()]
    return [pid for pid in found if os.waitpid(pid, os.WNOHANG) == (0, 0)]


def snapshot(folder: Path) -> dict[str, str]:
    """Type, mode, owner and digest of everything in `folder`."""
    found = {}
    for path in sorted(folder.rglob("*")):
        status = path.lstat()
        digest = hashlib.sha256(path.read_bytes()).hexdigest() if stat.S_ISREG(status.st_mode) else ""
        found[str(path.relative_to(folder))] = f"{status.st_mode:o} {status.st_uid} {digest}"
    return found


def last_line(said: str) -> str:
    """The last line of some output, safe to show."""
    lines = said.strip().splitlines()
    return text.safe_text(lines[-1][:200]) if lines else ""


def run(command: Iterable[str], output: Path, limit: float, **options: Any) -> int | None:
    """Run a command in a session of its own; its status, None if it took longer than `limit` seconds."""
    with output.open("wb") as file:
        process = subprocess.Popen(
            list(command), stdin=subprocess.DEVNULL, stdout=file, stderr=file, start_new_session=True, **options
        )
        status = await_end(process.pid, limit)
        process.returncode = -1  # it was waited for; strace takes its children along only if it may clean up
        return status


def await_end(pid: int, limit: float) -> int | None:
    """The exit status of a child; None if it takes longer than `limit` seconds, and then it is killed."""
    while limit > 0:
        begun = time.monotonic()
        ended, status = os.waitpid(pid, os.WNOHANG)
        if ended:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.01)
        limit -= min(1.0, time.monotonic() - begun)  # as above
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    return None


def traced(trace: Path, inside: Path, strangers: Path) -> Iterator[str]:
    """What a trace of `openat`, `execve` and `CHANGES` shows that no command may do.

    Everything in `strangers` must stay closed. Files are made and changed in `inside` only, devices and nameless files
    excepted. Nothing below `inside` is executed, nothing there is opened by a path relative to the working directory.
    """
    for line in trace.read_text(errors="replace").splitlines():
        call = re.search(r"(?:^\d+ +|<\.\.\. )(\w+)(\(| resumed)", line)
        if call is None:
            continue
        name, result = call[1], re.search(r" = \d+<([^>]*)>$", line)
        if result and Path(result[1]).is_relative_to(strangers):
            yield f"opened {result[1]}"
        relative = re.match(r'\d+ +\w+\(AT_FDCWD<([^>]*)>, "([^/"][^"]*)?"', line)
        if relative and Path(relative[1]).is_relative_to(inside):
            yield f"opened by a relative path: {relative[2]}"
        paths = [path for path in re.findall(r'"(/[^"]*)"', line) if not path.startswith(("/proc/self/fd/", "/dev/"))]
        if name == "execve":
            if paths and Path(paths[0]).is_relative_to(inside):
                yield f"executed {paths[0]}"
        elif name in {"openat", "open", "creat"}:
            writes = re.search(r"O_(WRONLY|RDWR|CREAT|TRUNC)", line) and "O_TMPFILE" not in line
            if writes and paths and not _failed(line) and not Path(paths[0]).is_relative_to(inside):
                yield f"opened to write: {paths[0]}"
        elif not _failed(line):
            for path in paths:
                if not Path(path).is_relative_to(inside):
                    yield f"{name} {path}"


def _failed(line: str) -> bool:
    return re.search(r" = -1 E\w+ ", line) is not None


def program(*arguments: str | Path) -> list[str]:
    """The command line of `tui-attn arguments`."""
    return [sys.executable, "-P", "-m", "tui_attn", *map(str, arguments)]
