"""What the process of a study refuses."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.study.making import write_study
from tui_attn.experiment.config import ExperimentConfig
from tui_attn.experiment.study import StudyDir
from tui_attn.launch.control import LaunchError
from tui_attn.study import runner
from tui_attn.study.cells import sweep_plan

CODE = "raise SystemExit('it ran')\n"


@pytest.fixture(autouse=True)
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))


def hostile(folder: Path) -> ExperimentConfig:
    net = folder / "net.py"
    net.write_text(CODE)
    return ExperimentConfig(models=("base", f"{net}:Net"), dataset="synthetic", seeds=2)


@pytest.mark.parametrize("where", ["models", "host"])
def test_a_plan_from_elsewhere_chooses_neither_code_nor_hosts(
    tmp_path: Path, where: str, capsys: pytest.CaptureFixture[str]
) -> None:
    config = hostile(tmp_path) if where == "models" else ExperimentConfig(dataset="synthetic", on="ssh:elsewhere")
    study = write_study(tmp_path / "runs", config, [{"lr": 0.001}], [])
    assert runner.main([str(study.path)]) == 1
    assert list(study.members()) == []
    assert "you did not start it here" in capsys.readouterr().err


def test_a_plan_of_one_s_own_is_trusted_and_stays_so_when_renamed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    plan = sweep_plan(hostile(tmp_path), ["lr=0.001,0.01"], None, now=5.0)
    study = runner.create(plan, tmp_path / "runs")
    assert study == StudyDir(study.path)
    assert runner.main([str(study.path)]) == 1
    study.change(config=ExperimentConfig.from_json(study.plan().config.to_json() | {"name": "other"}))
    assert runner.main([str(study.path)]) == 1
    assert "you did not start it here" not in capsys.readouterr().err
    assert list(study.members()) == [], "its code is checked before anything is trained"


def test_what_runs_can_t_be_started_twice(tmp_path: Path) -> None:
    from tui_attn.system import liveness

    study = write_study(tmp_path / "runs", ExperimentConfig(dataset="synthetic"), [{"lr": 0.001}], [])
    lock = liveness.Lock(study.lock)
    try:
        with pytest.raises(LaunchError, match="is running already"):
            runner.start(study)
    finally:
        lock.release()
    assert not runner.stop(study)
