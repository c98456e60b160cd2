"""rename, note, pin, delete, trash, restore, history and a comparison of several experiments, from the command line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests import recorded
from tui_attn.cli import run
from tui_attn.experiment.config import ExperimentConfig
from tui_attn.experiment.folders import ExperimentDir
from tui_attn.history import organize
from tui_attn.history.organize import Annotations


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def make(name: str, *, seed: int = 0, epochs: int = 2) -> Path:
    config = ExperimentConfig(epochs=epochs, models=("base", "se"), seed=seed)
    return recorded.record(Path("runs"), experiment=name, config=config, probes=False).path


def test_what_is_deleted_is_listed_and_comes_back(capsys: pytest.CaptureFixture[str]) -> None:
    one, two = make("one"), make("two")
    assert run(["delete", "one", "two"]) == 0
    assert not one.exists()
    assert "one is in the trash: 'tui-attn restore one' takes it back" in capsys.readouterr().err
    assert run(["trash", "--json"]) == 0
    listed = json.loads(capsys.readouterr().out)
    assert {item["experiment"] for item in listed} == {"one", "two"}
    assert run(["restore", "one"]) == 0
    assert run(["restore"]) == 0
    assert one.exists()
    assert two.exists()
    capsys.readouterr()
    assert run(["trash"]) == 0
    assert capsys.readouterr().out == ""


def test_a_name_is_given_and_taken_away(capsys: pytest.CaptureFixture[str]) -> None:
    folder = ExperimentDir(make("one"))
    assert run(["rename", "one", "the lab"]) == 0
    assert folder.manifest_data().config.name == "the lab"
    assert capsys.readouterr().err == "one is called 'the lab' now\n"
    assert run(["rename", "the lab", ""]) == 0, "what has a name is found by it"
    assert folder.manifest_data().config.name is None
    assert capsys.readouterr().err == "one has no name now\n"


def test_a_note_and_a_pin_leave_each_other_alone(capsys: pytest.CaptureFixture[str]) -> None:
    folder = ExperimentDir(make("one"))
    assert run(["note", "one", "the one with flips"]) == 0
    assert run(["pin", "one"]) == 0
    assert organize.read_annotations(folder) == Annotations("the one with flips", True)
    assert capsys.readouterr().err == "noted on one\none is pinned\n"
    assert run(["note", "one", "another"]) == 0
    assert run(["unpin", "one"]) == 0
    assert organize.read_annotations(folder) == Annotations("another", False)
    assert capsys.readouterr().err == "noted on one, in place of: the one with flips\none is no longer pinned\n"
    assert run(["note", "one", ""]) == 0
    assert organize.read_annotations(folder) == Annotations()
    assert capsys.readouterr().err == "one has no note now\n"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["rename", "one", "\x1b[2J"], "the name holds control characters"),
        (["rename", "one", "x" * 201], "the name is 201 characters long: 200 at most"),
        (["note", "one", "a\nb"], "the note holds control characters"),
        (["note", "one", "x" * 1001], "the note is 1001 characters long: 1000 at most"),
        (["rename", "none", "x"], "no experiment 'none'"),
        (["note", "none", "x"], "no experiment 'none'"),
        (["pin", "one", "none"], "no experiment 'none'"),
        (["rename", "one"], "NAME"),
    ],
)
def test_what_can_t_be_remarked_is_refused_in_a_line(
    arguments: list[str], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = ExperimentDir(make("one"))
    assert run(arguments) == 2
    said = capsys.readouterr().err
    assert words in said
    assert 1 <= len(said.splitlines()) <= 2
    assert not organize.annotations_path(folder).exists()
    assert folder.manifest_data().config.name is None


def test_a_damaged_experiment_can_be_deleted_by_its_id() -> None:
    one = make("one")
    (one / "experiment.json").write_text("{")
    (one / "supervisor.lock").touch()
    assert run(["delete", "one"]) == 0
    assert not one.exists()


@pytest.mark.parametrize("arguments", [["delete", "none"], ["delete"], ["restore"], ["restore", "none"]])
def test_what_is_not_there_is_said_in_a_line(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert run(arguments) == 2
    assert 1 <= len(capsys.readouterr().err.splitlines()) <= 2


def test_two_experiments_are_compared_as_one(capsys: pytest.CaptureFixture[str]) -> None:
    make("one")
    make("two", seed=1)
    assert run(["compare", "one", "two", "--json"]) == 0
    summary = json.loads(capsys.readouterr().out)
    assert (summary["experiments"], summary["seeds"]) == (["one", "two"], [0, 1])
    assert summary["models"][1]["versus_base"]["seeds"] == [0, 1]
    assert run(["compare", "one", "two", "--report", "out"]) == 2
    assert not Path("out").exists()


def test_an_unfair_comparison_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    make("one")
    make("two", seed=1, epochs=3)
    assert run(["compare", "one", "two"]) == 2
    assert "would be unfair: they differ in epochs: 2 and 3" in capsys.readouterr().err


def test_without_a_terminal_the_history_is_a_list(capsys: pytest.CaptureFixture[str]) -> None:
    make("one")
    assert run(["history"]) == 0
    assert "one" in capsys.readouterr().out
