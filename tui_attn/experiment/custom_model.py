"""Custom models: a class in a Python file of the user, with a name for the ids of its runs."""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tui_attn.experiment.options import ConfigError
from tui_attn.system.plain_file import NotAFileError, open_to_read
from tui_attn.system.text import has_control_characters, safe_text

EXAMPLE = "./my_net.py:MyNet"
MOST_BYTES = 1 << 20
"""Of a model's file."""
_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,47}")
_SHA256 = re.compile(r"[0-9a-f]{64}")
_LONGEST = 32
"""Maximum length of a generated name: run ids must fit into tables of 80 columns."""


class CustomModelError(ConfigError):
    """A custom model that can't be used; the message is two lines at most and says what to do."""


@dataclass(frozen=True, kw_only=True, slots=True)
class CustomModel:
    """A class in a file. Raises `CustomModelError` for invalid fields."""

    name: str
    """A slug, part of the ids of its runs."""
    file: str
    """The absolute path given by the user; the experiment trains the copy in its own folder."""
    class_name: str
    sha256: str | None = None
    """The digest of the copy; None before there is one."""

    def __post_init__(self) -> None:
        if not isinstance(self.name, str) or not _NAME.fullmatch(self.name):
            raise CustomModelError(f"'{_shown(self.name)}' can't be the name of a model")
        if not isinstance(self.class_name, str) or not self.class_name.isidentifier() or len(self.class_name) > 100:
            raise CustomModelError(f"'{_shown(self.class_name)}' can't be the name of a class: as in {EXAMPLE}")
        if not isinstance(self.file, str) or not self.file.endswith(".py") or has_control_characters(self.file):
            raise CustomModelError(f"{_shown(self.file)}: a model of your own is in a Python file, as in {EXAMPLE}")
        if self.sha256 is not None and (not isinstance(self.sha256, str) or not _SHA256.fullmatch(self.sha256)):
            raise CustomModelError("the digest of a model is no SHA-256")

    @property
    def spec(self) -> str:
        """How it is written on the command line: `/home/ada/my_net.py:MyNet`."""
        return f"{self.file}:{self.class_name}"

    @property
    def shown(self) -> str:
        """File and class as messages name them: `my_net.py:MyNet`."""
        return safe_text(f"{Path(self.file).name}:{self.class_name}", one_line=True)


def read_source(path: Path, *, follow_links: bool = True, called: str | None = None) -> bytes:
    """The bytes of a Python file. Raises `CustomModelError` where it can't be read, is no file or is too large.

    `called`: how the message names it; by default by its path.
    """
    shown = called or _shown(path)
    try:
        fd = open_to_read(path, follow_links=follow_links)
    except NotAFileError:
        message = f"{shown} is not a file: a model of your own is in a Python file, as in {EXAMPLE}"
        raise CustomModelError(message) from None
    except OSError as error:
        raise CustomModelError(f"can't read {shown} ({error.strerror}): check the path") from None
    with os.fdopen(fd, "rb") as file:
        source = file.read(MOST_BYTES + 1)
    if len(source) > MOST_BYTES:
        raise CustomModelError(f"{shown} is larger than {MOST_BYTES:,} bytes: that is no model's source")
    return source


def sha256(source: bytes) -> str:
    """The SHA-256 of a file in hex."""
    import hashlib  # loads OpenSSL, which takes longer than all of this module

    return hashlib.sha256(source).hexdigest()


def is_spec(text: str) -> bool:
    """Whether `text` names a file rather than a model."""
    return "/" in text or ":" in text or text.endswith(".py")


def from_spec(spec: str, taken: Collection[str]) -> CustomModel:
    """The model that `PATH.py:CLASS` names, with a name that isn't `taken`. Raises `CustomModelError`."""
    path, colon, class_name = spec.rpartition(":")
    if not colon and spec.endswith(".py"):
        raise CustomModelError(f"{_shown(spec)}: name the class as well, as in {EXAMPLE}")
    if not colon:
        raise CustomModelError(
            f"{_shown(spec)}: name a Python file and a class in it, as in {EXAMPLE} (a comma in a path: '\\,')"
        )
    try:
        file = Path(path).expanduser().absolute()
    except (RuntimeError, OSError):
        raise CustomModelError(f"{_shown(spec)}: there is no such user or folder") from None
    return CustomModel(name=_free_name(file.stem, class_name, taken), file=str(file), class_name=class_name)


def resolve(
    models: Sequence[Any], known: Sequence[CustomModel], ours: Collection[str]
) -> tuple[tuple[Any, ...], tuple[CustomModel, ...]]:
    """The names of `models`, and the custom models among them.

    Each is the name of one of `ours` or of `known`, or `PATH.py:CLASS`, a new custom model; anything else is left as it
    is. The same class of the same file always gets the same name. Raises `CustomModelError`.
    """
    by_name = {model.name: model for model in known if model.name not in ours}
    names: list[Any] = []
    for model in models:
        name = model
        if isinstance(model, str) and model not in by_name and is_spec(model):
            new = from_spec(model, {*ours, *by_name})
            name = next((found.name for found in by_name.values() if found.spec == new.spec), new.name)
            by_name.setdefault(name, new)
        names.append(name)
    return tuple(names), tuple(by_name[name] for name in names if isinstance(name, str) and name in by_name)


def from_json(data: object) -> CustomModel:
    """The inverse of `dataclasses.asdict`; keys of a later version are ignored. Raises `CustomModelError`."""
    if isinstance(data, CustomModel):
        return data
    if not isinstance(data, Mapping):
        raise CustomModelError("a custom model can't be read: it is no table")
    values: dict[str, Any] = {key: data.get(key) for key in ("name", "file", "class_name", "sha256")}
    return CustomModel(**values)


def _free_name(stem: str, class_name: str, taken: Collection[str]) -> str:
    """A slug from both: `my_net-mynet`, or `my_net-mynet-2` where that is taken."""
    slug = re.sub(r"[^a-z0-9_.]+", "-", f"{stem}-{class_name}".lower()).strip("-._")
    base = slug[:_LONGEST].rstrip("-._") or "own"
    name, number = base, 2
    while name in taken:
        name, number = f"{base}-{number}", number + 1
    return name


def _shown(value: object) -> str:
    text = safe_text(value, one_line=True)
    return text if len(text) <= 80 else f"{text[:79]}…"
