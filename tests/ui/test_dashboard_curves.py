"""Which curves the charts get."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from tests import recorded
from tests.ui.test_entry import snapshot
from tui_attn.experiment.config import ExperimentConfig
from tui_attn.ui.curves import metric_curves
from tui_attn.ui.feed import Snapshot
from tui_attn.ui.widgets.curves_panel import pause_factor, without_points
from tui_attn.ui.widgets.log_pane import LogPane


@pytest.mark.parametrize("metric", ["loss", "accuracy"])
def test_each_run_shows_the_test_set_before_the_training(tmp_path: Path, metric: str) -> None:
    curves = metric_curves(snapshot(recorded.scene(tmp_path, "running")), metric)
    models = ["base", "se", "self-attention"]
    assert [curve.label for curve in curves] == models * 2
    assert [curve.color for curve in curves] == models * 2
    assert [len(curve.values) for curve in curves] == [2, 2, 2, 125, 125, 125]
    assert [curve.faint for curve in curves] == [False] * 3 + [True] * 3
    assert [curve.smooth for curve in curves] == [False] * 3 + [True] * 3
    assert len({curve.id for curve in curves}) == 6
    assert all(curve.group is None for curve in curves)
    assert all(curve.times is not None and len(curve.steps) == len(curve.times) for curve in curves)


def test_the_loss_of_the_test_set_is_that_of_the_epochs(tmp_path: Path) -> None:
    picture = snapshot(recorded.scene(tmp_path, "running"))
    first = metric_curves(picture, "loss")[0]
    assert first.values.tolist() == [result.test_loss for result in picture.runs["base-s0"].state.epochs]


def test_many_seeds_are_grouped_by_model(tmp_path: Path) -> None:
    picture = snapshot(recorded.record(tmp_path, config=ExperimentConfig(epochs=3, seeds=4), predictions=False))
    curves = metric_curves(picture, "accuracy")
    assert [curve.group for curve in curves] == ["base", "se", "self-attention"] * 8
    assert {len(curve.values) for curve in curves if not curve.faint} == {3}


def test_before_the_first_test_the_training_is_strong(tmp_path: Path) -> None:
    config = ExperimentConfig(epochs=3, seeds=2)
    done = {f"{model}-s{seed}": 0 for model in config.models for seed in range(2)}
    picture = snapshot(recorded.record(tmp_path, config=config, states="running", done=done, predictions=False))
    curves = metric_curves(picture, "accuracy")
    assert [curve.faint for curve in curves] == [False] * 6
    assert all(curve.smooth for curve in curves)


def test_what_is_not_selected_is_dimmed_and_what_is_hidden_is_gone(tmp_path: Path) -> None:
    picture = snapshot(recorded.scene(tmp_path, "running"))
    curves = metric_curves(picture, "loss", selected={"se-s0"}, hidden={"base-s0"})
    assert [(curve.color, curve.dimmed) for curve in curves] == [("se", False), ("self-attention", True)] * 2
    of_hidden = metric_curves(picture, "loss", selected={"base-s0"}, hidden={"base-s0"})
    assert not any(curve.dimmed for curve in of_hidden), "nothing in sight is selected"


def test_runs_without_points_have_no_curves(tmp_path: Path) -> None:
    assert metric_curves(snapshot(recorded.scene(tmp_path, "empty")), "loss") == []


def test_charts_without_points_say_whether_any_are_to_come() -> None:
    picture = Snapshot("x", "running", True, {}, [], 0, [], 0, {}, None, None, None, complete=False, damaged=0)
    assert without_points(replace(picture, share=0.4)) == "reading the logs ... 40 %"
    assert without_points(replace(picture, complete=True)) == "waiting for the first points"
    assert without_points(replace(picture, complete=True, state="finished")) == "no points were recorded"
    assert without_points(replace(picture, complete=True), hidden=0) == "waiting for the first points"


def test_while_logs_are_read_the_number_of_runs_and_the_share_are_told(tmp_path: Path) -> None:
    picture = replace(snapshot(recorded.scene(tmp_path, "running")), complete=False, share=0.25)
    assert without_points(picture) == "reading 3 runs ... 25 %"
    log = LogPane(id="log")
    log.show(replace(picture, log=[], log_length=0, warnings=[], warnings_length=0))
    assert "reading 3 runs ... 25 %" in "".join(text for row in log.lines(80, 5) for text, _ in row.pieces)


def test_charts_whose_runs_are_all_hidden_say_so(tmp_path: Path) -> None:
    picture = snapshot(recorded.scene(tmp_path, "running"))
    assert "hidden" in without_points(picture, hidden=3)
    assert "hidden" not in without_points(picture, hidden=2)


@pytest.mark.parametrize(("seconds", "factor"), [(0.0, 1.0), (0.01, 1.0), (0.02, 2.0), (9.0, 3.0)])
def test_slow_drawings_come_less_often(seconds: float, factor: float) -> None:
    assert pause_factor(seconds) == factor


def test_a_metric_that_the_test_set_lacks_has_curves_of_training_alone(tmp_path: Path) -> None:
    picture = snapshot(recorded.scene(tmp_path, "running"))
    for view in picture.runs.values():
        view.state.metrics["gradient_norm"] = view.state.losses
    curves = metric_curves(picture, "gradient_norm")
    assert curves and not any(curve.faint or curve.id.endswith(" test") for curve in curves)
