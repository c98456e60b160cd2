"""No folders of the user but the tests' own, a bound for tests with pipes, and how hypothesis searches.

It takes few and fixed examples in the suite, many in `pytest --hypothesis-profile=thorough`.
"""

from __future__ import annotations

import fcntl
import gc
import os
import shutil
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType

import pytest
from hypothesis import HealthCheck, settings

_SLOW_MACHINE = (HealthCheck.too_slow, HealthCheck.data_too_large)

# Fixed examples, so that the suite says the same on every machine; no deadline, because a loaded one is no fault.
settings.register_profile(
    "suite", max_examples=32, deadline=None, derandomize=True, database=None, suppress_health_check=_SLOW_MACHINE
)
settings.register_profile(
    "thorough", max_examples=1000, deadline=None, database=None, print_blob=True, suppress_health_check=_SLOW_MACHINE
)
settings.load_profile("suite")


_PIPE_WITHIN = 300
_mkfifo = os.mkfifo


def _bounded_mkfifo(path: str | Path, mode: int = 0o666) -> None:
    """As `os.mkfifo`; a test that then waits for the other end of the pipe fails instead of blocking the suite."""
    _mkfifo(path, mode)
    signal.alarm(_PIPE_WITHIN)


def _fail(signum: int, frame: FrameType | None) -> None:
    pytest.fail(f"it still ran {_PIPE_WITHIN} s after it had made a pipe: does something wait for the other end?")


os.mkfifo = _bounded_mkfifo  # type: ignore[assignment]  # before the tests are imported
signal.signal(signal.SIGALRM, _fail)


_UMASK = os.umask(0o022)
os.umask(_UMASK)


def pytest_runtest_teardown() -> None:
    """Take back what a test may leave in the process: the bound of its pipes, and the umask of a program run in it."""
    signal.alarm(0)
    os.umask(_UMASK)


# Files are tested side by side. torch's threads wait for each other, and wait long where another program has the core.
# It is read when torch is loaded, also by the programs that tests start.
os.environ["OMP_NUM_THREADS"] = "1"

_LONG = ("program", "reliability", "train", "ui")
"""The folders whose files take longest, and whose tests therefore begin."""

_USER_CACHE = os.environ.get("XDG_CACHE_HOME", str(Path.home() / ".cache"))


@pytest.fixture(scope="session", autouse=True)
def _home_of_the_tests(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Point the user's folders at empty ones, so that nothing depends on whoever runs the tests."""
    home = tmp_path_factory.mktemp("home")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HOME", str(home))
        for name, folder in (
            ("CONFIG", ".config"),
            ("STATE", ".local/state"),
            ("CACHE", ".cache"),
            ("DATA", ".local/share"),
        ):
            patch.setenv(f"XDG_{name}_HOME", str(home / folder))
        yield


@pytest.fixture
def own_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Give the test a cache and a state of its own, which are empty."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))


@pytest.fixture(scope="session")
def user_cache() -> str:
    """The cache of whoever runs the tests, for tests marked `real_data`: else they would download the data set."""
    return _USER_CACHE


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the files that take long, so that no process is left alone with one of them at the end."""
    rank = {name: index for index, name in enumerate(_LONG)}
    items.sort(key=lambda item: rank.get(item.path.parent.name, len(rank)))


def pytest_collection_finish() -> None:
    """Spare every later collection of garbage the way through all that was imported."""
    gc.freeze()


def made_once(factory: pytest.TempPathFactory, name: str, make: Callable[[Path], object]) -> Path:
    """A folder that `make` filled in the first process to ask for it, for all that run tests; to be read only."""
    base = factory.getbasetemp()
    folder = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / name
    with folder.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (done := folder.with_suffix(".done")).exists():
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir()
            make(folder)
            done.touch()
    return folder
