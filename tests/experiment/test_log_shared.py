"""The control log, which several processes write at once."""

from __future__ import annotations

import contextlib
import os
import stat
from pathlib import Path

import pytest

from tests.processes import python, said
from tui_attn.experiment.event_log import LogReader, append_shared

WRITERS, EACH = 3, 15

WRITER = """
import sys
from pathlib import Path
from tui_attn.experiment.event_log import append_shared

print("ready", flush=True)
sys.stdin.readline()
for number in range(int(sys.argv[3])):
    append_shared(Path(sys.argv[1]), "pause", {"id": f"{sys.argv[2]}-{number}", "run": None}, t=1.0)
"""


def ids(path: Path) -> list[str]:
    """The ids of all commands in the log."""
    return [event["id"] for event in LogReader(path).read()]


def test_commands_of_several_writers_are_all_there_and_each_writers_in_order(tmp_path: Path) -> None:
    path = tmp_path / "control.jsonl"
    path.write_bytes(b'{"v":1,"a command that was torn')
    with contextlib.ExitStack() as stack:
        writers = [stack.enter_context(python(WRITER, path, name, EACH)) for name in range(WRITERS)]
        for writer in writers:
            assert said(writer) == "ready"
        for writer in writers:
            writer.communicate("go\n")
            assert writer.returncode == 0

    reader = LogReader(path)
    found = [event["id"] for event in reader.read()]
    assert reader.damaged == 1
    assert sorted(found) == sorted(f"{name}-{number}" for name in range(WRITERS) for number in range(EACH))
    for name in range(WRITERS):
        assert [id_ for id_ in found if id_.startswith(f"{name}-")] == [f"{name}-{number}" for number in range(EACH)]


HOLDER = """
import fcntl, os, sys
fd = os.open(sys.argv[1], os.O_RDWR)
fcntl.lockf(fd, fcntl.LOCK_EX)
os.write(fd, b'{"v":1,"a command that')
print("half", flush=True)
sys.stdin.readline()
os.ftruncate(fd, 0)
"""


@pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="this system does not list who has a file open")
def test_a_writer_waits_for_one_that_may_take_back_what_it_wrote(tmp_path: Path) -> None:
    path = tmp_path / "control.jsonl"
    path.touch()
    with python(HOLDER, path) as holder, python(WRITER, path, "waits", 1) as writer:
        assert said(holder) == "half"
        assert said(writer) == "ready"
        assert writer.stdin is not None
        writer.stdin.write("go\n")
        writer.stdin.flush()
        while str(path) not in map(os.path.realpath, Path(f"/proc/{writer.pid}/fd").iterdir()):
            assert writer.poll() is None, "it did not wait"
        holder.communicate("go\n")
        assert writer.wait() == 0
    assert ids(path) == ["waits-0"]


def test_a_torn_command_is_ended_first_whoever_tore_it(tmp_path: Path) -> None:
    path = tmp_path / "control.jsonl"
    append_shared(path, "stop", {"id": "a", "run": None}, t=1.0)
    whole = path.read_bytes()
    for cut in range(1, len(whole) - 1):
        path.write_bytes(whole + whole[:cut])
        append_shared(path, "stop", {"id": "b", "run": None}, t=1.0)
        assert ids(path) == ["a", "b"]


def test_a_command_that_lacks_but_its_newline_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "control.jsonl"
    append_shared(path, "stop", {"id": "a", "run": None}, t=1.0)
    path.write_bytes(path.read_bytes()[:-1])
    append_shared(path, "stop", {"id": "b", "run": None}, t=1.0)
    assert ids(path) == ["a", "b"]


def test_a_control_log_is_for_its_owner_alone(tmp_path: Path) -> None:
    append_shared(tmp_path / "control.jsonl", "extend", {"id": "a", "seeds": 3}, t=1.0)
    assert stat.S_IMODE((tmp_path / "control.jsonl").stat().st_mode) == 0o600
