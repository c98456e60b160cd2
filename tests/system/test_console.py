"""The turning sign of commands that take long."""

import os
import pty
import subprocess
import sys

WORK = """
import sys
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
