"""Files that are written whole or not at all, and read whatever they are."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import signal
import stat
import threading
from pathlib import Path

import pytest

from tests.processes import AT_EVERY_CALL, open_descriptors, python, run_python, said
from tui_attn.system.files import (
    Reserve,
    exclusive,
    make_folders,
    read_json,
    remove_stale_files,
    sync_folder,
    write_atomically,
)
from tui_attn.system.plain_file import NotAFileError

OLD, NEW = b'{"which": "old"}', b'{"which": "new, and longer than the old"}'


def names(folder: Path) -> list[str]:
    """What is in a folder."""
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize("sync", [True, False])
def test_it_is_written_for_its_owner_alone_and_leaves_nothing_beside(tmp_path: Path, sync: bool) -> None:
    path = tmp_path / "x.json"
    for content in (OLD, NEW, b""):
        write_atomically(path, content, sync=sync)
        assert path.read_bytes() == content
    assert names(tmp_path) == ["x.json"]
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


WRITE = (
    AT_EVERY_CALL
    + """
from pathlib import Path
from tui_attn.system.files import remove_stale_files, write_atomically

path = Path(sys.argv[1]) / "x.json"
old, new = sys.argv[2].encode(), sys.argv[3].encode()
path.write_bytes(old)

def check(finished):
    content = path.read_bytes()
    assert content == new if finished else content in (old, new), content
    remove_stale_files(path.parent)
    assert os.listdir(path.parent) == ["x.json"]
    path.write_bytes(old)

die_at_every_call(lambda: write_atomically(path, new, sync=sys.argv[4] == "sync"), check)
"""
)


@pytest.mark.parametrize("how", ["sync", "no sync"])
def test_killed_anywhere_it_leaves_the_old_or_the_new(tmp_path: Path, how: str) -> None:
    done = run_python(WRITE, tmp_path, OLD.decode(), NEW.decode(), how)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) > 10


LOG = (
    AT_EVERY_CALL
    + """
from pathlib import Path
from tui_attn.experiment import events
from tui_attn.experiment.event_log import LogReader, LogWriter, append_shared

path = Path(sys.argv[1]) / "log"
whole = events.encode("stop", {"id": "first", "run": None}, seq=0, t=1.0)
torn = whole + whole[:30]
path.write_bytes(torn)

def check(finished):
    found = [event["id"] for event in LogReader(path).read()]
    assert found == ["first", "second"] if finished else found in (["first"], ["first", "second"]), found
    path.write_bytes(torn)

def append():
    log = LogWriter(path)
    log.append("stop", id="second", run=None)
    log.sync()

def append_to_shared():
    append_shared(path, "stop", {"id": "second", "run": None}, t=1.0)

