"""Writes to stdout, with errors that name the cause."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterable
from typing import Any

from tui_attn.system.console import takes_ascii
from tui_attn.system.text import plain

CLOSED_PIPE = 141
"""Exit code after stdout was closed by its reader, as a shell reports SIGPIPE; training continues."""


class OutputError(Exception):
    """stdout can't be written; the message says why."""


def print_line(line: str) -> None:
    """Write one line to stdout, flushed. Raises `BrokenPipeError` without a reader, `OutputError` on a full disk."""
    try:
        try:
            sys.stdout.write((plain(line) if takes_ascii(sys.stdout) else line) + "\n")
        except UnicodeEncodeError:  # half of a character from a file's name
            sys.stdout.write(plain(line) + "\n")
        sys.stdout.flush()
    except BrokenPipeError:
        raise
    except OSError as error:
        raise OutputError(f"can't write the output: {error.strerror}") from None


def print_json(value: Any) -> int:
    """Write one line of JSON to stdout; returns the exit code 0. Raises as `print_line`."""
    print_line(json.dumps(value))
    return 0


def print_lines(lines: Iterable[str]) -> None:
    """Write lines to stdout. Raises as `print_line`."""
    for line in lines:
        print_line(line)


def give_up_stdout() -> None:
    """Redirect stdout to the null device, so that the interpreter's final flush doesn't fail."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)


def output_width() -> int:
    """Columns of the terminal that stdout is, or 100."""
    return (os.get_terminal_size(1).columns or 80) if os.isatty(1) else 100
