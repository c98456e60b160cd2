"""Makes the screenshots in docs/screenshots/ from recorded experiments: `python docs/make_screenshots.py`.

Those of the comparison and the heatmaps are of a trained experiment: `--experiment runs/NAME` makes them.

Every picture is the program's own screen, cell by cell, as SVG; nothing in it is drawn by hand. With `--png`,
`rsvg-convert` (Debian: librsvg2-bin) turns each into a PNG beside it. `tests/` must be importable: run it from the
checkout with the package installed.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from html import escape
from pathlib import Path
from types import SimpleNamespace
from unittest.mock import patch

os.environ["COLORTERM"] = "truecolor"  # the pictures don't depend on the terminal that they are made in
os.environ["TERM"] = "xterm-256color"
os.environ.pop("NO_COLOR", None)
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from rich.cells import cell_len
from rich.style import Style
from textual.color import Color
from textual.pilot import Pilot
from textual.strip import Strip

from tests.recorded import T0
from tests.ui.harness import alive, drawn, drive, make_app, screen_text, staged, until
from tests.ui.test_history import fill as fill_history
from tests.ui.test_history import listed
from tui_attn.experiment.folders import ExperimentDir
from tui_attn.ui.app import DashboardApp
from tui_attn.ui.filters import AsciiOnly, WithoutColor

HERE = Path(__file__).resolve().parent / "screenshots"
CELL_WIDTH, CELL_HEIGHT, FONT_SIZE = 8.43, 18.0, 14.0
MARGIN = 14.0
FONTS = "'DejaVu Sans Mono','Cascadia Mono',Menlo,Consolas,monospace"


@dataclass(frozen=True, slots=True)
class Shot:
    """One picture: which experiment, how large a terminal, which keys."""

    name: str
    scene: str
    size: tuple[int, int]
    keys: tuple[str, ...] = ()
    theme: str = "dark"
    ascii: bool = False
    colors: str = "true"
    seeds: int = 1


SHOTS = (
    Shot("dashboard", "running", (120, 40)),
    Shot("dashboard-80x24", "running", (80, 24)),
    Shot("dashboard-200x60", "running", (200, 60)),
    Shot("light", "running", (120, 40), theme="light"),
    Shot("colour-blind", "failed", (120, 40), theme="colour-blind"),
    Shot("ascii", "running", (80, 24), ascii=True),
    Shot("cursor", "running", (120, 40), ("tab", "right_square_bracket", "right_square_bracket", "left", "shift+left")),
    Shot("failed", "failed", (120, 40), ("down",)),
    Shot("traceback", "failed", (100, 30), ("down", "enter")),
    Shot("stop", "running", (100, 30), ("s",)),
    Shot("help", "running", (100, 40), ("question_mark",)),
    Shot("seeds", "finished", (120, 40), seeds=5),
    Shot("palette", "running", (120, 40), ("colon",)),
    Shot("themes", "running", (120, 40), ("T",)),
    Shot("new-experiment", "running", (120, 40), ("n",)),
    Shot("experiments", "history", (120, 32)),
)

TRAINED = (
    Shot("comparison", "", (120, 44), ("c",)),
    Shot("comparison-80x24", "", (80, 24), ("c",)),
    Shot("confusion", "", (120, 26), ("c", "4", "m")),
    Shot("disagreements", "", (120, 42), ("c", "5")),
    Shot("interventions", "", (120, 40), ("c", "6")),
    Shot("heatmaps", "", (110, 34), ("down", "h")),
    Shot("heatmaps-80x24-16", "", (80, 24), ("down", "h"), colors="16"),
    Shot("heatmaps-200x60", "", (200, 60), ("down", "h", "m")),
    Shot("heatmaps-ascii", "", (80, 24), ("down", "h"), ascii=True, colors="none"),
    Shot("attention", "", (160, 46), ("down", "down", "h")),
)
"""Pictures of an experiment that was trained."""

ENVIRONMENTS = {
    "true": {"TERM": "xterm-256color", "COLORTERM": "truecolor"},
    "16": {"TERM": "xterm", "COLORTERM": ""},
    "none": {"TERM": "xterm", "COLORTERM": "", "NO_COLOR": "1"},
}


def svg(strips: Iterable[Strip], title: str, background: str) -> str:
    """The picture of a screen. Each word stands in its cells, whatever the font."""
    lines = list(strips)
    width = max(strip.cell_length for strip in lines) * CELL_WIDTH + 2 * MARGIN
    height = len(lines) * CELL_HEIGHT + 2 * MARGIN
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:.1f} {height:.1f}" role="img">',
        f"<title>{escape(title)}</title>",
        f"<style>text{{font:{FONT_SIZE:g}px {FONTS};white-space:pre}}.b{{font-weight:bold}}</style>",
        "<style>rect{shape-rendering:crispEdges}</style>",
        f'<rect width="100%" height="100%" rx="8" fill="{background}"/>',
    ]
    for row, strip in enumerate(lines):
        parts += _line(strip, MARGIN + row * CELL_HEIGHT, background)
    return "\n".join([*parts, "</svg>", ""])


def _line(strip: Strip, top: float, background: str) -> list[str]:
    boxes: list[tuple[float, float, float, float, str]] = []
    """x, y, width, height and colour."""
    texts: list[str] = []
    x = MARGIN
    for text, style, _ in strip:
        length = cell_len(text) * CELL_WIDTH
        color, under, bold = _look(style, background)
        if under != background:
            _add(boxes, (x, top, length, CELL_HEIGHT, under))
        if text.strip("▀") == "":  # a picture's pixels: no font leaves its cells without gaps
            _add(boxes, (x, top, length, CELL_HEIGHT / 2, color))
        else:
            weight = ' class="b"' if bold else ""
            for start, word in _words(text):
                at = x + cell_len(text[:start]) * CELL_WIDTH
                texts.append(f'<text{weight} x="{at:.1f}" y="{top + 14:.1f}" fill="{color}">{escape(word)}</text>')
        x += length
    boxes.sort(key=lambda box: -box[3])  # upper halves upon whole cells
    rects = [
        f'<rect x="{at:.1f}" y="{y:.1f}" width="{wide:.1f}" height="{high:g}" fill="{color}"/>'
        for at, y, wide, high, color in boxes
    ]
    return [*rects, *texts]


def _add(boxes: list[tuple[float, float, float, float, str]], box: tuple[float, float, float, float, str]) -> None:
    """Add a box, as one with the last one of its height where that is its neighbour of the same colour."""
    x, y, width, height, color = box
    for index in range(len(boxes) - 1, max(len(boxes) - 3, -1), -1):
        at, _, wide, high, same = boxes[index]
        if high == height:
            if same == color and abs(at + wide - x) < 0.01:
                boxes[index] = (at, y, wide + width, height, color)
                return
            break
    boxes.append(box)


def _words(text: str) -> list[tuple[int, str]]:
    """What is set at a place of its own: words of ASCII, and every other character, because fonts differ in width."""
    return [(match.start(), match.group()) for match in re.finditer(r"[!-~]+|[^ -~]", text)]


def _look(style: Style | None, background: str) -> tuple[str, str, bool]:
    """Foreground, background, whether it is bold."""
    if style is None:
        return "#888888", background, False
    color = style.color.get_truecolor().hex if style.color and not style.color.is_default else "#cccccc"
    under = style.bgcolor.get_truecolor().hex if style.bgcolor and not style.bgcolor.is_default else background
    return (under, color, bool(style.bold)) if style.reverse else (color, under, bool(style.bold))


def take(shot: Shot, trained: ExperimentDir | None = None) -> str:
    """Open the dashboard, of the shot's scene or of a trained experiment, press the keys, and return the picture."""
    found: list[str] = []

    async def script(pilot: Pilot[int], app: DashboardApp) -> None:
        if shot.scene == "history":
            await listed(pilot, app)
        else:
            await drawn(pilot, app)
        if shot.scene == "running":
            await until(pilot, lambda: "71 %" in screen_text(app))
        for key in shot.keys:
            await pilot.press(key)
            await until(pilot, lambda: not getattr(app.screen, "busy", False))
            await drawn(pilot, app)
        background = app.current_theme.background or "#000000"
        strips = app.screen._compositor.render_strips()
        if shot.ascii:
            strips = [strip.apply_filter(AsciiOnly(), Color.parse(background)) for strip in strips]
        if shot.colors == "none":
            strips = [strip.apply_filter(WithoutColor(), Color.parse(background)) for strip in strips]
        found.append(svg(strips, f"tui-attn: {shot.name}", background))

    made = {"theme": shot.theme, "ascii": shot.ascii, "environment": ENVIRONMENTS[shot.colors]}
    if trained is not None:
        drive(make_app(trained, **made), script, size=shot.size)
        return found[0]
    # From that folder: what a picture says of a path is relative, so that it says nothing of this machine.
    if shot.scene == "history":
        still = SimpleNamespace(time=lambda: T0 + 600)
        with (
            tempfile.TemporaryDirectory() as folder,
            contextlib.chdir(folder),
            alive(fill_history()),
            patch("tui_attn.history.entries.time", still),
        ):
            app = make_app(None, runs_dir=Path("runs"), now=T0 + 600, **made)
            drive(app, script, size=shot.size)
        return found[0]
    with (
        tempfile.TemporaryDirectory() as folder,
        contextlib.chdir(folder),
        staged(
            Path(folder).resolve() / "runs",
            shot.scene,
            epochs=15,
            seeds=shot.seeds,
            experiment=f"fashion-mnist-{shot.scene}",
        ) as experiment,
    ):
        drive(make_app(experiment, **made), script, size=shot.size)
    return found[0]


def main() -> None:
    """Make all pictures, or those that are named."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", help="pictures to make; by default all")
    parser.add_argument("--png", action="store_true", help="a PNG of each as well")
    parser.add_argument("--to", type=Path, default=HERE, help="folder to write to")
    parser.add_argument("--experiment", type=Path, help="folder of a trained experiment: the pictures of such a one")
    chosen = parser.parse_args()
    trained = None if chosen.experiment is None else ExperimentDir(chosen.experiment.absolute())
    chosen.to.mkdir(parents=True, exist_ok=True)
    for shot in SHOTS if trained is None else TRAINED:
        if chosen.names and shot.name not in chosen.names:
            continue
        path = chosen.to / f"{shot.name}.svg"
        path.write_text(take(shot, trained), encoding="utf-8")
        if chosen.png:
            subprocess.run(["rsvg-convert", str(path), "-o", str(path.with_suffix(".png"))], check=True)
        print(path)  # noqa: T201


if __name__ == "__main__":
    main()
