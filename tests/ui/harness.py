"""Runs the dashboard on recorded experiments: without a terminal here, in a real one in `terminal.py`."""

from __future__ import annotations

import asyncio
import contextlib
import os
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from textual import events
from textual.app import App
from textual.message import Message
from textual.pilot import Pilot

from tests import recorded
from tui_attn.experiment.config import ExperimentConfig
from tui_attn.experiment.folders import ExperimentDir
from tui_attn.ui import app as app_module
from tui_attn.ui import feed, steering
from tui_attn.ui.app import DashboardApp
from tui_attn.ui.devices import Gpu, Reading
from tui_attn.ui.options import UiOptions
from tui_attn.ui.widgets.curves_panel import CurvesPanel

# The supervisor of a recorded scene is the test's own process, whose age says nothing of the scene.
vars(feed)["began"] = lambda _, state: state.started_at
CurvesPanel.least_seconds = 0.0  # tests don't wait for curves
# What is said stays, and nobody grows impatient, however slow the machine is.
app_module._SAY_SECONDS = steering._PATIENCE = 3600.0

DEADLINE = 240.0
"""Seconds after which a condition that doesn't come true fails the test: long, for machines that are busy."""

READING = Reading(
    cpu=0.71,
    cores=16,
    memory_used=21_300_000_000,
    memory_total=128_000_000_000,
    gpus=(Gpu(0, "NVIDIA H200", 0.83, 3_200_000_000, 141_000_000_000, 54.0, 312.0),),
)

TRUE_COLOR = {"TERM": "xterm-256color", "COLORTERM": "truecolor"}

Script = Callable[["Pilot[int]", DashboardApp], Awaitable[None]]

LIVE_SCENES = frozenset({"running", "paused", "failed", "skipped"})
"""Scenes with runs that want a supervisor, or ended with one."""


def make_app(
    folder: ExperimentDir | None,
    *,
    runs_dir: Path | None = None,
    now: float = recorded.T0 + 131,
    reading: Reading = READING,
    host: str = "recorder",
    environment: Mapping[str, str] = TRUE_COLOR,
    **options: Any,
) -> DashboardApp:
    """The app on `folder`, or on the history of `runs_dir`; its clock stands still, in UTC, on a machine with a GPU."""
    chosen = UiOptions(**{"ascii": False, "theme": "dark", **options})
    before = dict(os.environ)
    os.environ.pop("NO_COLOR", None)
    os.environ.update(environment)
    try:
        return DashboardApp(
            folder,
            chosen,
            runs_dir=runs_dir,
            clock=lambda: now,
            zone=time.gmtime,
            read_devices=lambda: reading,
            host=host,
        )
    finally:
        os.environ.clear()
        os.environ.update(before)


def drive(
    app: DashboardApp,
    script: Script,
    *,
    size: tuple[int, int] = (120, 40),
    message_hook: Callable[[Message], None] | None = None,
) -> None:
    """Run `app` without a terminal, wait until it shows all of its experiment, if any, and do what `script` says."""

    async def main() -> None:
        async with app.run_test(size=size, message_hook=message_hook) as pilot:
            await until(pilot, lambda: app.opened is None or whole(app))
            await script(pilot, app)

    asyncio.run(main())


def whole(app: DashboardApp) -> bool:
    """Whether the app shows the whole history of its experiment."""
    return app.snapshot is not None and app.snapshot.complete


async def until(pilot: Pilot[Any], condition: Callable[[], bool], *, seconds: float = DEADLINE) -> None:
    """Return once `condition` holds and everything that follows from it was drawn."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "the condition did not come true in time"
        await asyncio.sleep(0.005)
        await pilot.pause()
    await pilot.pause()


def burst(app: App[Any], *keys: str) -> None:
    """Press keys without a wait after each, as `pilot.press` has one."""
    for key in keys:
        app.post_message(events.Key(key, key if len(key) == 1 else None))


async def drawn(pilot: Pilot[int], app: DashboardApp) -> None:
    """Return once the curves show the newest picture and nothing is left to draw."""
    await until(pilot, lambda: app.dashboard.settled)


def screen_text(app: DashboardApp) -> str:
    """What the screen shows, without colours."""
    strips = app.screen._compositor.render_strips()
    return "\n".join(strip.text.rstrip() for strip in strips) + "\n"


alive = recorded.supervised
"""Let a folder have a supervisor, and workers that get on."""


@contextlib.contextmanager
def staged(tmp_path: Path, scene: str, *, epochs: int = 5, seeds: int = 1, **options: Any) -> Iterator[ExperimentDir]:
    """A recorded scene, with a supervisor where the scene is one of a live experiment."""
    folder = recorded.scene(tmp_path, scene, config=ExperimentConfig(epochs=epochs, seeds=seeds), **options)
    with alive(folder) if scene in LIVE_SCENES else contextlib.nullcontext():
        yield folder
