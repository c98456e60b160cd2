"""Plans studies: grids and random draws of settings, sizes of the training data."""

from __future__ import annotations

import itertools
import math
import random
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from tui_attn.data import DATASETS
from tui_attn.experiment.config import BY_FIELD, ExperimentConfig
from tui_attn.experiment.options import ConfigError, Number, shown, split_list, suggest
from tui_attn.experiment.study import CURVE, SWEEP, Cell, StudyPlan
from tui_attn.launch import estimate

SWEPT = ("lr", "batch-size", "epochs", "steps", "augment", "train-limit", "precision")
"""Settings that a sweep may vary."""
MOST_CELLS = 1000
HALVINGS = 4
"""Sizes of a curve: all training images, and so many halves of the size before."""


def parse_axes(words: Sequence[str]) -> dict[str, list[Any] | tuple[Any, Any]]:
    """Settings and their values from `lr=0.001,0.01` or `lr=0.0001..0.01`, a range. Raises `ConfigError`.

    Items of a list-valued setting are joined by `+`, as in `augment=none,crop+flip`.
    """
    axes: dict[str, list[Any] | tuple[Any, Any]] = {}
    for word in words:
        name, equals, text = word.partition("=")
        name = name.strip().replace("_", "-").removeprefix("--")
        if not equals or not text.strip():
            raise ConfigError(f"'{shown(word)}' is no setting with values: write it as lr=0.0003,0.001,0.003")
        if name not in SWEPT:
            raise ConfigError(f"a sweep can't vary '{shown(name)}': {suggest(shown(name), SWEPT)}")
        if name in axes:
            raise ConfigError(f"'{name}' is given twice: give all of its values at once")
        axes[name] = _values(name, text)
    if not axes:
        raise ConfigError("nothing to vary: give settings with values, such as lr=0.0003,0.001,0.003")
    return axes


def _values(name: str, text: str) -> list[Any] | tuple[Any, Any]:
    option = BY_FIELD[name.replace("-", "_")]
    low, dots, high = text.partition("..")
    if dots:
        if not isinstance(option.kind, Number):
            raise ConfigError(f"{name} has no range: list its values")
        ends = option.parse(low), option.parse(high)
        if None in ends or not ends[0] < ends[1]:
            raise ConfigError(f"'{shown(text)}' is no range: write the lower end first, as in lr=0.0001..0.01")
        return ends
    values = [option.parse(part.replace("+", ",")) for part in text.split(",")]
    if len(set(values)) != len(values):
        raise ConfigError(f"{name} names a value twice")
    return values


def sweep_plan(config: ExperimentConfig, words: Sequence[str], draws: int | None, *, now: float) -> StudyPlan:
    """The plan of a sweep over the settings in `words`: their grid, or `draws` of them. Raises `ConfigError`."""
    axes, config = parse_axes(words), replace(config, looks=())  # the number of seeds is fixed
    settings = _drawn(axes, draws, config.seed) if draws is not None else _grid(axes)
    if len(settings) > MOST_CELLS:
        raise ConfigError(f"a sweep of {len(settings):,} cells is too large: {MOST_CELLS:,} at most")
    drawn = "" if draws is None else f"{len(settings)} cells drawn with seed {config.seed} from {' '.join(words)}"
    return _checked(StudyPlan(kind=SWEEP, created=now, config=config, cells=_cells(settings), drawn=drawn))


def _grid(axes: Mapping[str, list[Any] | tuple[Any, Any]]) -> list[dict[str, Any]]:
    if ranges := [name for name, values in axes.items() if isinstance(values, tuple)]:
        raise ConfigError(f"a range such as that of {ranges[0]} is drawn from: say how often with --random N")
    names = [name.replace("-", "_") for name in axes]
    return [dict(zip(names, values, strict=True)) for values in itertools.product(*axes.values())]


def _drawn(axes: Mapping[str, list[Any] | tuple[Any, Any]], draws: int, seed: int) -> list[dict[str, Any]]:
    """Distinct cells of independent draws: uniform from a list, log-uniform from a range."""
    rng = random.Random(seed)
    found: list[dict[str, Any]] = []
    for _ in range(50 * draws):
        cell = {name.replace("-", "_"): _draw(rng, values) for name, values in axes.items()}
        if cell not in found:
            found.append(cell)
        if len(found) == draws:
            break
    return found


def _draw(rng: random.Random, values: list[Any] | tuple[Any, Any]) -> Any:
    if isinstance(values, list):
        return rng.choice(values)
    low, high = values
    drawn = math.exp(rng.uniform(math.log(low), math.log(high)))
    return round(drawn) if isinstance(low, int) and isinstance(high, int) else float(f"{drawn:.2g}")


