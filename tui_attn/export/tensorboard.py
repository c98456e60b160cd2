"""Event files for TensorBoard, one for each run, kept up to date with the logs or written once.

The content of a file is determined by the log alone. So an existing file is compared with what it should hold, and the
rest is appended. That also completes a record that a full disk or a killed process truncated.
"""

from __future__ import annotations

import contextlib
import importlib.util
import os
from collections.abc import Callable
from functools import partial
from pathlib import Path

from tui_attn.experiment.event_log import LogReader
from tui_attn.experiment.folders import ExperimentDir, RunDir
from tui_attn.experiment.follower import Follower
from tui_attn.experiment.reducer import RunState
from tui_attn.export.outfolder import ExportError, OutFolder
from tui_attn.export.stream import RunStream
from tui_attn.system.files import write_atomically
from tui_attn.system.liveness import Lock
from tui_attn.system.plain_file import open_to_read, open_to_write
from tui_attn.system.text import safe_text

NAME = "events.out.tfevents.tui-attn"
"""The file's name in each run's folder; TensorBoard recognises it by `tfevents`."""


class EventFile:
    """Appends to the file at `path`, with mode 0600. After an `OSError`, the next `flush` writes what is missing."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._size: int | None = None
        """The file's size after the last write; None before the first."""
        self._pending = bytearray()

    @property
    def behind(self) -> bool:
        """Whether there is data to write."""
        return bool(self._pending)

    def add(self, data: bytes) -> None:
        """Queue `data` for the next `flush`. Before the first one, it must begin at the start of the log."""
        self._pending += data

    def flush(self) -> bool:
        """Write pending data. False, with nothing written, if another process changed the file: start over."""
        if self._size is None:
            self._take_up()
        elif self._size != _size(self._path):
            return False
        if self._pending:
            self._append()
        return True

    def _take_up(self) -> None:
        """Skip what the file already holds; replace it if its content differs."""
        there = b""
        with contextlib.suppress(FileNotFoundError), os.fdopen(open_to_read(self._path), "rb") as file:
            there = file.read()
        if self._pending.startswith(there):
            self._size = len(there)
            del self._pending[: len(there)]
        else:
            write_atomically(self._path, bytes(self._pending), sync=False)
            self._size = len(self._pending)
            self._pending.clear()

    def _append(self) -> None:
        fd = open_to_write(self._path, os.O_APPEND)
        try:
            while self._pending:
                written = os.write(fd, self._pending)
                self._size = (self._size or 0) + written
                del self._pending[:written]
        finally:
            os.close(fd)


def _size(path: Path) -> int:
    try:
        return path.stat(follow_symlinks=False).st_size
    except FileNotFoundError:
        return 0


LOCK = "exporter.lock"
"""In an experiment's folder: held by the process that writes event files into its runs' folders."""
NEEDS = "TensorBoard's event files need tensorboard: pip install 'tui-attn[tensorboard]'"


_one_line = partial(safe_text, one_line=True)


def require_tensorboard() -> None:
    """Raise `ExportError` where the extra isn't installed."""
    if importlib.util.find_spec("tensorboard") is None:
        raise ExportError(NEEDS)


def write_event_files(folder: ExperimentDir, out: Path | None, only: str | None) -> tuple[Path, list[str]]:
    """Write the event files once; returns the folder for `--logdir`, and what was left out and why.

    Existing files are completed. While the experiment's own exporter keeps the files in its folder up to date, there is
    nothing to do. Raises `ExportError`.
    """
    if out is not None:
        with OutFolder(out, folder.id) as files:
            export = TensorBoardExport(folder, place=lambda run: files.claim(f"{run}/{NAME}"), only=only)
            return files.path, _complete(export, files.shown)
    try:
        lock = Lock(folder.path / LOCK)
    except BlockingIOError:
        return folder.path, []
    except OSError as error:
        raise _unwritable(error, folder.path) from None
    try:
        return folder.path, _complete(TensorBoardExport(folder, only=only))
    finally:
        lock.release()


def _complete(export: TensorBoardExport, shown: Callable[[object], str] = _one_line) -> list[str]:
    export.catch_up()
    for error in export.problems.values():
        raise _unwritable(error, export.folder.path, shown)
    return [] if export.begun else ["no run has begun: there is nothing to export yet"]


def _unwritable(error: OSError, path: Path, shown: Callable[[object], str] = _one_line) -> ExportError:
    return ExportError(
        f"can't write {shown(error.filename or path)} ({error.strerror}): choose another folder with --out"
    )


class TensorBoardExport:
    """The event files of an experiment, all of its runs or those called `only`. Raises `RunsError`.

    They are in the runs' own folders, where `tensorboard --logdir runs` finds them as `<experiment>/<run>`, or where
    `place` says. Raises what `place` raises.
    """

    def __init__(
        self, folder: ExperimentDir, *, place: Callable[[str], Path] | None = None, only: str | None = None
    ) -> None:
        self.folder = folder
        self._place = place or (lambda run: folder.run(run).path / NAME)
        self._only = only
        self._follower = Follower(folder)
        self._exports: dict[str, _RunExport] = {}
        self.problems: dict[str, OSError] = {}
        """Run -> why its file could not be written at the last attempt."""

    @property
    def begun(self) -> list[str]:
        """The runs that have event files."""
        return list(self._exports)

    def catch_up(self) -> None:
        """Write what is new in the logs. Errors go to `problems`, and are retried at the next call."""
        news = {run for run, _ in self._follower.poll() if run is not None}
        for id_, run in self._follower.state.runs.items():
            if self._only not in {None, id_} or not (id_ in news or id_ in self.problems):
                continue
            if id_ not in self._exports:
                self._exports[id_] = self._export(run)
            try:
                self._exports[id_].catch_up()
                self.problems.pop(id_, None)
            except OSError as error:
                self.problems[id_] = error

    def _export(self, run: RunState) -> _RunExport:
        folder = self.folder.run(run.id)
        stream = partial(RunStream, folder, run, self.folder.id, self._follower.manifest.config)
        return _RunExport(folder, self._place(run.id), stream)


class _RunExport:
    """One run's event file, and the reader of its log."""

    def __init__(self, folder: RunDir, path: Path, stream: Callable[[], RunStream]) -> None:
        self.path = path
        self._folder, self._make_stream = folder, stream
        self._begin()

    def _begin(self) -> None:
        """Read the log from its start; the file may exist."""
        self._log = LogReader(self._folder.events)
        self._stream = self._make_stream()
        self._file = EventFile(self.path)

    def catch_up(self) -> None:
        """Write what is new. Raises `OSError`."""
        self._read()
        if self._log.restarts or not self._file.flush():  # the log or the file was replaced, or the file removed
            self._begin()
            self._read()
            self._file.flush()

    def _read(self) -> None:
        for event in self._log.read():
            self._file.add(self._stream.feed(event))
