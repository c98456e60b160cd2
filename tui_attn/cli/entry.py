"""The entry point, and how errors are shown."""

from __future__ import annotations

import contextlib
import functools
import io
import os
import sys
from itertools import pairwise
from pathlib import Path
from typing import Any

from tui_attn.cli import output
from tui_attn.cli.app import Group
from tui_attn.cli.completion import VARIABLE, make_safe
from tui_attn.cli.context import BEFORE_ANY, fixed
from tui_attn.cli.option_types import SETTINGS, parameters
from tui_attn.cli.start import CALL_OPTIONS, begin
from tui_attn.experiment.config import OPTIONS
from tui_attn.system import console
from tui_attn.system.text import safe_text
from tui_attn.system.user_error import UserError


@functools.cache
def program() -> Group:
    """The parser of the command line."""
    return Group(begin, [*parameters(SETTINGS), *CALL_OPTIONS])


def main() -> None:
    """The entry point of `tui-attn`."""
    console.open_standard_streams()
    if not os.environ.get("HOME"):
        os.environ.pop("HOME", None)  # an empty HOME would mean the root folder
    if os.environ.get(VARIABLE, "").startswith("complete_"):
        sys.exit(_complete())
    sys.exit(run(sys.argv[1:]))


def _complete() -> int:
    """Answer the shell. Errors are not shown at the prompt."""
    with contextlib.redirect_stderr(io.StringIO()):
        try:
            make_safe()
            program()([], prog_name="tui-attn", complete_var=VARIABLE)
        except SystemExit as done:
            return done.code if isinstance(done.code, int) else 0
        except (Exception, KeyboardInterrupt):  # a shell can do nothing about errors
            return 1
    return 0


def run(arguments: list[str]) -> int:
    """Run the command line `arguments`, and return the exit code."""
    try:
        result = program()(arguments, prog_name="tui-attn", standalone_mode=False)
    except UserError as error:
        return _wrong(str(error))
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        output.give_up_stdout()
        return output.CLOSED_PIPE
    except Exception as error:
        return _report(error, arguments)
    return result if isinstance(result, int) else 0


def _report(error: Exception, arguments: list[str]) -> int:
    """Show `error` to the user, and return the exit code."""
    if isinstance(error, output.OutputError):
        output.give_up_stdout()
        console.complain(str(error))
        return 1
    if isinstance(error, MemoryError):
        return _wrong("there is not enough memory: end other programs, or raise the limit ('ulimit -v')")
    if isinstance(error, FileNotFoundError) and not _has_folder():
        return _wrong("the current folder has been deleted: change to another one")
    message = getattr(error, "format_message", None)
    if message is not None:  # typer's own: a wrong option or value
        return _wrong(_elsewhere(error) or f"{message().rstrip('.')}\n{_where_to_look(error, arguments)}")
    if type(error).__name__ == "Abort":
        return 130
    return _crash(error)


def _has_folder() -> bool:
    try:
        return bool(Path.cwd())
    except OSError:
        return False


def _where_to_look(error: Any, arguments: list[str]) -> str:
    """What follows typer's message on a wrong command line: the correction, or where to find help."""
    for before, after in pairwise(arguments):
        if (before.endswith(",") or after.startswith(",")) and not after.startswith("-"):
            return f"write a list without spaces, as in {safe_text(before + after, one_line=True)[:60]}"
    return f"see '{_command(error)} --help'"


def _command(error: Any) -> str:
    return str(getattr(getattr(error, "ctx", None), "command_path", "tui-attn"))


def _elsewhere(error: Any) -> str:
    """What to do about an option of another command or of a start; empty for other mistakes."""
    path = _command(error)
    option = getattr(error, "option_name", "")
    known = {name for parameter in program().params for name in (*parameter.opts, *parameter.secondary_opts)}
    if path != "tui-attn" and option in known:
        field = option.removeprefix("--").removeprefix("no-").replace("-", "_")
        if field in {each.field for each in OPTIONS}:
            return fixed(option, f"start a new one with 'tui-attn {option} ...'")
        if field in BEFORE_ANY:
            return f"'{option}' stands before the command: tui-attn {option} ... {path.removeprefix('tui-attn ')}"
    return ""


def _crash(error: Exception) -> int:
    """Report an internal error: one line for the user, the traceback in a file."""
    import tempfile
    import traceback

    if os.environ.get("TUI_ATTN_DEBUG"):
        raise error
    try:
        with tempfile.NamedTemporaryFile(
            "w", prefix="tui-attn-", suffix=".log", delete=False, encoding="utf-8", errors="backslashreplace"
        ) as file:
            file.write("".join(traceback.format_exception(error)))
        details = f"the details are in {file.name}: please report them"
    except OSError:
        details = "there is no room to keep the details: TUI_ATTN_DEBUG=1 shows them"
    what = safe_text(error, one_line=True)
    console.complain(f"internal error: {type(error).__name__}: {what}\n{details}")
    return 1


def _wrong(message: str) -> int:
    console.complain(message)
    return 2
