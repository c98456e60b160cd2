"""Last changes to every line before it goes to the terminal: no colour, or ASCII only."""

from __future__ import annotations

import re

from rich.cells import cell_len
from rich.segment import Segment
from textual.color import Color
from textual.filter import LineFilter

_NOT_ASCII = re.compile(r"[^\x20-\x7e]+")

_LOOKALIKES = {
    **dict.fromkeys("─━╌╍┄┅┈┉═╴╶╸╺╼╾⎯–—−‐‑", "-"),
    **dict.fromkeys("│┃╎╏┆┇┊┋║╵╷╹╻▏▕▎▍¦", "|"),
    **dict.fromkeys("┌┐└┘├┤┬┴┼╭╮╯╰┏┓┗┛┣┫┳┻╋╔╗╚╝╠╣╦╩╬", "+"),
    **dict.fromkeys("▁▂", "_"),
    **dict.fromkeys("▃▄", "="),
    **dict.fromkeys("▅▆▇█▉▊▋▌▐▀▓", "#"),
    "┿": "|",
    "▒": "+",
    "░": ".",
    "▶": ">",
    "▸": ">",
    "›": ">",
    "»": ">",
    "◂": "<",
    "«": "<",
    "‹": "<",
    "▲": "^",
    "▼": "v",
    "●": "o",
    "○": "o",
    "◆": "*",
    "◇": "*",
    "■": "#",
    "□": "#",
    "•": "*",
    "·": ".",
    "∘": ".",
    "…": "~",
    "✓": "+",
    "✗": "x",
    "×": "x",
    "‖": "=",
    "↑": "^",
    "↓": "v",
    "←": "<",
    "→": ">",
    "⏎": "<",
    "±": "~",
    "Δ": "d",
    "≈": "~",
    "≤": "<",
    "≥": ">",
    "“": '"',
    "”": '"',
    "’": "'",
    "‘": "'",
    "°": " ",
}


class WithoutColor(LineFilter):
    """Takes every colour away and leaves bold, reverse and the like. Used for NO_COLOR."""

    def apply(self, segments: list[Segment], background: Color) -> list[Segment]:
        """The segments without colours."""
        return [
            Segment(text, None if style is None else style.without_color, control) for text, style, control in segments
        ]


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
    found = _LOOKALIKES.get(character)
    return found if found is not None else "?" * cell_len(character)
