"""A frame buffer: the cells that the terminal shows and those that it should show. Only differences are written.

Textual redraws whole widgets. The buffer takes its updates and writes 3 to 5 times fewer bytes (docs/performance.md).
A frame that a slow terminal could not take costs nothing: the next difference covers it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache

from rich.cells import split_graphemes
from rich.color import Color, ColorSystem
from rich.segment import Segment
from rich.style import Style

from tui_attn.ui.textual_private import Patch

Pen = tuple[str, str, str]
"""SGR parameters: attributes, foreground, background."""
Cell = tuple[str, Pen]
"""Text and pen of a cell. The text is empty where a wide character to the left covers the cell."""

PLAIN: Pen = ("", "39", "49")
_BLANK: Cell = (" ", PLAIN)
_UNKNOWN: Cell = ("\0", PLAIN)
"""A cell whose content is not known; equal to no drawn cell."""
_GAP = 4
"""So many unchanged cells are cheaper to write again than to skip."""

# Characters that take one cell on every terminal: ASCII, Latin, arrows, boxes, blocks, shapes, braille and the like.
_SINGLE = re.compile(
    "[ -~\u00a1-\u00ac\u00ae-\u02ff\u2010-\u2027\u2030-\u205e\u2190-\u21ff\u2400-\u2426"
    "\u2500-\u259f\u25a0-\u25fc\u2713\u2717\u2800-\u28ff]+"
)
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069]")
_FROM_ONE = ("bold", "dim", "italic", "underline", "blink", "blink2", "reverse", "conceal", "strike")
_FURTHER = {"underline2": "21", "frame": "51", "encircle": "52", "overline": "53"}
_ATTRIBUTES = {name: str(code) for code, name in enumerate(_FROM_ONE, 1)} | _FURTHER


class FrameBuffer:
    """The picture of the screen: `apply` draws into it, `flush` returns what to write."""

    def __init__(self, color_system: ColorSystem | None) -> None:
        self.color_system = color_system or ColorSystem.TRUECOLOR
        self._wanted: list[list[Cell]] = []
        self._shown: list[list[Cell]] = []
        self._dirty: set[int] = set()

    @property
    def dirty(self) -> bool:
        """Whether `flush` may have something to write."""
        return bool(self._dirty)

    def forget(self) -> None:
        """Mark every cell of the terminal as unknown: the next `flush` writes everything."""
        self._shown = [[_UNKNOWN] * len(row) for row in self._wanted]
        self._dirty = set(range(len(self._wanted)))

    def apply(self, patch: Patch) -> None:
        """Draw `patch` into the picture."""
        if patch.size is not None:
            self._resize(*patch.size)
        for y, x, segments in patch.pieces:
            self._put(y, x, segments)

    def flush(self) -> str:
        """Return the terminal sequences that make the terminal show the picture; empty when it does already.

        Cells of one pen are written together: moving the cursor takes fewer bytes than changing colours.
        """
        by_pen: dict[Pen, list[tuple[int, int, int]]] = {}
        for y in sorted(self._dirty):
            wanted, shown = self._wanted[y], self._shown[y]
            if wanted != shown:
                for start, end, pen in _changes(wanted, shown):
                    by_pen.setdefault(pen, []).append((y, start, end))
                self._shown[y] = wanted.copy()
        self._dirty.clear()
        parts: list[str] = []
        before = PLAIN
        for pen, runs in by_pen.items():
            if pen != before:
                parts.append(_sgr(before, pen))
                before = pen
            row, column = -1, 0
            for y, start, end in runs:
                if y != row or start < column:
                    parts.append(f"\x1b[{y + 1};{start + 1}H")
                elif start > column:
                    parts.append(f"\x1b[{start - column}C")
                row, column = y, end
                parts += [text for text, _ in self._wanted[y][start:end]]
                if not _certain(self._wanted[y][start:end]):
                    row = -1
        if before != PLAIN:
            parts.append("\x1b[0m")
        return "".join(parts)

    def _resize(self, width: int, height: int) -> None:
        if len(self._wanted) == height and all(len(row) == width for row in self._wanted):
            return
        self._wanted = [[_BLANK] * width for _ in range(height)]
        self.forget()

    def _put(self, y: int, x: int, segments: Iterable[Segment]) -> None:
        if not 0 <= y < len(self._wanted):
            return
        row = self._wanted[y]
        cells: list[Cell] = []
        for text, style, control in segments:
            if text and not control:
                cells += _cells(text, PLAIN if style is None else pen_of(style, self.color_system))
        cells = cells[: len(row) - x]
        if row[x : x + len(cells)] != cells:
            row[x : x + len(cells)] = cells
            self._dirty.add(y)


def _cells(text: str, pen: Pen) -> list[Cell]:
    if _SINGLE.fullmatch(text):
        return [(character, pen) for character in text]
    if _CONTROL.search(text):  # a second guard behind safe_text
        text = _CONTROL.sub("\N{REPLACEMENT CHARACTER}", text)
    found: list[Cell] = []
    for start, end, width in split_graphemes(text)[0]:
        if width > 0:
            found.append((text[start:end], pen))
            found += [("", pen)] * (width - 1)
    return found


def _changes(wanted: list[Cell], shown: list[Cell]) -> list[tuple[int, int, Pen]]:
    """Half-open ranges of cells to write, each of whole characters in one pen."""
    ranges: list[tuple[int, int, Pen]] = []
    pen: Pen | None = None  # of the last range, while cells may be added to it
    start = end = 0
    for x, (new, old) in enumerate(zip(wanted, shown, strict=True)):
        if new == old or x < end:
            continue
        certain = _SINGLE.fullmatch(new[0])
        if certain and new[1] == pen and (x == end or _joins(wanted[end:x], pen)):
            end = x + 1
            ranges[-1] = (start, end, pen)
        else:
            start, end = _whole(wanted, x, x + 1)
            ranges.append((start, end, new[1]))
            pen = new[1] if certain else None
    return ranges


def _joins(between: list[Cell], pen: Pen) -> bool:
    """Whether unchanged cells are written again rather than skipped."""
    return len(between) <= _GAP and all(cell[1] == pen for cell in between) and _certain(between)


def _certain(cells: list[Cell]) -> bool:
    """Whether terminals agree about the width of these characters."""
    return _SINGLE.fullmatch("".join([text for text, _ in cells])) is not None


def _whole(row: list[Cell], start: int, end: int) -> tuple[int, int]:
    """The range widened to whole characters."""
    while start > 0 and row[start][0] == "":
        start -= 1
    while end < len(row) and row[end][0] == "":
        end += 1
    return start, end


def _sgr(old: Pen, new: Pen) -> str:
    if old[0] != new[0]:
        codes = ["0", new[0], "" if new[1] == "39" else new[1], "" if new[2] == "49" else new[2]]
    else:
        codes = [new[1] if new[1] != old[1] else "", new[2] if new[2] != old[2] else ""]
    return f"\x1b[{';'.join(code for code in codes if code)}m"


@lru_cache(4096)
def pen_of(style: Style, color_system: ColorSystem) -> Pen:
    """The SGR parameters of `style`; links and metadata are left out."""
    attributes = ";".join(code for name, code in _ATTRIBUTES.items() if getattr(style, name))
    return (attributes, _color(style.color, color_system, True), _color(style.bgcolor, color_system, False))


def _color(color: Color | None, color_system: ColorSystem, foreground: bool) -> str:
    if color is None or color.is_default:
        return "39" if foreground else "49"
    return ";".join(color.downgrade(color_system).get_ansi_codes(foreground))
