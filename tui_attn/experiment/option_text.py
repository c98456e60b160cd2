"""An experiment's options as text: read as they are typed, and written as a command line. Stdlib only."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tui_attn.experiment.config import (
    OPTIONS,
    ConfigError,
    ExperimentConfig,
    check_option,
    join_list,
    split_list,
)

_LISTS = frozenset({"models", "augment"})
_NUMBERS = frozenset({"epochs", "seeds", "seed", "batch_size", "lr", "jobs", "train_limit", "test_limit"})
_SWITCHES = {"on": True, "off": False}
_MAY_BE_EMPTY = frozenset({"jobs", "train_limit", "test_limit", "name", "data_dir"})


def flag(option: str) -> str:
    """How the command line calls `option`: `--batch-size`."""
    return "--" + option.replace("_", "-")


def parse(option: str, text: str) -> Any:
    """The value that `text` gives `option`; empty is None where the option may be left out. Raises `ConfigError`."""
    value: Any = text
    blank = not text.strip() if option in _NUMBERS else not text
    if option in _LISTS:
        value = split_list(text)
    elif option == "tensorboard":
        value = _SWITCHES.get(text.strip().lower(), text)
    elif option in _MAY_BE_EMPTY and blank:
        value = None
    elif option in _NUMBERS:
        if blank:
            raise ConfigError(f"{flag(option)} is empty: give a number")
        value = _number(text.strip(), whole=option != "lr")
    check_option(option, value)
    return value


def _number(text: str, *, whole: bool) -> Any:
    """The number that `text` is, or `text` itself, for the check to say what is wrong with it."""
    try:
        return int(text) if whole else float(text)
    except ValueError:
        return text


def show(option: str, config: ExperimentConfig) -> str:
    """The text from which `parse` makes what `config` has for `option`."""
    value = config.model_specs if option == "models" else getattr(config, option)
    if value is None:
        return ""
    if isinstance(value, bool):
        return "on" if value else "off"
    return join_list(value) if option in _LISTS else str(value)


def arguments(
    config: ExperimentConfig,
    *,
    usual: ExperimentConfig | None = None,
    runs_dir: Path | None = None,
    usual_runs_dir: Path = Path("runs"),
) -> list[str]:
    """The command line that starts `config`, without the program's name and without a shell's quotes.

    It names only what differs from `usual`, which is what the configuration file makes of an empty command line; the
    folder of experiments only where it isn't the usual one.
    """
    if usual is not None and any(show(option, usual) and not show(option, config) for option in _MAY_BE_EMPTY):
        # No option takes back what the file says of these.
        return ["--config", "/dev/null", *arguments(config, runs_dir=runs_dir)]
    found: list[str] = []
    for option in OPTIONS:
        text = show(option, config)
        if text == show(option, usual or ExperimentConfig()):
            continue
        if option == "tensorboard":
            found.append(flag(option) if config.tensorboard else f"--no-{option}")
        else:
            # A text that begins with a dash would be taken for an option.
            found += [f"{flag(option)}={text}"] if text.startswith("-") else [flag(option), text]
    if runs_dir is not None and runs_dir.absolute() != usual_runs_dir.expanduser().absolute():
        found += ["--runs-dir", str(runs_dir.absolute())]
    return found
