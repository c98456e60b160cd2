"""Scans the history for changes, a long one in a process of its own.

A scanning thread competes with the one that draws and handles keys, and starves while keys are pressed. So a folder
with many experiments is scanned by `python -m tui_attn.history.scan_process FOLDER`: for each byte on its stdin it
scans once and writes the changes to stdout, a line a batch. It exits when its stdin is closed.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from tui_attn.experiment.finding import candidates
from tui_attn.experiment.manifest import RunsError
from tui_attn.history.entries import Entry, Stamp, from_json, keep, open_history, to_json
from tui_attn.system import children
from tui_attn.system.text import safe_text

_BATCH_SECONDS = 0.1
"""Maximum seconds between two batches."""
_BATCH_MOST = 250
"""Maximum rows in a batch."""


@dataclass(frozen=True, slots=True)
class HistoryUpdate:
    """Experiments that are new or have changed, and those that are gone."""

    entries: tuple[Entry, ...] = ()
    gone: frozenset[str] = frozenset()
    complete: bool = False
    """Whether this is the last update of a scan."""
    error: str = ""
    """Why the folder can't be read."""
    total: int = 0
    """Number of folders in this scan."""


class HistoryScanner:
    """Scans the experiments in `runs_dir` repeatedly. Not thread-safe."""

    def __init__(self, runs_dir: Path) -> None:
        self._history = open_history(runs_dir)
        self._kept = self._lasting()
        self._reported: dict[str, Entry] = {}

    def look(self, between: Callable[[], bool]) -> Iterator[HistoryUpdate]:
        """The changes since the last scan, in batches, the last one complete; then caches ended experiments.

        `between` is called after each experiment; the scan ends when it returns false.
        """
        batch: dict[str, Entry] = {}
        seen: set[str] = set()
        reported, error = time.monotonic(), ""
        try:
            for entry in self._entries():
                if entry is not None:
                    seen.add(entry.id)
                    batch[entry.id] = entry
                    if self._reported.get(entry.id) == entry:
                        del batch[entry.id]
                    if not between():
                        return
                full = len(batch) >= _BATCH_MOST or time.monotonic() - reported >= _BATCH_SECONDS
                if batch and (full or entry is None):
                    self._reported |= batch
                    yield HistoryUpdate(tuple(batch.values()), total=self._history.total)
                    batch, reported = {}, time.monotonic()
        except RunsError as problem:
            error = safe_text(problem, one_line=True)
        self._reported |= batch
        gone = frozenset(self._reported.keys() - seen)
        for id_ in gone:
            del self._reported[id_]
        yield HistoryUpdate(tuple(batch.values()), gone, True, error, self._history.total)
        lasting = self._lasting()
        if lasting != self._kept:
            keep(self._history)
            self._kept = lasting

    def _entries(self) -> Iterator[Entry | None]:
        """The entries found; None where a batch has to be sent before the next one."""
        yield from self._history.rows()
        if self._history.undecided:
            yield None  # imports for the verdicts take longer than a batch
        yield from self._history.verdicts()

    def _lasting(self) -> dict[str, Stamp]:
        return {id_: stamp for id_, (stamp, entry) in self._history.known.items() if entry.ended}


def to_line(news: HistoryUpdate) -> bytes:
    """`news` as a line of JSON, its newline included."""
    found = {name: getattr(news, name) for name in HistoryUpdate.__slots__}
    found |= {"entries": [to_json(entry) for entry in news.entries], "gone": sorted(news.gone)}
    return json.dumps(found, separators=(",", ":")).encode() + b"\n"


def from_line(line: bytes) -> HistoryUpdate:
    """The inverse of `to_line`. Raises `ValueError`, `TypeError`, `AttributeError` or `KeyError` for what it isn't."""
    found = json.loads(line)
    entries, gone = tuple(map(from_json, found.pop("entries"))), frozenset(map(str, found.pop("gone")))
    return HistoryUpdate(entries, gone, **found)


