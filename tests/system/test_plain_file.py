"""Opening what may be no file at all."""

from __future__ import annotations

import os
import socket
import threading
from pathlib import Path

import pytest

from tests.processes import open_descriptors
from tui_attn.system.plain_file import NotAFileError, open_to_read, open_to_write


def test_a_file_is_opened_and_not_inherited(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"content")
    fd = open_to_read(tmp_path / "file")
    assert os.read(fd, 100) == b"content"
    assert not os.get_inheritable(fd)
    os.close(fd)


@pytest.mark.parametrize(
    ("what", "writes", "said"),
    [
        ("folder", False, "it is no file"),
        ("folder", True, "it is a folder"),
        ("fifo", False, "it is no file"),
        ("fifo", True, "it is no file"),
        ("device", True, "it is no file"),
        ("socket", False, "it is no file"),
        ("socket", True, "it is no file"),
        ("link", False, "it is a symbolic link"),
        ("link", True, "it is a symbolic link"),
        ("hard link", True, "it is a hard link to a file that has other names: replace it by a copy"),
    ],
)
def test_what_is_no_file_is_refused_at_once_and_keeps_no_descriptor(
    tmp_path: Path, what: str, writes: bool, said: str
) -> None:
    path = tmp_path / "x"
    if what == "folder":
        path.mkdir()
    elif what == "fifo":
        os.mkfifo(path)
    elif what == "socket":
        with socket.socket(socket.AF_UNIX) as listening:
            listening.bind(str(path))
    elif what == "link":
        path.symlink_to(tmp_path / "nowhere")
    elif what == "hard link":
        (tmp_path / "y").touch()
        path.hardlink_to(tmp_path / "y")
    else:
        path = Path("/dev/zero")
    before = open_descriptors()
    with pytest.raises(NotAFileError) as caught:
        (open_to_write if writes else open_to_read)(path)
    assert str(caught.value) == f"{path.name}: {said}"
    assert open_descriptors() == before


def test_a_link_is_followed_only_where_that_is_wanted(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"content")
    (tmp_path / "link").symlink_to("file")
    with pytest.raises(OSError, match="symbolic link"):
        open_to_read(tmp_path / "link")
    fd = open_to_read(tmp_path / "link", follow_links=True)
    assert os.read(fd, 100) == b"content"
    os.close(fd)
    (tmp_path / "to a folder").symlink_to(tmp_path)
    with pytest.raises(NotAFileError):
        open_to_read(tmp_path / "to a folder", follow_links=True)


def test_a_pipe_that_nobody_writes_to_is_not_waited_for(tmp_path: Path) -> None:
    path = tmp_path / "x"
    os.mkfifo(path)
    refused = threading.Event()

    def opens() -> None:
        with pytest.raises(NotAFileError):
            open_to_read(path)
        refused.set()

    thread = threading.Thread(target=opens, daemon=True)
    thread.start()
    waits = not refused.wait(240)
    os.close(os.open(path, os.O_RDWR))  # ends the wait
    thread.join()
    assert not waits
