"""Scans a long history in a process of its own.

A scanning thread competes with the one that draws and handles keys, and starves while keys are pressed. So a folder
with many experiments is scanned by `python -m tui_attn.history.scan_process FOLDER`: for each byte on its stdin it
scans once and writes the changes to stdout, a line a batch. It exits when its stdin is closed.
"""

from __future__ import annotations

import contextlib
import os
import select
import subprocess
import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from pathlib import Path

from tui_attn.experiment.finding import candidates
from tui_attn.experiment.manifest import RunsError
from tui_attn.history.updates import HistoryScanner, HistoryUpdate, from_line, to_line
from tui_attn.system import children

_FEW = 20
"""Up to this many experiments are scanned in the calling thread, faster than a process starts."""
_BUFFER = 1 << 18
"""Bytes of the pipe's buffer: a batch is read in one piece."""
_GRACE_SECONDS = 2.0
"""Time for the process to exit."""


class HistoryScan:
    """Reports changes in `runs_dir`, scanning in a process or in place. One thread scans, any thread may stop it.

    `known`: ids of experiments that are shown already.
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
        """The updates of `source`, with experiments that are gone but were reported by another source."""
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
        process = self._process or self._start()
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

    def _start(self) -> subprocess.Popen[bytes]:
        self._process = children.python(
            "tui_attn.history.scan_process",
            self._runs_dir,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            bufsize=_BUFFER,
            start_new_session=True,  # what the terminal sends to its programs is not for this one
        )
        return self._process

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
            for news in scanner.look(_wanted):
                sys.stdout.buffer.write(to_line(news))
                sys.stdout.buffer.flush()


def _wanted() -> bool:
    """Whether stdin is still open: nothing but its end comes during a scan."""
    return not select.select([0], [], [], 0)[0]


if __name__ == "__main__":
    main()
