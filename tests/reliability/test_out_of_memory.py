"""A worker that the kernel killed for want of memory: the reason is named."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.reliability.conftest import Lab
from tests.reliability.invariants import leftovers
from tests.waiting import eventually
from tui_attn.engines import workers
from tui_attn.experiment.follower import read_state
from tui_attn.system import control_groups

LIMIT = 128 << 20
"""Bytes: plenty for a supervisor, so that it never waits for pages of its own, and a fifth of what a step takes."""
BATCH = 6000


def _members(root: Path) -> list[str]:
    """The processes in this test's control group."""
    return [
        pid for path in root.glob(f"**/tui-attn-test-{os.getpid()}/cgroup.procs") for pid in path.read_text().split()
    ]


@pytest.fixture
def group() -> Iterator[Path]:
    """A control group with little memory, of version 2 or 1; needs the right to make one."""
    name, root = f"tui-attn-test-{os.getpid()}", Path("/sys/fs/cgroup")
    for parent, limit in ((root, "memory.max"), (root / "memory", "memory.limit_in_bytes")):
        if os.getuid() != 0 or not (parent / "cgroup.procs").exists():
            continue
        folder = parent / name
        try:
            folder.mkdir()
            (folder / limit).write_text(str(LIMIT))
        except OSError:
            continue
        yield folder
        eventually(lambda: not _members(root), "an empty group")
        folder.rmdir()
        return
    pytest.skip("only the superuser may limit the memory of a control group, and not in every container")


def test_it_is_named_and_given_up(lab: Lab, group: Path) -> None:
    experiment = lab.make(train_limit=BATCH, batch_size=BATCH)
    lab.start(experiment, group=group)
    lab.await_end(experiment)
    state = read_state(experiment).state
    assert state.state == "failed"
    for run in state.runs.values():
        assert run.state == "failed"
        assert "ran out of memory: use fewer --jobs or a smaller --batch-size" in (run.reason or "")
    assert leftovers(experiment) == []


def test_a_kill_is_only_blamed_on_memory_when_the_kernel_counted_one(tmp_path: Path) -> None:
    log = tmp_path / "worker.log"
    log.write_text("the last line\n")
    assert "ran out of memory: use fewer" in workers.exit_reason(-signal.SIGKILL, log, oom_killed=True)
    killed = workers.exit_reason(-signal.SIGKILL, log, oom_killed=False)
    assert killed.startswith("its worker was killed by SIGKILL (if nobody did this")
    assert workers.exit_reason(-signal.SIGSEGV, log, oom_killed=True) == "its worker was killed by SIGSEGV"
    assert workers.exit_reason(1, log, oom_killed=False) == "its worker ended with exit code 1: the last line"
    assert (
        workers.exit_reason(workers.CANNOT_WORK, log, oom_killed=False) == "its worker could not begin: the last line"
    )


@pytest.mark.parametrize(
    ("files", "count"),
    [
        ({"proc/self/cgroup": "0::/a/b\n", "sys/fs/cgroup/a/b/memory.events": "oom 3\noom_kill 2\n"}, 2),
        (
            {
                "proc/self/cgroup": "5:cpu,memory:/a\n0::/\n",
                "sys/fs/cgroup/memory/a/memory.oom_control": "under_oom 0\noom_kill 4\n",
            },
            4,
        ),
        (
            {
                "proc/self/cgroup": "5:memory:/not/seen/from/here\n",
                "sys/fs/cgroup/memory/memory.oom_control": "oom_kill 5\n",
            },
            5,
        ),
        ({"proc/self/cgroup": "0::/\n", "proc/vmstat": "nr_free 1\noom_kill 6\n"}, 6),
        ({"proc/self/cgroup": "nonsense", "proc/vmstat": "oom_kill many\n"}, 0),
        ({}, 0),
    ],
)
def test_where_the_kernel_counts(tmp_path: Path, files: dict[str, str], count: int) -> None:
    for name, text in files.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    assert control_groups.oom_kills(tmp_path) == count