_FEW = 20
"""Up to this many experiments are scanned in the calling thread, which is faster than starting a process."""
_BUFFER = 1 << 18
"""Bytes of the pipe's buffer: a batch is read in one piece."""
_GRACE_SECONDS = 2.0
"""Seconds for the process to exit."""


class HistoryScan:
    """Reports changes in `runs_dir`, scanning in a process or in place. One thread scans, any thread may stop it.

    `known`: ids of experiments that are already shown.
    """

    def __init__(self, runs_dir: Path, *, known: Iterable[str] = ()) -> None:
        self._runs_dir = runs_dir.absolute()
        self._here: HistoryScanner | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._usable = True
        """False once a process failed."""
        self._stopped = False
        self._lock = threading.Lock()
        """Guards the stdin of the process."""
        self._reported = set(known)

    @property
    def pid(self) -> int | None:
        """The id of the scanning process, or None."""
        process = self._process
        return None if process is None else process.pid

    def look(self, between: Callable[[], bool]) -> Iterator[HistoryUpdate]:
        """The changes since the last scan, in batches, the last one complete; nothing once stopped.

        `between` is called from time to time, may block, and ends the scan by returning false. After a process failed,
        scans run in place.
        """
        if self._process is not None or (self._usable and _many(self._runs_dir)):
            try:
                yield from self._whole(self._from_process(), anew=self._process is None)
            except (OSError, EOFError, ValueError, TypeError, KeyError, AttributeError):
                self._usable = False
                self._end()
            else:
                self._here = None
                return
        if not self._stopped:
            anew = self._here is None
            self._here = self._here or HistoryScanner(self._runs_dir)
            yield from self._whole(self._here.look(between), anew=anew)

    def stop(self) -> None:
        """Ask the process to exit, from any thread; the scanning thread calls `close`."""
        with self._lock:
            self._stopped = True
            if self._process is not None and self._process.stdin is not None:
                self._process.stdin.close()

    def close(self) -> None:
        """Stop, and wait until the process has exited."""
        self.stop()
        self._end()

    def _whole(self, source: Iterator[HistoryUpdate], *, anew: bool) -> Iterator[HistoryUpdate]:
        """The updates of `source`; those gone since another source reported them are added."""
        seen: set[str] = set()
        for news in source:
            seen.update(entry.id for entry in news.entries)
            if news.complete:
                gone = news.gone | (self._reported - seen) if anew else news.gone
                self._reported = (self._reported | seen) - gone
                yield replace(news, gone=gone)
            else:
                self._reported |= seen
                yield news

    def _from_process(self) -> Iterator[HistoryUpdate]:
        """One scan by the process. Raises `OSError`, what `from_line` raises, and `EOFError` where it died."""
        process = self._process = self._process or children.python(
            "tui_attn.history.scan_process",
            self._runs_dir,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            bufsize=_BUFFER,
            start_new_session=True,  # not for signals of the terminal
        )
        with self._lock:
            if self._stopped or process.stdin is None:
                return
            os.write(process.stdin.fileno(), b"\n")
        for line in process.stdout or ():
            news = from_line(line)
            yield news
            if news.complete:
                return
        if not self._stopped:
            raise EOFError

    def _end(self) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        with self._lock, contextlib.suppress(OSError):
            for pipe in (process.stdin, process.stdout):
                if pipe is not None:
                    pipe.close()
        try:
            process.wait(_GRACE_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _many(runs_dir: Path) -> bool:
    try:
        return len(candidates(runs_dir)) > _FEW
    except (FileNotFoundError, RunsError):
        return False


def main() -> None:
    """Scan for each byte on stdin until it is closed."""
    scanner = HistoryScanner(Path(sys.argv[1]))
    with contextlib.suppress(OSError, KeyboardInterrupt):
        while os.read(0, 1):
            for news in scanner.look(lambda: not select.select([0], [], [], 0)[0]):  # until stdin ends
                sys.stdout.buffer.write(to_line(news))
                sys.stdout.buffer.flush()


if __name__ == "__main__":
    main()
