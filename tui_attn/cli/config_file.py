"""Finds, reads and checks the configuration file."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tui_attn.cli.option_types import BY_NAME
from tui_attn.experiment.config import OPTIONS
from tui_attn.experiment.engine_spec import check_setting
from tui_attn.experiment.options import ConfigError, Option, shown, suggest
from tui_attn.system.files import user_folder
from tui_attn.system.plain_file import open_to_read
from tui_attn.system.text import safe_text

if TYPE_CHECKING:
    from tui_attn.supervision.notify_settings import NotifySettings

KEYS = "keys"
"""A table: ids of bindings -> keys."""
NOTIFY = "notify"
"""A table: where notices are sent."""
ENGINES = ("slurm", "ray")
"""Tables: defaults of `--on` for these engines."""
STUDIES = ("sweep", "curve")
"""Tables: what these kinds of study vary."""
_LARGEST = 1 << 20
"""Bytes; a larger file is not read."""


@dataclass(slots=True)
class FileSettings:
    """The contents of a configuration file. Valid settings are kept even where others are wrong."""

    path: Path | None = None
    """None: no file was found."""
    values: dict[str, Any] = field(default_factory=dict)
    """By the names of `SETTINGS`, checked."""
    keymap: dict[str, str] = field(default_factory=dict)
    engines: dict[str, dict[str, str]] = field(default_factory=dict)
    """By engine: defaults of `--on`."""
    notify: NotifySettings | None = None
    """Where notices are sent; None where the file does not say."""
    studies: dict[str, dict[str, Any]] = field(default_factory=dict)
    """By kind: what `sweep` and `curve` vary by default."""
    lines: dict[str, int] = field(default_factory=dict)
    """The line number of each setting, where known; bindings as `keys.ID`."""
    problems: list[str] = field(default_factory=list)
    """One line each, with the file and the key."""

    def check(self) -> None:
        """Raise `ConfigError` for the first problem."""
        if self.problems:
            raise ConfigError(self.problems[0])

    def fields(self, options: Iterable[Option]) -> dict[str, Any]:
        """The file's values of `options`, by their names in Python."""
        return {each.field: self.values[each.name] for each in options if each.name in self.values}

    def experiment(self) -> dict[str, Any]:
        """The fields of `ExperimentConfig` that the file gives."""
        return self.fields(OPTIONS)


def usual_path() -> Path | None:
    """The user's own file; None without a home folder."""
    folder = user_folder("config")
    return None if folder is None else folder / "config.toml"


def load(named: Path | None) -> FileSettings:
    """The settings in the file `named` on the command line, or else in the user's own, which may be missing."""
    path = usual_path() if named is None else named
    if path is None or (named is None and not os.path.lexists(path)):
        return FileSettings()
    return read(path, who="the configuration" if named is None else "--config", any_kind=named is not None)


def read(path: Path, *, who: str = "--config", any_kind: bool = True) -> FileSettings:
    """Read the TOML file at `path`; each problem begins with `who`. `any_kind`: it need not be a regular file."""
    found = FileSettings(path)
    subject = f"{who} {safe_text(path, one_line=True)}"
    try:
        text = _text(path, subject, any_kind=any_kind)
        table = _parsed(text, subject)
    except ConfigError as error:
        found.problems.append(str(error))
        return found
    found.lines = _lines(text)
    keys, notify = table.pop(KEYS, {}), table.pop(NOTIFY, None)
    for engine in ENGINES:
        _take_engine(found, subject, engine, table.pop(engine, {}))
    for kind in STUDIES:
        if kind in table:
            _take_study(found, subject, kind, table.pop(kind))
    for key, value in table.items():
        _take(found, subject, key, value)
    if keys != {}:
        _take_keys(found, subject, keys)
    if notify is not None:
        _take_notify(found, subject, notify)
    return found


def _text(path: Path, subject: str, *, any_kind: bool) -> str:
    try:
        path = path.expanduser()
        with path.open("rb") if any_kind else os.fdopen(open_to_read(path, follow_links=True), "rb") as file:
            data = file.read(_LARGEST + 1)
    except (OSError, RuntimeError, ValueError) as error:  # no such user, a zero byte in the path
        why = getattr(error, "strerror", None) or safe_text(error, one_line=True)[:200]
        raise ConfigError(f"can't read {subject}: {why}") from None
    if len(data) > _LARGEST:
        raise ConfigError(f"{subject} is larger than 1 MB: it is no configuration file")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise ConfigError(f"{subject} is no valid TOML: save it as UTF-8") from None


