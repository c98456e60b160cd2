"""Checkpoints that survive any interruption: temporary file, sync, rename, digest; two are kept."""

from __future__ import annotations

import contextlib
import copy
import hashlib
import io
import json
import os
import re
import zipfile
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from tui_attn.system import files
from tui_attn.system.fault_injection import fault
from tui_attn.system.plain_file import NotAFileError, open_to_read
from tui_attn.train.accelerator import HostCopy

KEEP = 2
MAX_BYTES = 1 << 32
_NAME = re.compile(r"step-(\d{1,12})\.pt")


class CheckpointError(Exception):
    """A checkpoint that can't be used; the message says why, in a few words."""


@dataclass(frozen=True, slots=True)
class Saved:
    """One checkpoint on disk."""

    file: str
    step: int
    epoch: int
    size: int
    sha256: str


class Saver:
    """Serialises and writes checkpoints in its own thread, one at a time.

    The caller's thread only copies the state, so that training waits neither for the disk nor for serialisation.
    """

    def __init__(self, folder: Path, guard: Callable[[], object] = lambda: None) -> None:
        """`guard` is called in the writing thread before each file and may raise, so that it isn't written."""
        self.folder, self._guard = folder, guard
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="checkpoint")
        self._job: Callable[[], Saved] | None = None
        self._pending: Future[Saved] | None = None

    def start(
        self, state: dict[str, Any], *, step: int, epoch: int, after: Callable[[], object] = lambda: None
    ) -> Saved | None:
        """Start to write `state`, after a call of `after` in the writing thread.

        Waits for the previous checkpoint, if any, and returns it. Raises `OSError` when that could not be written.
        """
        finished = self.finish()
        copies, copies_are_done = copied(state)

        def job() -> Saved:
            self._guard()
            copies_are_done()
            buffer = io.BytesIO()
            torch.save(copies, buffer)
            after()
            return write(self.folder, buffer.getvalue(), step=step, epoch=epoch, guard=self._guard)

        self._job, self._pending = job, self._thread.submit(job)
        return finished

    @property
    def busy(self) -> bool:
        """Whether a checkpoint is being written."""
        return self._pending is not None and not self._pending.done()

    @property
    def finished(self) -> bool:
        """Whether a checkpoint was written that `finish` would return at once."""
        return self._pending is not None and self._pending.done()

    def finish(self) -> Saved | None:
        """Wait for the checkpoint that is being written; None when there is none.

        Raises `OSError` when it could not be written; another call tries again.
        """
        if self._job is None:
            return None
        pending, self._pending = self._pending or self._thread.submit(self._job), None
        saved = pending.result()
        self._job = None
        return saved

    def close(self) -> None:
        """Wait for the thread, and end it."""
        self._thread.shutdown()


def copied(state: dict[str, Any]) -> tuple[dict[str, Any], Callable[[], object]]:
    """A copy of `state` with its tensors on the CPU, and what waits until the device has filled it.

    Tensors in the same memory stay so. The copies are made after the work that the current stream was given before.
    """
    known: dict[tuple[Any, ...], HostCopy] = {}

    def copy_of(value: Any) -> Any:
        if isinstance(value, Tensor):
            place = value.data_ptr(), value.device, value.dtype, value.shape, value.stride()
            if place not in known or not value.data_ptr():  # an empty one has no place
                known[place] = HostCopy(value.detach())
            return known[place].memory
        if isinstance(value, dict):
            made = copy.copy(value)  # keeps the versions of modules, an attribute of their state
            made.update((key, copy_of(item)) for key, item in value.items())
            return made
        return [copy_of(item) for item in value] if isinstance(value, list) else value

    return copy_of(state), lambda: [each.get() for each in known.values()]


def write(folder: Path, data: bytes, *, step: int, epoch: int, guard: Callable[[], object] = lambda: None) -> Saved:
    """Put a serialised checkpoint on disk and make it the latest; older ones than `KEEP` go. Raises `OSError`.

    `guard` is called before the file takes its name, and again before it is listed and older ones go. It may raise to
    prevent that.
    """

    def before_rename() -> None:
        fault("checkpoint-before-rename")
        guard()

    saved = Saved(f"step-{step:08d}.pt", step, epoch, len(data), hashlib.sha256(data).hexdigest())
    fault("checkpoint-before-write")
    files.write_atomically(folder / saved.file, data, after_write=before_rename)
    fault("checkpoint-after-rename")
    _list_as_newest(folder, saved, guard)
    return saved


