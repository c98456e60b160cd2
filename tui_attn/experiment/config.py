"""The configuration of an experiment, checked when it is made and frozen."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

from tui_attn.experiment import custom_model
from tui_attn.experiment.custom_model import CustomModel
from tui_attn.experiment.engine_spec import FORMS, EngineKind, EngineSpec
from tui_attn.experiment.model_info import (
    DEFAULT_MODELS,
    MODELS,
    TWINS,
    info_of,
    is_control,
    with_controls,
    with_twins,
)
from tui_attn.experiment.options import (
    WHERE,
    Choice,
    ConfigError,
    Kind,
    Number,
    Option,
    PathKind,
    Several,
    Switch,
    option,
    options_of,
    shown,
    split_list,
    suggest,
)
from tui_attn.system.text import has_control_characters, safe_text

DATASETS = ("fashion-mnist", "cifar10", "synthetic", "mnist", "kmnist", "cifar100")
"""Data sets by name; `folder:PATH` is another."""
FOLDER = "folder:"

AUGMENTATIONS = ("crop", "flip")
PRECISIONS = ("auto", "fp32", "bf16")

_DEVICE = re.compile(r"auto|all|cpu|mps|cuda(:[0-9]{1,3})?(,cuda:[0-9]{1,3})*")
_MAX_SEED = 2**31 - 1
MAX_SEEDS = 10_000
MOST_EVALUATIONS = 25
"""Evaluations of a run with `steps`; other runs are evaluated after each epoch."""
_JSON_KEYS = {"custom_models": "own_models"}
"""Field -> its key in files, where the two differ."""


class _Models(Several):
    def parse_item(self, text: str) -> str:
        return text.strip() if custom_model.is_spec(text) else super().parse_item(text)

    def check(self, value: Any) -> None:
        _resolved(value, ())


class _Dataset(Choice):
    def parse(self, text: str) -> Any:
        start, colon, path = text.partition(":")
        return FOLDER + path if colon and start.strip().casefold() == "folder" else super().parse(text)

    def check(self, value: Any) -> None:
        if not isinstance(value, str):
            raise ConfigError(f"must be a name, not {shown(value)}")
        if value.startswith(FOLDER):
            if value == FOLDER or has_control_characters(value):
                raise ConfigError("needs the path of a folder of images, as in folder:./flowers")
        elif value not in DATASETS:
            hint = suggest(shown(value), (*DATASETS, "folder:PATH"))
            hint = (
                f"a folder of images is written folder:{shown(value)}" if "/" in value and "://" not in value else hint
            )
            raise ConfigError(f"unknown data set '{shown(value)}': {hint}")


class _Device(Kind):
    metavar = "LIST"

    def parse(self, text: str) -> Any:
        return re.sub(r"\s*([,:])\s*", r"\1", text.strip().casefold()).replace("gpu", "cuda")

    def check(self, value: Any) -> None:
        if not isinstance(value, str) or not _DEVICE.fullmatch(value):
            hint = "use auto, all, cpu, mps, cuda, or a list such as cuda:0,cuda:1"
            raise ConfigError(f"unknown device '{shown(value)}': {hint}")


class _Looks(Kind):
    metavar = "LIST"

    def parse(self, text: str) -> Any:
        words = () if text.strip().casefold() == "none" else split_list(text)
        return tuple(int(word) if word.isdecimal() and len(word) < 9 else word for word in words)

    def from_toml(self, value: Any) -> Any:
        return tuple(value) if isinstance(value, list) else super().from_toml(value)

    def check(self, value: Any) -> None:
        numbers = value if isinstance(value, tuple) else ()
        whole = all(isinstance(look, int) and not isinstance(look, bool) and 2 <= look <= MAX_SEEDS for look in numbers)
        if not isinstance(value, tuple) or not whole or any(one >= two for one, two in pairwise(numbers)):
            wrong = shown(self.show(value) if isinstance(value, tuple) else value)
            raise ConfigError(f"must be ascending numbers of at least 2 seeds, such as 5,10, not {wrong}")

    def show(self, value: Any) -> str:
        return ",".join(map(str, value)) or "none"


_IMAGES: dict[str, Any] = {"unset": "all", "unset_words": ("all", "none"), "example": "1000"}
_MODELS = _Models(
    "model",
    *MODELS,
    **{info.class_name.replace("_", "").lower(): name for name, info in MODELS.items()},
)
_AUGMENT = Several("augmentation", *AUGMENTATIONS)
_PRECISION = Choice("precision", *PRECISIONS, float32="fp32", bfloat16="bf16")
_TWIN = Choice("twin", "labels")
_NAME = "A name to show beside the id."
_DATA_DIR = "Where the data set is, in torchvision's layout."
_TENSORBOARD = "Keep event files for TensorBoard up to date."


class Plan(NamedTuple):
    """The plan for verdicts: recorded before training, and kept when the experiment is extended."""

    looks: tuple[int, ...]
    """Numbers of seeds, ascending; empty for none."""
    margin: float
    """Smaller differences don't matter; a fraction."""

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Plan:
        """The inverse of `asdict`. Raises `ConfigError`, `KeyError`, `TypeError` or `ValueError`."""
        looks = tuple(data["looks"])
        _Looks().check(looks)
        margin = float(data["margin"])
        if not 0 <= margin <= 1:
            raise ConfigError(f"the margin must be a fraction, not {shown(margin)}")
        return cls(looks, margin)