die_at_every_call(append if sys.argv[2] == "own" else append_to_shared, check)
"""
)


@pytest.mark.parametrize("whose", ["own", "shared"])
def test_a_writer_of_a_log_killed_anywhere_leaves_the_line_or_none(tmp_path: Path, whose: str) -> None:
    done = run_python(LOG, tmp_path, whose)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) > 20


class Interruption(BaseException):
    """What a test raises in the middle."""


def test_an_error_in_the_middle_leaves_the_old_and_nothing_beside(tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    write_atomically(path, OLD)

    def fail() -> None:
        assert len(names(tmp_path)) == 2
        raise Interruption

    with pytest.raises(Interruption):
        write_atomically(path, NEW, after_write=fail)
    assert path.read_bytes() == OLD
    assert names(tmp_path) == ["x.json"]


@pytest.mark.parametrize("what", ["no folder", "a file for a folder", "a folder in its place"])
def test_a_place_that_cannot_be_written_raises_and_keeps_nothing(tmp_path: Path, what: str) -> None:
    place = tmp_path / "place"
    if what == "a file for a folder":
        place.touch()
    elif what == "a folder in its place":
        (place / "x.json").mkdir(parents=True)
    before = open_descriptors()
    with pytest.raises(OSError):
        write_atomically(place / "x.json", NEW)
    assert open_descriptors() == before
    assert not list(tmp_path.rglob("*.tmp"))


def test_on_a_full_disk_the_old_stays_and_nothing_is_left_beside(small_disk: Path) -> None:
    path = small_disk / "x.json"
    write_atomically(path, OLD)
    with pytest.raises(OSError) as caught:
        write_atomically(path, bytes(1 << 20))
    assert caught.value.errno == errno.ENOSPC
    assert path.read_bytes() == OLD
    assert names(small_disk) == ["x.json"]


@pytest.mark.parametrize(
    ("content", "found"),
    [
        (b'{"a": 1}', {"a": 1}),
        (b' {"a": "\\ud800"} \n', {"a": "\ud800"}),
        (b"[1]", None),
        (b"5", None),
        (b"", None),
        (b"{", None),
        (b"\xff\xfe{}", None),
        (b"\x00" * 100, None),
        (b"[" * 100_000, None),
        (b'{"a": ' + b"9" * 5000 + b"}", None),
        (b'{"a": "' + b"x" * 200 + b'"}', None),
    ],
    ids=lambda value: repr(value)[:20],
)
def test_a_json_object_is_read_and_anything_else_is_none(tmp_path: Path, content: bytes, found: object) -> None:
    path = tmp_path / "x.json"
    path.write_bytes(content)
    limit = 100 if len(content) == 209 else 1 << 24
    assert read_json(path, limit=limit) == found


@pytest.mark.parametrize("what", ["missing", "folder", "fifo", "fifo with a writer", "link", "a name with a nul"])
def test_what_is_no_file_is_no_json_and_keeps_no_descriptor(tmp_path: Path, what: str) -> None:
    path = tmp_path / "x.json"
    if what == "folder":
        path.mkdir()
    elif what.startswith("fifo"):
        os.mkfifo(path)
    elif what == "link":
        (tmp_path / "elsewhere").write_bytes(OLD)
        path.symlink_to(tmp_path / "elsewhere")
    elif what == "a name with a nul":
        path = tmp_path / "x\x00"
    writer = os.open(path, os.O_RDWR) if what == "fifo with a writer" else None
    before = open_descriptors()
    for _ in range(3):
        assert read_json(path) is None
    assert open_descriptors() == before
    if writer is not None:
        os.close(writer)


def test_what_dead_writers_left_is_removed_and_nothing_else(tmp_path: Path) -> None:
    ours, elsewhere = tmp_path / "ours", tmp_path / "elsewhere"
    for folder in (ours / "a" / "b", elsewhere):
        folder.mkdir(parents=True)
    for path in (ours, ours / "a", ours / "a" / "b", elsewhere):
        (path / ".x.json.1.tmp").touch()
        (path / "kept.tmp").touch()
        (path / ".kept").touch()
    (ours / "link").symlink_to(elsewhere)
    (ours / ".folder.tmp").mkdir()
    remove_stale_files(ours)
    left = sorted(str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*.tmp"))
    assert left == ["elsewhere/.x.json.1.tmp", "elsewhere/kept.tmp", "ours/.folder.tmp", "ours/a/b/kept.tmp",
                    "ours/a/kept.tmp", "ours/kept.tmp"]  # fmt: skip
    remove_stale_files(tmp_path / "nowhere")


def test_the_reserve_is_room_that_can_be_given_away(tmp_path: Path) -> None:
    reserve = Reserve(tmp_path)
    assert reserve.room()
    assert reserve.room()
    kept = tmp_path / ".reserve"
    assert kept.stat().st_size == Reserve.SIZE
    assert kept.stat().st_blocks * 512 >= Reserve.SIZE
    reserve.free()
    reserve.free()
    assert names(tmp_path) == []


def test_on_a_full_disk_there_is_no_room_and_asking_takes_none(small_disk: Path) -> None:
    ballast = small_disk / "ballast"
    ballast.write_bytes(bytes(32 << 10))
    free = os.statvfs(small_disk).f_bfree
    assert not Reserve(small_disk).room()
    assert os.statvfs(small_disk).f_bfree == free
    assert names(small_disk) == ["ballast"]


HOLDER = """
import sys
from pathlib import Path
from tui_attn.system.files import exclusive

with exclusive(Path(sys.argv[1])):
    print("in", flush=True)
    sys.stdin.readline()
