"""Checkpoints that survive whatever interrupts their writing: written beside, synced, renamed, digested, two kept."""

from __future__ import annotations

import hashlib
import io
import json
import re
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from tui_attn import storage
from tui_attn.faults import fault

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
    """Writes checkpoints in a thread of its own, one at a time, so that training doesn't wait for the disk.

    The state is serialised at once, by the caller's thread: what is written is what the state was.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="checkpoint")
        self._pending: Future[Saved] | None = None

    def start(self, state: dict[str, Any], *, step: int, epoch: int) -> Saved | None:
        """Begin to write `state`; returns the checkpoint that was being written, if any, now on disk.

        Raises `OSError` when that one could not be written.
        """
        buffer = io.BytesIO()
        torch.save(state, buffer)
        before = self.finish()
        self._pending = self._thread.submit(write, self.folder, buffer.getvalue(), step=step, epoch=epoch)
        return before

    def finished(self) -> Saved | None:
        """The checkpoint that got onto the disk since the last call. Raises `OSError` when it could not."""
        if self._pending is None or not self._pending.done():
            return None
        return self.finish()

    def finish(self) -> Saved | None:
        """Wait for the checkpoint that is being written. Raises `OSError` when it could not be."""
        pending, self._pending = self._pending, None
        return None if pending is None else pending.result()

    def close(self) -> None:
        """Wait for the thread, and end it."""
        self._thread.shutdown()


def write(folder: Path, data: bytes, *, step: int, epoch: int) -> Saved:
    """Put a serialised checkpoint on disk and make it the latest; older ones than `KEEP` go. Raises `OSError`."""
    saved = Saved(f"step-{step:08d}.pt", step, epoch, len(data), hashlib.sha256(data).hexdigest())
    fault("checkpoint-before-write")
    storage.write_atomically(folder / saved.file, data, after_write=lambda: fault("checkpoint-before-rename"))
    fault("checkpoint-after-rename")
    kept = [saved, *(old for old in latest(folder) if old.step != step)][:KEEP]
    index = {"format": 1, "checkpoints": [asdict(item) for item in kept]}
    storage.write_atomically(folder / "LATEST.json", json.dumps(index, indent=1).encode() + b"\n")
    names = {item.file for item in kept}
    for path in folder.glob("step-*.pt"):
        if path.name not in names:
            path.unlink(missing_ok=True)
    return saved


def latest(folder: Path) -> list[Saved]:
    """What LATEST.json lists, newest first; empty when there is none or it is damaged."""
    found: list[Saved] = []
    items = (storage.read_json(folder / "LATEST.json") or {}).get("checkpoints")
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
    names = {path.name for path in folder.glob("step-*.pt") if _NAME.fullmatch(path.name)} | set(known)
    for name in sorted(names, key=lambda name: int(name[5:-3]), reverse=True):
        try:
            state = _load(folder / name, known.get(name))
        except CheckpointError as error:
            skipped.append(f"{name} ({error})")
        else:
            yield name, state


def _load(path: Path, expected: Saved | None) -> dict[str, Any]:
    try:
        if path.is_symlink():
            raise CheckpointError("is a symbolic link")
        size = path.stat().st_size
        if size > MAX_BYTES:
            raise CheckpointError("is too large to be a checkpoint")
        data = path.read_bytes()
    except OSError as error:
        raise CheckpointError(error.strerror or "can't be read") from None
    if expected is not None:
        if size != expected.size:
            raise CheckpointError(f"has {size:,} bytes instead of {expected.size:,}")
        if hashlib.sha256(data).hexdigest() != expected.sha256:
            raise CheckpointError("its digest is wrong")
    try:
        state = torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises many kinds on a damaged archive
        raise CheckpointError(f"can't be loaded: {type(error).__name__}") from None
    if not isinstance(state, dict) or state.get("format") != 1:
        raise CheckpointError("is not a checkpoint of tui-attn")
    return state
