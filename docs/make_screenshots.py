"""Makes the screenshots in docs/screenshots/ from recorded experiments: `python docs/make_screenshots.py`.

Every picture is the program's own screen, cell by cell, as SVG; nothing in it is drawn by hand. With `--png`,
`rsvg-convert` (Debian: librsvg2-bin) turns each into a PNG beside it. `tests/` must be importable: run it from the
checkout with the package installed.
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from html import escape
from pathlib import Path

os.environ["COLORTERM"] = "truecolor"  # the pictures don't depend on the terminal that they are made in
os.environ["TERM"] = "xterm-256color"
os.environ.pop("NO_COLOR", None)
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from rich.cells import cell_len
from rich.style import Style
from textual.pilot import Pilot
from textual.strip import Strip

from tests.ui.harness import drawn, drive, make_app, screen_text, staged, until
from tui_attn.ui.app import DashboardApp

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
    Shot("comparison", "finished", (110, 40), ("c",)),
    Shot("heatmaps", "finished", (110, 34), ("h",)),
    Shot("help", "running", (100, 40), ("question_mark",)),
)


def svg(strips: Iterable[Strip], title: str, background: str) -> str:
    """The picture of a screen. Each word stands in its cells, whatever the font."""
    lines = list(strips)
    width = max(strip.cell_length for strip in lines) * CELL_WIDTH + 2 * MARGIN
    height = len(lines) * CELL_HEIGHT + 2 * MARGIN
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:.1f} {height:.1f}" role="img">',
        f"<title>{escape(title)}</title>",
        f"<style>text{{font:{FONT_SIZE:g}px {FONTS};white-space:pre}}.b{{font-weight:bold}}</style>",
        f'<rect width="100%" height="100%" rx="8" fill="{background}"/>',
    ]
    for row, strip in enumerate(lines):
        parts += _line(strip, MARGIN + row * CELL_HEIGHT, background)
    return "\n".join([*parts, "</svg>", ""])


def _line(strip: Strip, top: float, background: str) -> list[str]:
    parts: list[str] = []
    texts: list[str] = []
    x = MARGIN
    for text, style, _ in strip:
        length = cell_len(text) * CELL_WIDTH
        color, under, bold = _look(style, background)
        if under != background:
            parts.append(
                f'<rect x="{x:.1f}" y="{top:.1f}" width="{length:.1f}" height="{CELL_HEIGHT}" fill="{under}"/>'
            )
        weight = ' class="b"' if bold else ""
        for start, word in _words(text):
            at = x + cell_len(text[:start]) * CELL_WIDTH
            texts.append(f'<text{weight} x="{at:.1f}" y="{top + 14:.1f}" fill="{color}">{escape(word)}</text>')
        x += length
    return [*parts, *texts]


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


def take(shot: Shot) -> str:
    """Open the dashboard, press the keys, and return the picture."""
    found: list[str] = []

    async def script(pilot: Pilot[int], app: DashboardApp) -> None:
        await drawn(pilot, app)
        if shot.scene == "running":
            await until(pilot, lambda: "71 %" in screen_text(app))
        for key in shot.keys:
            await pilot.press(key)
            await drawn(pilot, app)
        background = app.current_theme.background or "#000000"
        strips = app.screen._compositor.render_strips()
        found.append(svg(strips, f"tui-attn: {shot.name}", background))

    with (
        tempfile.TemporaryDirectory() as folder,
        staged(Path(folder), shot.scene, epochs=15, experiment=f"fashion-mnist-{shot.scene}") as experiment,
    ):
        drive(make_app(experiment, theme=shot.theme, ascii=shot.ascii), script, size=shot.size)
    return found[0]


def main() -> None:
    """Make all pictures, or those that are named."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", help="pictures to make; by default all")
    parser.add_argument("--png", action="store_true", help="a PNG of each as well")
    parser.add_argument("--to", type=Path, default=HERE, help="folder to write to")
    chosen = parser.parse_args()
    chosen.to.mkdir(parents=True, exist_ok=True)
    for shot in SHOTS:
        if chosen.names and shot.name not in chosen.names:
            continue
        path = chosen.to / f"{shot.name}.svg"
        path.write_text(take(shot), encoding="utf-8")
        if chosen.png:
            subprocess.run(["rsvg-convert", str(path), "-o", str(path.with_suffix(".png"))], check=True)
        print(path)  # noqa: T201


if __name__ == "__main__":
    main()
