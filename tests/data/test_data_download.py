"""Downloads from a server on this machine that breaks off, stalls, lies and redirects."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from tests.data.small_sets import Server, serving
from tests.waiting import eventually
from tui_attn.data.base import Limits
from tui_attn.data.download import DownloadError, allowed, download, host_of

CONTENT = bytes(range(256)) * 3000
QUICK = Limits(connect=60.0, stall=60.0, retries=2, pause=0.001)
"""The server answers at once, or as soon as a busy machine lets it."""


@pytest.fixture
def server() -> Iterator[Server]:
    with serving({"file": CONTENT}) as running:
        yield running


def fetch(server: Server, part: Path, size: int = len(CONTENT), limits: Limits = QUICK) -> list[int]:
    ticks: list[int] = []
    download(f"{server.url}file", part, size, limits, ticks.append)
    return ticks


def test_a_whole_file_with_progress(server: Server, tmp_path: Path) -> None:
    ticks = fetch(server, tmp_path / "part")
    assert (tmp_path / "part").read_bytes() == CONTENT
    assert ticks == sorted(ticks)
    assert ticks[-1] == len(CONTENT)
    assert len(ticks) > 3
    assert server.asked == [("/file", None)]


def test_it_goes_on_where_the_connection_broke_off(server: Server, tmp_path: Path) -> None:
    server.break_after = [100_000, 200_000, 1]
    fetch(server, tmp_path / "part")
    assert (tmp_path / "part").read_bytes() == CONTENT
    ranges = [wanted for _, wanted in server.asked]
    assert ranges == [None, "bytes=100000-", "bytes=300000-", "bytes=300001-"]


def test_it_goes_on_from_what_an_earlier_start_left(server: Server, tmp_path: Path) -> None:
    (tmp_path / "part").write_bytes(CONTENT[:500_000])
    fetch(server, tmp_path / "part")
    assert (tmp_path / "part").read_bytes() == CONTENT
    assert server.asked == [("/file", "bytes=500000-")]


def test_it_starts_anew_where_the_server_knows_no_ranges(server: Server, tmp_path: Path) -> None:
    server.ranges = False
    server.break_after = [100_000]
    fetch(server, tmp_path / "part")
    assert (tmp_path / "part").read_bytes() == CONTENT


def test_it_starts_anew_where_more_is_there_than_the_file_has(server: Server, tmp_path: Path) -> None:
    (tmp_path / "part").write_bytes(CONTENT + b"more")
    fetch(server, tmp_path / "part")
    assert (tmp_path / "part").read_bytes() == CONTENT
    assert [wanted for _, wanted in server.asked] == [f"bytes={len(CONTENT) + 4}-", None]


def test_a_server_that_always_breaks_off_is_given_up(server: Server, tmp_path: Path) -> None:
    server.break_after = [1000] + [0] * 50
    with pytest.raises(DownloadError, match="broke off after 1,000 of 768,000 bytes"):
        fetch(server, tmp_path / "part")
    assert (tmp_path / "part").read_bytes() == CONTENT[:1000]
    assert len(server.asked) == 1 + QUICK.retries


def test_a_server_that_says_nothing_is_given_up(server: Server, tmp_path: Path) -> None:
    server.hold = threading.Event()
    with pytest.raises(DownloadError, match="does not answer"):
        fetch(server, tmp_path / "part", limits=QUICK._replace(stall=0.2))
    eventually(lambda: len(server.asked) == 1 + QUICK.retries, "the last of its questions")


def test_without_a_length_the_end_of_the_connection_is_the_end(server: Server, tmp_path: Path) -> None:
    server.announce_length = False
    fetch(server, tmp_path / "part")
    assert (tmp_path / "part").read_bytes() == CONTENT


@pytest.mark.parametrize("announce", [True, False])
def test_more_than_the_size_is_refused(server: Server, tmp_path: Path, announce: bool) -> None:
    server.announce_length = announce
    server.files["file"] = bytes(2_000_000)
    with pytest.raises(DownloadError, match="more"):
        fetch(server, tmp_path / "part")
    assert not (tmp_path / "part").exists() or (tmp_path / "part").stat().st_size == 0
    assert len(server.asked) == 1


@pytest.mark.parametrize(
    ("status", "asked"),
    [(404, 1), (403, 1), (500, 1 + QUICK.retries), (503, 1 + QUICK.retries), (429, 1 + QUICK.retries)],
)
def test_errors_of_the_server_are_repeated_only_where_that_may_help(
    server: Server, tmp_path: Path, status: int, asked: int
) -> None:
    server.answer = lambda path: (status, {}, b"")
    with pytest.raises(DownloadError, match=f"answers {status}"):
        fetch(server, tmp_path / "part")
    assert len(server.asked) == asked
    assert not (tmp_path / "part").exists()


def test_redirects_on_this_machine_are_followed(server: Server, tmp_path: Path) -> None:
    server.answer = lambda path: (302, {"Location": "/file"}, b"") if path == "/moved" else None
    download(f"{server.url}moved", tmp_path / "part", len(CONTENT), QUICK)
    assert (tmp_path / "part").read_bytes() == CONTENT
    assert server.paths == ["/moved", "/file"]


@pytest.mark.parametrize("target", ["http://mirror.example/file", "ftp://127.0.0.1/file", "file:///etc/passwd"])
def test_redirects_to_anything_but_https_are_not(server: Server, tmp_path: Path, target: str) -> None:
    server.answer = lambda path: (302, {"Location": target}, b"")
    with pytest.raises(DownloadError, match="302"):
        fetch(server, tmp_path / "part")
    assert not (tmp_path / "part").exists()


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("https://example.org/x", True),
        ("http://127.0.0.1:8000/x", True),
        ("http://localhost/x", True),
        ("http://[::1]/x", True),
        ("http://example.org/x", False),
        ("http://127.0.0.1.example.org/x", False),
        ("http://localhost@example.org/x", False),
        ("ftp://example.org/x", False),
        ("file:///etc/passwd", False),
        ("https://", False),
        ("", False),
        ("http://[::1/x", False),
    ],
)
def test_only_https_is_allowed_beyond_this_machine(url: str, expected: bool) -> None:
    assert allowed(url) is expected


def test_an_address_that_is_not_allowed_is_not_asked(tmp_path: Path) -> None:
    with pytest.raises(DownloadError, match="not an https address"):
        download("http://example.org/x", tmp_path / "part", 10, QUICK)


def test_a_name_that_does_not_exist_is_an_offline_user(tmp_path: Path) -> None:
    with pytest.raises(DownloadError, match=r"cannot be found \(offline\?\)|does not answer"):
        download("https://no-such-host.invalid/x", tmp_path / "part", 10, QUICK._replace(connect=2.0))
    assert not (tmp_path / "part").exists()


def test_a_port_where_nobody_listens(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{taken.getsockname()[1]}/x"
        with pytest.raises(DownloadError, match="connection refused"):
            download(url, tmp_path / "part", 10, QUICK)


@contextmanager
def speaking(words: Callable[[socket.socket], None]) -> Iterator[str]:
    """A server of sockets that does `words` to whoever connects; its address."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            with suppress(OSError):
                while True:
                    connection, _ = listener.accept()
                    with connection, suppress(OSError):
                        words(connection)

        threading.Thread(target=serve, daemon=True).start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}/x"
        listener.shutdown(socket.SHUT_RDWR)


