"""What is said on the way out, what is loaded when, and where colours are written down."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import tui_attn.ui
from tests import recorded
from tests.ui.harness import alive
from tests.ui.terminal import opened
from tui_attn.experiment.folders import ExperimentDir
from tui_attn.experiment.follower import read_state
from tui_attn.ui.entry import _prepare, farewell
from tui_attn.ui.feed import Feed, Snapshot
from tui_attn.ui.options import UiOptions

UI = Path(tui_attn.ui.__file__).parent


def snapshot(folder: ExperimentDir) -> Snapshot:
    """The picture of `folder` as it is now."""
    found: list[Snapshot] = []
    feed = Feed(folder, found.append)
    feed._follower = read_state(folder)
    return feed._snapshot(feed._follower.situation(), set(), True)


def test_while_training_goes_on_it_says_how_to_come_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    folder = recorded.scene(tmp_path / "runs", "running")
    with alive(folder):
        lines = farewell(folder, snapshot(folder))
    assert [line for line, _ in lines] == [
        f"training goes on: 'tui-attn attach {folder.id}' comes back",
        f"                  'tui-attn stop {folder.id}' stops it and keeps what there is",
    ]
    assert {stream for _, stream in lines} == {sys.stderr}


def test_of_a_lost_experiment_it_says_how_to_go_on(tmp_path: Path) -> None:
    folder = recorded.scene(tmp_path, "lost")
    ((line, stream),) = farewell(folder, snapshot(folder))
    assert line.startswith(f"nobody trains {folder.id}: 'tui-attn resume")
    assert stream is sys.stderr


def test_of_an_ended_one_it_prints_the_figures_on_stdout(tmp_path: Path) -> None:
    folder = recorded.scene(tmp_path, "finished")
    lines = farewell(folder, snapshot(folder))
    assert {stream for _, stream in lines} == {sys.stdout}
    assert any("test accuracy" in line for line, _ in lines)


def test_before_anything_was_read_it_still_says_how_to_come_back(tmp_path: Path) -> None:
    folder = recorded.scene(tmp_path, "running")
    ((line, _),) = farewell(folder, None)
    assert "tui-attn attach" in line


@pytest.mark.parametrize(
    ("environment", "options", "animations"),
    [
        ({}, UiOptions(), "full"),
        ({"SSH_CONNECTION": "10.0.0.1 2 10.0.0.2 22"}, UiOptions(), "none"),
        ({"SSH_TTY": "/dev/pts/1"}, UiOptions(animations=True), "full"),
        ({}, UiOptions(animations=False), "none"),
        ({"TEXTUAL_ANIMATIONS": "basic", "SSH_TTY": "/dev/pts/1"}, UiOptions(), "basic"),
    ],
)
def test_there_is_no_animation_over_ssh(
    monkeypatch: pytest.MonkeyPatch, environment: dict[str, str], options: UiOptions, animations: str
) -> None:
    for name in ("SSH_CONNECTION", "SSH_CLIENT", "SSH_TTY", "TEXTUAL_ANIMATIONS", "TEXTUAL_FPS"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("TEXTUAL_SMOOTH_SCROLL", "1")
    _prepare(options)
    assert os.environ["TEXTUAL_ANIMATIONS"] == animations
    assert int(os.environ["TEXTUAL_FPS"]) <= 30
    monkeypatch.delenv("TEXTUAL_ANIMATIONS")
    monkeypatch.delenv("TEXTUAL_FPS")


def loaded_after(statements: str) -> set[str]:
    """The top-level packages that a fresh interpreter has loaded after `statements`."""
    code = f"import sys\n{statements}\nprint(*{{name.partition('.')[0] for name in sys.modules}})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=240)
    return set(done.stdout.split())


def test_checking_options_loads_no_textual() -> None:
    found = loaded_after("import tui_attn.ui; tui_attn.ui.UiOptions(theme='dark', keymap={'help': 'f5'})")
    assert not {"textual", "rich", "plotext", "numpy", "torch"} & found


ATTACH = """
import gc, sys
from pathlib import Path
collections, usual = [], gc.get_threshold()
gc.callbacks.append(lambda phase, _: collections.append(phase) if gc.get_threshold() != usual else None)
import tui_attn.cli
from tui_attn.ui import entry
load = entry.load
def load_and_note(options):
    load(options)
    from tui_attn.ui.app import DashboardApp
    ready = DashboardApp.on_ready
    def on_ready(app):
        Path("loaded").write_text(" ".join([str(len(collections)), *sys.modules, "end"]))
        ready(app)
    DashboardApp.on_ready = on_ready
entry.load = load_and_note
tui_attn.cli.main()
"""
LATER = {"compare", "data", "engines", "export", "history", "launch", "report", "study", "supervision", "train"}
"""Rooms that the first frame does without."""


def test_the_first_frame_of_attach_loads_nothing_that_can_wait(tmp_path: Path) -> None:
    folder = recorded.scene(tmp_path / "runs", "finished")
    settings = {"XDG_CONFIG_HOME": str(tmp_path), "XDG_STATE_HOME": str(tmp_path)}
    command, noted = ["-c", ATTACH, "attach", folder.id], tmp_path / "loaded"
    with opened(folder, command=command, cwd=tmp_path, environment=settings) as terminal:
        terminal.until(lambda _: noted.is_file() and noted.read_text().endswith(" end"))
    collections, *modules = noted.read_text().split()
    found = set(modules)
    assert "textual" in found
    assert not {"plotext", "numpy", "scipy", "psutil", "pynvml", "torch", "torchvision"} & found
    assert not {name for name in found if name.startswith("tui_attn.") and name.split(".")[1] in LATER}
    assert not {f"tui_attn.experiment.{name}" for name in ("events", "event_log", "run_state", "reducer")} & found
    assert collections == "0", "garbage is collected while there is none"


def test_the_whole_dashboard_loads_no_torch() -> None:
    modules = [
        "tui_attn.ui." + str(path.relative_to(UI).with_suffix("")).replace("/", ".")
        for path in UI.rglob("*.py")
        if path.name != "__init__.py"
    ]
    found = loaded_after("\n".join(f"import {module}" for module in modules) + "\nimport tui_attn.compare")
    assert {"textual", "plotext", "numpy"} <= found
    assert not {"torch", "torchvision"} & found


def test_the_themes_are_the_only_place_with_colours() -> None:
    written = re.compile(r"#[0-9a-fA-F]{6}\b")
    found = {path.name for path in [*UI.rglob("*.py"), *UI.rglob("*.tcss")] if written.search(path.read_text())}
    assert found == {"themes.py"}
