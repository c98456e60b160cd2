"""Takes pictures of every screen of the dashboard for a review. `python benchmarks/screens.py RUNS --to FOLDER`.

RUNS holds a finished experiment of several seeds with heatmaps; it is copied first. The program runs in a
pseudo-terminal that pyte emulates, in each size and with each number of colours, and every screen becomes a PNG.
`sheets/` holds the same pictures, several on one. Recorded experiments show what a finished one can't: training,
failures, notices and studies. Run it from the checkout, with the package and its test extra installed.
"""

from __future__ import annotations

import argparse
import contextlib
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from docs.make_pictures import GIF_FONTS, frame_of, to_image
from tests import recorded
from tests.study.making import write_study
from tests.ui.terminal import Terminal
from tui_attn.data.files import cache_dir
from tui_attn.experiment.config import ExperimentConfig
from tui_attn.experiment.folders import ExperimentDir

SIZES = {"80x24": (80, 24), "120x40": (120, 40), "200x60": (200, 60)}
DEPTHS = {
    "true": {"TERM": "xterm-256color", "COLORTERM": "truecolor"},
    "256": {"TERM": "xterm-256color", "COLORTERM": ""},
    "16": {"TERM": "xterm-16color", "COLORTERM": ""},
}
PATIENCE = 20.0
"""Seconds that a screen may take."""
Steps = tuple[tuple[str, tuple[str, ...], str], ...]
"""For each picture its name, the keys that lead there, and a text that must be seen first."""
UP, DOWN, RIGHT, LEFT, ESC, ENTER, TAB = "\x1b[A", "\x1b[B", "\x1b[C", "\x1b[D", "\x1b", "\r", "\t"

FINISHED: Steps = (
    ("dashboard", (), "step"),
    ("dashboard-unfolded", (RIGHT,), ""),
    ("curves", (TAB, "f", LEFT, LEFT, LEFT), "step "),
    ("accuracy", (ESC, ESC, TAB, "f"), ""),
    ("log", (ESC, TAB, "f"), ""),
    ("details", (ESC, TAB, DOWN, ENTER), "checkpoint"),
    ("why-not", (ESC, "x"), "no run can be"),
    ("help", ("?",), "type a word"),
    ("palette", (ESC, ":"), "type what"),
    ("theme", (ESC, "T"), "for dark rooms"),
    ("answer", (ESC, "c"), "next"),
    ("statistics", ("2",), "paired by seed"),
    ("statistics-end", ("G",), ""),
    ("classes", ("3",), "test images"),
    ("confusion", ("4",), "taken for"),
    ("images", ("5",), "disagree"),
    ("attention", ("6",), "its accuracy"),
    ("more-seeds", ("1", "e"), "y yes"),
    ("heatmaps", (ESC, ESC, "h"), "gates of"),
    ("heatmaps-v", ("v",), ""),
    ("heatmaps-attention", ("v", "j"), "attention"),
    ("form", (ESC, "n"), "what to train"),
    ("form-list", (DOWN, DOWN, ENTER), ""),
    ("history", (ESC, ESC, "b"), "experiments"),
    ("rename", ("\x1bOQ",), "Name of"),
    ("differences", (ESC, " ", DOWN, " ", "d"), "differences"),
    ("together", (ESC, "c"), ""),
    ("delete", (ESC, "-", "D"), "y yes"),
    ("trash", ("y", "W"), "trash"),
)
OTHERS: dict[str, Steps] = {
    "running": (
        ("running", (), "step"),
        ("stop", (RIGHT, DOWN, "s"), "y yes"),
        ("leave", (ESC, "\x03"), ""),
        ("filling", (ESC, "c"), "next"),
    ),
    "failed": (
        ("failed", (), "step"),
        ("traceback", (DOWN, RIGHT, DOWN, ENTER), "what now"),
        ("answer-failed", (ESC, "c"), ""),
    ),
    "empty": (("empty", (), "? help"), ("answer-empty", ("c",), ""), ("heatmaps-empty", (ESC, "h"), "")),
    "study": (("studies", (), "? help"), ("study", ("c",), "")),
}
COMMANDS = {
    "config": ["config"],
    "compare": ["compare"],
    "dry-run": ["--dry-run", "--dataset", "synthetic"],
}
"""Screens that are printed."""