def adopt(folder: Path, name: str, *, epoch: int) -> None:
    """List the checkpoint `name`, from which a run goes on, should its writer have died before.

    Raises `OSError`, `CheckpointError`.
    """
    data = _read(folder / name)
    found = Saved(name, _step(name), epoch, len(data), hashlib.sha256(data).hexdigest())
    if found not in latest(folder):
        _list_as_newest(folder, found)


def _list_as_newest(folder: Path, saved: Saved, guard: Callable[[], object] = lambda: None) -> None:
    there = names(folder)  # before the guard: what another worker writes that takes over after it stays
    # What is said to be newer was passed over on resuming: it is damaged, or of another configuration.
    kept = [saved, *(old for old in latest(folder) if old.step < saved.step and old.file in there)][:KEEP]
    index = {"format": 1, "checkpoints": [asdict(item) for item in kept]}
    files.write_atomically(folder / "LATEST.json", json.dumps(index, indent=1).encode() + b"\n", after_write=guard)
    guard()
    for name in there - {item.file for item in kept}:
        with contextlib.suppress(OSError):
            (folder / name).unlink()


def _step(name: str) -> int:
    return int(name[5:-3])


def names(folder: Path) -> set[str]:
    """The files in `folder` that are called as checkpoints are."""
    try:
        return {entry.name for entry in os.scandir(folder) if _NAME.fullmatch(entry.name)}
    except OSError:
        return set()


def latest(folder: Path) -> list[Saved]:
    """What LATEST.json lists, newest first; empty when there is none or it is damaged."""
    found: list[Saved] = []
    items = (files.read_json(folder / "LATEST.json") or {}).get("checkpoints")
    for item in items if isinstance(items, list) else []:
        try:
            saved = Saved(
                str(item["file"]), int(item["step"]), int(item["epoch"]), int(item["size"]), str(item["sha256"])
            )
        except (KeyError, TypeError, ValueError, OverflowError):
            continue
        if _NAME.fullmatch(saved.file):
            found.append(saved)
    return sorted(found, key=lambda item: item.step, reverse=True)


def newest_first(folder: Path, skipped: list[str]) -> Iterator[tuple[str, dict[str, Any]]]:
    """The good checkpoints by file name, newest first, on the CPU; what is passed over goes to `skipped`, in words."""
    known = {saved.file: saved for saved in latest(folder)}
    for name in sorted(names(folder) | set(known), key=_step, reverse=True):
        try:
            state = _load(folder / name, known.get(name))
        except CheckpointError as error:
            skipped.append(f"{name} ({error})")
        else:
            yield name, state


def _load(path: Path, listed: Saved | None) -> dict[str, Any]:
    data = _read(path)
    # The file may be newer than its entry: two of the same step have one name, and a writer may die between the two.
    as_listed = listed is not None and listed.sha256 == hashlib.sha256(data).hexdigest()
    _check_archive(data, checksums=not as_listed)
    try:
        state = torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises many kinds on a damaged archive
        raise CheckpointError(f"can't be loaded: {type(error).__name__}") from None
    if not isinstance(state, dict) or state.get("format") != 1:
        raise CheckpointError("is not a checkpoint of tui-attn")
    return state


def _read(path: Path) -> bytes:
    try:
        fd = open_to_read(path)
        with os.fdopen(fd, "rb") as file:
            if os.fstat(fd).st_size > MAX_BYTES:
                raise CheckpointError("is too large to be a checkpoint")
            return file.read()
    except NotAFileError:
        raise CheckpointError("is not a file") from None
    except OSError as error:
        raise CheckpointError(error.strerror or "can't be read") from None


def _check_archive(data: bytes, *, checksums: bool) -> None:
    """Refuse what unpacks to more than it holds, and with `checksums` what is damaged, both of which torch loads.

    LATEST.json may be forged too, so a listed digest says nothing about the size.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            members = archive.infolist()
            if sum(member.file_size for member in members) > len(data):  # torch doesn't compress
                raise CheckpointError("is compressed, which no checkpoint of tui-attn is")
            # torch reads uninitialised memory where these attributes say that the member is a folder
            damaged = any(member.external_attr for member in members) or (checksums and archive.testzip() is not None)
    except CheckpointError:
        raise
    except Exception:  # zipfile raises many kinds on foreign bytes
        damaged = True
    if damaged:
        raise CheckpointError("is cut short or damaged")
