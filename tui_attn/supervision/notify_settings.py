"""The `[notify]` table of a configuration file: where notices are sent.

It comes from the user's own file or from `--config`, never from an experiment, and is handed to the supervisor through
a pipe. Secrets are named, as an environment variable or a file, and read when a notice is sent.
"""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from tui_attn.experiment.notices import KINDS
from tui_attn.experiment.options import ConfigError, shown, suggest
from tui_attn.system.plain_file import open_to_read

_LARGEST = 4096
"""Bytes of a file that holds an address or a token."""
_PLACES = {"env": re.compile(r"[A-Za-z_][A-Za-z0-9_]*"), "file": re.compile(r"(?=.*\S)[^\0]+", re.DOTALL)}
"""What an environment variable or a file may be called."""
_ADDRESSES = ("ntfy", "webhook")
_TOKENS = {"ntfy-token": "ntfy", "webhook-token": "webhook"}
"""Key of a token -> that of the address that it is for."""
_TOPIC = re.compile(r"[-_A-Za-z0-9]{1,64}")
_EXAMPLES = {
    "command": '["mail", "-s", "tui-attn", "me@example.org"]',
    "ntfy": '"https://ntfy.sh/TOPIC"',
    "webhook": '{ env = "TUI_ATTN_WEBHOOK" }',
    "ntfy-token": '{ file = "~/.config/tui-attn/ntfy-token" }',
    "webhook-token": '{ env = "WEBHOOK_TOKEN" }',
    "on": '["finished", "failed", "nan", "stalled"]',
}
KEYS: Mapping[str, str] = _EXAMPLES
"""The keys of the table, each with an example in TOML."""


class SecretError(Exception):
    """An address or a token can't be used. The message names its place, never its content."""


class Source(NamedTuple):
    """The source of an address or a token: the text itself (`text`), an environment variable or a file."""

    kind: str
    value: str

    def read(self) -> str:
        """The address or token. Raises `SecretError`."""
        if self.kind == "text":
            return self.value
        if self.kind == "env":
            found = os.environ.get(self.value, "").strip()
            problem = f"the environment variable {self.value} is not set"
        else:
            found, problem = _first_line(self.value)
        if not found:
            raise SecretError(problem)
        if not (found.isascii() and found.isprintable()):
            raise SecretError(f"{self.kind} {shown(self.value)} holds characters that an HTTP header can't")
        return found


def _first_line(name: str) -> tuple[str, str]:
    """The first line of a file, and the problem to report if it is empty."""
    try:
        with os.fdopen(open_to_read(Path(name).expanduser(), follow_links=True), "rb") as file:
            lines = file.read(_LARGEST).decode("utf-8", "replace").splitlines()
    except (OSError, RuntimeError) as error:
        return "", f"can't read {shown(name)}: {getattr(error, 'strerror', None) or 'no such user'}"
    return (lines[0].strip() if lines else ""), f"{shown(name)} is empty"


@dataclass(frozen=True, slots=True)
class NotifySettings:
    """Where notices go, and which."""

    table: Mapping[str, Any]
    """The table as it was given, in JSON types."""
    command: tuple[str, ...] = ()
    sources: Mapping[str, Source] = field(default_factory=dict)
    """Of the addresses and tokens, by their keys."""
    on: tuple[str, ...] = KINDS

    @property
    def channels(self) -> tuple[str, ...]:
        """The names of the channels that are configured."""
        return tuple(name for name in ("command", *_ADDRESSES) if name in self.table)


def parse(table: Any) -> NotifySettings:
    """The settings of a `[notify]` table. Raises `ConfigError`, whose option is the key within the table."""
    if not isinstance(table, dict):
        raise ConfigError('must be a table, such as [notify] and below it ntfy = "https://ntfy.sh/TOPIC"', "notify")
    for key in table:
        if key not in KEYS:
            raise ConfigError(f"is unknown: {suggest(shown(key), [*KEYS])}", f"notify.{shown(key)}")
    command = _command(table["command"]) if "command" in table else ()
    sources = {key: _source(key, table[key]) for key in (*_ADDRESSES, *_TOKENS) if key in table}
    on = _kinds(table["on"]) if "on" in table else KINDS
    for token, key in _TOKENS.items():
        if token in table and key not in table:
            raise ConfigError(f"needs {key}, such as {key} = {_EXAMPLES[key]}", f"notify.{token}")
    return NotifySettings(table, command, sources, on)


def _command(value: Any) -> tuple[str, ...]:
    try:
        words = shlex.split(value) if isinstance(value, str) else list(value) if isinstance(value, list) else []
    except ValueError:
        words = []  # a quotation mark that is never closed
    if not words or not all(isinstance(word, str) and "\0" not in word for word in words) or not words[0]:
        raise ConfigError(f"must be a list of words, such as {_EXAMPLES['command']}", "notify.command")
    return (_expanded(words[0]), *words[1:])


def _expanded(program: str) -> str:
    try:
        return str(Path(program).expanduser()) if program.startswith("~") else program
    except RuntimeError:
        raise ConfigError(f"{shown(program)}: there is no such user", "notify.command") from None


def _source(key: str, value: Any) -> Source:
    option = f"notify.{key}"
    if isinstance(value, dict) and len(value) == 1:
        kind, text = next(iter(value.items()))
        if kind in _PLACES and isinstance(text, str) and _PLACES[kind].fullmatch(text):
            return Source(kind, text)
    if key in _TOKENS:
        raise ConfigError('is a secret: name its place with { env = "NAME" } or { file = "PATH" }', option)
    if not isinstance(value, str):
        raise ConfigError('must be an address, { env = "NAME" } or { file = "PATH" }', option)
    if problem := address_problem(key, value):
        raise ConfigError(problem, option)
    return Source("text", value)


def address_problem(key: str, text: str) -> str:
    """What is wrong with an address; empty where nothing is. It never repeats the address, which may be a secret."""
    try:
        parts = urlsplit(text)
        right = parts.scheme in {"http", "https"} and bool(parts.hostname) and (parts.port is None or parts.port > 0)
    except ValueError:
        right = False
    if not right or not text.isascii() or not text.isprintable() or " " in text:
        return "must be an address that begins with https:// or http://"
    if key == "ntfy" and not _TOPIC.fullmatch(parts.path.rpartition("/")[2]):
        return f"must end with a topic, as in {_EXAMPLES['ntfy']}"
    return ""


def _kinds(value: Any) -> tuple[str, ...]:
    kinds = [value] if isinstance(value, str) else value
    if not isinstance(kinds, list) or not all(kind in KINDS for kind in kinds):
        raise ConfigError(f"must be a list of {', '.join(KINDS)}", "notify.on")
    return tuple(kinds)
