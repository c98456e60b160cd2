"""Options from a TOML file."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

from tui_attn.config import OPTIONS, ConfigError, split_list, suggest
from tui_attn.text import safe_text

_LISTS = frozenset({"models", "augment"})


def read(path: Path) -> dict[str, Any]:
    """The experiment's options in the TOML file at `path`, by the names of the command line.

    Raises `ConfigError` for a file that can't be read or holds a key that is no option.
    """
    shown = safe_text(path, one_line=True)
    try:
        table = tomllib.loads(path.expanduser().read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"can't read --config {shown}: {error.strerror}") from None
    except RecursionError:
        raise ConfigError(f"--config {shown} is nested too deeply") from None
    except RuntimeError:  # from expanduser
        raise ConfigError(f"can't read --config {shown}: there is no such user") from None
    except ValueError as error:  # TOMLDecodeError, UnicodeDecodeError, and plain ones for numbers beyond all measure
        raise ConfigError(f"--config {shown} is no valid TOML: {safe_text(error, one_line=True)[:200]}") from None
    values: dict[str, Any] = {}
    for key, value in table.items():
        name = key.replace("-", "_")
        if name not in OPTIONS:
            options = sorted(option.replace("_", "-") for option in OPTIONS)
            raise ConfigError(
                f"--config {shown} has an unknown key '{safe_text(key, one_line=True)[:60]}': {suggest(key, options)}"
            )
        if name in values:
            raise ConfigError(f"--config {shown} names '{name.replace('_', '-')}' twice: keep one of them")
        values[name] = _as_list(shown, key, value) if name in _LISTS else value
    return values


def _as_list(shown: str, key: str, value: Any) -> tuple[str, ...]:
    if isinstance(value, str):
        return split_list(value)
    if isinstance(value, list):
        return tuple(value)
    raise ConfigError(f'--config {shown}: "{key}" must be a list, such as ["base", "se"]')
