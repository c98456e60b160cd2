"""What an experiment is: its configuration, checked once, frozen from then on."""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from tui_attn.experiment import custom_model
from tui_attn.experiment.custom_model import CustomModel, CustomModelError
from tui_attn.system.text import has_control_characters, safe_text

MODEL_CLASSES = {"base": "CNN_Base", "se": "CNN_SE", "self-attention": "CNN_SelfAttention"}
"""The lab's models, by the name used on the command line and in run ids, with their class."""

DATASETS = ("fashion-mnist", "cifar10", "synthetic", "mnist", "kmnist", "cifar100")
"""Data sets by name; `folder:PATH` besides."""

AUGMENTATIONS = ("crop", "flip")
PRECISIONS = ("auto", "fp32", "bf16")

_DEVICE = re.compile(r"auto|cpu|mps|cuda(:[0-9]{1,3})?(,cuda:[0-9]{1,3})*")
_SEPARATOR = re.compile(r"(?<!\\),")
"""Of the items of a list."""
_MAX_SEED = 2**31 - 1
MAX_LR = 1000
_JSON_KEYS = {"custom_models": "own_models"}
"""Field -> its key in files, where the two differ."""


class ConfigError(ValueError):
    """A mistake in what the user asked for; the message is one line and says what to do."""


def suggest(word: str, known: Iterable[str]) -> str:
    """A hint that names the nearest of `known`, or all of them."""
    names = list(known)
    near = difflib.get_close_matches(word, names, n=1, cutoff=0.6)
    return f"did you mean '{near[0]}'?" if near else f"choose from {', '.join(names)}"