"""


def test_only_one_process_is_in_at_a_time_and_a_frozen_one_is_not_waited_for_for_ever(tmp_path: Path) -> None:
    with python(HOLDER, tmp_path / "lock") as process:
        assert said(process) == "in"
        os.kill(process.pid, signal.SIGSTOP)
        with pytest.raises(OSError, match="another program is changing it"), exclusive(tmp_path / "lock", within=0.0):
            raise AssertionError("two at once")
        os.kill(process.pid, signal.SIGCONT)
        process.communicate("out\n")
    with exclusive(tmp_path / "lock", within=0.0):
        pass


def test_two_threads_that_read_change_and_write_lose_nothing(tmp_path: Path) -> None:
    path, failed = tmp_path / "count.json", list[Exception]()
    write_atomically(path, b'{"count": 0}')

    def count() -> None:
        try:
            for _ in range(200):
                with exclusive(tmp_path / "lock", within=None):
                    number = (read_json(path) or {})["count"]
                    write_atomically(path, json.dumps({"count": number + 1}).encode(), sync=False)
        except Exception as error:
            failed.append(error)

    threads = [threading.Thread(target=count) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (failed, read_json(path)) == ([], {"count": 400})
    assert names(tmp_path) == ["count.json", "lock"]


def test_two_threads_that_write_one_file_leave_either_content_whole(tmp_path: Path) -> None:
    path, contents, failed = tmp_path / "x.json", (b"a" * 70_000, b"b" * 90_000), list[Exception]()

    def write(content: bytes) -> None:
        try:
            for _ in range(200):
                write_atomically(path, content, sync=False)
                assert path.read_bytes() in contents
        except Exception as error:
            failed.append(error)

    threads = [threading.Thread(target=write, args=(content,)) for content in contents]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (failed, names(tmp_path)) == ([], ["x.json"])


def test_a_thread_that_waits_may_give_up_and_the_holder_goes_on(tmp_path: Path) -> None:
    class GivenUpError(Exception):
        pass

    def give_up() -> None:
        raise GivenUpError

    def second() -> None:
        with pytest.raises(GivenUpError), exclusive(tmp_path / "lock", within=None, on_wait=give_up):
            raise AssertionError("two at once")
        done.set()

    done = threading.Event()
    with exclusive(tmp_path / "lock"):
        thread = threading.Thread(target=second)
        thread.start()
        thread.join()
    assert done.is_set()


def test_a_lock_that_is_a_hard_link_or_a_pipe_is_refused_and_nothing_written(tmp_path: Path) -> None:
    stranger = tmp_path / "stranger"
    stranger.write_bytes(b"precious")
    (tmp_path / "lock").hardlink_to(stranger)
    os.mkfifo(tmp_path / "pipe")
    for name in ("lock", "pipe"):
        with pytest.raises(NotAFileError), exclusive(tmp_path / name):
            raise AssertionError("taken")
    assert stranger.read_bytes() == b"precious"


def test_folders_that_are_made_are_synced_with_those_above(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[str] = []
    monkeypatch.setattr(os, "fsync", lambda fd: synced.append(Path(f"/proc/self/fd/{fd}").readlink().name))
    make_folders(tmp_path / "a" / "runs")
    make_folders(tmp_path / "a" / "runs")
    assert synced == [tmp_path.name, "a"]
    assert stat.S_IMODE((tmp_path / "a").stat().st_mode) == 0o700


@pytest.mark.parametrize(("code", "told"), [(errno.EIO, True), (errno.EINVAL, False), (errno.ENOTSUP, False)])
def test_a_disk_that_fails_is_told_and_one_that_cannot_sync_folders_is_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int, told: bool
) -> None:
    def fail(fd: int) -> None:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(OSError) if told else contextlib.nullcontext():
        sync_folder(tmp_path)


def test_a_disk_without_inodes_is_full(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    reserve = Reserve(tmp_path)
    assert reserve.room()
    opened = os.open

    def no_new_file(path: Path, flags: int, mode: int = 0o777, *, dir_fd: int | None = None) -> int:
        if flags & os.O_EXCL:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return opened(path, flags, mode, dir_fd=dir_fd)

    monkeypatch.setattr(os, "open", no_new_file)
    assert not reserve.room()
    monkeypatch.undo()
    assert reserve.room()
    assert names(tmp_path) == [".reserve"]


def test_temporary_files_of_a_folder_that_is_in_use_stay(tmp_path: Path) -> None:
    for folder in ("free", "used"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / ".x.tmp").touch()
    remove_stale_files(tmp_path, in_use=lambda path: path.name == "used")
    assert names(tmp_path / "free") == []
    assert names(tmp_path / "used") == [".x.tmp"]


def test_a_folder_in_the_place_of_a_file_is_told_in_one_line_and_nothing_is_left(tmp_path: Path) -> None:
    (tmp_path / "x").mkdir()
    with pytest.raises(NotAFileError) as caught:
        write_atomically(tmp_path / "x", b"content")
    assert str(caught.value) == "x: it is a folder"
    assert [path.name for path in tmp_path.iterdir()] == ["x"]