@dataclass(frozen=True, kw_only=True, slots=True)
class ExperimentConfig:
    """One comparison: models x seeds on one data set. Raises `ConfigError` for values that make no sense.

    Each field but the last is an option: see `tui_attn.experiment.options`.
    """

    models: tuple[str, ...] = option(
        DEFAULT_MODELS,
        _MODELS,
        f"{', '.join(MODELS)}, or your own as in ./my_net.py:MyNet.",
        unset="the lab's three",
    )
    """Names of built-in models and of `custom_models`, in the order in which they are shown.

    A custom model may be given as `PATH.py:CLASS`, which is replaced by its name."""
    dataset: str = option(
        "fashion-mnist", _Dataset("data set", *DATASETS), f"{', '.join(DATASETS)} or folder:PATH.", label="data set"
    )
    epochs: int = option(15, Number(1, 1_000_000), "Passes over the training images.")
    steps: int | None = option(
        None,
        Number(1, 1_000_000_000),
        "Optimisation steps, instead of --epochs; the last epoch may be short.",
        unset="whole epochs",
        unset_words=("none",),
        example="470",
    )
    """Before training, `epochs` is derived from them: see `with_epochs`."""
    seeds: int = option(1, Number(1, MAX_SEEDS), "Number of seeds per model.", example="5")
    seed: int = option(0, Number(0, _MAX_SEED - MAX_SEEDS), "The first seed; the others follow it.", label="first seed")
    batch_size: int = option(128, Number(1, 1_000_000), "Images in a training step.")
    lr: float = option(0.001, Number(0, 1000, whole=False), "Adam's learning rate.", label="learning rate")
    augment: tuple[str, ...] = option((), _AUGMENT, "crop, flip, or crop,flip.", unset="none", label="augmentation")
    train_limit: int | None = option(
        None,
        Number(1, 100_000_000),
        "Use only N training images, drawn class by class for each seed.",
        label="train on",
        **_IMAGES,
    )
    test_limit: int | None = option(
        None, Number(1, 100_000_000), "Use only the first N test images.", label="test on", **_IMAGES
    )
    validation: int | None = option(
        None,
        Number(1, 100_000_000),
        "Evaluate on N training images held out for each seed; the test set stays closed.",
        label="validation",
        unset="the test set",
        unset_words=("none",),
        example="5000",
    )
    looks: tuple[int, ...] | None = option(
        None,
        _Looks(),
        "Numbers of seeds at which verdicts are planned.",
        unset="--seeds and twice as many",
        unset_words=("auto",),
        example="[5, 10]",
    )
    """Numbers of seeds, ascending; empty for no plan, None for the default: see `plan`."""
    margin: float = option(0.5, Number(0, 100, whole=False), "Differences up to this many points don't matter.")
    """Percentage points."""
    controls: bool = option(False, Switch(), "Train the controls of these models too.")
    twin: str | None = option(
        None,
        _TWIN,
        "labels: also train models with attention on random labels, for their heatmaps.",
        unset="none",
        unset_words=("none",),
        example='"labels"',
    )
    device: str = option("auto", _Device(), "auto, all, cpu, mps, cuda, or cuda:0,cuda:1.", heading=WHERE)
    mix_devices: bool = option(False, Switch(), "Let one comparison mix models of GPU.", heading=WHERE)
    precision: str = option("auto", _PRECISION, "auto, fp32 or bf16 (auto: bf16 where fast).", heading=WHERE)
    jobs: int | None = option(
        None,
        Number(1, 256),
        "Number of workers.",
        heading=WHERE,
        unset="1 per device",
        unset_words=("auto", "none"),
        example="1",
    )
    on: str = option("local", EngineKind(), f"{', '.join(FORMS)}.", heading=WHERE, label="run on")
    """Only displayed once the experiment exists: a folder from elsewhere must not choose where code runs."""
    data_dir: str | None = option(
        None, PathKind(), _DATA_DIR, heading=WHERE, unset="the usual places", unset_words=("auto",), example='"~/data"'
    )
    name: str | None = option(
        None, Kind(), _NAME, heading=WHERE, unset="none", unset_words=("none",), example='"my lab"'
    )
    """Displayed; never part of a path."""
    tensorboard: bool = option(False, Switch(), _TENSORBOARD, heading=WHERE, label="TensorBoard")
    custom_models: tuple[CustomModel, ...] = ()
    """The custom models among `models`, in their order."""

    def __post_init__(self) -> None:
        models, custom_models = _resolved(self.models, self.custom_models)
        models = with_controls(models) if self.controls is True else models
        models = with_twins(models) if self.twin is not None else models
        object.__setattr__(self, "models", models)
        object.__setattr__(self, "custom_models", custom_models)
        for each in OPTIONS:
            if each.name != "models":
                each.check(getattr(self, each.field))

    @property
    def seed_list(self) -> tuple[int, ...]:
        """The seeds in their order of training."""
        return tuple(range(self.seed, self.seed + self.seeds))

    @property
    def plan(self) -> Plan:
        """The plan before training. Default looks: N and 2N for N seeds, 5 and 10 for fewer than 3."""
        usual = (self.seeds, 2 * self.seeds) if self.seeds >= 3 else (5, 10)
        return Plan(self.looks if self.looks is not None else usual, self.margin / 100)

    @property
    def length(self) -> str:
        """How long each run trains, in words."""
        count, unit = (self.epochs, "epoch") if self.steps is None else (self.steps, "step")
        return f"{count:,} {unit}{'' if count == 1 else 's'}"

    @property
    def evaluate_every(self) -> int:
        """Epochs between two evaluations: more than 1 where `steps` give many epochs of few images."""
        return 1 if self.steps is None else -(-self.epochs // MOST_EVALUATIONS)

    def sizes(self, train: int, test: int) -> tuple[int, int]:
        """Training and test images of a run, given those of the data set. Raises `ConfigError`."""
        if self.validation is None:
            return min(train, self.train_limit or train), min(test, self.test_limit or test)
        if self.validation + (self.train_limit or 1) > train:
            more = " besides those of --train-limit" if self.train_limit else ""
            raise ConfigError(f"there are {train:,} training images, too few for it{more}", "validation")
        return self.train_limit or train - self.validation, self.validation

    def with_epochs(self, train_size: int) -> ExperimentConfig:
        """This configuration with `epochs` derived from `steps` for so many images; the last epoch may be short."""
        per_epoch = -(-train_size // self.batch_size)
        return self if self.steps is None else replace(self, epochs=-(-self.steps // per_epoch))

    @property
    def model_specs(self) -> tuple[str, ...]:
        """The models as they are written on the command line: names, and `PATH.py:CLASS` for custom ones."""
        return tuple(model if info_of(model) else self.custom_model(model).spec for model in self.models)

    @property
    def engine(self) -> EngineSpec:
        """Where its workers run, as given at the start."""
        return EngineSpec.parse(self.on)

    def custom_model(self, model: str) -> CustomModel:
        """The custom model that is called `model`. Raises `KeyError` where it is none."""
        return {found.name: found for found in self.custom_models}[model]

    def class_name(self, model: str) -> str:
        """The class of one of the `models`."""
        info = info_of(model)
        return info.class_name if info else self.custom_model(model).class_name

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
            if (key := _JSON_KEYS.get(field.name, field.name)) in data:
                values[field.name] = tuple(data[key]) if isinstance(data[key], list) else data[key]
        try:
            return cls(**values)
        except TypeError as error:
            raise ConfigError(f"the configuration can't be read: {safe_text(error, one_line=True)}") from None


OPTIONS: tuple[Option, ...] = options_of(ExperimentConfig)
"""The options of what is trained: the fields of `ExperimentConfig`."""
BY_FIELD = {option.field: option for option in OPTIONS}


def show(option: Option, config: ExperimentConfig) -> str:
    """The value of `option` in `config` as text, the inverse of `option.parse`."""
    return option.show(config.model_specs if option.name == "models" else getattr(config, option.field))


def arguments(
    config: ExperimentConfig,
    *,
    usual: ExperimentConfig | None = None,
    runs_dir: Path | None = None,
    usual_runs_dir: Path = Path("runs"),
) -> list[str]:
    """The arguments that start `config`, without the program's name and unquoted.

    Only options that differ from `usual` are included, the configuration of an empty command line; the folder of
    experiments only where it differs from `usual_runs_dir`.
    """
    found: list[str] = []
    for each in OPTIONS:
        if each.name == "epochs" and config.steps is not None:
            continue  # they follow from the steps
        if show(each, config) != show(each, usual or ExperimentConfig()):
            value = config.model_specs if each.name == "models" else getattr(config, each.field)
            found += each.arguments(value)
    if runs_dir is not None and runs_dir.absolute() != usual_runs_dir.expanduser().absolute():
        found += ["--runs-dir", str(runs_dir.absolute())]
    return found


def _resolved(models: object, known: object) -> tuple[tuple[str, ...], tuple[CustomModel, ...]]:
    """The names of `models`, and the custom models among them, from `known` or from `PATH.py:CLASS`."""
    try:
        if not isinstance(models, tuple):
            raise ConfigError(f"must be a list, such as base,se, not {shown(models)}")
        if not models:
            raise ConfigError("is empty: choose at least one, as in base,se ('tui-attn models' lists them)")
        if not isinstance(known, tuple):
            raise ConfigError(f"own_models must be a list of tables, not {shown(known)}")
        names, found = custom_model.resolve(models, tuple(map(custom_model.from_json, known)), MODELS)
        for name in names:
            if not isinstance(name, str) or name not in {*MODELS, *TWINS, *(model.name for model in found)}:
                few = (*(model for model in MODELS if not is_control(model)), f"your own, as in {custom_model.EXAMPLE}")
                raise ConfigError(f"unknown model '{shown(name)}': {suggest(shown(name), MODELS, listed=few)}")
        if len(set(names)) != len(names):
            raise ConfigError("names a model twice: name each once, and use --seeds for repetitions")
    except ConfigError as error:
        raise ConfigError(error.reason, "models") from None
    return names, found


def absolute(path: str | None) -> str | None:
    """`path` made absolute, for processes with another working directory. Raises `ConfigError` for an invalid path."""
    if path is None:
        return None
    BY_FIELD["data_dir"].check(path)
    try:
        return str(Path(path).expanduser().absolute())
    except RuntimeError:
        raise ConfigError(f"{shown(path)}: there is no such user", "data-dir") from None
