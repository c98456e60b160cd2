"""Who holds a lock, who lives, and when the last sign of life was: told by the kernel, not by files left behind."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.experiment.strategies import json_values
from tests.processes import open_descriptors, python, run_python, said
from tui_attn.system import liveness
from tui_attn.system.liveness import Identity, Lock

HOLD = """
import sys
from pathlib import Path
from tui_attn.system import liveness

lock = liveness.Lock(Path(sys.argv[1]))
print("held", flush=True)
sys.stdin.readline()
"""
PROBE = """
import sys
from pathlib import Path
from tui_attn.system import liveness

print(liveness.holder(Path(sys.argv[1])))
try:
    liveness.Lock(Path(sys.argv[1]))
except BlockingIOError as error:
    print(error.strerror)
else:
    print("taken")
"""


@contextlib.contextmanager
def held_elsewhere(path: Path) -> Iterator[subprocess.Popen[str]]:
    """Another process that holds the lock."""
    with python(HOLD, path) as process:
        assert said(process) == "held"
        yield process


def seen_from_elsewhere(path: Path) -> list[str]:
    """What another process finds: the holder, and what comes of trying to take the lock."""
    return run_python(PROBE, path).stdout.splitlines()


# ---- locks


def test_a_lock_held_by_another_process_is_seen_and_not_had(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    with held_elsewhere(path) as process:
        assert liveness.holder(path) == process.pid
        with pytest.raises(BlockingIOError, match="held by another process"):
            Lock(path)
        assert liveness.holder(path) == process.pid


def test_the_kernel_frees_the_lock_of_a_process_that_is_killed(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    with held_elsewhere(path) as process:
        process.kill()
        process.wait()
        assert liveness.holder(path) is None
        Lock(path).release()


WITH_CHILD = r"""
import os, sys
from pathlib import Path
from tui_attn.system import liveness

lock = liveness.Lock(Path(sys.argv[1]))
child = os.fork()
if child == 0:
    os.write(1, b"%d\n" % liveness.holder(Path(sys.argv[1])))
    os.read(0, 1)
    os._exit(0)
os.write(1, b"%d\n" % child)
os.waitpid(child, 0)
"""


def test_a_child_that_outlives_the_owner_does_not_keep_its_lock(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    with python(WITH_CHILD, path) as process:
        told = {said(process), said(process)}
        assert str(process.pid) in told, "the child sees that its parent holds the lock, not itself"
        child = int((told - {str(process.pid)}).pop())
        assert liveness.holder(path) == process.pid
        process.kill()
        process.wait()
        assert liveness.process_start_time(child) is not None
        assert liveness.holder(path) is None
        assert process.stdin is not None
        process.stdin.close()


def test_probing_a_lock_of_this_very_process_does_not_drop_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    path = folder / "lock"
    (tmp_path / "alias").symlink_to(folder)
    lock = Lock(path)
    os.link(path, tmp_path / "hard")
    monkeypatch.chdir(folder)
    for name in (path, Path("lock"), folder / ".." / "folder" / "lock", tmp_path / "alias" / "lock", tmp_path / "hard"):
        assert liveness.holder(name) == os.getpid()
        assert liveness.age(name) is not None
        with pytest.raises(BlockingIOError, match="held by this process"):
            Lock(name)
    (tmp_path / "hard").unlink()
    assert seen_from_elsewhere(path) == [str(os.getpid()), "held by another process"]
    lock.release()
    assert seen_from_elsewhere(path) == ["None", "taken"]


def test_a_lock_that_was_given_back_can_be_had_again(tmp_path: Path) -> None:
    before = open_descriptors()
    for _ in range(3):
        lock = Lock(tmp_path / "lock")
        lock.write("a note")
        lock.release()
        assert liveness.holder(tmp_path / "lock") is None
    assert open_descriptors() == before
    assert (tmp_path / "lock").read_text() == "a note"


def test_a_lock_moves_with_its_folder_and_is_not_copied(tmp_path: Path) -> None:
    old, new, copy = tmp_path / "old", tmp_path / "new", tmp_path / "copy"
    old.mkdir()
    with held_elsewhere(old / "lock") as process:
        old.rename(new)
        shutil.copytree(new, copy)
        assert liveness.holder(new / "lock") == process.pid
        assert liveness.holder(copy / "lock") is None
        assert liveness.holder(old / "lock") is None


@pytest.mark.parametrize("what", ["missing", "folder", "fifo", "link to one that is held", "plain"])
def test_what_is_no_held_lock_is_held_by_nobody(tmp_path: Path, what: str) -> None:
    path = tmp_path / "lock"
    with held_elsewhere(tmp_path / "held"):
        if what == "folder":
            path.mkdir()
        elif what == "fifo":
            os.mkfifo(path)
        elif what == "link to one that is held":
            path.symlink_to(tmp_path / "held")
        elif what == "plain":
            path.touch()
        before = open_descriptors()
        assert liveness.holder(path) is None
        assert open_descriptors() == before


@pytest.mark.parametrize("what", ["folder", "link", "nowhere"])
def test_a_lock_that_cannot_be_had_is_no_lock_that_is_held(tmp_path: Path, what: str) -> None:
    path = tmp_path / "lock"
    if what == "folder":
        path.mkdir()
    elif what == "link":
        path.symlink_to(tmp_path / "elsewhere")
    else:
        path = tmp_path / "nowhere" / "lock"
    with pytest.raises(OSError) as caught:
        Lock(path)
    assert not isinstance(caught.value, BlockingIOError)
    assert not (tmp_path / "elsewhere").exists()


READER = """
import contextlib, os, sys
from pathlib import Path
from tui_attn.system import liveness

with contextlib.suppress(PermissionError):
    os.seteuid(65534)  # root may read everything
