"""The reader: whole lines only, every one once, and never an exception whatever the file is or becomes."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.processes import open_descriptors
from tui_attn.experiment import events
from tui_attn.experiment.event_log import LogReader
from tui_attn.experiment.events import MAX_LINE


def line(message: str, seq: int = 0) -> bytes:
    """A whole line of a log."""
    return events.encode("warning", {"message": message}, seq=seq, t=1.0)


def messages(reader: LogReader, limit: int | None = None) -> list[str]:
    """What is new, as its messages."""
    return [event["message"] for event in reader.read(limit)]


def test_lines_come_once_and_a_torn_one_when_it_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "log"
    reader = LogReader(path)
    assert messages(reader) == []
    path.write_bytes(line("a") + line("b")[:20])
    assert messages(reader) == ["a"]
    assert messages(reader) == []
    path.write_bytes(line("a") + line("b") + line("c"))
    assert messages(reader) == ["b", "c"]
    assert (reader.damaged, reader.restarts, reader.more) == (0, 0, False)
    assert reader.position == path.stat().st_size


PIECES = st.lists(
    st.sampled_from([line("one"), line("two" * 40), line("NaN \ud800\n\x00"), b"\n", b"garbage\n", b"\x00\xff\xfe\n"])
    | st.binary(max_size=20),
    max_size=12,
)


@given(pieces=PIECES, sizes=st.lists(st.integers(1, 300), max_size=10), limits=st.lists(st.integers(1, 200)))
def test_reading_in_pieces_equals_reading_at_once(pieces: list[bytes], sizes: list[int], limits: list[int]) -> None:
    data = b"".join(pieces)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "log"
        path.write_bytes(data)
        whole = LogReader(path)
        expected = whole.read()

        growing, found = Path(folder) / "growing", []
        reader = LogReader(growing)
        with growing.open("wb", buffering=0) as file:
            for number, size in enumerate(sizes):
                file.write(data[:size])
                data = data[size:]
                found += reader.read(limits[number] if number < len(limits) else None)
            file.write(data)
        for limit in limits:
            found += reader.read(limit)
        found += reader.read()

    assert found == expected
    assert reader.damaged == whole.damaged
    assert reader.position == whole.position
    assert reader.restarts == 0


@given(st.binary(max_size=400))
def test_every_line_is_an_event_or_counted_as_damaged(data: bytes) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "log"
        path.write_bytes(line("a") + data + b"\n" + line("b"))
        reader = LogReader(path)
        assert messages(reader) == ["a", "b"]
        assert reader.damaged == data.count(b"\n") + 1


def test_a_limit_is_kept_and_more_is_told(tmp_path: Path) -> None:
    path = tmp_path / "log"
    lines = [line(f"number {number}", number) for number in range(100)]
    path.write_bytes(b"".join(lines))
    reader = LogReader(path)
    found, turns = [], 0
    while not turns or reader.more:
        before = reader.position
        found += messages(reader, 1000)
        turns += 1
        assert reader.position - before <= 2000
    assert found == [f"number {number}" for number in range(100)]
    assert turns >= len(b"".join(lines)) // 2000


def test_a_torn_end_is_not_more(tmp_path: Path) -> None:
    (tmp_path / "log").write_bytes(line("a") + b"{" * 500)
    reader = LogReader(tmp_path / "log")
    assert messages(reader, 10) == ["a"]
    assert messages(reader, 10) == []
    assert not reader.more


@pytest.mark.parametrize("how", ["shrunk", "emptied", "replaced", "deleted and made anew", "rewritten, longer"])
def test_a_file_that_is_another_is_read_from_its_start(tmp_path: Path, how: str) -> None:
    path = tmp_path / "log"
    path.write_bytes(line("a") + b"damaged\n" + line("b", 1))
    reader = LogReader(path)
    assert messages(reader) == ["a", "b"]
    assert reader.damaged == 1

    other = line("c") + line("d" * 200, 1) + b"damaged\ndamaged\n"
    if how == "shrunk":
        path.write_bytes(other[: len(line("c"))])
        other = path.read_bytes()
    elif how == "emptied":
        os.truncate(path, 0)
        other = b""
    elif how == "replaced":
        (tmp_path / "beside").write_bytes(other)
        (tmp_path / "beside").replace(path)
    elif how == "deleted and made anew":
        path.unlink()
        assert messages(reader) == []
        path.write_bytes(other)
    else:
        path.write_bytes(other)

    fresh = LogReader(path)
    assert reader.read() == fresh.read()
    assert (reader.restarts, reader.damaged, reader.position) == (1, fresh.damaged, len(other))
    with path.open("ab") as file:
        file.write(line("later"))
    assert messages(reader) == ["later"]
    assert reader.restarts == 1


def test_a_torn_end_that_its_writer_cuts_is_no_restart(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_bytes(line("a") + b'{"v":1,"torn')
    reader = LogReader(path)
    assert messages(reader) == ["a"]
    os.truncate(path, len(line("a")))
    assert messages(reader) == []
    with path.open("ab") as file:
        file.write(line("b"))
    assert messages(reader) == ["b"]
    assert (reader.restarts, reader.damaged) == (0, 0)


def test_a_longer_copy_that_takes_its_place_is_no_restart(tmp_path: Path) -> None:
    path, beside = tmp_path / "log", tmp_path / "beside"
    path.write_bytes(line("a") + line("b", 1))
    reader = LogReader(path)
    assert messages(reader) == ["a", "b"]
    beside.write_bytes(path.read_bytes() + line("c", 2))
    beside.replace(path)
    assert messages(reader) == ["c"], "as when a folder is mirrored again and again"
    assert reader.restarts == 0


@pytest.mark.parametrize("kind", ["missing", "folder", "fifo", "link", "link to nothing", "device"])
def test_what_is_no_file_has_no_events(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "log"
    elsewhere = tmp_path / "elsewhere"
    elsewhere.write_bytes(line("secret"))
    if kind == "folder":
        path.mkdir()
        (path / "x").write_bytes(b"x" * 5000)
    elif kind == "fifo":
        os.mkfifo(path)
    elif kind == "link":
        path.symlink_to(elsewhere)
    elif kind == "link to nothing":
        path.symlink_to(tmp_path / "nothing")
    elif kind == "device":
        path = Path("/dev/zero")
    reader = LogReader(path)
    for _ in range(3):
        assert messages(reader) == []
    assert (reader.restarts, reader.damaged, reader.position) == (0, 0, 0)


def test_a_file_that_comes_back_after_something_else_goes_on(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_bytes(line("a"))
    reader = LogReader(path)
    assert messages(reader) == ["a"]
    path.rename(tmp_path / "aside")
    path.mkdir()
    assert messages(reader) == []
    path.rmdir()
    (tmp_path / "aside").rename(path)
    with path.open("ab") as file:
        file.write(line("b"))
    assert messages(reader) == ["b"]
    assert reader.restarts == 0


@pytest.mark.parametrize("length", [MAX_LINE - 1, MAX_LINE, MAX_LINE + 1, 2 * MAX_LINE + 12345])
@pytest.mark.parametrize("before", [b"", line("a")])
def test_an_overlong_line_is_one_damaged_line(tmp_path: Path, length: int, before: bytes) -> None:
    path = tmp_path / "log"
    with path.open("wb") as file:
        file.write(before)
        file.truncate(len(before) + length)
        file.seek(0, os.SEEK_END)
        file.write(b"\n" + line("b"))
    reader = LogReader(path)
    assert messages(reader) == (["a", "b"] if before else ["b"])
    assert reader.damaged == 1


def test_the_end_of_an_overlong_line_is_no_line_of_its_own(tmp_path: Path) -> None:
    (tmp_path / "log").write_bytes(bytes(MAX_LINE) + line("hidden") + line("b"))
    reader = LogReader(tmp_path / "log")
    assert messages(reader) == ["b"]
    assert reader.damaged == 1


def test_an_overlong_line_that_still_grows_is_passed_over_in_steps(tmp_path: Path) -> None:
    path = tmp_path / "log"
    reader = LogReader(path)
    with path.open("wb", buffering=0) as file:
        file.write(line("a"))
        assert messages(reader) == ["a"]
        for size in (MAX_LINE // 2, MAX_LINE // 2 + 10, 100):
            file.truncate(os.fstat(file.fileno()).st_size + size)
            assert messages(reader) == []
        file.seek(0, os.SEEK_END)
        file.write(b"\n" + line("b"))
    assert messages(reader) == ["b"]
    assert (reader.damaged, reader.restarts) == (1, 0)


def test_no_descriptor_is_kept(tmp_path: Path) -> None:
    (tmp_path / "log").write_bytes(line("a"))
    (tmp_path / "folder").mkdir()
    before = open_descriptors()
    for name in ("log", "folder", "missing"):
        LogReader(tmp_path / name).read()
    assert open_descriptors() == before
