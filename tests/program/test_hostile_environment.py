"""Environments and limits that nobody designed for: success, or two lines and exit code 2, and never a traceback."""

import contextlib
import os
import resource
from pathlib import Path

import pytest

from tests.data.pictures import labelled
from tests.program.conftest import SMALL, Program, harmless

LITTLE = 300 << 20
ENVIRONMENTS: dict[str, tuple[dict[str, str], list[str], int, str]] = {
    "folders that are none": (
        {f"XDG_{kind}_HOME": "/dev/null" for kind in ("CACHE", "CONFIG", "STATE")},
        ["data", "folder:images"],
        0,
        "8 training images",
    ),
    "relative folders": (
        {"XDG_CACHE_HOME": "here", "XDG_STATE_HOME": "here"},
        ["data", "folder:images"],
        0,
        "8 training",
    ),
    "a home that is a file": ({"HOME": "/etc/passwd"}, ["data", "folder:images"], 0, "8 training images"),
    "a plain locale": ({"LC_ALL": "C"}, ["data", "folder:images"], 0, "8 training images"),
    "letters of ASCII": ({"PYTHONIOENCODING": "ascii:strict"}, ["data", "folder:images"], 0, "8 training images"),
    "no docstrings": ({"PYTHONOPTIMIZE": "2"}, ["ls", "--help"], 0, "--runs-dir"),
    "warnings as errors": ({"PYTHONWARNINGS": "error"}, ["data", "folder:images"], 0, "8 training images"),
    "no place for temporary files": ({"TMPDIR": "/nowhere"}, ["data", "folder:images"], 0, "8 training images"),
    "threads that are no number": ({"OMP_NUM_THREADS": "4,2"}, ["doctor"], 0, "cores"),
    "a proxy that is none": ({"https_proxy": "::::"}, ["data", "mnist"], 1, "the proxy in https_proxy can't be used"),
    "a proxy of an unknown kind": (
        {"https_proxy": "x9://127.0.0.1:9"},
        ["data", "mnist"],
        1,
        "the proxy in https_proxy can't",
    ),
}


@pytest.mark.parametrize("what", ENVIRONMENTS)
def test_an_environment(what: str, program: Program) -> None:
    environment, arguments, code, words = ENVIRONMENTS[what]
    labelled(program.folder / "images")
    cache = {"XDG_CACHE_HOME": str(program.folder / "cache")}
    done = program(*arguments, env=cache | environment)
    harmless(done.out + done.err)
    assert done.code == code
    assert words in done.out + done.err


@pytest.mark.parametrize("terminal", ["linux", "vt220"])
def test_a_console_that_lacks_most_signs_gets_ascii(program: Program, terminal: str) -> None:
    """At a start, which draws a table over itself, and from commands."""
    program.environment |= {"TERM": terminal, "LC_ALL": "C.UTF-8"}
    start = ("--no-ui", *SMALL, "--models", "base", "--epochs", "1", "--name", "n\u00e9w")
    for arguments in (start, ("ls",), ("compare",), ("stop",)):
        shown = on_terminal(program, *arguments)
        assert shown.strip()
        assert shown.isascii(), arguments
    assert "n\\xe9w" in on_terminal(program, "ls")
    program.environment["TERM"] = "xterm-256color"
    assert "n\u00e9w" in on_terminal(program, "ls")


def on_terminal(program: Program, *arguments: str) -> str:
    ours, theirs = os.openpty()
    process = program.start(*arguments, stdout=theirs, stderr=theirs)
    os.close(theirs)
    shown = b""
    with contextlib.suppress(OSError):  # the end, as Linux says it
        while part := os.read(ours, 1 << 16):
            shown += part
    process.wait(timeout=240)
    os.close(ours)
    return shown.decode()


def test_little_memory_is_told(program: Program) -> None:
    labelled(program.folder / "images")
    done = program("data", "folder:images", preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, (LITTLE,) * 2))
    harmless(done.err)
    assert done.code == 2
    assert done.err.splitlines()[-1].startswith("tui-attn: there is not enough memory: end other programs")


def test_a_folder_that_was_deleted_meanwhile_is_told(program: Program) -> None:
    gone = program.folder / "gone"
    gone.mkdir()

    def leave() -> None:
        os.chdir(gone)
        gone.rmdir()

    done = program("ls", preexec_fn=leave)
    assert (done.code, done.err) == (2, "tui-attn: the current folder has been deleted: change to another one\n")


def test_a_notebooks_choice_of_drawing_does_not_disturb_a_report(finished: Program, tmp_path: Path) -> None:
    done = finished("compare", "--report", str(tmp_path), env={"MPLBACKEND": "nowhere"})
    harmless(done.err)
    assert done.code == 0
    assert (tmp_path / "report.html").stat().st_size > 10_000
