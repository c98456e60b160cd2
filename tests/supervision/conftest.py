import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

_HOLDER = """
import sys
from pathlib import Path
from tui_attn.system.liveness import Lock
lock = Lock(Path(sys.argv[1]))
print("held", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def hold_lock() -> Iterator[Callable[[Path], "subprocess.Popen[str]"]]:
    """Lets another process hold a lock file until the test ends."""
    holders: list[subprocess.Popen[str]] = []

    def hold(path: Path) -> "subprocess.Popen[str]":
        process = subprocess.Popen(
            [sys.executable, "-c", _HOLDER, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        holders.append(process)
        return process

    yield hold
    for process in holders:
        process.kill()
        process.communicate()
