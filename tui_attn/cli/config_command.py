"""The command about the program's own settings: config."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer

from tui_attn.cli.app import MACHINE, command
from tui_attn.cli.context import file_settings, given
from tui_attn.cli.option_table import SETTINGS, Setting, template
from tui_attn.cli.options import AsJson
from tui_attn.cli.start import given_experiment
from tui_attn.system.text import safe_text


@dataclass(frozen=True, slots=True)
class Held:
    """One setting: what holds, and who says so."""

    name: str
    value: Any
    """None: nobody says anything, and what then happens has no value."""
    shown: str
    source: str
    """`default`, `file`, `chosen`, `environment` or `command line`."""
    where: str = ""


@command(
    MACHINE,
    "config                    every setting, its value, and who says so",
    "config --write            begin a file with all of them as comments",
    "config --keys             the keys that can be changed",
)
def config(
    context: typer.Context,
    path: Annotated[bool, typer.Option("--path", help="Only where the file is looked for.")] = False,
    write: Annotated[bool, typer.Option("--write", help="Write a commented file where there is none.")] = False,
    keys: Annotated[bool, typer.Option("--keys", help="Every key of the dashboard: its id, its keys.")] = False,
    as_json: AsJson = False,
) -> None:
    """Show what is set and by whom; begin a configuration file."""
    file = _file(context)
    if path:
        typer.echo(file)
        return
    if write:
        _write(file)
        return
    found = file_settings(context)
    _print_keys(found.keymap, as_json=as_json) if keys else _print(context, file, as_json=as_json)
    if not as_json:
        from tui_attn.system import console

        for problem in found.problems:
            console.complain(problem)
    raise typer.Exit(2 if found.problems else 0)


def _file(context: typer.Context) -> Path:
    from tui_attn.cli import config_file
    from tui_attn.experiment.config import ConfigError

    named = context.find_root().params.get("config")
    file = config_file.usual_path() if named is None else Path(named).expanduser()
    if file is None:
        raise ConfigError("there is no home folder to look for a configuration file in: name one with --config")
    return file


def _write(file: Path) -> None:
    from tui_attn.experiment.config import ConfigError
    from tui_attn.system import console
    from tui_attn.system.files import write_atomically

    shown = safe_text(file, one_line=True)
    if os.path.lexists(file):
        raise ConfigError(f"{shown} is there already: edit it, or move it away first")
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(file, template().encode())
    except OSError as error:
        raise ConfigError(f"can't write {shown}: {error.strerror}") from None
    console.say(f"wrote {shown}: every setting is in it as a comment")


def held(context: typer.Context) -> list[Held]:
    """Every setting as a start from here would have it."""
    root: Any = context.parent
    found = file_settings(context)
    experiment = given_experiment(root)
    rows = []
    for setting in SETTINGS:
        if given(root, setting.field):
            value = experiment.get(setting.field, root.params[setting.field])
            rows.append(Held(setting.name, _plain(value), _shown(value), "command line"))
        elif setting.name in found.values:
            value = found.values[setting.name]
            line = found.lines.get(setting.name)
            where = f"{safe_text(found.path, one_line=True)}{'' if line is None else f':{line}'}"
            rows.append(Held(setting.name, _plain(value), _shown(value), "file", where))
        else:
            rows.append(_unsaid(setting))
    if os.environ.get("NO_COLOR"):
        rows.append(Held("colours", False, "none", "environment", "NO_COLOR"))
    return rows


def _unsaid(setting: Setting) -> Held:
    from tui_attn.experiment.config import ExperimentConfig
    from tui_attn.ui.remembered import remembered_theme

    if setting.name == "theme" and (theme := remembered_theme()) is not None:
        return Held("theme", theme, theme, "chosen", "in the dashboard")
    value: Any = None
    if setting.group == "experiment":
        value = _plain(getattr(ExperimentConfig(), setting.field))
    elif setting.name != "theme" and setting.default in {"on", "off"}:
        value = setting.default == "on"
    elif setting.name == "runs-dir":
        value = setting.default
    return Held(setting.name, value, setting.default, "default")


def _plain(value: Any) -> Any:
    if isinstance(value, tuple):
        return list(value)
    return str(value) if isinstance(value, Path) else value


def _shown(value: Any) -> str:
    if isinstance(value, bool):
        return "on" if value else "off"
    return safe_text(", ".join(value) if isinstance(value, tuple) else value, one_line=True)


def _print(context: typer.Context, file: Path, *, as_json: bool) -> None:
    import json

    found, rows = file_settings(context), held(context)
    if as_json:
        settings = {row.name: {"value": row.value, "from": row.source, "where": row.where} for row in rows}
        there = None if found.path is None else str(file)
        typer.echo(json.dumps({"file": there, "settings": settings, "keys": found.keymap, "problems": found.problems}))
        return
    state = "" if found.path is not None else "  (not there: 'tui-attn config --write' begins it)"
    typer.echo(f"file: {safe_text(file, one_line=True)}{state}\n")
    width = max(min(len(row.shown), 36) for row in rows)
    for row in rows:
        source = {"file": row.where, "environment": f"environment: {row.where}"}.get(row.source)
        typer.echo(f"{row.name:<12}  {row.shown:<{width}}  {source or f'{row.source} {row.where}'.rstrip()}")
    for id_, keys in found.keymap.items():
        line = found.lines.get(f"keys.{id_}")
        where = f"{safe_text(found.path, one_line=True)}{'' if line is None else f':{line}'}"
        typer.echo(f"{f'keys.{id_}':<12}  {safe_text(keys, one_line=True):<{width}}  {where}")


def _print_keys(keymap: dict[str, str], *, as_json: bool) -> None:
    import json

    from tui_attn.ui.keys import TABLES

    if as_json:
        every = {key.id: keymap.get(key.id, key.keys) for table in TABLES.values() for key in table}
        typer.echo(json.dumps(every))
        return
    for where, table in TABLES.items():
        typer.echo(f"{where}:")
        for key in _once(table):
            typer.echo(f"  {key.id:<20} {safe_text(keymap.get(key.id, key.keys), one_line=True):<22} {key.tooltip}")


def _once(table: Any) -> list[Any]:
    """The first binding of each id, which is the one that is described."""
    found: dict[str, Any] = {}
    for key in table:
        found.setdefault(key.id, key)
    return list(found.values())
