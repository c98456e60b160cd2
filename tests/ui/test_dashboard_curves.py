"""Which curves the charts get."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from tests import recorded
from tests.ui.test_entry import snapshot
from tui_attn.experiment.config import ExperimentConfig
from tui_attn.ui.curves import Curve, accuracy_curves, metric_curves
from tui_attn.ui.feed import Snapshot
from tui_attn.ui.widgets.curves_panel import without_points


def test_one_seed_shows_training_and_test_of_each_model(tmp_path: Path) -> None:
    picture = snapshot(recorded.scene(tmp_path, "running"))
    title, curves = accuracy_curves(picture, ascii_only=False)
    assert title == "test accuracy, training faint"
    models = ["base", "se", "self-attention"]
    assert [curve.label for curve in curves] == [*models, "train", "train", "train"]
    assert [curve.marker for curve in curves[3:]] == ["○", "△", "□"]
    assert [len(curve.values) for curve in curves] == [2, 2, 2, 125, 125, 125]
    assert [curve.faint for curve in curves] == [False] * 3 + [True] * 3
    assert len({curve.id for curve in curves}) == 6
    assert all(curve.group is None for curve in curves)
    losses = _losses(picture)
    assert [curve.color for curve in losses] == ["base", "se", "self-attention"]
    assert all(len(curve.steps) == len(curve.values) == len(curve.times or ()) for curve in [*curves, *losses])


def test_many_seeds_are_grouped_by_model_and_only_the_test_set_shows(tmp_path: Path) -> None:
    picture = snapshot(recorded.record(tmp_path, config=ExperimentConfig(epochs=3, seeds=4), predictions=False))
    title, curves = accuracy_curves(picture, ascii_only=False)
    assert title == "test accuracy"
    assert [curve.group for curve in curves] == ["base", "se", "self-attention"] * 4
    assert {len(curve.values) for curve in curves} == {3}
    assert [curve.group for curve in _losses(picture)] == ["base", "se", "self-attention"] * 4


def test_before_the_first_test_many_seeds_show_the_training(tmp_path: Path) -> None:
    config = ExperimentConfig(epochs=3, seeds=2)
    done = {f"{model}-s{seed}": 0 for model in config.models for seed in range(2)}
    picture = snapshot(recorded.record(tmp_path, config=config, states="running", done=done, predictions=False))
    title, curves = accuracy_curves(picture, ascii_only=False)
    assert title == "accuracy"
    assert len(curves) == 6


def test_ascii_has_markers_of_its_own(tmp_path: Path) -> None:
    _, curves = accuracy_curves(snapshot(recorded.scene(tmp_path, "running")), ascii_only=True)
    assert [curve.marker for curve in curves[3:]] == ["O", "#", "X"]


def test_runs_without_points_have_no_curves(tmp_path: Path) -> None:
    picture = snapshot(recorded.scene(tmp_path, "empty"))
    assert _losses(picture) == []
    assert accuracy_curves(picture, ascii_only=False) == ("accuracy", [])


def _losses(picture: Snapshot) -> list[Curve]:
    return metric_curves(picture, "loss", ascii_only=False)[1]


def test_charts_without_points_say_whether_any_are_to_come() -> None:
    picture = Snapshot("x", "running", True, {}, [], 0, [], 0, {}, None, None, None, complete=False, damaged=0)
    assert without_points(replace(picture, share=0.4)) == "reading 0 runs ... 40 %"
    assert without_points(replace(picture, complete=True)) == "waiting for the first points"
    assert without_points(replace(picture, complete=True, state="finished")) == "no points were recorded"
