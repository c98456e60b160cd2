"""The append writer: whole lines or nothing, whatever happened before and whatever fails now."""

from __future__ import annotations

import errno
import os
import stat
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.clocks import Clock
from tests.processes import open_descriptors, run_python
from tui_attn.experiment import events
from tui_attn.experiment.event_log import LogReader, LogWriter, append_shared

FIRST = b"".join(events.encode("warning", {"message": f"line {seq}"}, seq=seq, t=1.0) for seq in range(4))
LINE = len(FIRST) // 4


def written(path: Path) -> list[tuple[int, str]]:
    """Number and message of every event in the log; nothing in it may be damaged."""
    reader = LogReader(path)
    found = [(event.seq, event["message"]) for event in reader.read()]
    assert reader.damaged == 0
    return found


def test_events_are_numbered_and_stamped(tmp_path: Path) -> None:
    clock = Clock(1_000.0)
    log = LogWriter(tmp_path / "log", clock=clock)
    log.append("warning", message="one")
    clock.now += 0.5
    log.append("warning", message="two")
    log.sync()
    log.close()

    found = LogReader(tmp_path / "log").read()
    assert [(event.seq, event.t, event["message"]) for event in found] == [(0, 1_000.0, "one"), (1, 1_000.5, "two")]


def test_a_log_is_for_its_owner_alone(tmp_path: Path) -> None:
    LogWriter(tmp_path / "log").close()
    assert stat.S_IMODE((tmp_path / "log").stat().st_mode) == 0o600


@pytest.mark.parametrize("cut", range(LINE + 1))
def test_a_torn_last_line_is_cut_and_numbering_goes_on(tmp_path: Path, cut: int) -> None:
    path = tmp_path / "log"
    path.write_bytes(FIRST[: len(FIRST) - cut])
    log = LogWriter(path)
    log.append("warning", message="after")
    log.close()

    whole = 4 if cut == 0 else 3
    assert written(path) == [*((seq, f"line {seq}") for seq in range(whole)), (whole, "after")]


@pytest.mark.parametrize("torn", [b"{", b"\x00" * 5000, b"x" * (2 << 20)])
def test_a_log_of_nothing_but_a_torn_line_starts_anew(tmp_path: Path, torn: bytes) -> None:
    path = tmp_path / "log"
    path.write_bytes(torn)
    log = LogWriter(path)
    log.append("warning", message="first")
    log.close()
    assert written(path) == [(0, "first")]


@pytest.mark.parametrize(
    "damage", [b"\n", b"nonsense\n", b"\x00" * 100 + b"\n", b"y" * (9 << 20) + b"\n", b"z\n" * 9000]
)
@pytest.mark.parametrize("torn", [b"", b"{"])
def test_numbering_goes_on_behind_damaged_lines_which_stay(tmp_path: Path, damage: bytes, torn: bytes) -> None:
    path = tmp_path / "log"
    path.write_bytes(FIRST + damage + torn)
    log = LogWriter(path)
    log.append("warning", message="after")
    log.close()

    assert path.read_bytes().startswith(FIRST + damage)
    assert [event.seq for event in LogReader(path).read()] == [0, 1, 2, 3, 4]


def test_a_whole_line_before_an_overlong_one_is_not_mistaken_for_its_end(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_bytes(FIRST[:LINE] + FIRST[LINE : 2 * LINE - 1] + b"y" * ((9 << 20) - 1) + b"\n")
    log = LogWriter(path)
    log.append("warning", message="after")
    log.close()
    assert [event.seq for event in LogReader(path).read()] == [0, 1]


@given(st.lists(st.integers(0, 400), max_size=4))
def test_however_often_it_is_torn_and_opened_again_what_was_whole_stays(cuts: list[int]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "log"
        path.write_bytes(FIRST)
        expected = [seq for seq, _ in written(path)]
        for cut in cuts:
            size = max(0, path.stat().st_size - cut)
            os.truncate(path, size)
            expected = expected[: path.read_bytes().count(b"\n")]
            log = LogWriter(path)
            log.append("warning", message="again")
            log.close()
            expected.append(expected[-1] + 1 if expected else 0)
            assert [seq for seq, _ in written(path)] == expected


@pytest.mark.parametrize("kind", ["folder", "fifo", "link", "nowhere"])
def test_what_is_no_file_is_refused(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "log"
    elsewhere = tmp_path / "elsewhere"
    elsewhere.write_bytes(b"")
    if kind == "folder":
        path.mkdir()
    elif kind == "fifo":
        os.mkfifo(path)
    elif kind == "link":
        path.symlink_to(elsewhere)
    else:
        path = tmp_path / "nowhere" / "log"
    with pytest.raises(OSError):
        LogWriter(path)
    with pytest.raises(OSError):
        append_shared(path, "stop", {"id": "a", "run": None}, t=0.0)
    assert elsewhere.read_bytes() == b""


def test_what_is_refused_keeps_no_descriptor(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "log")
    before = open_descriptors()
    for _ in range(3):
        with pytest.raises(OSError):
            LogWriter(tmp_path / "log")
    assert open_descriptors() == before


def test_a_payload_that_could_not_be_read_writes_nothing(tmp_path: Path) -> None:
    log = LogWriter(tmp_path / "log")
    with pytest.raises(ValueError, match="not a valid 'epoch' event"):
        log.append("epoch", epoch=1)
    log.append("warning", message="good")
    log.close()
    assert written(tmp_path / "log") == [(0, "good")]


LIMITED = """
import resource, sys
from pathlib import Path
from tui_attn.experiment.event_log import LogWriter, append_shared

path = Path(sys.argv[1])
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[2]), resource.RLIM_INFINITY))
log = LogWriter(path)
for number in range(1000):
    try:
        log.append("warning", message=f"number {number}")
    except OSError as error:
        print(number, type(error).__name__)
        break
try:
    append_shared(path.with_name("control"), "stop", {"id": "x" * int(sys.argv[2]), "run": None}, t=0.0)
except OSError as error:
    print("shared", type(error).__name__)
print(path.stat().st_size, path.with_name("control").stat().st_size)
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
log.append("warning", message="room again")
"""


@pytest.mark.parametrize("limit", [700, 701, 5000])
def test_a_line_that_does_not_fit_leaves_nothing_and_the_next_one_goes_on(tmp_path: Path, limit: int) -> None:
    done = run_python(LIMITED, tmp_path / "log", limit)

    assert done.returncode == 0, done.stderr
    refused, shared, sizes = done.stdout.splitlines()
    count = int(refused.split()[0])
    assert shared == "shared OSError"
    size, control = map(int, sizes.split())
    assert 0 < size <= limit
    assert control == 0
    assert written(tmp_path / "log") == [*((n, f"number {n}") for n in range(count)), (count, "room again")]


def test_on_a_full_disk_nothing_is_lost_and_there_it_goes_on_when_there_is_room(small_disk: Path) -> None:
    ballast = small_disk / "ballast"
    ballast.write_bytes(bytes(16 << 10))
    log = LogWriter(small_disk / "log")
    numbers: list[Any] = []
    with pytest.raises(OSError) as caught:
        for number in range(2000):
            log.append("warning", message=f"number {number} {'x' * 50}")
            numbers.append(number)
    assert caught.value.errno == errno.ENOSPC
    assert [seq for seq, _ in written(small_disk / "log")] == numbers

    with pytest.raises(OSError):
        log.append("warning", message="y" * 5000)
    ballast.unlink()
    log.append("warning", message="room again")
    log.close()
    assert written(small_disk / "log")[-1] == (len(numbers), "room again")
    assert len(written(small_disk / "log")) == len(numbers) + 1
