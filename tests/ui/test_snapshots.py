"""What every screen shows, as text, for every kind of experiment on two sizes of terminal.

`UPDATE_SNAPSHOTS=1 pytest tests/ui/test_snapshots.py` writes the files anew; look at the difference before you
commit it.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from textual.pilot import Pilot

from tests.ui.harness import drawn, drive, make_app, screen_text, staged, until
from tui_attn.ui.app import DashboardApp
from tui_attn.ui.screens.dashboard import Dashboard

KEPT = Path(__file__).parent / "snapshots"
SCENES = ("empty", "running", "finished", "failed", "lost")
SIZES = ((80, 24), (120, 40))
KEYS = {
    "dashboard": "",
    "help": "question_mark",
    "details": "enter",
    "comparison": "c",
    "heatmaps": "h",
    "palette": "colon",
    "themes": "T",
    "leave": "ctrl+c",
}
"""The key that opens each screen."""
ONLY = {"palette": ("running", "finished"), "themes": ("running",), "leave": ("running",)}
"""Screens that look the same in all other scenes, or aren't there."""

Shown = dict[tuple[str, tuple[int, int], str], str]


@pytest.fixture(scope="module")
def shown(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shown]:
    """Every screen that was asked for, each session opened once."""
    root = tmp_path_factory.mktemp("snapshots")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(root)
        yield _Sessions(root, {})


class _Sessions(dict[tuple[str, tuple[int, int], str], str]):
    """Opens the dashboard on a scene when one of its screens is first asked for."""

    def __init__(self, root: Path, found: Shown) -> None:
        super().__init__(found)
        self._root = root

    def __missing__(self, key: tuple[str, tuple[int, int], str]) -> str:
        scene, size, _ = key
        for name, text in visit(self._root / f"{scene}-{size[0]}x{size[1]}", scene, size).items():
            self[scene, size, name] = text
        return self[key]


def visit(root: Path, scene: str, size: tuple[int, int]) -> dict[str, str]:
    """The text of every screen of one session."""
    found: dict[str, str] = {}

    async def script(pilot: Pilot[int], app: DashboardApp) -> None:
        await drawn(pilot, app)
        if scene in {"running", "failed"}:
            await until(pilot, lambda: "71 %" in screen_text(app) or scene == "failed")
        devices = app.dashboard.devices
        if devices is not None:
            devices.keep(1)  # how often the devices were measured depends on the time
        if scene == "failed":
            await pilot.press("down")
        for name, key in KEYS.items():
            if scene not in ONLY.get(name, SCENES):
                continue
            if key:
                await pilot.press(key)
                await until(pilot, lambda: ready(app))
            found[name] = screen_text(app)
            if key and not isinstance(app.screen, Dashboard):
                await pilot.press("escape")
                await until(pilot, lambda: isinstance(app.screen, Dashboard))

    with staged(root, scene) as folder:
        drive(make_app(folder), script, size=size)
    return found


def ready(app: DashboardApp) -> bool:
    """Whether the screen that was opened shows all that it is going to show."""
    busy = getattr(app.screen, "busy", False)
    return not busy


CASES = [
    (scene, size, name)
    for scene in SCENES
    for size in SIZES
    for name in KEYS
    if not (name == "details" and scene == "empty") and scene in ONLY.get(name, SCENES)
]


@pytest.mark.parametrize(("scene", "size", "name"), CASES, ids=[f"{c[2]}-{c[0]}-{c[1][0]}x{c[1][1]}" for c in CASES])
def test_screen(shown: Shown, scene: str, size: tuple[int, int], name: str) -> None:
    text = shown[scene, size, name]
    path = KEPT / f"{name}-{scene}-{size[0]}x{size[1]}.txt"
    if os.environ.get("UPDATE_SNAPSHOTS"):
        path.write_text(text, encoding="utf-8")
    assert text == path.read_text(encoding="utf-8")


def test_no_snapshot_is_left_over() -> None:
    expected = {f"{name}-{scene}-{size[0]}x{size[1]}.txt" for scene, size, name in CASES}
    assert {path.name for path in KEPT.iterdir()} == expected
