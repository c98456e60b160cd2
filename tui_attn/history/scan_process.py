"""Reads a long history in a process of its own.

A thread that reads has to wait for its turn after each of the many files, while another draws and answers keys: with
keys pressed without pause it comes to nothing. So a folder with many experiments is read by
`python -m tui_attn.history.scan_process FOLDER`: for each byte on its stdin it looks once and writes what is new to
stdout, a line a batch. It ends with its stdin, however the other side came to its end.
"""

from __future__ import annotations

import contextlib
import os
import select
import subprocess
import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from tui_attn.experiment.finding import candidates
from tui_attn.experiment.manifest import RunsError
from tui_attn.history.updates import Looker, News, from_line, to_line
from tui_attn.system import children

_FEW = 20
"""So many experiments are read in the thread that asks: that is sooner done than a process is started."""
_BUFFER = 1 << 18
"""Bytes: a batch comes in one piece, and its reader waits for its turn once."""
_GRACE_SECONDS = 2.0
"""Within this time the process ends by itself."""


class Teller:
    """Tells what is new in `runs_dir`, however many experiments there are. One thread looks, any may stop it.

    `known`: the ids of experiments that were told before, by another.
    """

    def __init__(self, runs_dir: Path, *, known: Iterable[str] = ()) -> None:
        self._runs_dir = runs_dir.absolute()
        self._here: Looker | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._usable = True
        """Whether a process can be had: not any more once one failed."""
        self._stopped = False
        self._lock = threading.Lock()
        """Whoever holds it may write to the process, or close its stdin."""
        self._told = set(known)

    @property
    def pid(self) -> int | None:
        """The process that looks; None where none does."""
        process = self._process
        return None if process is None else process.pid

    def look(self, between: Callable[[], bool]) -> Iterator[News]:
        """What is new since the last look, in batches, the last of them complete; nothing more once it was stopped.

        `between` is called now and then, and may take its time or say that enough was read. A process that fails is
        done without from then on.
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
            self._here = self._here or Looker(self._runs_dir)
            yield from self._whole(self._here.look(between), anew=anew)

    def stop(self) -> None:
        """Let the process end. From any thread; the one that looks takes its leave of it with `close`."""
        with self._lock:
            self._stopped = True
            if self._process is not None and self._process.stdin is not None:
                self._process.stdin.close()

    def close(self) -> None:
        """Stop, and see the process end."""
        self.stop()
        self._end()

    def _whole(self, source: Iterator[News], *, anew: bool) -> Iterator[News]:
        """What `source` tells, and what is gone though it never knew of it, because another source told it."""
        seen: set[str] = set()
        for news in source:
            seen.update(entry.id for entry in news.entries)
            if news.complete:
                gone = news.gone | (self._told - seen) if anew else news.gone
                self._told = (self._told | seen) - gone
                yield News(news.entries, gone, True, news.error)
            else:
                self._told |= seen
                yield news

    def _from_process(self) -> Iterator[News]:
        """One look of the process. Raises `OSError` and what `from_line` raises, `EOFError` where it is dead."""
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
    """Look whenever asked, until nobody asks any more."""
    looker = Looker(Path(sys.argv[1]))
    with contextlib.suppress(OSError, KeyboardInterrupt):
        while os.read(0, 1):
            for news in looker.look(_wanted):
                sys.stdout.buffer.write(to_line(news))
                sys.stdout.buffer.flush()


def _wanted() -> bool:
    """Whether somebody still waits: nothing comes during a look but the end."""
    return not select.select([0], [], [], 0)[0]


if __name__ == "__main__":
    main()
