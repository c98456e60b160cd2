"""What an experiment may be; every mistake is one line that says what to do."""

from __future__ import annotations

import json
import math
from dataclasses import fields, replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.experiment.strategies import HOSTILE, json_values, texts
from tui_attn.experiment.config import BY_FIELD, DATASETS, MAX_SEEDS, ExperimentConfig, Plan, absolute
from tui_attn.experiment.model_info import MODELS
from tui_attn.experiment.options import ConfigError, join_list, split_list, suggest
from tui_attn.system.text import has_control_characters

FIELDS = sorted(field.name for field in fields(ExperimentConfig))
KEYS = sorted(ExperimentConfig().to_json())

WRONG: list[tuple[dict[str, Any], str]] = [
    ({"models": ("basse",)}, "unknown model 'basse': did you mean 'base'?"),
    ({"models": ("resnet",)}, "unknown model 'resnet': choose from base, se, self-attention"),
    ({"models": ()}, "is empty: choose at least one, as in base,se"),
    ({"models": ("se", "base", "se")}, "names a model twice: name each once, and use --seeds for repetitions"),
    ({"models": ("se", 5)}, "unknown model '5': choose from base, se, self-attention"),
    ({"models": ("se", ["base"])}, "unknown model '['base']'"),
    ({"models": "se"}, "must be a list, such as base,se, not se"),
    ({"models": 5}, "must be a list, such as base,se, not 5"),
    ({"models": {"se": 1}}, "must be a list, such as base,se, not"),
    ({"dataset": "fashion"}, "unknown data set 'fashion': did you mean 'fashion-mnist'?"),
    ({"dataset": "imagenet"}, "unknown data set 'imagenet'"),
    ({"dataset": ""}, "unknown data set ''"),
    ({"dataset": "folder:"}, "needs the path of a folder of images, as in folder:./flowers"),
    ({"dataset": "folder:a\x1bb"}, "needs the path of a folder of images"),
    ({"dataset": 7}, "must be a name, not 7"),
    ({"epochs": 0}, "must be a whole number from 1 to 1,000,000, not 0"),
    ({"epochs": "x"}, "must be a whole number from 1 to 1,000,000, not x"),
    ({"epochs": -3}, "must be a whole number"),
    ({"epochs": 1.0}, "must be a whole number"),
    ({"epochs": True}, "must be a whole number from 1 to 1,000,000, not True"),
    ({"epochs": None}, "must be a whole number"),
    ({"seeds": 0}, "must be a whole number from 1 to 10,000, not 0"),
    ({"seed": -1}, "must be a whole number from 0"),
    ({"seed": 2**31}, "must be a whole number from 0"),
    ({"batch_size": 0}, "must be a whole number from 1 to 1,000,000, not 0"),
    ({"jobs": 0}, "must be a whole number from 1 to 256, not 0"),
    ({"train_limit": 0}, "must be a whole number"),
    ({"test_limit": "all"}, "must be a whole number"),
    ({"lr": math.nan}, "must be a number above 0 and up to 1,000, such as 0.001, not nan"),
    ({"lr": math.inf}, "must be a number above 0 and up to 1,000, such as 0.001, not inf"),
    ({"lr": -0.1}, "must be a number above 0"),
    ({"lr": 0}, "must be a number above 0"),
    ({"lr": 10**400}, "must be a number above 0"),
    ({"lr": True}, "must be a number above 0"),
    ({"lr": "0.1"}, "must be a number above 0"),
    ({"augment": ("crop", "blur")}, "unknown augmentation 'blur': choose from crop, flip"),
    ({"augment": ("flip", "flip")}, "names one augmentation twice"),
    ({"augment": "flip"}, "must be a list, such as crop,flip, not flip"),
    ({"augment": None}, "must be a list"),
    ({"device": "gpu"}, "unknown device 'gpu': use auto, all, cpu, mps, cuda, or a list such as cuda:0,cuda:1"),
    ({"device": "cuda:x"}, "unknown device 'cuda:x'"),
    ({"device": "cuda:٣"}, "unknown device"),
    ({"device": "cpu,cpu"}, "unknown device 'cpu,cpu'"),
    ({"device": "cuda:0,"}, "unknown device"),
    ({"device": "cpu\n"}, "unknown device"),
    ({"device": None}, "unknown device 'None'"),
    ({"precision": "fp16"}, "unknown precision 'fp16': choose from auto, fp32, bf16"),
    ({"precision": ["fp32"]}, "unknown precision"),
    ({"name": "a\x1b]0;x\x07"}, "holds control characters (a␛]0;x␇): use printable text"),
    ({"name": "two\nlines"}, "holds control characters"),
    ({"name": "\u202eevil"}, "holds control characters"),
    ({"name": "  "}, "is empty"),
    ({"name": ""}, "is empty"),
    ({"name": "x" * 201}, "is 201 characters long: 200 at most"),
    ({"name": 5}, "must be a text, not 5"),
    ({"looks": (10, 5)}, "must be ascending numbers of at least 2 seeds, such as 5,10, not 10,5"),
    ({"looks": (1, 5)}, "must be ascending numbers of at least 2 seeds"),
    ({"looks": (5, MAX_SEEDS + 1)}, "must be ascending numbers"),
    ({"looks": (5, 5)}, "must be ascending numbers"),
    ({"looks": (5, True)}, "must be ascending numbers"),
    ({"looks": ("five",)}, "must be ascending numbers of at least 2 seeds, such as 5,10, not five"),
    ({"looks": 5}, "must be ascending numbers of at least 2 seeds, such as 5,10, not 5"),
    ({"margin": 0}, "must be a number above 0 and up to 100"),
    ({"margin": math.nan}, "must be a number above 0 and up to 100"),
    ({"controls": "yes"}, "must be on or off, not yes"),
    ({"data_dir": 5}, "must be a path, not '5'"),
    ({"data_dir": ""}, "must be a path, not ''"),
    ({"data_dir": "a\x00b"}, "must be a path, not 'a␀b'"),
]


