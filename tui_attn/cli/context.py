"""Resolves settings: the command line wins over the configuration file, which wins over defaults."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import typer

from tui_attn.experiment.engine_spec import EngineSpec
from tui_attn.experiment.options import ConfigError, Option, Switch, shown
from tui_attn.system import console
from tui_attn.ui.options import UI_OPTIONS, UiOptions

if TYPE_CHECKING:
    from tui_attn.cli.config_file import FileSettings
    from tui_attn.ui.options import UiOptions

_FILE = "tui_attn.file"
BEFORE_ANY = frozenset({"theme", "ascii", "mouse", "animations", "runs_dir", "no_ui", "config"})
"""Options that any command accepts before its name; all others belong to a start."""
_INSTEAD = {
    "seeds": "'tui-attn extend --seeds N' adds seeds",
    "name": "'tui-attn rename' changes the name",
    "tensorboard": "'tui-attn export --tensorboard' writes event files",
}
"""Options of a start -> the command that changes the same thing later."""


def file_settings(context: typer.Context) -> FileSettings:
    """The settings in the configuration file of this call, read on first use."""
    found: FileSettings | None = context.meta.get(_FILE)
    if found is None:
        from tui_attn.cli import config_file  # costs start-up time where nothing asks for it

        named = context.find_root().params.get("config")
        if named is not None and not named.strip():
            raise ConfigError("is empty: name a file, or leave the option out", "config")
        found = context.meta[_FILE] = config_file.load(None if named is None else Path(named))
    return found


def given(context: typer.Context, field: str) -> bool:
    """Whether the command line sets the parameter `field` of the command in `context`."""
    source = context.get_parameter_source(field)
    return source is not None and source.name == "COMMANDLINE"


def resolve(context: typer.Context, option: Option, said: Any) -> Any:
    """The value of `option`: `said` after the command, or else from before it, the file or the defaults.

    During shell completion `said` is returned as it is. Raises `ConfigError`.
    """
    if context.resilient_parsing:
        return said
    if given(context, option.field):
        value = said if isinstance(option.kind, Switch) else _parsed(option, str(said))
    elif context.parent is not None:
        return context.parent.params[option.field]
    else:
        value = file_settings(context).values.get(option.name, option.default)
    return expanded(value, option.name) if option.name == "runs-dir" else value


def _parsed(option: Option, text: str) -> Any:
    if not text.strip() and not option.kind.many:
        raise ConfigError("is empty: give a value, or leave the option out", option.name)
    return option.parse(text)


def expanded(path: Any, option: str) -> Path:
    """`path` with a leading `~` replaced: a shell doesn't do it after `--option=`. Raises `ConfigError`."""
    try:
        return Path(path).expanduser()
    except RuntimeError:
        raise ConfigError(f"{shown(path)}: there is no such user", option) from None


def user_path(context: typer.Context, param: typer.CallbackParam, value: Path | None) -> Path | None:
    """The callback of an option that is a path."""
    if value is None or context.resilient_parsing:
        return value
    return expanded(value, str(param.name).replace("_", "-"))


def engine(context: typer.Context, on: str) -> str:
    """A value of `--on` with the defaults of the configuration file. Raises `ConfigError`."""
    try:
        return str(EngineSpec.parse(on).with_defaults(file_settings(context).engines))
    except ConfigError as error:
        raise ConfigError(error.reason, "on") from None


def before_command(context: typer.Context) -> None:
    """Check the options before a command. Raises `ConfigError`.

    Mistakes in the user's own file are only warnings, so that training can always be stopped. In a file that the
    command line names they are errors.
    """
    if context.invoked_subcommand == "config":
        return
    for field in context.params:
        if given(context, field) and field not in BEFORE_ANY:
            raise ConfigError(_misplaced(context, "--json" if field == "as_json" else f"--{field.replace('_', '-')}"))
    found = file_settings(context)
    if context.params.get("config") is not None:
        found.check()
    if found.problems:
        more = f" (and {len(found.problems) - 1} more: see 'tui-attn config')" if len(found.problems) > 1 else ""
        console.say(f"ignored: {found.problems[0]}{more}")


def fixed(option: str, command: str) -> str:
    """What to do about an option of a start, such as `--epochs`, that can't be changed later; `command`: a hint."""
    field = option.removeprefix("--").removeprefix("no-")
    if field in _INSTEAD:
        return f"{option} is for a start: {_INSTEAD[field]}"
    return f"{option} is fixed when an experiment begins: {command}"


def _misplaced(context: typer.Context, option: str) -> str:
    """What to do about an option of a start that precedes a command."""
    name, group = str(context.invoked_subcommand), cast(Any, context.command)
    command = group.get_command(context, name)
    if command is not None and any(option in parameter.opts for parameter in command.params):
        return f"{option} stands after the command: tui-attn {name} {option}"
    if name in {"resume", "extend"}:
        return fixed(option, f"'{name}' can't change it")
    return f"{option} before '{name}' does nothing: leave it out there"


def ui_options(context: typer.Context) -> UiOptions:
    """The dashboard's options; the default theme is the one chosen last."""
    from tui_attn.ui.remembered import remembered_theme

    root: Any = context.find_root()
    found = file_settings(context)
    values = {each.field: context.params.get(each.field, root.params[each.field]) for each in UI_OPTIONS}
    by = "--theme" if given(context, "theme") or given(root, "theme") else "the configuration file"
    by = "" if values["theme"] is None else by
    values["theme"] = values["theme"] or remembered_theme()
    runs_dir = {"runs_dir": found.values["runs-dir"]} if "runs-dir" in found.values else {}
    return UiOptions(
        **values,
        keymap=found.keymap,
        engines=found.engines,
        theme_said_by=by,
        usual=found.experiment() | runs_dir,
        notify=found.notify,
    )