print(liveness.holder(Path(sys.argv[1])))
print(liveness.holder(Path(sys.argv[2])))
"""


def test_who_may_only_read_a_lock_sees_who_holds_it() -> None:
    with tempfile.TemporaryDirectory() as place:
        held, free = Path(place) / "held", Path(place) / "free"
        Path(place).chmod(0o755)
        free.touch()
        with held_elsewhere(held) as process:
            held.chmod(0o444)
            free.chmod(0o444)
            done = run_python(READER, held, free)
            assert done.stdout.splitlines() == [str(process.pid), "None"], done.stderr


def test_a_signal_reaches_the_holder_of_a_lock_and_nobody_else(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    assert not liveness.signal_holder(path, signal.SIGKILL)
    with held_elsewhere(path) as process:
        assert liveness.signal_holder(path, signal.SIGTERM)
        assert process.wait() == -signal.SIGTERM
        assert not liveness.signal_holder(path, signal.SIGKILL)
    lock = Lock(path)
    assert not liveness.signal_holder(path, signal.SIGKILL)
    lock.release()


RELEASE = """
import sys
from pathlib import Path
from tui_attn.system import liveness

lock = liveness.Lock(Path(sys.argv[1]))
print("held", flush=True)
sys.stdin.readline()
lock.release()
print("released", flush=True)
sys.stdin.readline()
"""


@pytest.mark.skipif(not hasattr(os, "pidfd_open"), reason="this system has no descriptors of processes")
def test_who_has_the_pid_of_a_holder_but_not_its_lock_is_not_signalled(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As a process that got the pid between the look at the lock and the signal."""
    path, opened = tmp_path / "lock", os.pidfd_open
    with python(RELEASE, path) as process:
        assert said(process) == "held"

        def open_late(pid: int) -> int:
            assert process.stdin is not None
            process.stdin.write("go\n")
            process.stdin.flush()
            assert said(process) == "released"
            return opened(pid)

        monkeypatch.setattr(os, "pidfd_open", open_late)
        assert not liveness.signal_holder(path, signal.SIGKILL)
        process.communicate("go\n")
        assert process.returncode == 0


# ---- identities


def test_this_process_runs_and_no_other_that_has_its_pid() -> None:
    here = liveness.identity()
    assert here.pid == os.getpid()
    assert here.runs()
    assert not here._replace(start_time="1").runs(), "the pid was given to another process"
    assert not here._replace(boot_id="another boot").runs()
    assert not here._replace(host="another host").runs()
    assert not here._replace(boot_id="another boot").here()


def test_a_process_that_ended_does_not_run_even_before_it_is_reaped() -> None:
    with python("print('up', flush=True); input()") as process:
        assert said(process) == "up"
        who = liveness.identity(process.pid)
        assert who.runs()
        process.kill()
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
        assert Path(f"/proc/{process.pid}").exists() or not sys.platform.startswith("linux")
        assert not who.runs()
        process.wait()
        assert not who.runs()
        assert liveness.process_start_time(process.pid) is None


NAMED = """
import ctypes, sys
ctypes.CDLL(None).prctl(15, bytes.fromhex(sys.argv[1]), 0, 0, 0)
print("named", flush=True)
sys.stdin.readline()
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="other systems name no process by bytes")
@pytest.mark.parametrize("name", [b"\xff\xfe) Z 1 1", b") R 0 0 0", b"a\nb (c", b""])
def test_a_process_may_have_any_name(name: bytes) -> None:
    with (
        python("import sys; print('up', flush=True); sys.stdin.readline()") as plain,
        python(NAMED, name.hex()) as named,
    ):
        assert said(plain) == "up"
        assert said(named) == "named"
        first, second = (liveness.process_start_time(process.pid) for process in (plain, named))
        assert first is not None
        assert second is not None
        assert 0 <= int(second) - int(first) < 10_000
        assert liveness.identity(named.pid).runs()


@pytest.mark.parametrize("pid", [2**31 - 2, 2**70, 10**30])
def test_a_pid_of_nobody_does_not_run(pid: int) -> None:
    assert liveness.process_start_time(pid) is None
    assert not liveness.identity(pid).runs()


@given(
    data=json_values()
    | st.fixed_dictionaries(dict.fromkeys(("host", "boot_id", "pid", "start_time", "uid"), json_values()))
)
def test_json_that_is_no_identity_is_none(data: Any) -> None:
    found = Identity.from_json(data)
    assert found is None or Identity.from_json(found.to_json()) == found
    assert found is None or not found.runs()


def test_an_identity_comes_back_from_json() -> None:
    here = liveness.identity()
    assert Identity.from_json(here.to_json()) == here
    assert Identity.from_json(here.to_json() | {"pid": True}) is None
    assert Identity.from_json(here.to_json() | {"pid": -1}) is None


# ---- signs of life


def test_the_pid_that_a_lock_has_on_another_host_is_never_signalled(tmp_path: Path) -> None:
    lock, heart = tmp_path / "lock", tmp_path / "heartbeat"
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(lock)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    try:
        assert holder.stdout is not None
        holder.stdout.readline()
        heart.write_text("another-boot 00000000000012.345\n")
        assert liveness.holder(lock) == holder.pid
        assert not liveness.signal_holder(lock, signal.SIGKILL, heart)
        assert holder.poll() is None
        heart.write_text(f"{liveness.boot_id()} 00000000000012.345\n")
        assert liveness.signal_holder(lock, signal.SIGKILL, heart)
    finally:
        holder.kill()
        holder.wait()


HOLD = """
import sys
from pathlib import Path
from tui_attn.system.liveness import Lock
lock = Lock(Path(sys.argv[1]))
print("held", flush=True)
sys.stdin.read()
"""
