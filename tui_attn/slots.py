"""A lock per user and device slot, so that two experiments share a device knowingly, never silently."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

from tui_attn import liveness
from tui_attn.runs import ID
from tui_attn.scheduling import Slot

_MOST = 256


class SlotLocks:
    """The device slots that this process holds. Locks that can't be had, for want of a folder, are done without."""

    def __init__(self, folder: Path | None = None) -> None:
        self._folder = folder or _state_folder() / "devices" / os.uname().nodename
        self._held: list[liveness.Lock] = []

    def take(self, slots: list[Slot], experiment: str) -> dict[str, str]:
        """Hold a free lock for each of `slots`; return device -> another experiment found on it."""
        others: dict[str, str] = {}
        try:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError:
            return others
        for slot in slots:
            for number in range(_MOST):
                path = self._folder / f"{slot.device.replace(':', '-')}.{number}.lock"
                try:
                    lock = liveness.Lock(path)
                except BlockingIOError:
                    if not any(lock.path == path for lock in self._held):
                        others.setdefault(slot.device, _note(path))
                    continue
                except OSError:
                    break
                self._held.append(lock)
                with contextlib.suppress(OSError):
                    lock.write(experiment)
                break
        return others

    def release(self) -> None:
        """Let go of all of them."""
        for lock in self._held:
            lock.release()
        self._held = []


def _note(path: Path) -> str:
    try:
        text = path.read_text(errors="replace")[:64]
    except OSError:
        text = ""
    return text if ID.fullmatch(text) else "another program"


def _state_folder() -> Path:
    base = os.environ.get("XDG_STATE_HOME") or str(Path("~/.local/state").expanduser())
    return Path(base) / "tui-attn"
