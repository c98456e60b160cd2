"""Custom models on the dashboard."""

from pathlib import Path
from typing import Any

from textual.pilot import Pilot

from tests.recorded import record
from tests.ui.harness import drive, make_app, until
from tui_attn.experiment.config import ExperimentConfig
from tui_attn.ui.app import DashboardApp
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
