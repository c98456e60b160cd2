"""An experiment that is being described."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings

from tests.experiment.test_options import CONFIGS
from tui_attn.experiment.config import ExperimentConfig, arguments
from tui_attn.experiment.options import ConfigError
from tui_attn.ui.form_state import CUSTOM, ENTRIES, IMAGES, VARIED, FormDefaults, FormState


@settings(max_examples=50)
@given(CONFIGS)
def test_the_entries_of_a_configuration_make_it_again(config: ExperimentConfig) -> None:
    draft = FormState.of(config)
    assert set(draft.texts) == set(ENTRIES)
    assert draft.reasons() == {}
    assert draft.config() == config


def test_each_wrong_entry_has_its_own_reason_without_naming_its_option() -> None:
    draft = FormState.of(ExperimentConfig())
    draft.texts |= {"epochs": "many", "models": "", "jobs": "0", "name": "\x1b[2J", "device": "tpu"}
    assert draft.reasons() == {
        "epochs": "must be a whole number from 1 to 1,000,000, not many",
        "models": "is empty: choose at least one, as in base,se ('tui-attn models' lists them)",
        "jobs": "must be a whole number from 1 to 256, not 0",
        "name": "holds control characters (␛[2J): use printable text",
        "device": "unknown device 'tpu': use auto, all, cpu, mps, cuda, or a list such as cuda:0,cuda:1",
    }
    with pytest.raises(ConfigError, match="--models: is empty"):
        draft.config()


def test_a_folder_of_images_needs_a_path() -> None:
    draft = FormState.of(ExperimentConfig())
    assert draft.reason(IMAGES) is None
    draft.texts["dataset"] = IMAGES
    assert draft.reasons() == {IMAGES: "needs the path of a folder of images, as in folder:./flowers"}
    draft.texts[IMAGES] = "./flowers"
    assert draft.reasons() == {}
    assert draft.config().dataset == "folder:./flowers"


def test_models_of_one_s_own_follow_the_lab_s() -> None:
    draft = FormState.of(ExperimentConfig(models=("se",)))
    draft.texts[CUSTOM] = " ./my_net.py:MyNet, /nets/other.py:Net "
    assert draft.reasons() == {}
    assert draft.config().model_specs == ("se", str(Path("my_net.py").absolute()) + ":MyNet", "/nets/other.py:Net")
    draft.texts["models"] = ""
    assert draft.reasons() == {}
    assert draft.config().models == ("my_net-mynet", "other-net")


def test_a_path_with_a_comma_goes_through_the_form_and_onto_the_command_line() -> None:
    config = ExperimentConfig(models=("base", "/nets/a,b.py:Net"))
    draft = FormState.of(config)
    assert draft.texts[CUSTOM] == r"/nets/a\,b.py:Net"
    assert draft.reasons() == {}
    assert draft.config() == config
    assert arguments(config) == ["--models", r"base,/nets/a\,b.py:Net"]


@pytest.mark.parametrize(
    ("typed", "reason"),
    [
        ("bas", "'bas' is no file: name file and class, as in ./my_net.py:MyNet"),
        ("./my_net.py", "./my_net.py: name the class as well, as in ./my_net.py:MyNet"),
        ("/nets/my_net:MyNet", "/nets/my_net: a model of your own is in a Python file, as in ./my_net.py:MyNet"),
        ("./my_net.py:My-Net", "'My-Net' can't be the name of a class: as in ./my_net.py:MyNet"),
        ("~nobody-of-that-name/x.py:Net", "~nobody-of-that-name/x.py:Net: there is no such user or folder"),
        (
            "./a,b.py:Net",
            "./a: name a Python file and a class in it, as in ./my_net.py:MyNet (a comma in a path: '\\,')",
        ),
        ("/a.py:A,/a.py:A", "names a model twice: name each once, and use --seeds for repetitions"),
    ],
)
def test_what_is_no_model_of_one_s_own_is_said(typed: str, reason: str) -> None:
    draft = FormState.of(ExperimentConfig())
    draft.texts[CUSTOM] = typed
    assert draft.reasons() == {CUSTOM: reason}
    with pytest.raises(ConfigError):
        draft.config()


def test_the_data_dir_is_made_absolute() -> None:
    draft = FormState.of(ExperimentConfig())
    draft.texts["data_dir"] = "here"
    assert draft.config().data_dir == str(Path("here").absolute())
    draft.texts["data_dir"] = "~nobody-of-that-name/x"
    assert draft.reasons() == {"data_dir": "~nobody-of-that-name/x: there is no such user"}


def test_a_study_is_described_in_one_entry() -> None:
    draft = FormState.of(ExperimentConfig(models=("base", "se"), seeds=3))
    origin = FormDefaults("", draft.config(), ExperimentConfig(), Path("runs"))
    runs = Path("runs")
    assert draft.plan() is None
    draft.texts[VARIED] = "lr=0.001,0.01 batch-size=64,128 random=3"
    assert draft.reasons() == {}
    assert draft.amount() == "18 runs: sweep of 3 cells x 2 models x 3 seeds"
    words = draft.command(draft.config(), origin, runs)
    assert words[:6] == ["sweep", "lr=0.001,0.01", "batch-size=64,128", "--random", "3", "--models"]
    draft.texts[VARIED] = "sizes=3000,12000"
    assert draft.amount() == "12 runs: curve of 2 cells x 2 models x 3 seeds"
    assert draft.command(draft.config(), origin, runs)[:3] == ["curve", "--sizes", "3000,12000"]
    for wrong, reason in (
        ("lr", "write it as lr="),
        ("sizes=many", "must be numbers"),
        ("sizes=5,6 lr=1", "nothing but"),
    ):
        draft.texts[VARIED] = wrong
        assert reason in draft.reasons()[VARIED]
    draft.texts[VARIED] = "lr=0.001,0.01"
    draft.texts["seeds"] = "1"
    assert draft.command(draft.config(), origin, runs)[2:4] == ["--seeds", "1"], "a study has five unless said"