def _parsed(text: str, subject: str) -> dict[str, Any]:
    import tomllib

    try:
        return tomllib.loads(text)
    except RecursionError:
        raise ConfigError(f"{subject} is nested too deeply") from None
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{subject} is no valid TOML: {safe_text(error, one_line=True)[:200]}") from None
    except ValueError:
        raise ConfigError(f"{subject} is no valid TOML: it has a number of more than 4,300 digits") from None


def _take(found: FileSettings, subject: str, key: str, value: Any) -> None:
    """Add one setting, or a problem."""
    name = key.replace("_", "-")
    option = BY_NAME.get(name)
    if option is None:
        what = "table" if isinstance(value, dict) else "key"
        hint = suggest(shown(key), [*BY_NAME, KEYS, NOTIFY, *ENGINES, *STUDIES], lister="tui-attn config")
        found.problems.append(f"{subject} has an unknown {what} '{shown(key)}': {hint}")
        return
    if name in found.values:
        found.problems.append(f"{subject} names '{name}' twice: keep one of them")
        return
    try:
        found.values[name] = option.from_toml(value)
    except ConfigError as error:
        found.problems.append(f"{_place(found, subject, name)}{name}: {error.reason}")


def _place(found: FileSettings, subject: str, key: str) -> str:
    line = found.lines.get(key)
    return f"{subject}, " if line is None else f"{subject}, line {line}, "


def _take_keys(found: FileSettings, subject: str, keys: Any) -> None:
    """Add the table of keys, or problems."""
    from tui_attn.ui.keymap import check_key, check_keymap  # costs start-up time: it loads every table of keys

    if not isinstance(keys, dict):
        _not_a_table(found, subject, KEYS, 'help = "f5"')
        return
    for id_, value in keys.items():
        keys_of = ",".join(value) if isinstance(value, list) and all(isinstance(key, str) for key in value) else value
        try:
            found.keymap[id_] = check_key(id_, keys_of)
        except ConfigError as error:
            found.problems.append(f"{_place(found, subject, f'keys.{id_}')}{error}")
    try:
        check_keymap(found.keymap)
    except ConfigError as error:
        found.problems.append(f"{subject}: {error}")
        found.keymap = {}


def _take_engine(found: FileSettings, subject: str, engine: str, table: Any) -> None:
    if not isinstance(table, dict):
        _not_a_table(found, subject, engine, 'partition = "gpu"' if engine == "slurm" else 'address = "head:6379"')
        return
    for key, value in table.items():
        try:
            found.engines.setdefault(engine, {})[key] = check_setting(engine, key, value)
        except ConfigError as error:
            found.problems.append(f"{_place(found, subject, f'{engine}.{key}')}{engine}.{shown(key)}: {error}")


def _take_notify(found: FileSettings, subject: str, table: Any) -> None:
    from tui_attn.supervision.notify_settings import parse  # costs start-up time, and few files have the table

    try:
        found.notify = parse(table)
    except ConfigError as error:
        found.problems.append(f"{_place(found, subject, error.option or NOTIFY)}{error.option}: {error.reason}")


def _take_study(found: FileSettings, subject: str, kind: str, table: Any) -> None:
    """Add what a study varies, or a problem; the values are checked when the study is planned."""
    known = isinstance(table, dict) and all(isinstance(value, list | str | int | float) for value in table.values())
    if known:
        found.studies[kind] = table
    else:
        _not_a_table(found, subject, kind, "lr = [0.0003, 0.001]" if kind == "sweep" else "sizes = [3000, 12000]")


def _not_a_table(found: FileSettings, subject: str, name: str, example: str) -> None:
    found.problems.append(f"{subject}: [{name}] must be a table, such as [{name}] and below it {example}")


def _lines(text: str) -> dict[str, int]:
    """The line of each setting: the first `name =` under its table, since tomllib reports no lines."""
    found: dict[str, int] = {}
    prefix = ""
    for number, line in enumerate(text.splitlines(), start=1):
        if table := re.match(r"\s*\[\s*([\w.\"'-]+)\s*\]", line):
            prefix = table.group(1).strip("\"'") + "."
        elif key := re.match(r"\s*[\"']?([\w.-]+)[\"']?\s*=", line):
            name = key.group(1)
            found.setdefault(prefix + (name if prefix else name.replace("_", "-")), number)
    return found
