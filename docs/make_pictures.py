"""Make the pictures in docs/screenshots/ by running the program: it trains, and its terminal is recorded.

    python -m docs.make_pictures [--to FOLDER] [--png] [NAME]...

Two experiments are trained on Fashion-MNIST, in a folder that is deleted afterwards (some minutes on two CPU
cores): the lab's three models for 15 epochs on 12,000 images, watched while they train, and five seeds of a shorter
training for the comparison. The program runs in a pseudo-terminal that pyte emulates; every picture is that terminal's
screen, cell by cell. `recording.gif` is the first minutes of the same session, with the waiting cut short.

Needs the test extra (pyte) and, for the recording, the font DejaVu Sans Mono (Debian: fonts-dejavu). `--png` also makes
a PNG of each SVG with rsvg-convert (Debian: librsvg2-bin).
"""

from __future__ import annotations

import argparse
import re
import subprocess
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from html import escape
from itertools import chain, groupby
from pathlib import Path
from typing import Any, NamedTuple

import pyte
from PIL import Image, ImageDraw, ImageFont
from rich.cells import cell_len

from tests.ui.terminal import Terminal
from tui_attn.experiment.folders import ExperimentDir

HERE = Path(__file__).resolve().parent / "screenshots"
CELL_WIDTH, CELL_HEIGHT, FONT_SIZE, MARGIN = 8.43, 18.0, 14.0, 14.0
FONTS = "'DejaVu Sans Mono','Cascadia Mono',Menlo,Consolas,monospace"
GIF_FONTS = (
    "/usr/share/fonts/truetype/dejavu/DejaVuSansMono.ttf",
    "/usr/share/fonts/TTF/DejaVuSansMono.ttf",
    "/Library/Fonts/DejaVuSansMono.ttf",
)
LONGEST_PAUSE = 1.2
"""Seconds that a frame of the recording is shown at most."""
SHORTEST_FRAME = 0.35
"""Seconds; a frame that was shown for less is replaced by the next."""
_DOTS = ((0, 0), (0, 1), (0, 2), (1, 0), (1, 1), (1, 2), (0, 3), (1, 3))
"""Column and row of the dot that each bit of a braille character stands for."""
_SIXTEEN = {
    "black": ("#000000", "#767676"),
    "red": ("#cd3131", "#f14c4c"),
    "green": ("#0dbc79", "#23d18b"),
    "brown": ("#e5e510", "#f5f543"),
    "blue": ("#2472c8", "#3b8eea"),
    "magenta": ("#bc3fbc", "#d670d6"),
    "cyan": ("#11a8cd", "#29b8db"),
    "white": ("#e5e5e5", "#ffffff"),
}
"""pyte's names for the sixteen colours: dark and bright ones."""
NAMED = {name: dark for name, (dark, _) in _SIXTEEN.items()}
NAMED |= {f"{start}{name}": bright for name, (_, bright) in _SIXTEEN.items() for start in ("bright", "bfight")}
"""`bfight` is a slip of pyte's, for backgrounds."""


class Run(NamedTuple):
    """Neighbouring cells of one line that look the same."""

    column: int
    text: str
    color: str
    under: str
    bold: bool


Frame = tuple[tuple[Run, ...], ...]


def frame_of(screen: pyte.Screen) -> Frame:
    """The screen of a terminal, line by line."""
    return tuple(tuple(_runs(screen.buffer[row], screen.columns)) for row in range(screen.lines))


def _runs(cells: Any, columns: int) -> Iterator[Run]:
    column = 0
    for look, found in groupby((cells[at] for at in range(columns)), _look):
        same = list(found)
        yield Run(column, "".join(cell.data for cell in same), *look)
        column += len(same)


def _look(cell: Any) -> tuple[str, str, bool]:
    color, under = _color(cell.fg, "#cccccc"), _color(cell.bg, "")
    return (under or "#101010", color, cell.bold) if cell.reverse else (color, under, cell.bold)


def _color(name: str, default: str) -> str:
    if name == "default":
        return default
    return NAMED.get(name) or f"#{name}"


