"""`tui-attn wait`, and commands to experiments that have ended: exit codes, and what is said."""

from pathlib import Path

import pytest

from tests import recorded
from tests.study import making
from tui_attn.cli import run
from tui_attn.experiment.config import ExperimentConfig


@pytest.mark.parametrize(("scene", "code"), [("finished", 0), ("stopped", 3), ("skipped", 3), ("failed", 3)])
def test_wait_returns_with_the_experiments_exit_code(
    scene: str, code: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    recorded.scene(tmp_path, scene)
    assert run(["wait", "--runs-dir", str(tmp_path)]) == code
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize("scene", ["lost", "paused"])
def test_wait_for_one_that_nothing_trains_fails(scene: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    recorded.scene(tmp_path, scene)
    assert run(["wait", "--runs-dir", str(tmp_path)]) == 1
    assert "resume" in capsys.readouterr().err


def test_wait_with_nothing_there_is_a_mistake(tmp_path: Path) -> None:
    assert run(["wait", "--runs-dir", str(tmp_path)]) == 2


@pytest.mark.parametrize("scene", ["running", "paused"])
def test_wait_ends_after_its_timeout(scene: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with recorded.supervised(recorded.scene(tmp_path, scene)):
        assert run(["wait", "--timeout", "0", "--runs-dir", str(tmp_path)]) == 124
    assert f"it is {scene}" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["pause", "stop", "skip"])
@pytest.mark.parametrize("scene", ["finished", "stopped"])
def test_what_has_ended_cant_be_steered(
    name: str, scene: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    recorded.scene(tmp_path, scene)
    assert run([name, "--runs-dir", str(tmp_path)]) == 2
    error = capsys.readouterr().err
    assert f"there is nothing to {name}" in error
    assert "resume" not in error


def test_a_wrong_number_of_seeds_says_what_would_be_right(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    recorded.scene(tmp_path, "finished")
    assert run(["extend", "--seeds", "abc", "--runs-dir", str(tmp_path)]) == 2
    assert "must be a whole number" in capsys.readouterr().err


@pytest.mark.parametrize("value", ["", "1"])
def test_config_tells_of_no_color_as_the_dashboard_takes_it(
    value: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("NO_COLOR", value)
    run(["config"])
    assert "environment: NO_COLOR" in capsys.readouterr().out


@pytest.mark.parametrize("said", [["--device", "cuda:1"], ["--mix-devices"]])
def test_a_study_refuses_options_that_it_would_not_obey(
    said: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    study = making.curve(tmp_path, ExperimentConfig(), (50, 100), [])
    assert run(["resume", study.id, "--runs-dir", str(tmp_path), *said]) == 2
    assert f"{said[0]}: continues a single experiment elsewhere" in capsys.readouterr().err
