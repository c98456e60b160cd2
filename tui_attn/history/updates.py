"""Changes of the history since the last scan, in batches, and as lines of JSON from one process to another."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from tui_attn.experiment.manifest import RunsError
from tui_attn.history.entries import Entry, Stamp, from_json, keep, open_history, to_json
from tui_attn.system.text import safe_text

_BATCH_SECONDS = 0.1
"""Time after which the rows read so far are sent."""
_BATCH_MOST = 250
"""Rows sent at once."""


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
    """Folders that this scan looks at."""


class HistoryScanner:
    """Scans the experiments in `runs_dir` repeatedly. Use from one thread at a time."""

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
        """The entries found; None where a batch shall be sent before the next one."""
        yield from self._history.rows()
        if self._history.undecided:
            yield None  # to load what decides takes longer than a batch
        yield from self._history.verdicts()

    def _lasting(self) -> dict[str, Stamp]:
        return {id_: stamp for id_, (stamp, entry) in self._history.known.items() if entry.ended}


def to_line(news: HistoryUpdate) -> bytes:
    """`news` as a line of JSON, its newline included."""
    entries = [to_json(entry) for entry in news.entries]
    found = {"entries": entries, "gone": sorted(news.gone), "complete": news.complete, "error": news.error}
    found["total"] = news.total
    return json.dumps(found, separators=(",", ":")).encode() + b"\n"


def from_line(line: bytes) -> HistoryUpdate:
    """The inverse of `to_line`. Raises `ValueError`, `TypeError` or `KeyError` for what it isn't."""
    found = json.loads(line)
    if not isinstance(found, dict):
        raise TypeError("not what was written")
    entries = tuple(from_json(entry) for entry in found["entries"])
    return HistoryUpdate(
        entries, frozenset(map(str, found["gone"])), bool(found["complete"]), str(found["error"]), int(found["total"])
    )
