"""Everything that a worker writes of one run: log, checkpoints, files and heartbeat."""

from __future__ import annotations

import contextlib
import math
import os
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from tui_attn.engines.workers import REMOTE
from tui_attn.experiment.event_log import LogWriter
from tui_attn.experiment.folders import RunDir
from tui_attn.system import files, liveness
from tui_attn.system.plain_file import read_part
from tui_attn.train.checkpoint import Saved, Saver, names

T = TypeVar("T")
PAUSE = 0.2
"""Seconds between two attempts."""
LOCKED_WITHIN = 30.0
"""Seconds for which a worker on another host waits until the previous owner of the run has left."""
SYNC_EVERY = 15.0
"""Seconds between two syncs of log and heartbeat to a network file system."""


class NoRoomError(Exception):
    """The disk is full, and this process must end before there is room."""


def retry_on_full_disk(
    write: Callable[[], T], *, should_abort: Callable[[], bool], sign_of_life: Callable[[], object]
) -> T:
    """Call `write` until the disk isn't full. Raises `NoRoomError` when `should_abort`, and other `OSError`s."""
    while True:
        try:
            return write()
        except OSError as error:
            if error.errno not in files.FULL:
                raise
        if should_abort():
            raise NoRoomError
        sign_of_life()
        time.sleep(PAUSE)


def _locked(path: Path, within: float) -> liveness.Lock:
    """Acquire the lock at `path` `within` so many seconds. Raises `BlockingIOError`."""
    deadline = time.monotonic() + within
    while True:
        try:
            return liveness.Lock(path)
        except BlockingIOError:
            if time.monotonic() >= deadline:
                raise
        time.sleep(PAUSE)


class LogGoneError(Exception):
    """The run's log was removed or replaced by someone else while it was written."""


class DisplacedError(Exception):
    """Another worker has taken over the run, so this one must not write to it any more."""


