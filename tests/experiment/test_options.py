"""Options as text: what is typed, and the command line that stands for a configuration."""

from __future__ import annotations

import shlex
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tui_attn.cli.entry import program
from tui_attn.cli.start import configuration
from tui_attn.experiment.config import (
    AUGMENTATIONS,
    BY_FIELD,
    OPTIONS,
    ExperimentConfig,
    absolute,
    arguments,
    show,
)
from tui_attn.experiment.model_info import MODELS
from tui_attn.experiment.options import ConfigError


def of_command_line(line: str) -> ExperimentConfig:
    """What `tui-attn` makes of a command line, by the program's own parser."""
    context: Any = program().make_context("tui-attn", shlex.split(line))
    return configuration(context)


def some(values: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.none() | values


NAMES = st.text(min_size=1, max_size=30).filter(lambda text: _is("name", text))
PATHS = st.text(min_size=1, max_size=30).filter(lambda text: "\x00" not in text).map(lambda text: f"/data/{text}")
CONFIGS = st.builds(
    ExperimentConfig,
    models=st.permutations((*MODELS, "/nets/my net.py:MyNet", r"/nets, \,old,\\,/a,b.py:Net")).flatmap(
        lambda all_: st.integers(1, 5).map(lambda n: tuple(all_[:n]))
    ),
    dataset=st.sampled_from(("fashion-mnist", "cifar10")) | NAMES.map(lambda text: f"folder:/images/{text}"),
    epochs=st.integers(1, 1_000_000),
    steps=some(st.integers(1, 1_000_000_000)),
    seeds=st.integers(1, 10_000),
    seed=st.integers(0, 2**31 - 10_001),
    batch_size=st.integers(1, 1_000_000),
    lr=st.floats(min_value=0, max_value=1000, exclude_min=True),
    augment=st.sampled_from(((), ("crop",), ("flip",), tuple(AUGMENTATIONS))),
    device=st.sampled_from(("auto", "cpu", "cuda", "cuda:1", "cuda:0,cuda:1")),
    precision=st.sampled_from(("auto", "fp32", "bf16")),
    jobs=some(st.integers(1, 256)),
    train_limit=some(st.integers(1, 100_000_000)),
    test_limit=some(st.integers(1, 100_000_000)),
    validation=some(st.integers(1, 100_000_000)),
    name=some(NAMES | st.sampled_from(("-v", "--help", "it's", '"; rm -rf ~', "$(id)", "a\\b"))),
    data_dir=some(PATHS),
    tensorboard=st.booleans(),
)


def _is(option: str, text: str) -> bool:
    try:
        return bool(BY_FIELD[option].parse(text))
    except ConfigError:
        return False


@settings(max_examples=50, deadline=None)
@given(CONFIGS)
def test_the_command_line_makes_the_same_configuration(config: ExperimentConfig) -> None:
    found = of_command_line(shlex.join(arguments(config)))
    assert (replace(found, epochs=config.epochs) if config.steps else found) == config  # epochs follow from steps


@given(CONFIGS)
def test_what_is_shown_is_read_back(config: ExperimentConfig) -> None:
    read = {option.field: option.parse(show(option, config)) for option in OPTIONS}
    assert ExperimentConfig(**read) == config


def test_only_what_differs_is_named() -> None:
    assert arguments(ExperimentConfig()) == []
    assert arguments(ExperimentConfig(epochs=2, models=("se",))) == ["--models", "se", "--epochs", "2"]
    assert arguments(ExperimentConfig(epochs=2), usual=ExperimentConfig(epochs=2, jobs=None)) == []
    assert arguments(ExperimentConfig(), usual=ExperimentConfig(epochs=2)) == ["--epochs", "15"]


def test_what_the_configuration_file_says_is_taken_back() -> None:
    usual = ExperimentConfig(epochs=2, augment=("crop",), jobs=2)
    assert arguments(ExperimentConfig(epochs=2, jobs=3), usual=usual) == ["--augment", "none", "--jobs", "3"]
    assert arguments(ExperimentConfig(epochs=2), usual=usual) == ["--augment", "none", "--jobs", "auto"]
    assert of_command_line("--augment none --jobs auto") == of_command_line("--augment ''") == ExperimentConfig()
    named = ExperimentConfig(epochs=2, name="mine")
    assert arguments(ExperimentConfig(epochs=2), usual=named) == ["--name", "none"]
    placed = ExperimentConfig(data_dir="/data")
    assert arguments(ExperimentConfig(), usual=placed) == ["--data-dir", "auto"]
    assert of_command_line("--name none --data-dir auto") == ExperimentConfig()


def test_another_folder_of_experiments_is_named(tmp_path: Path) -> None:
    assert arguments(ExperimentConfig(), runs_dir=Path("runs")) == []
    assert arguments(ExperimentConfig(), runs_dir=tmp_path) == ["--runs-dir", str(tmp_path)]
    assert arguments(ExperimentConfig(), runs_dir=tmp_path, usual_runs_dir=tmp_path) == []
    assert arguments(ExperimentConfig(), runs_dir=Path("runs"), usual_runs_dir=tmp_path)[0] == "--runs-dir"


@pytest.mark.parametrize(
    ("option", "text", "value"),
    [
        ("epochs", " 12 ", 12),
        ("lr", "1e-3", 0.001),
        ("jobs", "", None),
        ("jobs", "  ", None),
        ("models", "base, se", ("base", "se")),
        ("augment", "", ()),
        ("name", "", None),
        ("name", " my run", " my run"),
        ("train_limit", "1000", 1000),
        ("tensorboard", "On", True),
        ("tensorboard", "off", False),
        ("models", "all", tuple(MODELS)),
        ("models", "SE, Self_Attention,CNN_Base", ("se", "self-attention", "base")),
        ("augment", "None", ()),
        ("augment", "ALL", ("crop", "flip")),
        ("train_limit", "All", None),
        ("test_limit", "none", None),
        ("jobs", "auto", None),
        ("dataset", "CIFAR-10", "cifar10"),
        ("dataset", "FashionMNIST", "fashion-mnist"),
        ("dataset", "Folder:./My Flowers", "folder:./My Flowers"),
        ("device", "GPU", "cuda"),
        ("device", "CUDA:0, cuda:1", "cuda:0,cuda:1"),
        ("precision", "BFloat16", "bf16"),
        ("name", "all", "all"),
    ],
)
def test_text_becomes_a_value(option: str, text: str, value: object) -> None:
    assert BY_FIELD[option].parse(text) == value


@pytest.mark.parametrize(
    ("option", "text", "words"),
    [
        ("epochs", "", "--epochs: must be a whole number from 1 to 1,000,000, not empty"),
        ("epochs", "1.5", "a whole number from 1 to 1,000,000, not 1.5"),
        ("epochs", "0", "a whole number"),
        ("epochs", "9" * 6000, "a whole number"),
        ("lr", "nan", "above 0"),
        ("lr", "-1", "above 0"),
        ("lr", "fast", "above 0"),
        ("jobs", "0", "--jobs: must be"),
        ("models", "", "--models: is empty"),
        ("models", "bas", "did you mean 'base'"),
        ("device", "tpu", "unknown device"),
        ("name", "  ", "--name: is empty"),
        ("name", "\x1b[2J", "control characters"),
        ("data_dir", "a\x00b", "must be a path"),
        ("tensorboard", "maybe", "--tensorboard: must be on or off, not maybe"),
    ],
)
def test_wrong_text_is_refused_in_the_words_of_the_command_line(option: str, text: str, words: str) -> None:
    with pytest.raises(ConfigError, match=words.replace("[", r"\[")):
        BY_FIELD[option].parse(text)


def test_a_home_is_written_out_by_whoever_reads_paths() -> None:
    assert absolute(BY_FIELD["data_dir"].parse("~/data")) == str(Path("~/data").expanduser())
