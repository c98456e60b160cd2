"""What the process of a study refuses."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image

from tests.recorded import record
from tests.study.making import write_study
from tui_attn import data
from tui_attn.experiment import trust
from tui_attn.experiment.config import ExperimentConfig
from tui_attn.experiment.custom_model import sha256
from tui_attn.experiment.study import StudyDir
from tui_attn.launch.control import LaunchError
from tui_attn.launch.starting import Permit
from tui_attn.study import runner
from tui_attn.study.cells import sweep_plan

CODE = "raise SystemExit('it ran')\n"


pytestmark = pytest.mark.usefixtures("own_folders")


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


def test_a_study_from_elsewhere_goes_on_when_the_user_answers_for_its_code(tmp_path: Path) -> None:
    study = write_study(tmp_path / "runs", hostile(tmp_path), [{"lr": 0.001}], [])
    with pytest.raises(LaunchError, match="add --trust-code"):
        runner.allow(study, Permit())
    runner.allow(study, Permit(trust_code=True))
    runner.allow(study, Permit())


def test_a_study_from_elsewhere_runs_where_the_user_says(tmp_path: Path) -> None:
    study = write_study(
        tmp_path / "runs", ExperimentConfig(dataset="synthetic", on="ssh:elsewhere"), [{"lr": 0.001}], []
    )
    with pytest.raises(LaunchError, match="say where with --on"):
        runner.allow(study, Permit(trust_code=True))
    runner.allow(study, Permit(on="local"))
    assert study.plan().config.on == "local"


def test_moved_data_is_found_and_other_data_refused(tmp_path: Path) -> None:
    def images(name: str, shade: int) -> Path:
        for split in ("train", "test"):
            for label in ("a", "b"):
                for number in range(4):
                    path = tmp_path / name / split / label / f"{number}.png"
                    path.parent.mkdir(parents=True, exist_ok=True)
                    Image.new("L", (28, 28), shade + number).save(path)
        return tmp_path / name

    before = images("before", 10)
    located = data.ensure(f"folder:{before}", None)
    config = ExperimentConfig(models=("base",), dataset=f"folder:{before}", epochs=1)
    study = write_study(tmp_path / "runs", config, [{"lr": 0.001}], [])
    cell = study.plan().cells[0]
    record(
        study.path, experiment=cell.id, config=study.plan().cell_config(cell), predictions=False, probes=False,
        data={"version": located.version},
    )  # fmt: skip
    with pytest.raises(LaunchError, match="holds other data"):
        runner.allow(study, Permit(data_dir=images("other", 99)))
    after = before.rename(tmp_path / "after")
    runner.allow(study, Permit(data_dir=after))
    assert study.plan().config.dataset == f"folder:{after}"


def test_a_custom_model_that_was_changed_meanwhile_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    net = tmp_path / "net.py"
    net.write_text("first")
    config = ExperimentConfig(models=("base", f"{net}:Net"), dataset="synthetic", seeds=1, epochs=1)
    study = runner.create(sweep_plan(config, ["lr=0.001,0.01"], None, now=5.0), tmp_path / "runs")
    plan = study.plan()
    for cell, text in zip(plan.cells, ("first", "second"), strict=True):
        started = plan.cell_config(cell)
        (own,) = started.custom_models
        own = replace(own, sha256=sha256(text.encode()))
        trust.trust(str(own.sha256))
        member = record(
            study.path,
            experiment=cell.id,
            config=replace(started, custom_models=(own,)),
            predictions=False,
            probes=False,
        )
        copy = member.custom_model(own.name)
        copy.parent.mkdir(exist_ok=True)
        copy.write_text(text)
    assert runner.main([str(study.path)]) == 1
    assert "net was changed since the study began" in capsys.readouterr().err
    assert [member.id for member in study.members()] == [plan.cells[0].id]


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
