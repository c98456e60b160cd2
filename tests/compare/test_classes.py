"""Class by class over the runs of a model, and the heatmaps of a run beside the untrained ones."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.recorded import damage, record
from tui_attn.compare.archives import ArchiveError
from tui_attn.compare.heatmaps import load_probes
from tui_attn.compare.predictions import class_names, class_results, load_predictions
from tui_attn.experiment.config import ExperimentConfig
from tui_attn.experiment.folders import ExperimentDir
from tui_attn.experiment.follower import read_state
from tui_attn.experiment.reducer import RunState


@pytest.fixture
def folder(tmp_path: Path) -> ExperimentDir:
    config = ExperimentConfig(epochs=2, seeds=2, models=("base", "se"))
    return record(tmp_path, config=config, test_size=300, points_per_epoch=5)


def test_classes_are_counted_over_all_runs(folder: ExperimentDir) -> None:
    found, problems = class_results(read_state(folder))
    assert [(result.model, result.runs) for result in found] == [
        ("base", ("base-s0", "base-s1")),
        ("se", ("se-s0", "se-s1")),
    ]
    assert problems == []
    for result in found:
        assert result.names[0] == "T-shirt/top"
        assert result.confusion.sum() == 600
        assert result.accuracy.shape == (2, 10)
        saved = [load_predictions(folder.run(run).predictions) for run in result.runs]
        assert result.confusion.trace() == sum(int(found.right.sum()) for found in saved)
        assert result.accuracy[1].mean() == pytest.approx(saved[1].accuracy)  # classes of equal sizes


def test_runs_without_usable_predictions_are_told_and_left_out(folder: ExperimentDir) -> None:
    damage(folder.run("base-s0").predictions, at=3000)
    folder.run("se-s0").predictions.unlink()
    np.savez(folder.run("se-s1").predictions, logits=np.eye(3, dtype=np.float32), labels=np.arange(3))
    found, problems = class_results(read_state(folder))
    assert [(result.model, result.runs, len(result.names)) for result in found] == [
        ("base", ("base-s1",), 10),
        ("se", ("se-s1",), 3),
    ]
    assert found[1].names == ("class 0", "class 1", "class 2")
    assert problems == ["base-s0/predictions.npz is damaged", "se-s0/predictions.npz is missing"]


def test_a_run_with_other_classes_than_the_first_is_left_out(folder: ExperimentDir) -> None:
    np.savez(folder.run("se-s1").predictions, logits=np.eye(3, dtype=np.float32), labels=np.arange(3))
    found, problems = class_results(read_state(folder))
    assert found[1].runs == ("se-s0",)
    assert problems == ["se-s1/predictions.npz has other classes: left out"]


def test_names_of_classes_are_made_safe() -> None:
    run = RunState("se-s0", "se", 0, about={"class_names": ["a\x1b[2J", "b\nc", "d" * 100]})
    assert class_names(run, 3) == ("a␛[2J", "b c", "d" * 40)
    assert class_names(run, 2) == ("class 0", "class 1")


def test_a_runs_newest_heatmaps_stand_beside_the_untrained_ones(folder: ExperimentDir) -> None:
    run = read_state(folder).state.runs["se-s0"]
    found = load_probes(folder, run)
    assert found.epoch == 2
    assert found.untrained is not None
    assert [facts.layer for facts in found.facts] == ["se1", "se2"]
    levels = found.facts[0].levels
    assert (levels.untrained, levels.change) == (0.0, "new")  # the recorded untrained gates are all alike
    assert found.facts[0].learned is None
    first = load_probes(folder, run, 1)
    assert first.epoch == 1
    assert not np.array_equal(first.trained["se1/by_class"], found.trained["se1/by_class"])


def test_heatmaps_that_cannot_be_read_are_told(folder: ExperimentDir) -> None:
    runs = read_state(folder).state.runs
    with pytest.raises(ArchiveError, match="there is no probe of this run"):
        load_probes(folder, runs["base-s0"])
    with pytest.raises(ArchiveError, match="there is no probe of epoch 7"):
        load_probes(folder, runs["se-s0"], 7)
    (folder.run("se-s0").probes / "epoch-00000.npz").write_bytes(b"nonsense")
    assert load_probes(folder, runs["se-s0"]).untrained is None
    (folder.run("se-s0").probes / "epoch-00002.npz").write_bytes(b"nonsense")
    with pytest.raises(ArchiveError, match="is damaged"):
        load_probes(folder, runs["se-s0"])


def test_a_probes_name_cannot_lead_elsewhere(folder: ExperimentDir) -> None:
    run = RunState("se-s0", "se", 0, probes=[(1, "../predictions.npz")])
    with pytest.raises(ArchiveError, match="is not a probe's name"):
        load_probes(folder, run)