def curve_plan(
    config: ExperimentConfig, sizes: Sequence[int] | None, train_size: int | None, *, now: float
) -> StudyPlan:
    """The plan of a curve over `sizes` of the training data, all trained for equally many steps.

    `train_size`: the number of training images available; None where unknown. Without `sizes`, these and four halves.
    Without `--steps`, as many steps as `--epochs` are with the largest size. Raises `ConfigError`.
    """
    if sizes is None:
        if train_size is None:
            raise ConfigError("can't be chosen for a folder of images: name them, as in --sizes 500,1000,2000", "sizes")
        sizes = [train_size >> halving for halving in range(HALVINGS, -1, -1)]
    sizes = sorted(set(sizes))
    if len(sizes) < 2 or sizes[0] < 1:
        raise ConfigError("needs at least two sizes of the training data, as in --sizes 3000,12000,48000", "sizes")
    if train_size is not None and sizes[-1] > train_size:
        raise ConfigError(f"there are {train_size:,} training images, not {sizes[-1]:,}", "sizes")
    steps = config.steps or config.epochs * -(-sizes[-1] // config.batch_size)
    config = replace(config, steps=steps, train_limit=None, looks=())
    return _checked(
        StudyPlan(kind=CURVE, created=now, config=config, cells=_cells([{"train_limit": size} for size in sizes]))
    )


def training_images(config: ExperimentConfig) -> int | None:
    """How many images a run may train on; None for a folder, which would have to be read. Raises `ConfigError`."""
    info = DATASETS.get(config.dataset)
    return None if info is None else config.sizes(info.train_size, info.test_size)[0]


def _cells(settings: Sequence[Mapping[str, Any]]) -> tuple[Cell, ...]:
    width = len(str(len(settings)))
    found = []
    for number, each in enumerate(settings, start=1):
        label = re.sub(r"[^a-z0-9.]+", "-", Cell("", each).label.lower()).strip("-.")
        found.append(Cell(f"{number:0{width}}-{label}"[:56].rstrip("-."), each))
    return tuple(found)


def _checked(plan: StudyPlan) -> StudyPlan:
    for cell in plan.cells:
        training_images(plan.cell_config(cell))
    return plan


def plan_of(config: ExperimentConfig, text: str, *, now: float) -> StudyPlan:
    """The plan of `lr=0.001,0.01 random=5`, a sweep, or of `sizes=3000,12000` or `sizes=all`, a curve.

    Raises `ConfigError`.
    """
    words = text.split()
    random_ = [word for word in words if word.startswith("random=")]
    if any(word.startswith("sizes=") for word in words):
        if len(words) > 1:
            raise ConfigError("a curve varies nothing but sizes")
        named = words[0].partition("=")[2]
        sizes = None if named == "all" else parse_sizes(named)
        return curve_plan(config, sizes, training_images(config), now=now)
    draws = Number(1, MOST_CELLS).parse(random_[0].partition("=")[2]) if random_ else None
    if random_:
        Number(1, MOST_CELLS).check(draws)
    return sweep_plan(config, [word for word in words if word not in random_], draws, now=now)


def command_words(text: str) -> list[str]:
    """The subcommand and its arguments that are equal to `plan_of(text)`; empty for no study."""
    words = text.split()
    if words and words[0].startswith("sizes="):
        named = words[0].partition("=")[2]
        return ["curve", *([] if named == "all" else ["--sizes", named])]
    drawn = [part for word in words if word.startswith("random=") for part in ("--random", word.partition("=")[2])]
    return ["sweep", *(word for word in words if not word.startswith("random=")), *drawn] if words else []


def parse_sizes(text: str) -> list[int]:
    """Numbers of training images, separated by commas. Raises `ConfigError`."""
    words = split_list(text)
    if not words or not all(word.isdecimal() and len(word) < 10 for word in words):
        raise ConfigError("must be numbers of training images, such as 3000,12000,48000", "sizes")
    return [int(word) for word in words]


def guess(plan: StudyPlan, devices: Sequence[str], past: Sequence[estimate.Pace]) -> estimate.Guess | None:
    """How long the study will take, going by `past` runs; None where the size of the data set isn't known."""
    configs = [plan.cell_config(cell) for cell in plan.cells]
    if plan.selects:
        configs.append(replace(configs[0], validation=None))
    known = [found for config in configs if (found := estimate.guess(config, devices, past)) is not None]
    if len(known) < len(configs):
        return None
    return estimate.Guess(
        low=sum(each.low for each in known),
        high=sum(each.high for each in known),
        past_runs=max(each.past_runs for each in known),
        like=all(each.like for each in known),
        missing=tuple(dict.fromkeys(model for each in known for model in each.missing)),
    )
