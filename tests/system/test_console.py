"""The turning sign of commands that take long, and the progress of downloads."""

import io
import os
import pty
import subprocess
import sys

import pytest

from tui_attn.system.console import FetchProgress, fetch_line

WORK = """
import sys

import pytest

from tui_attn.system.console import FetchProgress, fetch_line
from tui_attn.system.console import working
with working("reading the logs"):
    sys.stdin.readline()
"""


def test_work_that_takes_long_shows_a_turning_sign_and_clears_it() -> None:
    ours, theirs = pty.openpty()
    environment = os.environ | {"TERM": "xterm"}
    process = subprocess.Popen([sys.executable, "-c", WORK], stdin=subprocess.PIPE, stderr=theirs, env=environment)
    os.close(theirs)
    said = b""
    while b"/ reading the logs" not in said:
        said += os.read(ours, 1024)
    assert said.startswith(b"\r\x1b[2K| reading the logs")
    process.communicate(b"\n")
    while not said.endswith(b"\r\x1b[2K"):
        said += os.read(ours, 1024)
    os.close(ours)
    assert process.returncode == 0


def test_nothing_is_shown_where_nobody_reads_a_terminal() -> None:
    done = subprocess.run([sys.executable, "-c", WORK], input=b"\n", capture_output=True, check=True)
    assert done.stderr == b""


class Stream(io.StringIO):
    def __init__(self, terminal: bool) -> None:
        super().__init__()
        self.terminal = terminal

    def isatty(self) -> bool:
        return self.terminal


@pytest.mark.parametrize(
    ("terminal", "term", "redrawn"), [(False, "xterm", False), (True, "dumb", False), (True, "xterm", True)]
)
def test_a_download_is_redrawn_on_a_terminal_and_told_in_lines_elsewhere(
    monkeypatch: pytest.MonkeyPatch, terminal: bool, term: str, redrawn: bool
) -> None:
    monkeypatch.setenv("TERM", term)
    monkeypatch.setattr(sys, "stderr", stream := Stream(terminal))
    now = 0.0
    with FetchProgress(clock=lambda: now) as progress:
        for now, done in ((0.0, 0), (0.1, 100_000), (2.0, 1_000_000), (2.1, 1_100_000), (7.0, 1_750_000)):  # noqa: B007
            progress("downloading it", done, 2_000_000)
    bars = [
        fetch_line("downloading it", done, 2_000_000, fresh=done, seconds=seconds)
        for seconds, done in ((2.0, 1_000_000), (7.0, 1_750_000))
    ]
    assert "[##########..........] 1.0 MB of 2.0 MB" in bars[0]
    if redrawn:
        assert stream.getvalue().split("\r\x1b[2K") == ["", *(bar[:79] for bar in bars), ""]
    else:
        assert stream.getvalue().splitlines() == ["downloading it (2.0 MB)", *bars]
