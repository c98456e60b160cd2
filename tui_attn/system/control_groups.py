"""Limits and counters of this process's control groups, versions 1 and 2.

All functions take the `root` of the file system, so that tests can make one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath

_UNLIMITED = 1 << 60
"""Version 1 writes a number near 2**63 for no limit."""


def _folders(controller: str, root: Path) -> Iterator[tuple[Path, int]]:
    """The folders of this process's control group and its ancestors, nearest first, each with the version.

    The mount itself comes last: a container may see its own group there although its path is longer.
    """
    try:
        lines = (root / "proc/self/cgroup").read_text().splitlines()
    except OSError:
        lines = ["0::/", f"1:{controller}:/"]
    for line in lines:
        _, kinds, path = [*line.split(":", 2), "", ""][:3]
        version = 2 if kinds == "" else 1
        if version == 1 and controller not in kinds.split(","):
            continue
        tops = [""] if version == 2 else [controller, kinds]
        for top in tops:
            mount = root / "sys/fs/cgroup" / top
            here = PurePosixPath(path.lstrip("/"))
            for group in (here, *here.parents):
                if ".." not in group.parts:
                    yield mount / group, version


def _smallest(read: Callable[[Path, int], float | None], controller: str, root: Path) -> float | None:
    found = []
    for folder, version in _folders(controller, root):
        try:
            value = read(folder, version)
        except (OSError, ValueError, ZeroDivisionError):
            continue
        if value is not None:
            found.append(value)
    return min(found, default=None)


def cpu_quota(root: Path = Path("/")) -> float | None:
    """The CPU quota of this process in cores; None without a limit."""

    def read(folder: Path, version: int) -> float | None:
        if version == 2:
            limit, period = (folder / "cpu.max").read_text().split()
            return None if limit == "max" else int(limit) / int(period)
        quota = int((folder / "cpu.cfs_quota_us").read_text())
        return None if quota <= 0 else quota / int((folder / "cpu.cfs_period_us").read_text())

    return _smallest(read, "cpu", root)


def memory_limit(root: Path = Path("/")) -> tuple[int, int] | None:
    """The memory limit of this process's control groups and what is left of it, bytes; None without a limit."""
    limits = {}

    def read(folder: Path, version: int) -> float | None:
        names = ("memory.max", "memory.current") if version == 2 else (
            "memory.limit_in_bytes", "memory.usage_in_bytes")  # fmt: skip
        text = (folder / names[0]).read_text().strip()
        if text == "max" or int(text) >= _UNLIMITED:
            return None
        left = max(0, int(text) - int((folder / names[1]).read_text()))
        limits[left] = int(text)
        return left

    left = _smallest(read, "memory", root)
    return None if left is None else (limits[int(left)], int(left))


def oom_kills(root: Path = Path("/")) -> int:
    """How many processes the kernel's OOM killer has killed, in this control group or on the machine."""
    names = {1: "memory.oom_control", 2: "memory.events"}
    counters = [folder / names[version] for folder, version in _folders("memory", root)]
    for path in (*counters, root / "proc/vmstat"):
        try:
            return int(dict(line.split() for line in path.read_text().splitlines())["oom_kill"])
        except (OSError, ValueError, KeyError):
            continue
    return 0
