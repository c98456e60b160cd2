"""Options: one declaration for the command line, the configuration file, the form and the documentation.

An option is a field of a dataclass, declared with `option`; `options_of` lists them. Its kind parses, checks and
formats its values.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import field, fields
from pathlib import Path
from typing import Any, NamedTuple

from tui_attn.system.text import has_control_characters, safe_text
from tui_attn.system.user_error import UserError

TRAIN, WHERE, SHOW = "Options: what to train", "Options: where", "Options: what is shown"
"""Headings of --help."""

_SEPARATOR = re.compile(r"(?<!\\),")
"""Of the items of a list."""
_THOUSANDS = re.compile(r"[0-9]{1,3}(,[0-9]{3})+")
"""A number with thousands separators, as in messages."""


class ConfigError(UserError, ValueError):
    """A mistake of the user; the message is one line that names the option and says what to do."""

    def __init__(self, reason: str, option: str | None = None, *, advice: str = "") -> None:
        said = f"{reason}: {advice}" if advice else reason
        super().__init__(said if option is None else f"--{option}: {said}")
        self.reason = reason
        """What is wrong and what to do, without the option's name and without `advice`."""
        self.advice = advice
        self.option = option
        """The option's name without dashes; None where there is none."""


def suggest(word: str, known: Iterable[str], *, lister: str | None = None, listed: Iterable[str] | None = None) -> str:
    """A hint: the nearest of `known`, or else those `listed` (by default all), or the command `lister`."""
    import difflib  # costs start-up time

    names = list(known)
    if len(re.split(r"[\s;|]+", word)) > 1 and any(part in names for part in re.split(r"[\s;|]+", word)):
        return "separate names with commas"
    near = difflib.get_close_matches(word.casefold(), names, n=1, cutoff=0.6)
    if near:
        return f"did you mean '{near[0]}'?"
    return (
        f"choose from {', '.join(names if listed is None else listed)}" if lister is None else f"'{lister}' lists them"
    )


def split_list(text: str) -> tuple[str, ...]:
    """The items of a comma-separated option, blanks and empty items dropped; `\\,` is a comma within an item."""
    return tuple(item.strip().replace("\\,", ",") for item in _SEPARATOR.split(text) if item.strip())


def join_list(items: Iterable[str]) -> str:
    """The text from which `split_list` makes `items`; none of them may end with a backslash."""
    return ",".join(item.replace(",", "\\,") for item in items)


def shown(value: object) -> str:
    """An invalid value for an error message: safe, on one line, cut if long."""
    try:
        text = safe_text(value, one_line=True)
    except (ValueError, RecursionError):  # a whole number of thousands of digits, lists a thousand deep
        text = "a value beyond all measure"
    return text if len(text) <= 60 else f"{text[:59]}…"


class Kind:
    """How the values of an option are parsed, checked and formatted; this base class takes any printable text."""

    metavar = "TEXT"
    choices: tuple[str, ...] = ()
    """All values, where they can be listed."""
    many = False
    """Whether a value is a list."""

    def parse(self, text: str) -> Any:
        """The value of `text`, or something that `check` refuses."""
        return text

    def from_toml(self, value: Any) -> Any:
        """The value of a TOML value. Raises `ConfigError`."""
        return self.parse(value) if isinstance(value, str) else value

    def check(self, value: Any) -> None:
        """Raise `ConfigError` for what can't be a value."""
        if not isinstance(value, str):
            raise ConfigError(f"must be a text, not {shown(value)}")
        if not value.strip():
            raise ConfigError("is empty: give at least one character, or leave the option out")
        if has_control_characters(value):
            raise ConfigError(f"holds control characters ({shown(value)}): use printable text")
        if len(value) > 200:
            raise ConfigError(f"is {len(value)} characters long: 200 at most")

    def show(self, value: Any) -> str:
        """The text that `parse` reads as `value`."""
        return str(value)


class PathKind(Kind):
    """A path; a leading `~` is kept, and must belong to a known user."""

    metavar = "DIR"

    def parse(self, text: str) -> Any:
        try:
            Path(text).expanduser()
        except RuntimeError:
            raise ConfigError(f"{shown(text)}: there is no such user") from None
        return text

    def check(self, value: Any) -> None:
        if not isinstance(value, str) or not value.strip() or "\x00" in value:
            raise ConfigError(f"must be a path, not '{shown(value)}'")


class Switch(Kind):
    """On or off."""

    metavar = ""
    choices = ("off", "on")

    def parse(self, text: str) -> Any:
        return {"on": True, "off": False}.get(text.strip().lower(), text)

    def from_toml(self, value: Any) -> Any:
        if not isinstance(value, bool):
            raise ConfigError(f"must be true or false, not {shown(value)}")
        return value

    def check(self, value: Any) -> None:
        if not isinstance(value, bool):
            raise ConfigError(f"must be on or off, not {shown(value)}")

    def show(self, value: Any) -> str:
        return "on" if value else "off"


class Number(Kind):
    """A whole number from `low` to `high`; without `whole` a number above `low` and up to `high`."""

    metavar = "N"

    def __init__(self, low: int, high: int, *, whole: bool = True) -> None:
        self._type: Any = int if whole else float
        self._fits: Callable[[float], bool] = lambda n: (low <= n if whole else low < n) and n <= high
        wanted = f"whole number from {low:,} to {high:,}" if whole else f"number above {low:,} and up to {high:,}"
        self._wanted = f"must be a {wanted}{'' if whole else ', such as 0.001'}"

    def parse(self, text: str) -> Any:
        if self._type is int and _THOUSANDS.fullmatch(text.strip()):
            text = text.replace(",", "")
        try:
            return self._type(text)
        except ValueError:
            return text.strip() or "empty"

    def from_toml(self, value: Any) -> Any:
        if isinstance(value, str):
            raise ConfigError(f'{self._wanted}, not the text "{shown(value)}"')
        return value

    def check(self, value: Any) -> None:
        if isinstance(value, bool) or not isinstance(value, (int, self._type)) or not self._fits(value):
            raise ConfigError(f"{self._wanted}, not {shown(value)}")


