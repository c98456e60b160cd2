"""What runs in a Ray actor on a node: it holds the pipe of one worker, and tells what the worker wrote.

Where the node sees the experiment's folder, the worker writes there. Elsewhere it writes into a scratch folder, and
`Runner.news` hands over what is new; the supervisor's side puts it in its place.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple, cast

from tui_attn.system import children
from tui_attn.system.plain_file import open_to_read, open_to_write

_NEWS_SECONDS = 0.5
"""How long `news` waits for the end of the worker before it looks for what is new."""
_PRIVATE = frozenset({"lock", "claim"})


class News(NamedTuple):
    """What a worker wrote since the last time, with names relative to the experiment's folder."""

    code: int | None
    """Its exit code; None while it lives."""
    changes: list[tuple[str, int | None, bytes]] = []  # noqa: RUF012 - never changed
    """In the order in which to write them: a file's name, None and its content, or for a log the offset from which on
    that stands there; whole lines while it lives."""
    names: frozenset[str] = frozenset()
    """Of all files there are."""
    orphaned: bool = False
    """Whether the node's raylet is dead: it started this process, which may outlive it for some seconds."""


def owner_of(folder: Path) -> str:
    """A digest that tells this supervisor's folder from a copy of it; empty where there is none."""
    try:
        with os.fdopen(open_to_read(folder / "supervisor.json"), "rb") as file:
            return hashlib.sha256(file.read(1 << 16)).hexdigest()
    except OSError:
        return ""


class Runner:
    """Holds a worker's pipe: when this process dies, the worker checkpoints and exits."""

    def __init__(self) -> None:
        self._parent = os.getppid()
        self._process: subprocess.Popen[bytes]
        self._scratch: Path | None = None
        """Where the worker writes if the node doesn't see the experiment."""
        self._sent: dict[str, tuple[int, ...]] = {}
        """Of logs the size that was handed over, of files what tells their versions apart."""

    def begin(
        self,
        place: str,
        log: str,
        owner: str,
        arguments: Sequence[str],
        environment: Mapping[str, str],
        files: Mapping[str, bytes],
    ) -> tuple[str, bool]:
        """Start the worker; returns the node's name, and whether it sees the experiment. Raises `OSError`.

        `place`: the experiment's absolute path where the supervisor is. `log`: the run whose log gets what the worker
        prints. `owner`: the digest of supervisor.json: a folder of that path is the experiment's only where it has the
        same. `arguments` of the worker come after the folder. `files` are what a worker needs of the experiment, for a
        node that doesn't see it.
        """
        folder = Path(place)
        shared = bool(owner) and owner_of(folder) == owner
        if not shared:
            folder = self._scratch = Path(tempfile.mkdtemp(prefix="tui-attn-"))
            (folder / log).mkdir(mode=0o700)
            self._put(files)
        output = open_to_write(folder / log / "worker.log", os.O_APPEND)
        try:
            command = sys.executable, "-P", "-m", "tui_attn.train.worker"
            streams: dict[str, Any] = {"stdin": subprocess.PIPE, "output": output}
            self._process = children.program(*command, folder, *arguments, environment=environment, **streams)
        finally:
            os.close(output)
        return os.uname().nodename, shared

    def feed(self, data: bytes, files: Mapping[str, bytes]) -> None:
        """Put the `files` of the runs in `data` in place, then send that to the worker; a dead one's is dropped."""
        if self._scratch is not None:
            self._put(files)
        with contextlib.suppress(OSError, ValueError):
            self._stdin.write(data)
            self._stdin.flush()

    def finish(self) -> None:
        """Close the pipe: the worker checkpoints and exits."""
        with contextlib.suppress(OSError):
            self._stdin.close()

    def signal(self, signum: int) -> None:
        """Send the worker a signal, unless it is over."""
        self._process.send_signal(signum)

    def news(self) -> News:
        """Wait a moment, and return what is new. When the worker has ended, the scratch folder is removed."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(_NEWS_SECONDS)
        code = self._process.poll()  # before the files are looked at: after an end nothing more is written
        if self._scratch is None:
            return News(code, orphaned=self._orphaned)
        names = frozenset(self._names(self._scratch))
        # Read in this order, LATEST.json isn't ahead of the checkpoints that it lists, no checkpoint of its log, and no
        # log of the files that its events name.
        ordered = sorted(names, key=lambda name: ("LATEST" not in name, "/checkpoints/" not in name, not _is_log(name)))
        found = [change for name in ordered if (change := self._change(name, whole=code is None))]
        if code is not None:
            shutil.rmtree(self._scratch, ignore_errors=True)
            self._scratch = None
        return News(code, found[::-1], names, self._orphaned)

    @property
    def _orphaned(self) -> bool:
        return os.getppid() != self._parent

    @property
    def _stdin(self) -> BinaryIO:
        return cast(BinaryIO, self._process.stdin)

    def _put(self, files: Mapping[str, bytes]) -> None:
        if self._scratch is None:
            return
        for name, data in files.items():
            path = self._scratch / name
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            path.write_bytes(data)
            self._sent[name] = (len(data),) if _is_log(name) else _version(path.stat())

    @staticmethod
    def _names(root: Path) -> Iterator[str]:
        for at, _, found in os.walk(root):
            for name in found:
                if name not in _PRIVATE and not name.startswith("."):
                    yield str((Path(at) / name).relative_to(root))

    def _change(self, name: str, *, whole: bool) -> tuple[str, int | None, bytes] | None:
        """What is new in a file, of a log only `whole` lines; None where nothing is."""
        path = cast(Path, self._scratch) / name
        with contextlib.suppress(FileNotFoundError), path.open("rb") as file:
            version = _version(os.fstat(file.fileno()))  # of what is read, also where it is being replaced
            if not _is_log(name):
                if "/" not in name or self._sent.get(name) == version:
                    return None
                data = file.read()
                self._sent[name] = version
                return name, None, data
            begin = min(self._sent.get(name, (0,))[0], os.fstat(file.fileno()).st_size)
            file.seek(begin)
            data = file.read()
            data = data[: data.rfind(b"\n") + 1] if whole else data
            self._sent[name] = (begin + len(data),)
            return (name, begin, data) if data else None
        return None


def _is_log(name: str) -> bool:
    return name.endswith(("/events.jsonl", "/worker.log"))


def _version(status: os.stat_result) -> tuple[int, ...]:
    return status.st_mtime_ns, status.st_size, status.st_ino
