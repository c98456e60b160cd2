"""What a study is made of: grids, draws, sizes; and the plan on disk."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.study.making import write_study
from tui_attn.cli import completion
from tui_attn.experiment.config import ExperimentConfig
from tui_attn.experiment.finding import experiments
from tui_attn.experiment.manifest import RunsError, checksum
from tui_attn.experiment.options import ConfigError
from tui_attn.experiment.study import StudyPlan, find_study, is_study, studies
from tui_attn.study.cells import curve_plan, parse_axes, sweep_plan, training_images

CONFIG = ExperimentConfig(models=("base", "se"), seeds=3)


def test_a_grid_has_every_combination() -> None:
    plan = sweep_plan(CONFIG, ["lr=0.001,0.01", "augment=none,crop+flip"], None, now=1.0)
    assert [dict(cell.settings) for cell in plan.cells] == [
        {"lr": 0.001, "augment": ()},
        {"lr": 0.001, "augment": ("crop", "flip")},
        {"lr": 0.01, "augment": ()},
        {"lr": 0.01, "augment": ("crop", "flip")},
    ]
    assert plan.cells[1].label == "lr=0.001 augment=crop,flip"
    assert len({cell.id for cell in plan.cells}) == 4


@given(st.integers(1, 30), st.integers(0, 1000))
def test_a_draw_is_the_same_again_and_within_its_ranges(draws: int, seed: int) -> None:
    config = ExperimentConfig(seed=seed)
    words = ["lr=0.0001..0.1", "batch-size=32..512"]
    plan = sweep_plan(config, words, draws, now=1.0)
    assert plan.cells == sweep_plan(config, words, draws, now=2.0).cells
    assert len(plan.cells) == draws
    assert all(1e-4 <= cell.settings["lr"] <= 0.1 for cell in plan.cells)
    assert all(32 <= cell.settings["batch_size"] <= 512 for cell in plan.cells)
    assert StudyPlan.from_json(json.loads(json.dumps(plan.to_json()))) == plan


@pytest.mark.parametrize(
    ("words", "draws", "says"),
    [
        ([], None, "nothing to vary"),
        (["lr"], None, "write it as lr="),
        (["models=base,se"], None, "can't vary 'models'"),
        (["lr=0.1,0.1"], None, "names a value twice"),
        (["lr=0.1", "lr=0.2"], None, "is given twice"),
        (["lr=1e-4..1e-2"], None, "--random N"),
        (["lr=0.1..0.01"], 3, "is no range"),
        (["augment=crop..flip"], 3, "has no range"),
        (["lr=fast"], None, "must be a number"),
        (["batch-size=" + ",".join(map(str, range(1, 1002)))], None, "1,000 at most"),
    ],
)
def test_what_makes_no_sense_is_refused_in_one_line(words: list[str], draws: int | None, says: str) -> None:
    with pytest.raises(ConfigError, match=says) as caught:
        sweep_plan(CONFIG, words, draws, now=1.0)
    assert "\n" not in str(caught.value)


def test_a_curve_trains_all_sizes_for_equally_many_steps() -> None:
    plan = curve_plan(ExperimentConfig(epochs=2), None, training_images(ExperimentConfig()), now=1.0)
    assert [cell.settings["train_limit"] for cell in plan.cells] == [3750, 7500, 15_000, 30_000, 60_000]
    assert plan.config.steps == 2 * 469
    plan = curve_plan(ExperimentConfig(steps=470), [48_000, 12_000], 60_000, now=1.0)
    assert [cell.settings["train_limit"] for cell in plan.cells] == [12_000, 48_000]
    assert plan.config.steps == 470
    for sizes, there in (([5], 60_000), ([5, 70_000], 60_000), (None, None)):
        with pytest.raises(ConfigError, match="sizes"):
            curve_plan(ExperimentConfig(), sizes, there, now=1.0)


def test_axes_take_names_as_people_write_them() -> None:
    assert parse_axes(["--batch_size=64"]) == {"batch-size": [64]}


# ---- on disk


def test_a_damaged_or_later_plan_is_refused_in_one_line(tmp_path: Path) -> None:
    study = write_study(tmp_path, CONFIG, [{"lr": 0.001}], [])
    assert is_study(study.path)
    data = json.loads(study.file.read_text())
    changes: list[tuple[dict[str, object], str]] = [
        ({"version": 2}, "later version"),
        ({"cells": [{"id": "../../etc", "settings": {}}]}, "damaged"),
        ({"cells": [{"id": "1", "settings": {"name": "x"}}]}, "damaged"),
        ({"cells": 3}, "damaged"),
        ({"kind": "other"}, "damaged"),
    ]
    for change, says in changes:
        changed = {key: value for key, value in (data | change).items() if key != "crc"}
        study.file.write_text(json.dumps(changed | {"crc": checksum(changed)}))
        with pytest.raises(RunsError, match=says):
            study.plan()
    study.file.write_text(json.dumps(data | {"created": 5.0}))
    with pytest.raises(RunsError, match="damaged"):
        study.plan()


def test_a_study_is_found_by_id_start_name_and_path(tmp_path: Path) -> None:
    study = write_study(tmp_path, ExperimentConfig(name="my sweep"), [{"lr": 0.001}], [])
    assert [each.id for each in studies(tmp_path)] == [study.id]
    assert list(experiments(tmp_path)) == [], "as 0.1.0 passes it over"
    for name in (study.id, "2023", "my sweep", str(study.path), None):
        assert find_study(tmp_path, name) == study
    assert find_study(tmp_path, "other") is None
    assert [word for word, _ in completion._experiments(tmp_path, "my")] == ["my sweep"]
    assert [word for word, _ in completion._experiments(tmp_path, "2023")] == [study.id]
