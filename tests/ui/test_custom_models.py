"""Custom models on the dashboard."""

from pathlib import Path
from typing import Any

import pytest
from textual.pilot import Pilot

from tests.recorded import record, scene
from tests.ui.harness import drive, make_app, until
from tui_attn.experiment.config import ExperimentConfig
from tui_attn.experiment.follower import read_state
from tui_attn.ui.app import DashboardApp
from tui_attn.ui.feed import RunView
from tui_attn.ui.screens.run_details import details
from tui_attn.ui.widgets.curves_panel import CurvesPanel


def test_without_gates_there_is_no_strip_and_the_details_say_why(tmp_path: Path) -> None:
    config = ExperimentConfig(models=("base", "/nets/my_net.py:MyNet", "/nets/other.py:Other"), epochs=2)
    app = make_app(record(tmp_path, config=config))

    async def script(pilot: Pilot[int], app: DashboardApp) -> None:
        dashboard: Any = app.screen
        await until(pilot, lambda: dashboard.curves is not None and dashboard.curves.settled)
        panel = dashboard.query_one(CurvesPanel)
        assert panel.gates is not None
        assert not panel.gates.display
        view = dashboard.snapshot.runs["my_net-mynet-s0"]
        text = "\n".join("".join(piece[0] for piece in row.pieces) for row in details(view, "runs/x", 100))
        assert "MyNet, a model of your own" in text
        assert "no block of tui_attn.models in it, so it has no heatmaps" in text
        assert app.drawing.ink("my_net-mynet") != app.drawing.ink("other-other")

    drive(app, script, size=(120, 40))


def test_the_line_of_the_users_file_that_failed_stands_above_the_traceback(tmp_path: Path) -> None:
    traceback = (
        "Traceback (most recent call last):\n"
        '  File "/venv/lib/python3.11/site-packages/tui_attn/train/loop.py", line 40, in step\n'
        "    loss = model(images)\n"
        "           ^^^^^^^^^^^^^\n"
        '  File "/runs/x/models/my_net.py", line 12, in forward\n'
        "    return self.layer(x.flatten(1))\n"
        '  File "/venv/lib/python3.11/site-packages/torch/nn/modules/linear.py", line 125, in forward\n'
        "    return F.linear(input, self.weight, self.bias)\n"
        "RuntimeError: mat1 and mat2 shapes cannot be multiplied\n"
    )
    folder = scene(tmp_path, "failed", config=ExperimentConfig(epochs=2), traceback=traceback)
    view = RunView(read_state(folder).state.runs["se-s0"], "failed", None, 0)
    lines = ["".join(piece for piece, _ in row.pieces) for row in details(view, "runs/x", 100)]
    said = " failed at      /runs/x/models/my_net.py, line 12, in forward: return self.layer(x.flatten(1))"
    assert lines.index(said) < 6


@pytest.mark.parametrize(
    ("model", "done", "said"), [("base", 1, False), ("/n/net.py:Net", 0, False), ("/n/net.py:Net", 1, True)]
)
def test_that_there_are_no_heatmaps_is_said_of_custom_models_once_they_could_have_some(
    tmp_path: Path, model: str, done: int, said: bool
) -> None:
    config = ExperimentConfig(models=(model,), epochs=2)
    done_by = {"base-s0": done, "net-net-s0": done}
    folder = record(tmp_path, config=config, states="running", done=done_by, probes=False)
    (run,) = read_state(folder).state.runs.values()
    text = "".join(piece for row in details(RunView(run, "running", None, 0), "runs/x", 100) for piece, _ in row.pieces)
    assert ("so it has no heatmaps" in text) == said


def test_the_details_list_every_epoch_the_newest_first(tmp_path: Path) -> None:
    folder = record(tmp_path, config=ExperimentConfig(epochs=3), probes=False)
    run = read_state(folder).state.runs["base-s0"]
    lines = [
        "".join(piece for piece, _ in row.pieces) for row in details(RunView(run, "finished", None, 0), "runs/x", 80)
    ]
    at = next(number for number, line in enumerate(lines) if "test loss" in line)
    assert [line.split()[0] for line in lines[at + 1 :]] == ["3", "2", "1"]
    assert f"{100 * run.epochs[-1].test_accuracy:.2f}" in lines[at + 1]
