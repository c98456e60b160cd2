"""What this call of the program was given: the command line over the configuration file over what is built in."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

if TYPE_CHECKING:
    from tui_attn.cli.config_file import FileSettings
    from tui_attn.ui import UiOptions

_FILE = "tui_attn.file"
_SCREEN = ("theme", "ascii", "mouse", "animations")
BEFORE_ANY = frozenset({*_SCREEN, "runs_dir", "no_ui", "config"})
"""Options that may stand before any command; the others are those of a start."""

_screen: dict[str, Any] = {}


def file_settings(context: typer.Context) -> FileSettings:
    """What the configuration file of this call says; read at its first use."""
    found: FileSettings | None = context.meta.get(_FILE)
    if found is None:
        from tui_attn.cli import config_file

        named = context.find_root().params.get("config")  # a string: typer makes paths of them for functions only
        found = context.meta[_FILE] = config_file.load(None if named is None else Path(named))
    return found


def given(context: typer.Context, name: str) -> bool:
    """Whether the command line gives the parameter `name` to the command of `context`."""
    source = context.get_parameter_source(name)
    return source is not None and source.name == "COMMANDLINE"


def settled(name: str) -> Callable[[typer.Context, Any], Any]:
    """What settles the value of an option that several commands share.

    After the command, before it, in the file, built in: the first that says something.
    """
    field = name.replace("-", "_")

    def settle(context: typer.Context, value: Any) -> Any:
        if context.resilient_parsing or given(context, field):
            return value
        parent = context.parent
        if parent is not None:
            return parent.params.get(field, value)
        found = file_settings(context).values.get(name, value)
        return _expanded(found) if name == "runs-dir" else found

    return settle


def kept(name: str) -> Callable[[typer.Context, Any], Any]:
    """What keeps the value of an option of the screen that stands after a command."""

    def keep(context: typer.Context, value: Any) -> Any:
        if context.parent is not None and not context.resilient_parsing and given(context, name):
            _say(name, value)
        return value

    return keep


def _expanded(path: Any) -> Path:
    from tui_attn.experiment.config import ConfigError

    try:
        return Path(path).expanduser()
    except RuntimeError:
        raise ConfigError(f"runs-dir {path}: there is no such user") from None


def before_command(context: typer.Context) -> None:
    """Check what stands before a command, and keep it for the command. Raises `ConfigError`."""
    from tui_attn.experiment.config import ConfigError

    if context.invoked_subcommand != "config":
        for name in context.params:
            if given(context, name) and name not in BEFORE_ANY:
                raise ConfigError(_misplaced(context, "--json" if name == "as_json" else f"--{name.replace('_', '-')}"))
    if context.invoked_subcommand != "config":
        _warn(context)
    keep_screen(context)


def _misplaced(context: typer.Context, option: str) -> str:
    """What to do with an option of a start that stands before a command."""
    command = str(context.invoked_subcommand)
    commands: Any = getattr(context.command, "commands", {})
    if command in commands and any(option in parameter.opts for parameter in commands[command].params):
        return f"{option} stands after the command: tui-attn {command} {option}"
    if command in {"resume", "extend"}:
        return f"{option} is fixed when an experiment begins: '{command}' can't change it"
    return f"{option} before '{command}' does nothing: leave it out there"


def _warn(context: typer.Context) -> None:
    """Say what is wrong in the user's own file to those who can do without it: training must be stoppable.

    What is wrong in a file that the command line names is a mistake of this call. Raises `ConfigError`.
    """
    found = file_settings(context)
    if context.params.get("config") is not None:
        found.check()
    if found.problems:
        from tui_attn.system import console

        more = f" (and {len(found.problems) - 1} more: see 'tui-attn config')" if len(found.problems) > 1 else ""
        console.say(f"passed over: {found.problems[0]}{more}")


def keep_screen(context: typer.Context) -> None:
    """Keep how the dashboard shall look and listen, for `screen_options`. Raises `ConfigError`."""
    _screen.clear()
    found = file_settings(context)
    _screen.update(found.screen())
    runs_dir = {"runs_dir": found.values["runs-dir"]} if "runs-dir" in found.values else {}
    _screen["usual"] = found.experiment() | runs_dir
    if "theme" in _screen:
        _screen["theme_said_by"] = "the configuration file"
    for name in _SCREEN:
        if (value := context.params.get(name)) is not None:
            _say(name, value)


def _say(name: str, value: Any) -> None:
    """Take in what the command line says. Raises `ConfigError`."""
    from tui_attn.ui.options import check_theme

    _screen[name] = value
    if name == "theme":
        check_theme(value)
        _screen["theme_said_by"] = "--theme"


def screen_options() -> UiOptions:
    """How the dashboard shall look and listen in this call of the program; what nobody asked for as it was last."""
    from tui_attn.ui import UiOptions
    from tui_attn.ui.remembered import remembered_theme

    return UiOptions(**{"theme": remembered_theme(), **_screen})
