"""The last change to every line before it goes to a terminal without other characters: ASCII only."""

from __future__ import annotations

import re

from rich.cells import cell_len
from rich.segment import Segment
from textual.color import Color
from textual.filter import LineFilter

_NOT_ASCII = re.compile(r"[^\x20-\x7e]+")

_LOOKALIKES = {
    "-": "─━╌╍┄┅┈┉═╴╶╸╺╼╾⎯–—−‐‑",
    "|": "│┃╎╏┆┇┊┋║╵╷╹╻▏▕▎▍¦┿",
    "+": "┌┐└┘├┤┬┴┼╭╮╯╰┏┓┗┛┣┫┳┻╋╔╗╚╝╠╣╦╩╬▒✓",
    "#": "▅▆▇█▉▊▋▌▐▀▓■□",
    "_": "▁▂",
    "=": "▃▄‖",
    ">": "▶▸›»→≥",
    "<": "◂«‹←⏎≤",
    "^": "▲↑",
    "v": "▼↓",
    "o": "●○",
    "*": "◆◇•",
    ".": "░·∘",
    "~": "…±≈",
    "x": "✗×",
    "d": "Δ",
    '"': "“”",
    "'": "’‘",
    " ": "°",
}
_ASCII = {character: ascii_ for ascii_, characters in _LOOKALIKES.items() for character in characters}


class AsciiOnly(LineFilter):
    """Replaces what isn't ASCII by what looks like it, cell for cell."""

    def apply(self, segments: list[Segment], background: Color) -> list[Segment]:
        """The segments in ASCII, as wide as before."""
        return [
            segment if segment.text.isascii() else Segment(to_ascii(segment.text), segment.style, segment.control)
            for segment in segments
        ]


def to_ascii(text: str) -> str:
    """`text` in printable ASCII, as many cells wide; what has no likeness becomes a question mark."""
    return _NOT_ASCII.sub(lambda match: "".join(map(_ascii, match.group())), text)


def _ascii(character: str) -> str:
    return _ASCII.get(character) or "?" * cell_len(character)