def is_one_clear_line(message: str) -> bool:
    """Whether `message` may be shown to a user as it is."""
    return not has_control_characters(message) and len(message) <= 300


@pytest.mark.parametrize(("options", "message"), WRONG, ids=[f"{options}" for options, _ in WRONG])
def test_a_wrong_value_is_refused_in_one_line(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        ExperimentConfig(**options)
    (field,) = options
    assert caught.value.option == field.replace("_", "-")
    assert caught.value.reason.startswith(message)
    assert str(caught.value) == f"--{caught.value.option}: {caught.value.reason}"
    assert is_one_clear_line(str(caught.value))


def test_a_number_too_long_to_be_shown_is_refused_in_one_line() -> None:
    with pytest.raises(ConfigError, match="to 1,000,000, not a value beyond all measure"):
        ExperimentConfig(epochs=10**5000)


@pytest.mark.parametrize("option", [option for option in FIELDS if option not in {"dataset", "name", "data_dir"}])
@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_texts_are_refused_in_one_printable_line(option: str, text: str) -> None:
    values: list[Any] = [text, (text,), text * 100]
    for value in values:
        with pytest.raises(ConfigError) as caught:
            ExperimentConfig(**{option: value})
        assert is_one_clear_line(str(caught.value))


@given(option=st.sampled_from(FIELDS), value=json_values() | st.lists(texts(), max_size=3).map(tuple))
def test_any_value_is_taken_or_refused_in_one_line(option: str, value: Any) -> None:
    try:
        config = ExperimentConfig(**{option: value})
    except ConfigError as error:
        assert is_one_clear_line(str(error))
    else:
        assert ExperimentConfig.from_json(json.loads(json.dumps(config.to_json()))) == config


def test_without_options_it_is_the_lab() -> None:
    config = ExperimentConfig()
    assert config.models == ("base", "se", "self-attention")
    assert (config.dataset, config.epochs, config.batch_size, config.lr) == ("fashion-mnist", 15, 128, 0.001)
    assert config.seed_list == (0,)


def test_the_seeds_follow_the_first() -> None:
    assert ExperimentConfig(seeds=3, seed=7).seed_list == (7, 8, 9)


CONFIGS = st.builds(
    ExperimentConfig,
    models=st.permutations(list(MODELS)).flatmap(lambda names: st.integers(1, 3).map(lambda n: tuple(names[:n]))),
    dataset=st.sampled_from([*DATASETS, "folder:./flowers", "folder:/a b/ü"]),
    epochs=st.integers(1, 1_000_000),
    steps=st.none() | st.integers(1, 1_000_000_000),
    seeds=st.integers(1, 10_000),
    seed=st.integers(0, 2**31 - 10_001),
    batch_size=st.integers(1, 1_000_000),
    lr=st.floats(min_value=0, exclude_min=True, max_value=1000) | st.integers(1, 1000),
    augment=st.sampled_from([(), ("crop",), ("flip",), ("crop", "flip"), ("flip", "crop")]),
    device=st.sampled_from(["auto", "cpu", "mps", "cuda", "cuda:0", "cuda:0,cuda:11", "cuda,cuda:1"]),
    precision=st.sampled_from(["auto", "fp32", "bf16"]),
    jobs=st.none() | st.integers(1, 256),
    train_limit=st.none() | st.integers(1, 1000),
    test_limit=st.none() | st.integers(1, 1000),
    validation=st.none() | st.integers(1, 1000),
    name=st.none() | st.sampled_from(["a name", "[red]markup[/]", "漢字 e\u0301", "../../etc/passwd"]),
    data_dir=st.none() | st.sampled_from(["/data", "here", "/not \udcff utf-8"]),
)


@given(config=CONFIGS)
def test_json_brings_back_what_went_in(config: ExperimentConfig) -> None:
    text = json.dumps(config.to_json())
    assert ExperimentConfig.from_json(json.loads(text)) == config
    assert ExperimentConfig.from_json(json.loads(text) | {"an option of a later version": 1}) == config


@given(data=json_values())
def test_json_that_is_no_configuration_is_refused_in_one_line(data: Any) -> None:
    try:
        config = ExperimentConfig.from_json(data)
    except ConfigError as error:
        assert is_one_clear_line(str(error))
    else:
        assert isinstance(data, dict)
        assert config == ExperimentConfig()


@given(config=CONFIGS, option=st.sampled_from(KEYS), value=json_values())
def test_a_configuration_with_one_damaged_option_is_refused_or_another(
    config: ExperimentConfig, option: str, value: Any
) -> None:
    try:
        found = ExperimentConfig.from_json(config.to_json() | {option: value})
    except ConfigError as error:
        assert is_one_clear_line(str(error))
    else:
        assert {key: one for key, one in found.to_json().items() if key != option} == {
            key: one for key, one in config.to_json().items() if key != option
        }


@pytest.mark.parametrize(
    ("text", "items"),
    [
        ("", ()),
        (" , ,", ()),
        ("base", ("base",)),
        (" base , se,", ("base", "se")),
        ("a b,c", ("a b", "c")),
        (r"a\,b,c\\,d", ("a,b", r"c\,d")),
    ],
)
def test_a_list_on_the_command_line(text: str, items: tuple[str, ...]) -> None:
    assert split_list(text) == items
    assert split_list(join_list(items)) == items


def test_a_slip_of_the_pen_is_answered_by_the_nearest_name() -> None:
    assert suggest("self_attention", MODELS) == "did you mean 'self-attention'?"
    assert suggest("xyzzy", ["a", "b"]) == "choose from a, b"


def test_a_path_is_made_absolute_for_processes_that_start_elsewhere(
    tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", "/home/somebody")
    assert absolute(None) is None
    assert absolute("data") == str(tmp_path / "data")
    assert absolute("~/data") == "/home/somebody/data"
    assert absolute("/data") == "/data"


@pytest.mark.parametrize("path", ["~no-such-user-here/x", "", 5, "a\x00"])
def test_what_can_be_no_path_is_refused_in_one_line(path: Any) -> None:
    with pytest.raises(ConfigError) as caught:
        absolute(path)
    assert is_one_clear_line(str(caught.value))


@pytest.mark.parametrize(
    ("options", "looks"),
    [
        ({}, (5, 10)),
        ({"seeds": 2}, (5, 10)),
        ({"seeds": 3}, (3, 6)),
        ({"seeds": 10}, (10, 20)),
        ({"seeds": 10, "looks": (4, 8, 12)}, (4, 8, 12)),
        ({"seeds": 10, "looks": ()}, ()),
        ({"seeds": 10, "looks": (2, MAX_SEEDS)}, (2, MAX_SEEDS)),
    ],
)
def test_the_plan_is_that_of_the_options(options: dict[str, Any], looks: tuple[int, ...]) -> None:
    assert ExperimentConfig(**options, margin=0.3).plan == Plan(looks, 0.003)


@pytest.mark.parametrize(
    ("text", "value"), [("5,10", (5, 10)), (" 3, 6 ", (3, 6)), ("none", ()), ("auto", None), ("7", (7,))]
)
def test_looks_as_they_are_written(text: str, value: object) -> None:
    option = BY_FIELD["looks"]
    assert option.parse(text) == value
    if value is not None:
        assert option.parse(option.show(value)) == value


def test_controls_are_trained_after_the_models_that_have_them(monkeypatch: pytest.MonkeyPatch) -> None:
    infos = dict(MODELS)
    infos["se"] = infos["se"]._replace(controls=("eca", "no-such-model-yet"))
    monkeypatch.setattr("tui_attn.experiment.model_info.MODELS", infos)
    found = ExperimentConfig(models=("base", "se", "self-attention"), controls=True)
    assert found.models[:3] == ("base", "se", "self-attention")
    assert "eca" in found.models and "no-such-model-yet" not in found.models
    assert replace(found, models=found.models) == found, "named once"
    assert ExperimentConfig(models=("base", "se")).models == ("base", "se")
