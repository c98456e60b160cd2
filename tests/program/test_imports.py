"""What a fresh interpreter loads: folders mean "may import X", and this proves it at run time."""

import subprocess
import sys

import pytest

HEAVY = {
    "torch",
    "torchvision",
    "textual",
    "plotext",
    "rich",
    "numpy",
    "scipy",
    "pandas",
    "matplotlib",
    "tensorboard",
    "jinja2",
}


def loaded_by(statement: str) -> set[str]:
    """The top-level modules of `HEAVY`, and ours, that `statement` loads."""
    code = f"{statement}\nimport sys\nprint('\\n'.join(sys.modules))"
    done = subprocess.run([sys.executable, "-P", "-c", code], capture_output=True, text=True, check=True)
    names = set(done.stdout.split())
    return {name for name in HEAVY if name in names} | {name for name in names if name.startswith("tui_attn")}


@pytest.mark.parametrize(
    "statement",
    [
        "import tui_attn",
        "import tui_attn.cli",
        "import tui_attn.supervision.process",
        "import tui_attn.launch.control",
        "import tui_attn.experiment.follower",
        "import tui_attn.data",
        "import tui_attn.compare",
        "import tui_attn.cli.lines",
        "import tui_attn.cli.lines",
        "import tui_attn.export.tensorboard, tui_attn.export.tables, tui_attn.export.weights",
    ],
)
def test_nothing_heavy_is_loaded_before_it_is_needed(statement: str) -> None:
    assert loaded_by(statement) & HEAVY == set()


def test_help_loads_neither_torch_nor_a_terminal_library() -> None:
    statement = "import tui_attn.cli\ntui_attn.cli.run(['--help'])"
    assert loaded_by(statement) & HEAVY == set()


def test_the_dashboard_loads_no_torch_and_plots_after_its_first_frame() -> None:
    loaded = loaded_by("import tui_attn.ui.app")
    assert "textual" in loaded
    assert loaded & {"torch", "torchvision", "plotext", "numpy", "scipy", "tui_attn.train", "tui_attn.models"} == set()


def test_the_charts_libraries_come_in_a_thread_before_the_first_chart_is_drawn() -> None:
    statement = (
        "from tui_attn.ui.widgets import curves_panel, metric_plot\n"
        "panel = curves_panel.CurvesPanel(has_gates=False, id='curves')\n"
        "curves_panel._import_charts()"
    )
    libraries = {"plotext", "numpy", "tui_attn.ui.charts.plot", "tui_attn.ui.curves"}
    assert loaded_by(statement) & libraries == libraries
    assert loaded_by(statement.rpartition("\n")[0]) & libraries == set()


def test_a_worker_loads_torch_but_no_terminal_library_and_no_torchvision() -> None:
    loaded = loaded_by("import tui_attn.train.worker, tui_attn.train.worker_context")
    assert "torch" in loaded
    assert loaded & {"textual", "plotext", "rich", "torchvision", "tui_attn.ui", "tui_attn.cli"} == set()


def test_the_networks_load_nothing_of_the_program() -> None:
    ours = {name for name in loaded_by("import tui_attn.models") if name.startswith("tui_attn")}
    assert {name for name in ours if not name.startswith("tui_attn.models")} == {"tui_attn"}
