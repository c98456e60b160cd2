"""A lock per user and device slot, so that experiments that share a device are detected."""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Iterable, Mapping
from pathlib import Path

from tui_attn.engines.workers import Slot
from tui_attn.experiment.folders import ID
from tui_attn.system import liveness
from tui_attn.system.files import user_folder
from tui_attn.system.plain_file import read_part

_MOST = 256


class SlotLocks:
    """The locks of device slots that this process holds; none where there is no folder for them."""

    def __init__(self, folder: Path | None = None) -> None:
        self._folder = folder or _lock_folder()
        self._held: list[liveness.Lock] = []

    def take(self, slots: list[Slot], experiment: str, uuids: Mapping[str, str] | None = None) -> dict[str, str]:
        """Take a free lock for each of `slots`; return device -> another experiment on it.

        `uuids`: device -> its GPU, where known.
        """
        if self._folder is None:
            return {}
        try:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError:
            return {}
        for slot in slots:
            with contextlib.suppress(OSError):
                self._take_one(self._folder / _lock_name(slot.device, uuids), experiment)
        return occupants(dict.fromkeys(slot.device for slot in slots), uuids, self._folder)

    def _take_one(self, device: Path, experiment: str) -> None:
        """Take the first free lock of a device; `device`: the common prefix of their paths. Raises `OSError`."""
        for number in range(_MOST):
            try:
                lock = liveness.Lock(device.with_name(f"{device.name}.{number}.lock"))
            except BlockingIOError:
                continue
            self._held.append(lock)
            with contextlib.suppress(OSError):
                lock.write(experiment)
            return

    def release(self) -> None:
        """Release all locks."""
        for lock in self._held:
            lock.release()
        self._held = []


def occupants(
    devices: Iterable[str], uuids: Mapping[str, str] | None = None, folder: Path | None = None
) -> dict[str, str]:
    """Device -> an experiment of this user that another process trains on it now. Takes no lock, never raises.

    `uuids`: as for `SlotLocks.take`.
    """
    folder = folder or _lock_folder()
    others: dict[str, str] = {}
    if folder is None:
        return others
    for device in devices:
        for path in sorted(folder.glob(f"{_lock_name(device, uuids)}.*.lock")):
            if liveness.holder(path) not in {None, os.getpid()}:
                others.setdefault(device, _note(path))
    return others


def _lock_name(device: str, uuids: Mapping[str, str] | None) -> str:
    """By the UUID of the GPU: its index depends on a shell's CUDA_VISIBLE_DEVICES."""
    return re.sub("[:/]", "-", (uuids or {}).get(device, device))


def _note(path: Path) -> str:
    try:
        text = read_part(path, 65).decode(errors="replace")
    except OSError:
        text = ""
    return text if ID.fullmatch(text) else "another program"


def _lock_folder() -> Path | None:
    """Where this user's locks are on this host; None for a user without a home."""
    base = user_folder("state")
    return None if base is None else base / "devices" / os.uname().nodename
