"""Limits of control groups: the process's own and those around it, in versions 1 and 2."""

from __future__ import annotations

from pathlib import Path

import pytest

from tui_attn.launch import devices
from tui_attn.system.control_groups import cpu_quota, memory_limit

V2 = "sys/fs/cgroup/"


def made(root: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


@pytest.mark.parametrize(
    ("files", "cores"),
    [
        (
            {"proc/self/cgroup": "0::/a/b\n", f"{V2}a/cpu.max": "50000 100000\n", f"{V2}a/b/cpu.max": "max 100000\n"},
            0.5,
        ),
        ({"proc/self/cgroup": "0::/a\n", f"{V2}a/cpu.max": "200000 100000", f"{V2}cpu.max": "150000 100000"}, 1.5),
        (
            {
                "proc/self/cgroup": "3:cpu,cpuacct:/half\n0::/\n",
                "sys/fs/cgroup/cpu,cpuacct/half/cpu.cfs_quota_us": "50000\n",
                "sys/fs/cgroup/cpu,cpuacct/half/cpu.cfs_period_us": "100000\n",
            },
            0.5,
        ),
        (
            {
                "proc/self/cgroup": "3:cpu:/not/seen/from/here\n",
                "sys/fs/cgroup/cpu/cpu.cfs_quota_us": "300000",
                "sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000",
            },
            3,
        ),
        ({"proc/self/cgroup": "3:cpu:/\n", "sys/fs/cgroup/cpu/cpu.cfs_quota_us": "-1"}, None),
        ({"proc/self/cgroup": "0::/../outside\n", "sys/cpu.max": "1 2", f"{V2}cpu.max": "nonsense"}, None),
        ({}, None),
    ],
)
def test_the_smallest_quota_counts(tmp_path: Path, files: dict[str, str], cores: float | None) -> None:
    assert cpu_quota(made(tmp_path, files)) == cores


@pytest.mark.parametrize(
    ("files", "limit"),
    [
        (
            {
                "proc/self/cgroup": "0::/job/step\n",
                f"{V2}job/memory.max": "4000",
                f"{V2}job/memory.current": "3500",
                f"{V2}job/step/memory.max": "2000",
                f"{V2}job/step/memory.current": "100",
            },
            (4000, 500),
        ),
        (
            {
                "proc/self/cgroup": "4:memory:/small\n",
                "sys/fs/cgroup/memory/small/memory.limit_in_bytes": "400",
                "sys/fs/cgroup/memory/small/memory.usage_in_bytes": "450",
            },
            (400, 0),
        ),
        ({"proc/self/cgroup": "4:memory:/\n", "sys/fs/cgroup/memory/memory.limit_in_bytes": f"{2**63 - 4096}"}, None),
        ({"proc/self/cgroup": "0::/\n", f"{V2}memory.max": "max"}, None),
    ],
)
def test_the_group_with_the_least_left_counts(
    tmp_path: Path, files: dict[str, str], limit: tuple[int, int] | None
) -> None:
    assert memory_limit(made(tmp_path, files)) == limit


@pytest.mark.parametrize(("asked", "most"), [("1", 1), ("1,4", 1), ("0", 99), ("many", 99), ("", 99)])
def test_the_users_number_of_threads_is_an_upper_limit(monkeypatch: pytest.MonkeyPatch, asked: str, most: int) -> None:
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    usual = devices.threads()
    monkeypatch.setenv("OMP_NUM_THREADS", asked)
    assert devices.threads() == min(usual, most)
