"""Disks that fail, processes that are killed, and starts at the same time."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from tests.data.small_sets import (
    QUICK,
    Made,
    Server,
    contents,
    lines_of,
    make_cifar_set,
    make_idx_set,
    names_in,
    with_urls,
    write,
)
from tests.waiting import eventually
from tui_attn.data import DataError, FetchOptions, ensure
from tui_attn.data.base import DatasetInfo
from tui_attn.data.files import cache_dir
from tui_attn.data.locate import find_info
from tui_attn.data.resolve import ensure_info


def test_a_cache_that_cannot_be_made_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path, {"file": b"x"})
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    with pytest.raises(DataError, match="cannot create the data cache") as caught:
        ensure("fashion-mnist", offline=True)
    assert "XDG_CACHE_HOME" in lines_of(caught)[1]


def test_a_full_disk_is_an_error_and_leaves_nothing(
    online: tuple[Made, DatasetInfo], cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(DataError, match="no space left for Made-") as caught:
        ensure_info(online[1], options=QUICK)
    assert "XDG_CACHE_HOME" in lines_of(caught)[1]
    assert not any(path.suffix == ".tmp" for path in cache.rglob("*"))


def test_a_relative_cache_home_is_ignored(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    for value in ("relative/path", ""):
        monkeypatch.setenv("XDG_CACHE_HOME", value)
        assert cache_dir() == tmp_path / ".cache" / "tui-attn" / "data"


STARTER = """
import sys
from tests.data.small_sets import make_idx_set, with_urls
from tui_attn.data.resolve import ensure_info
from tui_attn.data import FetchOptions
from tui_attn.data.base import Limits
said = set()
def say(phase, done, total):
    if phase.startswith("waiting") and phase not in said:
        print("waiting", flush=True)
    said.add(phase)
options = FetchOptions(progress=say, limits=Limits(stall=240.0))
where = ensure_info(with_urls(make_idx_set(), sys.argv[1]), options=options)
print(where.source)
"""


def start(url: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", STARTER, url], stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[2]
    )


def downloading(process: subprocess.Popen[str], server: Server) -> None:
    """Wait until the process is in the middle of its download, and holds the lock."""
    eventually(lambda: server.asked or process.poll() is not None, "a download")
    assert process.poll() is None


def test_two_starts_at_once_fetch_once(cache: Path, server: Server) -> None:
    server.hold = threading.Event()
    first = start(f"{server.url}idx/")
    downloading(first, server)
    second = start(f"{server.url}idx/")
    assert second.stdout is not None
    assert second.stdout.readline() == "waiting\n"
    server.hold.set()
    assert first.communicate(timeout=240)[0] == "downloaded\n"
    assert second.communicate(timeout=240)[0] == "cache\n"
    assert len(server.asked) == len(make_idx_set().raw)


def test_whoever_waits_for_a_fetch_may_give_up(cache: Path, server: Server) -> None:
    server.hold = threading.Event()
    first = start(f"{server.url}idx/")
    downloading(first, server)
    heard: list[tuple[str, int, int | None]] = []

    def give_up(phase: str, done: int, total: int | None) -> None:
        heard.append((phase, done, total))
        if len(heard) == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        ensure_info(with_urls(make_idx_set(), f"{server.url}idx/"), options=FetchOptions(progress=give_up))
    assert len(heard) == 3
    for phase, done, total in heard:
        assert phase.startswith("waiting for another tui-attn")
        assert (done, total) == (0, None), "it doesn't know how far the other one is"
    server.hold.set()
    assert first.communicate(timeout=240)[0] == "downloaded\n"
    where = ensure_info(with_urls(make_idx_set(), f"{server.url}idx/"), options=FetchOptions(offline=True))
    assert where.source == "cache"


def test_a_killed_start_leaves_a_lock_that_opens_and_a_part_that_goes_on(cache: Path, server: Server) -> None:
    made = make_idx_set()
    server.hold = threading.Event()
    first = start(f"{server.url}idx/")
    downloading(first, server)
    first.kill()
    first.communicate(timeout=240)
    server.hold.set()
    server.hold = None
    assert contents(ensure_info(with_urls(made, f"{server.url}idx/"), options=QUICK)) == made.raw


KILLED = """
import os, signal, sys
from dataclasses import replace
from tests.data.small_sets import make_cifar_set, make_idx_set, with_urls
from tui_attn.data.resolve import ensure_info
from tui_attn.data import FetchOptions
def die(phase, done, total):
    if phase.startswith("unpacking") and done > 1000:
        os.kill(os.getpid(), signal.SIGKILL)
made = make_idx_set() if sys.argv[2] == "idx" else make_cifar_set()
ensure_info(with_urls(made, sys.argv[1]), options=FetchOptions(progress=die))
"""


@pytest.mark.parametrize("kind", ["idx", "cifar"])
def test_a_start_killed_while_it_unpacks_is_done_again(kind: str, cache: Path, server: Server) -> None:
    made, path = (make_idx_set(), "idx/") if kind == "idx" else (make_cifar_set(), "made-python.tar.gz")
    info = with_urls(made, f"{server.url}{path}")
    command = [sys.executable, "-c", KILLED, f"{server.url}{path}", kind]
    killed = subprocess.run(command, check=False, cwd=Path(__file__).parents[2])
    assert killed.returncode == -signal.SIGKILL
    assert any(name.endswith(".tmp") for name in names_in(cache / info.folder))
    assert find_info(info) is None
    server.asked.clear()
    assert contents(ensure_info(info, options=QUICK)) == made.raw
    assert names_in(cache / info.folder) == sorted(made.raw)
    assert f"/{path}" not in server.paths  # an archive that was there whole is not asked for again


def test_two_threads_at_once_fetch_once(cache: Path, server: Server) -> None:
    info = with_urls(make_idx_set(), f"{server.url}idx/")
    sources: list[str] = []
    threads = [
        threading.Thread(target=lambda: sources.append(ensure_info(info, options=QUICK).source)) for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(240)
    assert sorted(sources) == ["cache", "cache", "cache", "downloaded"]
    assert len(server.asked) == len(info.files)
