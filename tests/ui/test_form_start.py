"""The form starts what it describes, or says why not; what was entered is kept."""

from __future__ import annotations

import shlex
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from textual.pilot import Pilot

from tests.experiment.test_options import of_command_line
from tests.ui.harness import screen_text, until
from tests.ui.test_new_experiment import enter, form, opened
from tui_attn.experiment.config import ExperimentConfig
from tui_attn.experiment.folders import ExperimentDir
from tui_attn.experiment.ownership import supervisor_alive
from tui_attn.launch import control
from tui_attn.ui.app import DashboardApp
from tui_attn.ui.screens.dashboard import Dashboard
from tui_attn.ui.screens.new_experiment import NewExperimentScreen

pytestmark = pytest.mark.usefixtures("own_folders")


def test_the_command_line_makes_the_same_and_can_be_copied(tmp_path: Path) -> None:
    async def script(pilot: Pilot[int], app: DashboardApp) -> None:
        await enter(pilot, app, "name", "it's; $(mine)")
        await enter(pilot, app, "lr", "3e-4")
        await pilot.press("ctrl+y")
        await until(pilot, lambda: bool(app.clipboard))
        program, *arguments = shlex.split(app.clipboard)
        assert program == "tui-attn"
        assert arguments[-2:] == ["--runs-dir", str(app.runs_dir)]
        config = form(app).state.config()
        assert of_command_line(shlex.join(arguments)) == config
        assert (config.name, config.lr) == ("it's; $(mine)", 3e-4)
        shown = screen_text(app).partition("command")[2].partition("[ start ]")[0]
        assert shlex.split(shown.replace("\\\n", " ")) == [program, *arguments]

    opened(tmp_path, script, size=(140, 30))


def test_what_was_entered_is_there_again(tmp_path: Path) -> None:
    async def script(pilot: Pilot[int], app: DashboardApp) -> None:
        await enter(pilot, app, "epochs", "77")
        await pilot.press("escape")
        await until(pilot, lambda: isinstance(app.screen, Dashboard))
        await pilot.press("n")
        await until(pilot, lambda: isinstance(app.screen, NewExperimentScreen))
        assert form(app).state.texts["epochs"] == "77"
        await pilot.press("ctrl+r")
        await until(pilot, lambda: form(app).state.config() == ExperimentConfig())
        await until(pilot, lambda: "[x] self-attention" in screen_text(app))

    opened(tmp_path, script)


# ---- starting


@contextmanager
def fetching_elsewhere(cache: Path) -> Iterator[None]:
    """Another process that holds the lock of Fashion-MNIST."""
    cache.mkdir(parents=True)
    code = (
        "import fcntl,sys; f=open(sys.argv[1],'ab'); fcntl.lockf(f,fcntl.LOCK_EX); print(flush=True); sys.stdin.read()"
    )
    command = [sys.executable, "-c", code, str(cache / ".fashion-mnist.lock")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        yield
        process.kill()


def test_a_start_can_be_broken_off(tmp_path: Path) -> None:
    async def script(pilot: Pilot[int], app: DashboardApp) -> None:
        with fetching_elsewhere(tmp_path / "cache" / "tui-attn" / "data"):
            await pilot.press("ctrl+s")
            await until(pilot, lambda: "waiting for another tui-attn" in screen_text(app))
            assert "esc cancel" in screen_text(app)
            await pilot.press("escape")
            await until(pilot, lambda: "cancelled: nothing was started" in screen_text(app))
            assert "esc back" in screen_text(app)

    runs_dir = opened(tmp_path, script)
    assert len(list(runs_dir.iterdir())) == 1


def test_why_it_can_t_be_started_is_said(tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("no folder")

    async def script(pilot: Pilot[int], app: DashboardApp) -> None:
        await pilot.press("ctrl+s")
        await until(pilot, lambda: "not started" in screen_text(app))
        assert "set XDG_CACHE_HOME to a folder" in screen_text(app)

    runs_dir = opened(tmp_path, script)
    assert len(list(runs_dir.iterdir())) == 1


def test_a_start_is_opened(tmp_path: Path) -> None:
    config = ExperimentConfig(models=("base",), dataset="synthetic", epochs=1000, device="cpu", train_limit=500)
    made: list[ExperimentDir] = []

    async def script(pilot: Pilot[int], app: DashboardApp) -> None:
        before = app.folder
        await enter(pilot, app, "name", "from the form")
        form(app).query_one("#start").focus()
        await pilot.press("enter")
        await until(pilot, lambda: app.folder != before)
        assert isinstance(app.screen, Dashboard)
        assert app.folder is not None
        made.append(app.folder)
        assert app.drafts == {}

    try:
        opened(tmp_path, script, config=config)
        assert made[0].manifest_data().config.to_json() == {**config.to_json(), "name": "from the form"}
        assert supervisor_alive(made[0])
    finally:
        for folder in made:
            control.kill(folder)