class RunWriter:
    """Owns the files of a run while it is open, and waits while the disk is full.

    Raises `BlockingIOError` when another process owns them, `OSError` when they can't be written. `should_abort` tells
    whether to stop waiting for room: then `NoRoomError` is raised.

    On a file system whose locks don't reach another host, two workers may own them. Each leaves a token of its own when
    it takes the run; before each line, file and checkpoint the token is read again, and the older worker gets
    `DisplacedError` (a fencing token: Kleppmann, Designing Data-Intensive Applications, chapter 8).
    """

    def __init__(self, folder: RunDir, should_abort: Callable[[], bool]) -> None:
        self._named = folder
        self._should_abort = should_abort
        with contextlib.ExitStack() as stack:
            self.folder = folder = stack.enter_context(folder.opened())
            self._token = os.urandom(8).hex().encode()
            remote = bool(os.environ.get(REMOTE))
            if remote:  # another owner sees the claim before its next line, and leaves
                files.write_atomically(folder.claim, self._token)
            lock = _locked(folder.lock, LOCKED_WITHIN if remote else 0.0)
            stack.callback(lock.release)
            if not remote:
                files.write_atomically(folder.claim, self._token, sync=False)
            files.remove_stale_files(folder.path)
            self._log = LogWriter(folder.events)
            files.sync_folder(folder.path)  # so that a new log survives a power loss
            self._held = stack.pop_all()
        self._heart = liveness.Heartbeat(folder.heartbeat)
        self._heart.beat(now=True)  # if the worker dies of what follows, this run is suspected
        self._saver = Saver(folder.checkpoints, self.check_claim)
        self._sync_every = SYNC_EVERY if remote else math.inf
        self._synced = time.monotonic()
        self._open = True
        self._unsynced: deque[Path] = deque()
        self.behind = False
        """Whether an event is missing from the log because the disk is full."""

    @property
    def fresh(self) -> bool:
        """Whether nothing of the run is on disk yet."""
        return self.folder.events.stat().st_size == 0 and not names(self.folder.checkpoints)

    def record(self, type_: str, /, **payload: Any) -> None:
        """Append an event to the log."""
        self.check_claim()
        self.retry(lambda: self._append(type_, **payload))

    def _append(self, type_: str, /, **payload: Any) -> None:
        self._log.append(type_, **payload, w=self._token.decode())

    def write(self, path: Path, data: bytes, *, sync: bool = True) -> None:
        """Put `data` at `path`, atomically; without `sync` it survives a power loss once the next checkpoint does."""
        self.check_claim()
        self.retry(lambda: files.write_atomically(path, data, sync=sync))
        if not sync:
            self._unsynced.append(path)

    def retry(self, write: Callable[[], T]) -> T:
        """Call `write` until the disk isn't full."""
        told = False

        def sign_of_life() -> None:
            nonlocal told
            if not told:
                told = True
                with contextlib.suppress(OSError):  # a log can grow where no file can be made, such as without inodes
                    self._append("warning", message="no room on the disk: this run waits")
            self.beat()

        try:
            return retry_on_full_disk(write, should_abort=self._should_abort, sign_of_life=sign_of_life)
        except NoRoomError:
            self.behind = True
            raise

    def beat(self, *, now: bool = False) -> None:
        """Send a heartbeat, at most once a second unless `now`, and check the log."""
        if self._heart.beat(now=now):
            self.check()
            if time.monotonic() - self._synced > self._sync_every:  # so that other hosts see it
                self._synced = time.monotonic()
                self._log.sync()
                self._heart.sync()

    def check(self) -> None:
        """Raise `LogGoneError` when the log was removed or replaced."""
        if not self._log.in_place(self._named.events):
            raise LogGoneError("its event log was removed or replaced by another program while it was written")

    def check_claim(self) -> None:
        """Raise `DisplacedError` when another worker has taken over the run. From any thread."""
        try:
            newest = read_part(self.folder.claim, 64)
        except OSError:  # removed: the log is checked as well
            return
        if newest != self._token:
            raise DisplacedError

    def reopen(self) -> None:
        """Open a new log if the old one is gone. Raises `OSError`."""
        self.check_claim()
        if not self._log.in_place(self._named.events):
            self._log.close()
            self._log = LogWriter(self._named.events)

    def sync(self) -> None:
        """Sync the log and the files that were written without sync. From any thread."""
        while self._unsynced:
            path = self._unsynced[0]
            files.sync_file(path)
            files.sync_folder(path.parent)
            self._unsynced.popleft()
        self._log.sync()

    # ---- checkpoints

    def checkpoint(self, state: dict[str, Any], *, step: int, epoch: int) -> None:
        """Start to write a checkpoint, after the log so far; the previous one is on disk by then."""
        self.finish_checkpoint()
        self._saver.start(state, step=step, epoch=epoch, after=self.sync)

    @property
    def checkpointing(self) -> bool:
        """Whether a checkpoint is being written."""
        return self._saver.busy

    def look_at_checkpoint(self) -> None:
        """Record the checkpoint that was being written, if it is on disk."""
        if self._saver.finished:
            self.finish_checkpoint()

    def finish_checkpoint(self) -> None:
        """Wait until the checkpoint that is being written, if any, is on disk, and record it."""
        self._announce(self.retry(self._saver.finish))

    def save(self, state: dict[str, Any], *, step: int, epoch: int) -> None:
        """Write a checkpoint and wait for it, but not for room: on a full disk the previous one counts."""
        try:
            self._announce(self._saver.finish())
            self._saver.start(state, step=step, epoch=epoch, after=self.sync)
            self._announce(self._saver.finish())
        except OSError as error:
            if error.errno not in files.FULL:
                raise
            with contextlib.suppress(OSError):
                self._append("warning", message="no room for a checkpoint: the one before counts")

    def _announce(self, saved: Saved | None) -> None:
        if saved is not None:
            self.record("checkpoint", step=saved.step, epoch=saved.epoch, file=saved.file, bytes=saved.size)

    def close(self) -> None:
        """Close the run's files and release its lock."""
        if self._open:
            self._open = False
            self._saver.close()
            self._log.close()
            self._heart.close()
            self._held.close()