class Choice(Kind):
    """One of `choices`, ignoring case and hyphens; `others` are synonyms."""

    metavar = "NAME"

    def __init__(self, what: str, *choices: str, **others: str) -> None:
        self.what, self.choices = what, choices
        self._spellings = {name.replace("-", "").casefold(): name for name in choices} | others

    def parse(self, text: str) -> Any:
        return self._spellings.get(re.sub(r"[-_ ]", "", text).casefold(), text.strip())

    def check(self, value: Any) -> None:
        if not isinstance(value, str) or value not in self.choices:
            few = f"choose from {', '.join(self.choices)}" if len(self.choices) < 5 else ""
            raise ConfigError(f"unknown {self.what} '{shown(value)}': {few or suggest(shown(value), self.choices)}")


class Several(Choice):
    """A list of some of `choices`, each at most once; `all` and `none` stand for lists."""

    metavar = "LIST"
    many = True

    def parse(self, text: str) -> Any:
        return self.from_toml(list(split_list(text)))

    def from_toml(self, value: Any) -> Any:
        if isinstance(value, str):
            return self.parse(value)
        if not isinstance(value, list):
            return value
        items = tuple(self.parse_item(item) if isinstance(item, str) else item for item in value)
        word = items[0].casefold() if len(items) == 1 and isinstance(items[0], str) else ""
        return {"all": self.choices, "none": ()}.get(word, items)

    def parse_item(self, text: str) -> str:
        """One item of the list."""
        return str(super().parse(text))

    def check(self, value: Any) -> None:
        if not isinstance(value, tuple):
            raise ConfigError(f"must be a list, such as {','.join(self.choices[:2])}, not {shown(value)}")
        for item in value:
            super().check(item)
        if len(set(value)) != len(value):
            raise ConfigError(f"names one {self.what} twice")

    def show(self, value: Any) -> str:
        return join_list(value)


class Option(NamedTuple):
    """An option. `option` declares it; what is empty here is made from its field."""

    kind: Kind
    default: Any
    """None: not set, or determined later; then `unset` describes it."""
    help: str
    """One sentence, also shown in the form."""
    name: str = ""
    """On the command line, without dashes."""
    label: str = ""
    """In the form."""
    heading: str = TRAIN
    """In --help."""
    example: str = ""
    """A value as TOML has it."""
    unset: str = ""
    """The default, in words or as a value."""
    unset_words: tuple[str, ...] = ()
    """Words for None, such as `all` for a limit."""

    @property
    def field(self) -> str:
        """Its name in Python."""
        return self.name.replace("-", "_")

    def parse(self, text: str) -> Any:
        """The value of `text`; None for empty text where the option is optional. Raises `ConfigError`."""
        if self.default is None and (not text.strip(" " * (type(self.kind) is not Kind)) or self._means_none(text)):
            return None
        return self._checked(self.kind.parse, text)

    def from_toml(self, value: Any) -> Any:
        """The value of a TOML value. Raises `ConfigError`."""
        return None if isinstance(value, str) and self._means_none(value) else self._checked(self.kind.from_toml, value)

    def check(self, value: Any) -> None:
        """Raise `ConfigError` for what can't be a value."""
        if value is not None or self.default is not None:
            self._checked(lambda value: value, value)

    def _means_none(self, text: str) -> bool:
        return text.strip().casefold() in self.unset_words

    def _checked(self, read: Callable[[Any], Any], value: Any) -> Any:
        try:
            value = read(value)
            self.kind.check(value)
        except ConfigError as error:
            raise ConfigError(error.reason, self.name) from None
        return value

    def show(self, value: Any) -> str:
        """`value` as text, the inverse of `parse`."""
        return "" if value is None else self.kind.show(value)

    def arguments(self, value: Any) -> list[str]:
        """The arguments that set it to `value`."""
        if isinstance(self.kind, Switch):
            return [f"--{self.name}" if value else f"--no-{self.name}"]
        text = self.unset_words[0] if value is None else self.show(value) or "none"
        # A text that begins with a dash would be taken for an option.
        return [f"--{self.name}={text}"] if text.startswith("-") else [f"--{self.name}", text]


def option(default: Any, kind: Kind, help: str, **about: Any) -> Any:
    """A field of a dataclass that is an option; `about`: further fields of `Option`."""
    return field(default=default, metadata={"option": Option(kind=kind, default=default, help=help, **about)})


def options_of(table: type) -> tuple[Option, ...]:
    """The options among the fields of a dataclass, in their order."""
    return tuple(_named(each.metadata["option"], each.name) for each in fields(table) if "option" in each.metadata)


def _named(found: Option, name: str) -> Option:
    kind, value = found.kind, found.default
    unset = found.unset or kind.show(value)
    example = "[" + ", ".join(f'"{choice}"' for choice in kind.choices) + "]" if kind.many else unset
    if isinstance(kind, Switch):
        example = "false" if value else "true"
    elif isinstance(value, str):
        example = f'"{value}"'
    return found._replace(
        name=name.replace("_", "-"),
        label=found.label or name.replace("_", " "),
        unset=unset,
        example=found.example or example,
    )
