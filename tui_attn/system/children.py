"""Child processes, which must never load code from an experiment's folder, since it may come from anybody.

Python, the dynamic linker and `exec` search the working directory where a search path has an empty or relative element,
and some wheels contain such an element. So children run in "/" with clean search paths, and an experiment's folder is
passed to them by descriptor or absolute path.
"""

from __future__ import annotations

import os
import re
import signal
import stat
import subprocess
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from subprocess import CompletedProcess
from typing import IO, Any

from tui_attn.system.signals import HELD

_SEARCH_PATHS = (
    "PATH",
    "PYTHONPATH",
    "LD_LIBRARY_PATH",
    "LD_PRELOAD",
    "LD_AUDIT",
    "DYLD_LIBRARY_PATH",
    "DYLD_FALLBACK_LIBRARY_PATH",
    "DYLD_FRAMEWORK_PATH",
    "DYLD_INSERT_LIBRARIES",
)
_BY_DESCRIPTOR = re.compile(r"/proc/self/fd/(\d+)(?:/|$)")


def clean_environment(extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """This process's environment with only absolute elements in search paths, and `extra` set."""
    environment = dict(os.environ)
    for name in _SEARCH_PATHS:
        if name in environment:
            separator = r"[:; ]" if name.startswith("LD_") else ":"  # the dynamic linker takes all of these
            kept = [part for part in re.split(separator, environment[name]) if part.startswith("/")]
            environment[name] = ":".join(kept)
            if not kept:
                del environment[name]
    return environment | dict(extra or {})


def program(
    *command: str | Path,
    environment: Mapping[str, str] | None = None,
    output: int | IO[bytes] | None = None,
    **options: Any,
) -> subprocess.Popen[bytes]:
    """Start a program in "/" with a clean environment, and without input unless `options` say so.

    `output`: where its stdout and stderr go. `options` are those of `Popen`. Raises `OSError`.
    """
    streams = {} if output is None else {"stdout": output, "stderr": output}
    return subprocess.Popen(list(map(str, command)), **(_apart(environment) | streams | options))


def _apart(environment: Mapping[str, str] | None) -> dict[str, Any]:
    return {"stdin": subprocess.DEVNULL, "cwd": "/", "env": clean_environment(environment)}


def python(
    module: str, *arguments: str | Path, hold_signals: bool = False, pass_fds: Iterable[int] = (), **options: Any
) -> subprocess.Popen[bytes]:
    """Start `python -m module arguments` by `program`, whose options these are.

    The child inherits the descriptors of `Folder`s among the arguments. With `hold_signals`, SIGINT and SIGTERM stay
    blocked until the child has started its `Signals`. Raises `OSError`.
    """
    passed = {int(found[1]) for found in map(_BY_DESCRIPTOR.match, map(str, arguments)) if found}
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, HELD if hold_signals else ())  # the child inherits it
    try:
        return program(sys.executable, "-P", "-m", module, *arguments, pass_fds=(*pass_fds, *passed), **options)
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)


def run(*command: str, seconds: float, environment: Mapping[str, str] | None = None) -> CompletedProcess[str]:
    """Run a program as `program` does, for at most so many `seconds`. Raises `OSError` and `TimeoutExpired`."""
    how = {"capture_output": True, "text": True, "errors": "replace", "timeout": seconds, "check": False}
    return subprocess.run(command, **(_apart(environment) | how))  # noqa: PLW1510 - `how` has it


def output_of(*command: str) -> str:
    """The output of a program; empty where it can't be run or doesn't end within a few seconds."""
    try:
        return run(*command, seconds=5.0).stdout.strip()
    except (OSError, subprocess.TimeoutExpired):
        return ""


class Folder:
    """A folder that is held open, so that it stays the same folder whatever happens to its path.

    Without `/proc` the path is used instead. Raises `OSError`, also where `path` is a link.
    """

    def __init__(self, path: Path) -> None:
        self._named = path.absolute()
        self._fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
        status = self._status = os.fstat(self._fd)
        self.owner, self.mode = status.st_uid, stat.S_IMODE(status.st_mode)
        by_descriptor = Path(f"/proc/self/fd/{self._fd}")
        self.path = by_descriptor if _leads_to(by_descriptor, status) else self._named
        """A path to this very folder, in this process and in those that `python` starts."""

    @property
    def identity(self) -> str:
        """Device, inode, owner and mode, by which another process can verify that it opened the same folder."""
        return f"{self._status.st_dev}:{self._status.st_ino}:{self.owner}:{self.mode:o}"

    def in_place(self) -> bool:
        """Whether the folder is still where it was opened."""
        return _leads_to(self._named, self._status)

    def keep_private(self) -> None:
        """Revoke the write permission of group and others. Raises `OSError`."""
        if self.mode & 0o022:
            os.fchmod(self._fd, self.mode & ~0o022)

    def close(self) -> None:
        """Close it."""
        os.close(self._fd)

    def __enter__(self) -> Folder:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()


def _leads_to(path: Path, status: os.stat_result) -> bool:
    try:
        return os.path.samestat(path.stat(), status)
    except OSError:
        return False
