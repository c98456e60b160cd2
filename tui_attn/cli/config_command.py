"""The command config, which shows the settings and their sources."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tui_attn.cli.app import MACHINE, command
from tui_attn.cli.context import expanded, file_settings, given
from tui_attn.cli.option_types import SETTINGS, AsJson
from tui_attn.cli.output import print_json, print_line
from tui_attn.experiment.options import ConfigError
from tui_attn.system import console
from tui_attn.system.files import write_atomically
from tui_attn.system.text import safe_text

if TYPE_CHECKING:
    from tui_attn.cli.config_file import FileSettings


@dataclass(frozen=True, slots=True)
class ResolvedSetting:
    """The value of a setting, and its source."""

    name: str
    value: Any
    """In JSON types; None where the default has no value."""
    shown: str
    source: str
    """`default`, `file`, `chosen`, `environment` or `command line`."""
    where: str = ""


@command(
    MACHINE,
    "config                    every setting and where it comes from",
    "config --write            create a file with all as comments",
    "config --keys             the keys that can be changed",
    "config --test-notify      a test notice by every way in [notify]",
)
def config(
    context: typer.Context,
    path: Annotated[bool, typer.Option("--path", help="Only where the file is looked for.")] = False,
    write: Annotated[bool, typer.Option("--write", help="Write a commented file where there is none.")] = False,
    keys: Annotated[bool, typer.Option("--keys", help="Every key of the dashboard: its id, its keys.")] = False,
    test_notify: Annotated[bool, typer.Option("--test-notify", help="Send a test by every way in [notify].")] = False,
    as_json: AsJson = False,
) -> None:
    """Show every setting and its source; create a configuration file."""
    file = _file(context)
    if path:
        typer.echo(file)  # every byte of it, for the shell
        return
    if write:
        _write(file)
        return
    found = file_settings(context)
    if test_notify:
        raise typer.Exit(_test_notify(found))
    _print_keys(found.keymap, as_json=as_json) if keys else _print(context, file, as_json=as_json)
    if not as_json:
        for problem in found.problems:
            console.complain(problem)
    raise typer.Exit(2 if found.problems else 0)


def _test_notify(found: FileSettings) -> int:
    """Send a test notice by every configured channel, from this process, so that errors are seen."""
    from tui_attn.supervision.notify_process import send

    found.check()
    if found.notify is None or not found.notify.channels:
        raise ConfigError("no way is set: name a command, ntfy or a webhook in the table [notify] of the file")
    problems = send(found.notify, "finished", "test", "test", "this is what a notice looks like")
    for problem in problems:
        console.complain(problem)
    sent = [name for name in found.notify.channels if not any(each.startswith(f"{name}:") for each in problems)]
    if sent:
        console.say(f"sent by {', '.join(sent)}")
    return 1 if problems else 0


def _file(context: typer.Context) -> Path:
    from tui_attn.cli.config_file import usual_path

    named = context.find_root().params["config"]
    file = usual_path() if named is None else expanded(named, "config")
    if file is None:
        raise ConfigError("there is no home folder to look for a configuration file in: name one with --config")
    return file


def _write(file: Path) -> None:
    shown = safe_text(file, one_line=True)
    if os.path.lexists(file):
        raise ConfigError(f"{shown} is there already: edit it, or move it away first")
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(file, template().encode())
    except (OSError, ValueError) as error:
        raise ConfigError(f"can't write {shown}: {getattr(error, 'strerror', None) or error}") from None
    console.say(f"wrote {shown}: every setting is in it as a comment")


def template() -> str:
    """A configuration file in which every setting is a comment with its meaning."""
    from tui_attn.supervision.notify_settings import KEYS
    from tui_attn.ui.keys import ALL_KEYS

    lines = ["# Settings of tui-attn. The command line wins over this file; 'tui-attn config' shows what holds.", ""]
    for each in SETTINGS:
        default = "" if each.unset.casefold() in each.help.casefold() else f" [{each.unset}]"
        lines += [f"# {each.help}{default}", f"# {each.name} = {each.example}", ""]
    lines += [
        "# Keys of the dashboard: id = keys, separated by commas. 'tui-attn config --keys' lists them.",
        "# [keys]",
    ]
    lines += [f'# {id_} = "{keys}"' for id_, keys in {key.id: key.keys for key in ALL_KEYS}.items()]
    lines += [
        "",
        "# Notices when an experiment ends, fails or stalls; 'tui-attn config --test-notify' tries them.",
        "# [notify]",
    ]
    lines += [f"# {key} = {example}" for key, example in KEYS.items()]
    return "\n".join([*lines, ""])


def resolved_settings(context: typer.Context) -> list[ResolvedSetting]:
    """The value that each setting would have at a start with this command line."""
    from tui_attn.ui.remembered import remembered_theme

    root: Any = context.parent
    found = file_settings(context)
    rows = []
    for each in SETTINGS:
        value, source, where = root.params[each.field], "default", ""
        if given(root, each.field):
            source = "command line"
        elif each.name in found.values:
            source, where = "file", _place(context, each.name)
        elif each.name == "theme" and (theme := remembered_theme()) is not None:
            value, source, where = theme, "chosen", "in the dashboard"
        if source == "default":
            shown = each.unset
        elif isinstance(value, tuple):
            shown = ", ".join(map(str, value)) or "none"
        else:
            shown = each.unset if value is None else each.show(value)
        plain = list(value) if isinstance(value, tuple) else str(value) if isinstance(value, Path) else value
        rows.append(ResolvedSetting(each.name, plain, safe_text(shown, one_line=True), source, where))
    if "NO_COLOR" in os.environ:
        rows.append(ResolvedSetting("colours", False, "none", "environment", "NO_COLOR"))
    return rows


def _place(context: typer.Context, name: str) -> str:
    found = file_settings(context)
    line = found.lines.get(name)
    return f"{safe_text(found.path, one_line=True)}{'' if line is None else f':{line}'}"


def _print(context: typer.Context, file: Path, *, as_json: bool) -> None:
    found, rows = file_settings(context), resolved_settings(context)
    if as_json:
        settings = {row.name: {"value": row.value, "from": row.source, "where": row.where} for row in rows}
        notify = [] if found.notify is None else [*found.notify.table]
        report = {"file": None if found.path is None else str(file), "settings": settings, "keys": found.keymap}
        print_json(report | {"notify": notify, "problems": found.problems})
        return
    state = "" if found.path is not None else "  (not there: 'tui-attn config --write' creates it)"
    print_line(f"file: {safe_text(file, one_line=True)}{state}\n")
    width = max(min(len(row.shown), 36) for row in rows)
    for row in rows:
        source = {"file": row.where, "environment": f"environment: {row.where}"}.get(row.source)
        print_line(f"{row.name:<12}  {row.shown:<{width}}  {source or f'{row.source} {row.where}'.rstrip()}")
    for name in found.notify.table if found.notify is not None else ():  # the values may be secrets
        print_line(f"{f'notify.{name}':<12}  {'set':<{width}}  {_place(context, f'notify.{name}')}")
    for id_, keys in found.keymap.items():
        print_line(f"{f'keys.{id_}':<12}  {safe_text(keys, one_line=True):<{width}}  {_place(context, f'keys.{id_}')}")


def _print_keys(keymap: dict[str, str], *, as_json: bool) -> None:
    from tui_attn.ui.keys import TABLES

    if as_json:
        every = {key.id: keymap.get(key.id, key.keys) for table in TABLES.values() for key in table}
        print_json(every)
        return
    for where, table in TABLES.items():
        print_line(f"{where}:")
        first = {key.id: key for key in reversed(table)}  # of several with one id, the first is described
        for key in dict.fromkeys(first[key.id] for key in table):
            print_line(f"  {key.id:<20} {safe_text(keymap.get(key.id, key.keys), one_line=True):<22} {key.tooltip}")