def background_of(frame: Frame) -> str:
    """The colour that most cells stand on."""
    counts = Counter({"#101010": 0})
    for run in chain.from_iterable(frame):
        counts[run.under] += cell_len(run.text)
    return counts.most_common(1)[0][0] or "#101010"


def svg(frame: Frame, title: str) -> str:
    """The picture of a screen. Each word stands in its cells, whatever the font."""
    background = background_of(frame)
    columns = max(run.column + cell_len(run.text) for line in frame for run in line)
    width, height = columns * CELL_WIDTH + 2 * MARGIN, len(frame) * CELL_HEIGHT + 2 * MARGIN
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:.1f} {height:.1f}" role="img">',
        f"<title>{escape(title)}</title>",
        f"<style>text{{font:{FONT_SIZE:g}px {FONTS};white-space:pre}}.b{{font-weight:bold}}</style>",
        "<style>rect{shape-rendering:crispEdges}</style>",
        f'<rect width="100%" height="100%" rx="8" fill="{background}"/>',
    ]
    for row, line in enumerate(frame):
        texts = []
        for run in line:
            x, top = MARGIN + run.column * CELL_WIDTH, MARGIN + row * CELL_HEIGHT
            wide = cell_len(run.text) * CELL_WIDTH
            if run.under not in {"", background}:
                parts.append(_box(x, top, wide, CELL_HEIGHT, run.under))
            if run.text.strip("▀") == "":  # a picture's pixels: no font leaves its cells without gaps
                parts.append(_box(x, top, wide, CELL_HEIGHT / 2, run.color))
                continue
            weight = ' class="b"' if run.bold else ""
            # Words of ASCII, and every other character, stand at a place of their own, because fonts differ in width.
            for match in re.finditer(r"[!-~]+|[^ -~]", run.text):
                at = x + cell_len(run.text[: match.start()]) * CELL_WIDTH
                texts.append(
                    f'<text{weight} x="{at:.1f}" y="{top + 14:.1f}" fill="{run.color}">{escape(match.group())}</text>'
                )
        parts += texts
    return "\n".join([*parts, "</svg>", ""])


def _box(x: float, y: float, width: float, height: float, color: str) -> str:
    left, right = round(x, 1), round(x + width, 1)  # neighbours meet
    return f'<rect x="{left:.1f}" y="{y:.1f}" width="{right - left:.1f}" height="{height:g}" fill="{color}"/>'


