"""Custom models as they are named: specs, names of runs, digests, and the list of what a user answers for."""

import os
from dataclasses import replace
from pathlib import Path

import pytest

from tui_attn.experiment import trust
from tui_attn.experiment.config import ExperimentConfig
from tui_attn.experiment.custom_model import CustomModelError, read_source, sha256
from tui_attn.experiment.folders import ID, ExperimentDir, run_id
from tui_attn.experiment.manifest import Manifest
from tui_attn.experiment.options import ConfigError
from tui_attn.experiment.writing import make_experiment, write_manifest
from tui_attn.launch import custom_models
from tui_attn.launch.control import LaunchError
from tui_attn.launch.custom_models import check_code


@pytest.fixture(autouse=True)
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A state folder of the test's own."""
    folder = tmp_path / "state"
    monkeypatch.setenv("XDG_STATE_HOME", str(folder))
    return folder / "tui-attn"


def config(*models: str) -> ExperimentConfig:
    return ExperimentConfig(models=models, dataset="synthetic")


def test_a_spec_becomes_a_name_and_the_file_is_kept_by_its_absolute_path(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir("/")
    made = config("base", "./nets/my_net.py:MyNet")
    assert made.models == ("base", "my_net-mynet")
    assert made.custom_models[0].file == "/nets/my_net.py"
    assert made.class_name("my_net-mynet") == "MyNet"
    assert made.class_name("base") == "CNN_Base"
    assert made.model_specs == ("base", "/nets/my_net.py:MyNet")


def test_a_configuration_comes_back_from_its_json_and_from_its_command_line() -> None:
    made = config("se", "/a/x.py:A", "/b/x.py:A", "/a/x.py:B")
    assert ExperimentConfig.from_json(made.to_json()) == made
    assert config(*made.model_specs) == made
    assert replace(made, epochs=3).custom_models == made.custom_models
    assert replace(made, models=("se", "x-b")).custom_models == made.custom_models[2:]


@pytest.mark.parametrize(
    ("spec", "name"),
    [
        ("/a/My Net (2).py:MyNet", "my-net-2-mynet"),
        ("/a/_.py:_", "own"),
        ("/a/ネット.py:N", "n"),
        (f"/a/{'x' * 200}.py:N", "x" * 32),
        ("/a/x.s1-s0.py:N", "x.s1-s0-n"),
    ],
)
def test_names_are_slugs_short_enough_for_the_ids_of_runs(spec: str, name: str) -> None:
    (model,) = config(spec).custom_models
    assert model.name == name
    assert ID.fullmatch(run_id(model.name, 2**31 - 1))


def test_names_are_unlike_each_other_and_the_labs() -> None:
    many = config("self-attention", "/a/self.py:Attention", "/b/self.py:Attention")
    assert many.models == ("self-attention", "self-attention-2", "self-attention-3")


@pytest.mark.parametrize(
    ("models", "words"),
    [
        (("./my_net.py",), "name the class as well, as in ./my_net.py:MyNet"),
        (("./my_net:MyNet",), "is in a Python file, as in ./my_net.py:MyNet"),
        (("./my_net.py:2net",), "can't be the name of a class"),
        (("./my_net.py:",), "can't be the name of a class"),
        (("a\x1b[2J.py:N",), "is in a Python file"),
        (("~nobody-here/x.py:N",), "there is no such user"),
        (("./x.py:N", "x.py:N"), "names a model twice"),
        (("resnet",), "your own, as in ./my_net.py:MyNet"),
    ],
)
def test_what_can_be_no_model_is_one_line(models: tuple[str, ...], words: str) -> None:
    with pytest.raises(ConfigError, match=r".*") as caught:
        config(*models)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)
    assert "\x1b" not in str(caught.value)


@pytest.mark.parametrize(
    "own",
    [
        {"name": "../up", "file": "/x.py", "class_name": "N", "sha256": None},
        {"name": "n", "file": "/x.py", "class_name": "N()", "sha256": None},
        {"name": "n", "file": "/x.py", "class_name": "N", "sha256": "abc"},
        {"name": "n", "file": 5, "class_name": "N", "sha256": None},
        "n",
    ],
)
def test_a_foreign_manifest_can_smuggle_nothing_in(own: object) -> None:
    with pytest.raises(ConfigError):
        ExperimentConfig.from_json({"models": ["n"], "own_models": [own]})


def test_sources_have_limits(tmp_path: Path) -> None:
    (tmp_path / "large.py").write_bytes(b"#" * (1 << 20) + b"#")
    os.mkfifo(tmp_path / "fifo.py")
    (tmp_path / "link.py").symlink_to(tmp_path / "large.py")
    for name, words in {"large": "larger than", "fifo": "is not a file", "none": "No such file"}.items():
        with pytest.raises(CustomModelError, match=words):
            read_source(tmp_path / f"{name}.py")
    with pytest.raises(CustomModelError, match="is not a file"):
        read_source(tmp_path / "link.py", follow_links=False)