def drip(connection: socket.socket, text: bytes) -> None:
    """Send a byte now and then, until the other side has had enough."""
    pause = threading.Event()
    for byte in text:
        connection.sendall(bytes([byte]))
        pause.wait(0.02)


def test_a_mirror_whose_body_drips_is_given_up_at_once(tmp_path: Path) -> None:
    asked = []

    def words(connection: socket.socket) -> None:
        asked.append(connection.recv(65536))
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")
        drip(connection, bytes(100))  # then it breaks off, which must not be what ends the download

    limits = QUICK._replace(stall=0.3, least=2000.0)
    with speaking(words) as url, pytest.raises(DownloadError, match="is too slow"):
        download(url, tmp_path / "part", 100_000, limits)
    assert len(asked) == 1
    assert 0 < (tmp_path / "part").stat().st_size < 10_000


def test_a_mirror_whose_headers_drip_is_given_up(tmp_path: Path) -> None:
    def words(connection: socket.socket) -> None:
        connection.recv(65536)
        drip(connection, b"HTTP/1.1 200 OK\r\n" + b"X-More: 1\r\n" * 10)

    limits = QUICK._replace(connect=0.3, stall=0.3)
    with speaking(words) as url, pytest.raises(DownloadError, match="does not answer"):
        download(url, tmp_path / "part", 100_000, limits)


def test_a_mirror_that_breaks_off_after_each_byte_is_given_up(server: Server, tmp_path: Path) -> None:
    server.break_after = [1] * 100
    with pytest.raises(DownloadError, match="broke off"):
        fetch(server, tmp_path / "part")
    assert len(server.asked) == 1 + QUICK.retries


def test_redirects_in_a_circle_are_given_up(server: Server, tmp_path: Path) -> None:
    server.answer = lambda path: (302, {"Location": path}, b"")
    with pytest.raises(DownloadError, match="circle"):
        fetch(server, tmp_path / "part")


@pytest.mark.parametrize(
    "answer", [b"nonsense\r\n\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\n", b"HTTP/1.1 2", b""]
)
def test_what_is_no_http_is_an_error(answer: bytes, tmp_path: Path) -> None:
    def words(connection: socket.socket) -> None:
        connection.recv(65536)
        connection.sendall(answer)

    with speaking(words) as url, pytest.raises(DownloadError):
        download(url, tmp_path / "part", 1000, QUICK)


def test_a_name_lookup_that_hangs_is_given_up(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    gate = threading.Event()
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: gate.wait(120))
    with pytest.raises(DownloadError, match="does not answer"):
        download("https://mirror.example/x", tmp_path / "part", 10, Limits(connect=0.05))
    gate.set()


def test_a_planted_link_is_not_written_through(server: Server, tmp_path: Path) -> None:
    (tmp_path / "victim").write_bytes(b"mine")
    (tmp_path / "part").symlink_to(tmp_path / "victim")
    fetch(server, tmp_path / "part")
    assert (tmp_path / "victim").read_bytes() == b"mine"
    assert (tmp_path / "part").read_bytes() == CONTENT
    assert not (tmp_path / "part").is_symlink()


def test_a_proxy_is_not_asked_for_this_machine(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://proxy.invalid:3128")
    fetch(server, tmp_path / "part")
    assert (tmp_path / "part").read_bytes() == CONTENT


def test_an_interrupted_download_keeps_what_it_has(server: Server, tmp_path: Path) -> None:
    def stop(done: int) -> None:
        if done > 200_000:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        download(f"{server.url}file", tmp_path / "part", len(CONTENT), QUICK, stop)
    kept = (tmp_path / "part").read_bytes()
    assert kept == CONTENT[: len(kept)]
    assert len(kept) > 200_000
    fetch(server, tmp_path / "part")
    assert (tmp_path / "part").read_bytes() == CONTENT


def test_the_host_is_named() -> None:
    assert host_of("https://example.org:443/a/b") == "example.org"
    assert os.sep not in host_of("https://example.org/a")
