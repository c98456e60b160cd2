"""How long the comparison takes to open: 3 models x 30 seeds x 15 epochs, from recorded runs.

    python benchmarks/panel.py [--seeds 30] [--repeats 5]

Each repeat is a process of its own, so that numpy and scipy are loaded anew, as when a person presses `c` for the first
time. Measured from the key to the first screen with the verdicts (`overview`), to the last page's being read
(`details`), and to the overview when it is opened a second time (`again`). The dashboard is drawn at 120x40 without a
terminal.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from textual.pilot import Pilot

from tests import recorded
from tests.ui.harness import drawn, drive, make_app, screen_text, until
from tui_attn.experiment.config import ExperimentConfig
from tui_attn.experiment.folders import ExperimentDir
from tui_attn.ui.app import DashboardApp


def measure(folder: ExperimentDir) -> dict[str, float]:
    """Seconds of one session."""
    found: dict[str, float] = {}

    async def script(pilot: Pilot[int], app: DashboardApp) -> None:
        await drawn(pilot, app)
        for name in ("overview", "again"):
            begin = time.perf_counter()
            await pilot.press("c")
            await until(pilot, lambda: "against base, paired by seed" in screen_text(app), seconds=60)
            found[name] = time.perf_counter() - begin
            await pilot.press("3")
            await until(pilot, lambda: "of each class's test images" in screen_text(app), seconds=60)
            found.setdefault("details", time.perf_counter() - begin)
            await pilot.press("escape")
            await until(pilot, lambda: app.screen is app.dashboard)

    drive(make_app(folder), script)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=30)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--one", type=Path, help="measure this experiment once, and print JSON")
    chosen = parser.parse_args()
    if chosen.one is not None:
        print(json.dumps(measure(ExperimentDir(chosen.one))))
        return
    with tempfile.TemporaryDirectory() as temporary:
        config = ExperimentConfig(epochs=15, seeds=chosen.seeds)
        folder = recorded.record(Path(temporary), config=config)
        command = [sys.executable, __file__, "--one", str(folder.path)]
        root = Path(__file__).resolve().parent.parent
        environment = os.environ | {"PYTHONPATH": str(root)}
        rows = [
            json.loads(subprocess.run(command, env=environment, check=True, capture_output=True).stdout)
            for _ in range(chosen.repeats)
        ]
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else float("nan")
    print(f"3 models x {chosen.seeds} seeds x 15 epochs, n = {chosen.repeats}, {platform.machine()}, load {load:.1f}")
    for name in ("overview", "details", "again"):
        values = sorted(row[name] for row in rows)
        print(f"{name:>9}: median {statistics.median(values):.2f} s, {values[0]:.2f} to {values[-1]:.2f} s")


if __name__ == "__main__":
    main()