@dataclass(frozen=True, kw_only=True, slots=True)
class ExperimentConfig:
    """One comparison: models x seeds on one data set. Raises `ConfigError` for values that make no sense."""

    models: tuple[str, ...] = tuple(MODEL_CLASSES)
    """Names from `MODEL_CLASSES` and of `custom_models`, in the order in which they are shown.

    `PATH.py:CLASS` may be given as well, a model of one's own: what is kept then is its name."""
    dataset: str = "fashion-mnist"
    epochs: int = 15
    seeds: int = 1
    """How many seeds each model is trained with."""
    seed: int = 0
    """The first seed; the others follow it."""
    batch_size: int = 128
    lr: float = 0.001
    """Adam's learning rate."""
    augment: tuple[str, ...] = ()
    device: str = "auto"
    precision: str = "auto"
    jobs: int | None = None
    """Number of workers; None: one a device."""
    train_limit: int | None = None
    """Train on this many images only."""
    test_limit: int | None = None
    name: str | None = None
    """Shown to people; never part of a path."""
    data_dir: str | None = None
    tensorboard: bool = False
    """Whether event files for TensorBoard are kept up to date while it trains."""
    custom_models: tuple[CustomModel, ...] = ()
    """The models of one's own among `models`, in their order."""

    def __post_init__(self) -> None:
        models, custom_models = _with_own(self.models, self.custom_models)
        object.__setattr__(self, "models", models)
        object.__setattr__(self, "custom_models", custom_models)
        for option in OPTIONS:
            if option != "models":
                check_option(option, getattr(self, option))

    @property
    def seed_list(self) -> tuple[int, ...]:
        """The seeds, in the order in which they are handed out."""
        return tuple(range(self.seed, self.seed + self.seeds))

    @property
    def model_specs(self) -> tuple[str, ...]:
        """The models as they are written on the command line: names, and `PATH.py:CLASS` for those of one's own."""
        return tuple(self.custom_model(model).spec if model not in MODEL_CLASSES else model for model in self.models)

    def custom_model(self, model: str) -> CustomModel:
        """The model of one's own that is called `model`. Raises `KeyError` where it is none."""
        return {found.name: found for found in self.custom_models}[model]

    def class_name(self, model: str) -> str:
        """The class of one of the `models`."""
        return MODEL_CLASSES.get(model) or self.custom_model(model).class_name

    def to_json(self) -> dict[str, Any]:
        """The configuration in plain JSON types."""
        return {
            _JSON_KEYS.get(key, key): list(value) if isinstance(value, tuple) else value
            for key, value in asdict(self).items()
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> ExperimentConfig:
        """The inverse of `to_json`; keys of a later version are ignored. Raises `ConfigError`."""
        if not isinstance(data, Mapping):
            raise ConfigError("the configuration can't be read: it is no table of options")
        values: dict[str, Any] = {}
        for field in fields(cls):
            key = _JSON_KEYS.get(field.name, field.name)
            if key in data:
                values[field.name] = tuple(data[key]) if isinstance(data[key], list) else data[key]
        try:
            return cls(**values)
        except TypeError as error:
            raise ConfigError(f"the configuration can't be read: {safe_text(error, one_line=True)}") from None


OPTIONS = tuple(field.name for field in fields(ExperimentConfig) if field.name != "custom_models")
"""What a user may set, by the names of the command line with underscores."""


def check_option(name: str, value: object) -> None:
    """Raise `ConfigError` where `value` can't be what `ExperimentConfig` calls `name`."""
    _CHECKS[name](value)


def split_list(text: str) -> tuple[str, ...]:
    """The items of a comma-separated option, blanks and empty items dropped; `\\,` is a comma within an item."""
    return tuple(item.strip().replace("\\,", ",") for item in _SEPARATOR.split(text) if item.strip())


def join_list(items: Iterable[str]) -> str:
    """The text from which `split_list` makes `items`; none of them may end with a backslash."""
    return ",".join(item.replace(",", "\\,") for item in items)


def shown(value: object) -> str:
    """A wrong value as an error message shows it: safe, one line, not too long."""
    try:
        text = safe_text(value, one_line=True)
    except (ValueError, RecursionError):  # a whole number of thousands of digits, lists a thousand deep
        text = "a value beyond all measure"
    return text if len(text) <= 60 else f"{text[:59]}…"


def _with_own(models: object, known: object) -> tuple[tuple[str, ...], tuple[CustomModel, ...]]:
    """The names of `models`, and those of one's own among them: `known` ones, and those given as `PATH.py:CLASS`."""
    if not isinstance(models, tuple):
        raise ConfigError(f"--models must be a list of names, not {shown(models)}")
    if not models:
        raise ConfigError(f"--models is empty: choose from {', '.join(MODEL_CLASSES)}")
    if not isinstance(known, tuple):
        raise ConfigError(f"own_models must be a list of tables, not {shown(known)}")
    try:
        names, found = custom_model.resolve(models, tuple(map(custom_model.from_json, known)), MODEL_CLASSES)
    except CustomModelError as error:
        raise ConfigError(str(error)) from None
    for name in names:
        if not isinstance(name, str) or name not in {*MODEL_CLASSES, *(model.name for model in found)}:
            hint = suggest(shown(name), MODEL_CLASSES)
            more = "" if hint.endswith("?") else f", or a file of your own, as in {custom_model.EXAMPLE}"
            raise ConfigError(f"unknown model '{shown(name)}': {hint}{more}")
    if len(set(names)) != len(names):
        raise ConfigError("--models names a model twice: name each once, and use --seeds for repetitions")
    return names, found


def _check_dataset(dataset: object) -> None:
    if not isinstance(dataset, str):
        raise ConfigError(f"--dataset must be a name, not {shown(dataset)}")
    if dataset.startswith("folder:"):
        if not dataset.removeprefix("folder:") or has_control_characters(dataset):
            raise ConfigError("--dataset folder: needs the path of a folder of images, as in folder:./flowers")
        return
    if dataset not in DATASETS:
        name = shown(dataset)
        raise ConfigError(f"unknown data set '{name}': {suggest(name, (*DATASETS, 'folder:PATH'))}")


def _check_whole(option: str, value: object, low: int, high: int) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
        raise ConfigError(f"{option} must be a whole number from {low:,} to {high:,}, not {shown(value)}")


def _check_lr(lr: object) -> None:
    if isinstance(lr, bool) or not isinstance(lr, int | float) or not 0 < lr <= MAX_LR:
        raise ConfigError(f"--lr must be a number above 0 and up to {MAX_LR}, such as 0.001, not {shown(lr)}")


def _check_augment(augment: object) -> None:
    if not isinstance(augment, tuple):
        raise ConfigError(f"--augment must be a list, such as crop,flip, not {shown(augment)}")
    for item in augment:
        if item not in AUGMENTATIONS:
            raise ConfigError(f"unknown augmentation '{shown(item)}': use crop, flip, or crop,flip")
    if len(set(augment)) != len(augment):
        raise ConfigError("--augment names an augmentation twice")


def _check_device(device: object) -> None:
    if not isinstance(device, str) or not _DEVICE.fullmatch(device):
        raise ConfigError(
            f"unknown --device '{shown(device)}': use auto, cpu, mps, cuda, or a list such as cuda:0,cuda:1"
        )


def _check_precision(precision: object) -> None:
    if precision not in PRECISIONS:
        raise ConfigError(f"unknown --precision '{shown(precision)}': use {', '.join(PRECISIONS)}")


def _check_switch(option: str, value: object) -> None:
    if not isinstance(value, bool):
        raise ConfigError(f"{option} is on or off, not {shown(value)}")


def _check_name(name: object) -> None:
    if not isinstance(name, str):
        raise ConfigError(f"--name must be a text, not {shown(name)}")
    if not name.strip():
        raise ConfigError("--name is empty: give a name of at least one character, or leave the option out")
    if has_control_characters(name):
        raise ConfigError(f"--name holds control characters ({shown(name)}): use printable text")
    if len(name) > 200:
        raise ConfigError(f"--name is {len(name)} characters long: 200 at most")


def check_path(option: str, path: object) -> None:
    """Raise `ConfigError` for what can be no path."""
    if not isinstance(path, str) or not path or "\x00" in path:
        raise ConfigError(f"{option} must be a path, not '{shown(path)}'")


def _whole(option: str, low: int, high: int) -> Callable[[object], None]:
    return lambda value: _check_whole(option, value, low, high)


def _unless_none(check: Callable[[object], None]) -> Callable[[object], None]:
    return lambda value: None if value is None else check(value)


_CHECKS: dict[str, Callable[[object], object]] = {
    "models": lambda models: _with_own(models, ()),
    "dataset": _check_dataset,
    "epochs": _whole("--epochs", 1, 1_000_000),
    "seeds": _whole("--seeds", 1, 10_000),
    "seed": _whole("--seed", 0, _MAX_SEED - 10_000),
    "batch_size": _whole("--batch-size", 1, 1_000_000),
    "lr": _check_lr,
    "augment": _check_augment,
    "device": _check_device,
    "precision": _check_precision,
    "jobs": _unless_none(_whole("--jobs", 1, 256)),
    "train_limit": _unless_none(_whole("--train-limit", 1, 100_000_000)),
    "test_limit": _unless_none(_whole("--test-limit", 1, 100_000_000)),
    "name": _unless_none(_check_name),
    "tensorboard": lambda value: _check_switch("--tensorboard", value),
    "data_dir": _unless_none(lambda path: check_path("--data-dir", path)),
}


def absolute(path: str | None) -> str | None:
    """`path` made absolute, so that processes started elsewhere find it. Raises `ConfigError` for what is no path."""
    if path is None:
        return None
    check_path("--data-dir", path)
    try:
        return str(Path(path).expanduser().absolute())
    except RuntimeError:
        raise ConfigError(f"--data-dir {shown(path)}: there is no such user") from None
