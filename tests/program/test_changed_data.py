"""Data that was changed or moved after an experiment began: nothing trains on other images than the log says."""

import os
import shutil
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from textual.pilot import Pilot

from tests.program.conftest import Program
from tests.ui.harness import drive, make_app, screen_text, until
from tests.waiting import eventually
from tui_attn.experiment.event_log import LogReader
from tui_attn.experiment.finding import experiments
from tui_attn.experiment.folders import ExperimentDir
from tui_attn.experiment.follower import read_state
from tui_attn.launch import control
from tui_attn.system import liveness
from tui_attn.ui.app import DashboardApp

CHANGED = "has changed since"
Script = Callable[["Pilot[int]", DashboardApp], object]


def make_images(root: Path) -> Path:
    """Two classes of sixteen images each, told apart by their brightness."""
    draw = np.random.default_rng(0)
    for label, level in (("dark", 0), ("light", 128)):
        (root / label).mkdir(parents=True)
        for index in range(16):
            pixels = draw.integers(level, level + 128, (32, 32, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(root / label / f"{label}{index}.png")
    return root


def swap_classes(root: Path) -> None:
    for index in range(6):
        shutil.move(root / "dark" / f"dark{index}.png", root / "light" / f"moved{index}.png")
        shutil.move(root / "light" / f"light{index}.png", root / "dark" / f"moved{index}.png")


def stopped(program: Program) -> ExperimentDir:
    """An experiment on a folder of images that was stopped in the middle."""
    folder = begun(program)
    assert program("stop").code == 0
    eventually(lambda: liveness.holder(folder.supervisor_lock) is None, "the end of the supervisor")
    assert read_state(folder).state.state == "stopped"
    return folder


def begun(program: Program) -> ExperimentDir:
    images = make_images(program.folder / "images")
    start = ("--dataset", f"folder:{images}", "--models", "base", "--epochs", "100000", "--batch-size", "16")
    done = program("--detach", *start, "--device", "cpu")
    assert done.code == 0, done.err
    folder = program.newest()
    eventually(lambda: trained(folder) > 20, "some steps")
    return folder


def trained(folder: ExperimentDir) -> int:
    state = read_state(folder).state.runs
    return state["base-s0"].step if "base-s0" in state else 0


def logs(folder: ExperimentDir) -> list[bytes]:
    return [path.read_bytes() for path in (folder.events, folder.manifest, folder.run("base-s0").events)]


@pytest.fixture
def interrupted(program: Program) -> Iterator[ExperimentDir]:
    """An experiment that was stopped, and whose images were moved between the classes afterwards."""
    folder = stopped(program)
    swap_classes(program.folder / "images")
    before = logs(folder)
    yield folder
    assert logs(folder) == before


def test_images_moved_between_classes_are_refused_wherever_it_is_taken_up(
    program: Program, interrupted: ExperimentDir
) -> None:
    for command in (("resume", "--no-ui"), ("extend", "--seeds", "2", "--no-ui")):
        done = program(*command)
        assert (done.code, done.out) == (2, "")
        assert CHANGED in done.err

    async def press_r(pilot: "Pilot[int]", app: DashboardApp) -> None:
        await pilot.press("r")
        await until(pilot, lambda: CHANGED in screen_text(app))

    drive(make_app(interrupted), press_r)


def test_a_running_experiment_on_changed_data_is_not_extended(program: Program) -> None:
    begun(program)
    swap_classes(program.folder / "images")
    done = program("extend", "--seeds", "2", "--no-ui")
    assert done.code == 2
    assert CHANGED in done.err


def test_a_restarted_worker_refuses_changed_data(program: Program) -> None:
    folder = begun(program)
    swap_classes(program.folder / "images")
    worker = liveness.holder(folder.run("base-s0").lock)
    assert worker
    before = trained(folder)
    os.kill(worker, signal.SIGKILL)
    eventually(lambda: read_state(folder).state.state == "failed", "the end")
    (ended,) = [event for event in LogReader(folder.events).read() if event.type == "run_ended"]
    assert ended["state"] == "failed"
    assert CHANGED in ended["reason"]
    assert "\n" not in ended["reason"]
    starts = [event for event in LogReader(folder.run("base-s0").events).read() if event.type == "started"]
    assert len(starts) == 1
    assert trained(folder) >= before


def test_moved_data_is_taken_from_its_new_place(program: Program) -> None:
    folder = stopped(program)
    (program.folder / "images").rename(program.folder / "elsewhere")
    lost = program("resume", "--no-ui")
    assert lost.code == 2
    assert "say where it is with --data-dir" in lost.err
    other = make_images(program.folder / "other")
    swap_classes(other)
    wrong = program("resume", "--no-ui", "--data-dir", "other")
    assert wrong.code == 2
    assert "other data than" in wrong.err
    before = trained(folder)
    assert program("resume", "--detach", "--data-dir", "elsewhere").code == 0
    eventually(lambda: trained(folder) > before + 20, "more steps")
    # What was recorded is found again without the option.
    assert program("stop").code == 0
    eventually(lambda: liveness.holder(folder.supervisor_lock) is None, "the end of the supervisor")
    before = trained(folder)
    assert program("resume", "--detach").code == 0
    eventually(lambda: trained(folder) > before, "more steps")
    control.kill(next(experiments(program.runs)))
