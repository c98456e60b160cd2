"""What differs between two experiments' configurations."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from tests.recorded import record
from tui_attn.experiment.config import ExperimentConfig, Plan
from tui_attn.history.differences import differences

SETTINGS = ExperimentConfig(models=("base",), epochs=2)


def test_equal_ones_have_none(tmp_path: Path) -> None:
    manifest = record(tmp_path, config=SETTINGS, predictions=False, probes=False).manifest_data()
    assert differences(manifest, replace(manifest, id="other", created=0.0)) == []


def test_options_come_by_their_labels_and_what_is_unset_in_words(tmp_path: Path) -> None:
    manifest = record(tmp_path, config=SETTINGS, predictions=False, probes=False).manifest_data()
    config = replace(SETTINGS, models=("base", "se"), lr=0.01, train_limit=1000)
    other = replace(manifest, config=config, host="else\x1b[2J", versions={**manifest.versions, "torch": "9"})
    found = differences(manifest, other)
    assert found[:3] == [
        ("models", "base", "base,se"),
        ("learning rate", "0.001", "0.01"),
        ("train on", "all", "1000"),
    ]
    assert [name for name, _, _ in found[3:]] == ["host", "torch"]
    assert "\x1b" not in found[3][2]


def test_plans_are_told_in_points(tmp_path: Path) -> None:
    config = replace(SETTINGS, models=("base", "se"), seeds=5, looks=(3, 5))
    manifest = record(tmp_path, config=config, planned=True, predictions=False, probes=False).manifest_data()
    other = replace(manifest, plan=Plan((), 0.0025))
    assert differences(manifest, other) == [
        ("planned looks", "3, 5", "none"),
        ("planned margin", "0.5 points", "0.25 points"),
    ]
