"""Options from a TOML file."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.experiment.test_config import is_one_clear_line
from tui_attn.cli import config_file
from tui_attn.experiment.config import ExperimentConfig
from tui_attn.experiment.model_info import MODELS
from tui_attn.experiment.options import ConfigError
from tui_attn.ui.keymap import check_key
from tui_attn.ui.options import UI_OPTIONS, UiOptions

ALL = """
# the lab, shorter
models = ["base", "se"]
dataset = "cifar10"
epochs = 3
seeds = 2
seed = 5
batch-size = 64
lr = 1e-3
augment = "crop, flip"
device = "cpu"
precision = "fp32"
jobs = 2
train-limit = 1000
test_limit = 500
name = "kurz"
data-dir = "/data"
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Where the file goes."""
    return tmp_path / "lab.toml"


def test_all_options_by_the_names_of_the_command_line(file: Path) -> None:
    file.write_text(ALL)
    assert ExperimentConfig(**config_file.read(file).experiment()) == ExperimentConfig(
        models=("base", "se"),
        dataset="cifar10",
        epochs=3,
        seeds=2,
        seed=5,
        batch_size=64,
        lr=0.001,
        augment=("crop", "flip"),
        device="cpu",
        precision="fp32",
        jobs=2,
        train_limit=1000,
        test_limit=500,
        name="kurz",
        data_dir="/data",
    )


def test_an_empty_file_says_nothing(file: Path) -> None:
    file.write_text("\n# nothing\n")
    found = config_file.read(file)
    assert (found.values, found.keymap, found.problems) == ({}, {}, [])


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("epoch = 3", "has an unknown key 'epoch': did you mean 'epochs'?"),
        ('"\\u001b[2J" = 3', "has an unknown key '␛[2J'"),
        ("[experiment]\nepochs = 3", "has an unknown table 'experiment'"),
        ("batch-size = 1\nbatch_size = 2", "names 'batch-size' twice"),
        ("models = 5", "must be a list, such as base,se, not 5"),
        ("models = {a = 1}", "must be a list"),
        ("epochs = ", "is no valid TOML"),
        ("epochs = 3\nepochs = 4", "is no valid TOML"),
        (f"epochs = {'9' * 5000}", "is no valid TOML"),
        (f"epochs = {'[' * 100_000}", "is nested too deeply"),
        ("epochs = '\x1b[2J", "is no valid TOML"),
    ],
    ids=lambda text: text[:30],
)
def test_a_mistake_in_the_file_is_told_in_one_line(file: Path, content: str, message: str) -> None:
    file.write_text(content)
    with pytest.raises(ConfigError, match=r"^--config ") as caught:
        config_file.read(file).check()
    assert message in str(caught.value)
    assert str(caught.value).isprintable()


@pytest.mark.parametrize("what", ["missing", "folder", "another encoding", "another user's"])
def test_a_file_that_cannot_be_read_is_told_in_one_line(file: Path, what: str) -> None:
    if what == "folder":
        file.mkdir()
    elif what == "another encoding":
        file.write_bytes("name = 'ü'".encode("utf-16"))
    elif what == "another user's":
        file = Path("~no-such-user-here/lab.toml")
    with pytest.raises(ConfigError) as caught:
        config_file.read(file).check()
    assert "--config" in str(caught.value)
    assert is_one_clear_line(str(caught.value))


@pytest.mark.parametrize(
    "content",
    [
        "lr = 1979-05-27",
        "epochs = 0x" + "f" * 5000,
        "jobs = true",
        "lr = nan",
        "lr = -inf",
        "name = [1]",
        "data-dir = 1",
        "device = ['cpu']",
        "models = ['base', 1]",
        "models = [['base']]",
        "augment = [1]",
        "dataset = {a = 1}",
        "seed = ''",
    ],
)
def test_a_value_of_the_wrong_kind_is_refused_in_one_line(file: Path, content: str) -> None:
    file.write_text(content)
    with pytest.raises(ConfigError) as caught:
        config_file.read(file).check()
    assert is_one_clear_line(str(caught.value))


@given(content=st.binary(max_size=60) | st.text("[]{}=\"'.,#\n abemodls0159-_:T", max_size=60).map(str.encode))
def test_any_file_is_read_or_refused(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    file = tmp_path_factory.getbasetemp() / "any.toml"
    file.write_bytes(content)
    found = config_file.read(file)
    ExperimentConfig(**found.experiment())
    UiOptions(**found.fields(UI_OPTIONS), keymap=found.keymap)
    assert not any("\n" in problem for problem in found.problems)


def test_a_long_path_and_a_long_key_do_not_make_a_long_message(file: Path) -> None:
    file.write_text("x" * 5000 + " = 1")
    with pytest.raises(ConfigError) as caught:
        config_file.read(file).check()
    assert len(str(caught.value)) < 500 + len(str(file))


def test_a_file_with_a_byte_order_mark_is_read(file: Path) -> None:
    file.write_bytes(b"\xef\xbb\xbfepochs = 3\n")
    assert config_file.read(file).values == {"epochs": 3}


def test_words_that_users_write_do_what_they_say(file: Path) -> None:
    file.write_text(
        'models = "all"\ntrain-limit = "all"\njobs = "auto"\naugment = ["None"]\ndevice = "GPU"\ntheme = "Dark"\n'
        'dataset = "CIFAR-10"\nprecision = "BF16"\n'
    )
    found = config_file.read(file)
    assert found.problems == []
    assert (found.values["theme"], found.values["train-limit"], found.values["jobs"]) == ("dark", None, None)
    assert ExperimentConfig(**found.experiment()) == ExperimentConfig(
        models=tuple(MODELS), dataset="cifar10", device="cuda", precision="bf16"
    )


def test_the_users_file_must_be_one_and_a_named_one_may_be_a_pipe(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    own = tmp_path / "tui-attn" / "config.toml"
    own.parent.mkdir()
    os.mkfifo(own)
    (problem,) = config_file.load(None).problems
    assert "it is no file" in problem
    reader, writer = os.pipe()
    os.write(writer, b"epochs = 3\n")
    os.close(writer)
    assert config_file.load(Path(f"/dev/fd/{reader}")).values == {"epochs": 3}
    os.close(reader)


def test_nobodys_home_is_a_problem_of_the_file(file: Path) -> None:
    file.write_text('runs-dir = "~no-such-user/x"\nepochs = 3\n')
    found = config_file.read(file)
    assert [problem.partition("runs-dir: ")[2] for problem in found.problems] == [
        "~no-such-user/x: there is no such user"
    ]
    assert found.values == {"epochs": 3}


@pytest.mark.parametrize(
    ("written", "key"),
    [
        ("F5", "f5"),
        ("Ctrl+H", "ctrl+h"),
        ("ctrl-h", "ctrl+h"),
        ("shift+z", "Z"),
        ("Esc, PgUp", "escape,pageup"),
        ("é", "é"),
        ("<", "less_than_sign"),
        ("comma", "comma"),
    ],
)
def test_keys_as_users_write_them(written: str, key: str) -> None:
    assert check_key("play_epochs", written) == key


@pytest.mark.parametrize("written", ["nosuchkey", "ctrl+", "f99", "shift", "ctrl+nosuchkey", "enterr"])
def test_a_key_that_no_terminal_sends_is_refused(written: str) -> None:
    with pytest.raises(ConfigError, match="unknown key") as caught:
        check_key("play_epochs", written)
    assert is_one_clear_line(str(caught.value))