class Recording:
    """Frames and the seconds that each was on the screen, saved as an animated GIF."""

    def __init__(self) -> None:
        self._frames: list[tuple[Frame, float]] = []

    def add(self, frame: Frame, seconds: float) -> None:
        """Add a frame; one equal to the last, or soon after it, takes its place."""
        last = self._frames[-1] if self._frames else None
        if last is not None and (last[0] == frame or last[1] < SHORTEST_FRAME):
            self._frames[-1] = (frame, min(last[1] + seconds, LONGEST_PAUSE))
        else:
            self._frames.append((frame, min(seconds, LONGEST_PAUSE)))

    def hold(self, seconds: float) -> None:
        """Show the last frame for `seconds`."""
        self._frames[-1] = (self._frames[-1][0], seconds)

    def save(self, path: Path) -> None:
        """Write the recording."""
        found = next(font for font in GIF_FONTS if Path(font).exists())
        font = ImageFont.truetype(found, 13)
        drawn = [to_image(frame, font) for frame, _ in self._frames]
        # One palette for all frames, from a few of them one above the other: else colours drift.
        some = drawn[:: max(len(drawn) // 6, 1)]
        sheet = Image.new("RGB", (some[0].width, sum(image.height for image in some)))
        top = 0
        for image in some:
            sheet.paste(image, (0, top))
            top += image.height
        palette = sheet.quantize(160, method=Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE)
        images = [image.quantize(palette=palette, dither=Image.Dither.NONE) for image in drawn]
        images[0].save(
            path,
            save_all=True,
            append_images=images[1:],
            duration=[max(round(seconds * 1000), 60) for _, seconds in self._frames],
            loop=0,
            optimize=True,
        )


def to_image(frame: Frame, font: ImageFont.FreeTypeFont, bold: ImageFont.FreeTypeFont | None = None) -> Image.Image:
    """The picture of a screen in pixels."""
    wide, high = round(font.getlength("M")), 16
    background = background_of(frame)
    columns = max(run.column + cell_len(run.text) for line in frame for run in line)
    image = Image.new("RGB", (columns * wide, len(frame) * high), background)
    draw = ImageDraw.Draw(image)
    for row, line in enumerate(frame):
        for run in line:
            x, y = run.column * wide, row * high
            if run.under not in {"", background}:
                draw.rectangle((x, y, x + cell_len(run.text) * wide - 1, y + high - 1), fill=run.under)
            for offset, character in enumerate(run.text):
                if character == "▀":
                    draw.rectangle(
                        (x + offset * wide, y, x + (offset + 1) * wide - 1, y + high // 2 - 1), fill=run.color
                    )
                elif "\u2800" <= character <= "\u28ff":  # braille, which the font lacks
                    for dot, (across, down) in enumerate(_DOTS):
                        if ord(character) >> dot & 1:
                            left, upper = x + offset * wide + 1 + across * wide // 2, y + 1 + down * high // 4
                            draw.rectangle((left, upper, left + 1, upper + 1), fill=run.color)
                elif character != " ":
                    draw.text((x + offset * wide, y), character, font=(run.bold and bold) or font, fill=run.color)
    return image


class Session:
    """The program in a terminal, photographed."""

    terminal: Terminal
    """In which the program runs now."""

    def __init__(self, place: Path, to: Path, wanted: Sequence[str], *, png: bool) -> None:
        self._place, self._to, self._wanted, self._png = place, to, wanted, png
        self.recording: Recording | None = None

    def start(self, *arguments: str, size: tuple[int, int] = (120, 40), **environment: str) -> None:
        """Run `tui-attn` with arguments; what ran before is left with q first."""
        columns, rows = size
        self.terminal = Terminal(
            ExperimentDir(self._place),
            columns=columns,
            rows=rows,
            cwd=self._place,
            command=("-m", "tui_attn", *arguments),
            environment=environment,
        )

    def until(self, condition: str | Callable[[str], bool], *, seconds: float = 1800.0) -> None:
        """Read until the screen shows a text or a condition holds, recording what it shows."""
        end = time.monotonic() + seconds
        while not (
            condition in self.terminal.text() if isinstance(condition, str) else condition(self.terminal.text())
        ):
            if time.monotonic() > end or (not self._read(0.25) and self.terminal.ended()):
                raise SystemExit(f"waited in vain for {condition!r} on:\n{self.terminal.text()}")

    def rest(self, seconds: float) -> None:
        """Read for a while."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            self._read(0.2)

    def _read(self, seconds: float) -> bool:
        begin = time.monotonic()
        found = self.terminal.read(seconds)
        if self.recording is not None:
            self.recording.add(frame_of(self.terminal.screen), time.monotonic() - begin)
        return found

    def press(self, *keys: str, rest: float = 1.0) -> None:
        """Press keys, with time to draw after each."""
        for key in keys:
            self.terminal.press(key)
            self.rest(rest)

    def shoot(self, name: str, *, size: tuple[int, int] | None = None) -> None:
        """Save the screen as `name`.svg, at another size if one is given, and go back to the size before."""
        if self._wanted and name not in self._wanted:
            return
        before = (self.terminal.screen.columns, self.terminal.screen.lines)
        if size is not None:
            self.terminal.resize(*size)
            self.rest(2.0)
        self.terminal.settle(0.4)
        path = self._to / f"{name}.svg"
        path.write_text(svg(frame_of(self.terminal.screen), f"tui-attn: {name}"), "utf-8")
        if self._png:
            subprocess.run(["rsvg-convert", str(path), "-o", str(path.with_suffix(".png"))], check=True)
        print(path, flush=True)
        if size is not None:
            self.terminal.resize(*before)
            self.rest(1.0)

    def finish(self) -> None:
        """Wait for the program to end by itself."""
        while not self.terminal.ended():
            self._read(1.0)
        self.terminal.close()

    def leave(self) -> None:
        """Leave with q and wait for the end; the terminal's last screen stays."""
        self.terminal.press("q")
        self.terminal.wait()
        if self.recording is not None:
            screen = pyte.Screen(self.terminal.screen.columns, self.terminal.screen.lines)
            pyte.Stream(screen).feed(self.terminal.after_leaving().replace("\n", "\r\n"))
            self.recording.add(frame_of(screen), 3.0)
            self.recording.hold(3.0)
        self.terminal.close()


def watch_the_lab(session: Session, to: Path, options: Sequence[str]) -> None:
    """Train the lab's three models, leave, come back, and look around while they train."""
    session.start(*options, size=(100, 30))
    session.until("q leave")
    session.recording = Recording()
    session.until("step")
    session.rest(25.0)
    session.press("]", "]", rest=1.5)
    session.leave()
    session.start("attach", size=(100, 30))
    session.until("loss")
    session.rest(6.0)
    session.recording.hold(2.5)
    session.recording.save(to / "recording.gif")
    session.recording = None
    session.leave()

    session.start("attach")
    session.until(lambda text: re.search(r"\b[4-9]/15", text) is not None)
    session.shoot("dashboard")
    session.press("\t", "]", "]", "\x1b[D", "\x1b[1;2D")
    session.shoot("cursor")
    session.press("\x1b")
    for name, key in (("stop", "s"), ("new-experiment", "n")):
        session.press(key)
        session.shoot(name)
        session.press("\x1b")
        session.until("loss")
    session.leave()
    session.start("attach", "--theme", "ascii", size=(80, 24))
    session.until("loss")
    session.rest(2.0)
    session.shoot("ascii")
    session.leave()


def compare_seeds(session: Session) -> None:
    """Look at five seeds of a short training, and at what its attention does."""
    session.start("attach")
    session.until("loss")
    session.press("c", rest=3.0)
    session.shoot("comparison", size=(120, 40))
    session.press("4", "m", rest=2.0)
    session.shoot("confusion", size=(120, 40))
    session.press("5", rest=3.0)
    session.shoot("disagreements", size=(120, 42))
    session.press("6", rest=2.0)
    session.shoot("interventions")
    session.press("\x1b", "h", rest=2.0)
    session.until("gates of")
    session.shoot("heatmaps-200x60", size=(200, 60))
    session.press("j", rest=2.0)
    session.until("attention")
    session.shoot("attention", size=(160, 48))
    session.press("\x1b", "b", rest=3.0)
    session.shoot("experiments", size=(120, 32))
    session.leave()
    for name, theme, options in (
        ("heatmaps-80x24-16", "dark", {"TERM": "xterm-16color", "COLORTERM": ""}),
        ("heatmaps-ascii", "ascii", {}),
    ):
        session.start("attach", "--theme", theme, size=(80, 24), **options)
        session.until("loss")
        session.press("h", rest=2.0)
        session.until("gates of")
        session.shoot(name)
        session.leave()


def main() -> None:
    """Make all pictures, or those that are named."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("names", nargs="*", help="pictures to make; by default all")
    parser.add_argument("--parts", nargs="*", default=["lab", "seeds"], choices=["lab", "seeds"])
    parser.add_argument("--png", action="store_true", help="a PNG of each as well")
    parser.add_argument("--to", type=Path, default=HERE, help="folder to write to")
    parser.add_argument("--quick", action="store_true", help="train on few images, to try this script")
    chosen = parser.parse_args()
    chosen.to.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        session = Session(place, chosen.to, chosen.names, png=chosen.png)
        if "lab" in chosen.parts:
            watch_the_lab(session, chosen.to, ["--train-limit", "3000" if chosen.quick else "12000"])
            session.start("attach", "--no-ui")  # waits until the lab has finished
            session.finish()
        if "seeds" in chosen.parts:
            short = ("--seeds", "5", "--epochs", "5", "--train-limit", "3000" if chosen.quick else "6000")
            session.start("--no-ui", *short, "--name", "five seeds")
            session.finish()
            session.start("probe")
            session.finish()
            compare_seeds(session)


if __name__ == "__main__":
    main()