class Camera:
    """Takes the pictures of one size and depth."""

    def __init__(self, to: Path, size: str, depth: str, wanted: list[str]) -> None:
        self._to, self._size, self._depth, self._wanted = to / f"{size}-{depth}", size, depth, wanted
        self._to.mkdir(parents=True, exist_ok=True)
        font = next(font for font in GIF_FONTS if Path(font).exists())
        self._fonts = ImageFont.truetype(font, 13), ImageFont.truetype(font.replace(".ttf", "-Bold.ttf"), 13)

    def _start(self, place: Path, arguments: list[str]) -> Terminal:
        columns, rows = SIZES[self._size]
        home = {name: str(place / name) for name in ("XDG_STATE_HOME", "XDG_CACHE_HOME", "XDG_CONFIG_HOME")}
        return Terminal(
            ExperimentDir(place),
            columns=columns,
            rows=rows,
            cwd=place,
            command=("-m", "tui_attn", *arguments),
            environment=DEPTHS[self._depth] | home,
        )

    def _shoot(self, terminal: Terminal, name: str) -> None:
        if not self._wanted or name in self._wanted:
            to_image(frame_of(terminal.screen), *self._fonts).save(self._to / f"{name}.png")

    def printed(self, place: Path, name: str, arguments: list[str]) -> None:
        """Photograph what a command prints."""
        if self._wanted and name not in self._wanted:
            return
        terminal = self._start(place, arguments)
        terminal.wait()
        self._shoot(terminal, name)
        terminal.close()

    def first(self, place: Path, arguments: list[str]) -> None:
        """Photograph the first frame, while logs are read."""
        if self._wanted and "opening" not in self._wanted:
            return
        terminal = self._start(place, arguments)
        terminal.until(lambda text: "reading" in text and "? help" in text)
        terminal.read(0.05)
        self._shoot(terminal, "opening")
        terminal.close()

    def walk(self, place: Path, arguments: list[str], steps: Steps) -> None:
        """Run the program with `arguments` in `place` and go through its screens."""
        if self._wanted and not any(name in self._wanted for name, _, _ in steps):
            return
        terminal = self._start(place, arguments)
        try:
            for name, keys, text in steps:
                for key in keys:
                    terminal.press(key)
                    _settle(terminal, least=0.8 if key == ESC else 0.2)  # else it is one key with the next
                end = time.monotonic() + PATIENCE
                while text not in terminal.text() and time.monotonic() < end:
                    terminal.read(0.2)
                if text not in terminal.text():
                    print(f"{self._to.name}: {name} lacks {text!r}", file=sys.stderr)
                _settle(terminal, least=0.5)
                self._shoot(terminal, name)
        finally:
            terminal.close()


def _settle(terminal: Terminal, *, least: float = 0.2) -> None:
    end = time.monotonic() + 3
    while terminal.read(least) and time.monotonic() < end:
        pass


@contextlib.contextmanager
def prepared(runs: Path) -> Iterator[Path]:
    """A folder with a copy of `runs` and with recorded experiments."""
    with tempfile.TemporaryDirectory(prefix="tui-attn-screens-") as name:
        place = Path(name)
        shutil.copytree(runs, place / "runs")
        cache = place / "XDG_CACHE_HOME" / "tui-attn"
        cache.mkdir(parents=True)
        (cache / "data").symlink_to(cache_dir())  # the images of the test set
        config = ExperimentConfig(epochs=5, seeds=5)
        recorded.record(place / "runs", experiment="recorded", config=config)
        (place / "other").mkdir()
        for scene in ("running", "failed", "empty"):
            recorded.scene(place / "other", scene, experiment=scene, config=config)
        study = ExperimentConfig(models=("base", "se"), seeds=2, epochs=2, name="rates")
        found = {"base": (0.8, 0.81), "se": (0.83, 0.82)}
        write_study(place / "studies", study, [{"lr": 0.001}, {"lr": 0.01}], [found, found])
        recorded.record(place / "studies", config=replace(study, name="alone"), probes=False, predictions=False)
        yield place


def photograph(runs: Path, camera: Camera) -> None:
    """Take all pictures of one size and depth."""
    with prepared(runs) as place:
        newest = max((path.name for path in runs.iterdir() if len(list(path.glob("*/"))) > 1), default="")
        chosen = min((path.name for path in runs.iterdir() if "explain" not in path.name), default=newest)
        camera.first(place, ["attach", chosen])
        for name, arguments in COMMANDS.items():
            camera.printed(place, name, [*arguments, *([chosen] if name == "compare" else [])])
        camera.walk(place, ["attach", chosen], FINISHED)
        for scene, steps in OTHERS.items():
            if scene == "study":
                camera.walk(place, ["history", "--runs-dir", "studies"], steps)
                continue
            folder = ExperimentDir(place / "other" / scene)
            with recorded.supervised(folder) if scene != "failed" else contextlib.nullcontext():
                camera.walk(place, ["attach", scene, "--runs-dir", "other"], steps)


def sheets(to: Path, across: int = 2) -> None:
    """Put the pictures of each size and depth on sheets of a few."""
    font = ImageFont.truetype(next(font for font in GIF_FONTS if Path(font).exists()), 18)
    (to / "sheets").mkdir(exist_ok=True)
    for folder in sorted(path for path in to.iterdir() if path.is_dir() and path.name != "sheets"):
        names = sorted(folder.glob("*.png"))
        for number in range(0, len(names), across * 2):
            some = [(path.stem, Image.open(path)) for path in names[number : number + across * 2]]
            wide, high = max(one.width for _, one in some) + 10, max(one.height for _, one in some) + 34
            sheet = Image.new("RGB", (wide * across, high * ((len(some) + across - 1) // across)), "#303030")
            draw = ImageDraw.Draw(sheet)
            for at, (name, one) in enumerate(some):
                x, y = at % across * wide, at // across * high
                draw.text((x + 4, y + 4), f"{folder.name}  {name}", font=font, fill="#ffffff")
                sheet.paste(one, (x, y + 28))
            sheet.save(to / "sheets" / f"{folder.name}-{number // (across * 2) + 1:02}.png")


def main() -> None:
    """Take the pictures."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("runs", type=Path, help="folder with a finished experiment")
    parser.add_argument("--to", type=Path, required=True, help="folder to write to")
    parser.add_argument("--sizes", nargs="*", choices=SIZES, default=[*SIZES])
    parser.add_argument("--depths", nargs="*", choices=DEPTHS, default=[*DEPTHS])
    parser.add_argument("--only", nargs="*", default=[], metavar="NAME", help="these pictures only")
    chosen = parser.parse_args()
    for depth in chosen.depths:
        for size in chosen.sizes:
            photograph(chosen.runs, Camera(chosen.to, size, depth, chosen.only))
    sheets(chosen.to)


if __name__ == "__main__":
    main()