def test_trust_is_the_users_own_and_nobody_elses(state: Path) -> None:
    one, two = sha256(b"1"), sha256(b"2")
    assert not trust.is_trusted(one)
    trust.trust(one)
    trust.trust(two)
    trust.trust(one)
    assert trust.is_trusted(one)
    assert trust.is_trusted(two)
    (listed,) = state.iterdir()
    assert listed.read_text() == f"{one}\n{two}\n"
    assert listed.stat().st_mode & 0o777 == 0o600
    listed.chmod(0o666)
    assert not trust.is_trusted(one)
    with pytest.raises(trust.TrustError, match="0600"):
        trust.trust(one)


def test_a_line_torn_by_a_full_disk_spoils_no_other(state: Path) -> None:
    one, two = "a" * 64, "b" * 64
    trust.trust(one)
    (path,) = state.rglob("own-code.sha256")
    path.write_bytes(path.read_bytes() + b"c" * 20)
    trust.trust(two)
    assert trust.is_trusted(one)
    assert trust.is_trusted(two)


def experiment(folder: Path, source: bytes) -> tuple[ExperimentDir, Manifest]:
    """An experiment with a custom model, as one that came from elsewhere."""
    made = config("base", str(folder / "net.py:Net"))
    made = replace(made, custom_models=(replace(made.custom_models[0], sha256=sha256(source)),))
    where = make_experiment(folder / "runs", made)
    custom_models.keep(where, [custom_models.Source(made.custom_models[0], source)])
    manifest = Manifest(
        id=where.id, created=0.0, config=made, threads=1, devices=("cpu",), precision="fp32", data={}, versions={},
        host="elsewhere",
    )  # fmt: skip
    write_manifest(where, manifest)
    return where, where.manifest_data()


def test_code_that_the_user_has_not_named_is_not_run_before_they_answer_for_it(tmp_path: Path) -> None:
    folder, _ = experiment(tmp_path, b"class Net: ...\n")
    with pytest.raises(LaunchError, match=r"net\.py:Net\nread .*/models/net-net\.py, then add --trust-code"):
        check_code(folder)
    check_code(folder, trust_code=True)
    check_code(folder)


def test_a_copy_that_was_altered_is_refused_whoever_answers_for_it(tmp_path: Path) -> None:
    folder, _ = experiment(tmp_path, b"class Net: ...\n")
    check_code(folder, trust_code=True)
    folder.custom_model("net-net").write_bytes(b"class Net: pass\n")
    with pytest.raises(LaunchError, match="has been altered"):
        check_code(folder, trust_code=True)
    folder.custom_model("net-net").unlink()
    with pytest.raises(LaunchError, match="can't read"):
        check_code(folder, trust_code=True)


def test_a_change_of_the_users_file_is_told(tmp_path: Path) -> None:
    (tmp_path / "net.py").write_bytes(b"class Net: ...\n")
    _, manifest = experiment(tmp_path, b"class Net: ...\n")
    assert custom_models.remarks(manifest) == []
    (tmp_path / "net.py").write_bytes(b"class Net: pass\n")
    assert custom_models.remarks(manifest) == [
        f"net.py:Net has changed since {manifest.id} began: its copy there is trained"
    ]
    (tmp_path / "net.py").unlink()
    assert custom_models.remarks(manifest) == []


# ---- as it is shown


def shown(folder: Path, *models: str, seeds: int = 1) -> ExperimentDir:
    from tests.recorded import record

    return record(folder, config=ExperimentConfig(models=models, epochs=2, seeds=seeds))


def test_the_table_says_what_is_known_of_it_and_fits_80_columns(tmp_path: Path) -> None:
    from tui_attn.compare.remarks import find_remarks
    from tui_attn.compare.summary import summarise
    from tui_attn.compare.text_tables import comparison_table
    from tui_attn.experiment.follower import read_state

    long = f"/nets/{'long_name' * 9}.py:Net"
    follower = read_state(shown(tmp_path, "base", "se", "/nets/my_net.py:MyNet", long, seeds=3))
    summary = summarise(follower)
    own = summary.models[2]
    assert (own.model, own.class_name, own.macs) == ("my_net-mynet", "MyNet", None)
    assert own.versus_base is not None
    assert own.versus_base.level == pytest.approx(1 - 0.05 / 3)
    lines = comparison_table(summary, find_remarks(follower, summary), width=80)
    assert max(map(len, lines)) <= 80
    assert "adjusted for 3 comparisons" in " ".join(line.strip() for line in lines)
    assert any(line.split()[:2] == ["my_net-mynet", "is"] or "my_net-mynet: " in line for line in lines)
