"""Text for a terminal: widths in cells, cutting and wrapping."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence


def cells(text: str) -> int:
    """How many cells of a terminal `text` fills."""
    return sum(_width(character) for character in text)


def _width(character: str) -> int:
    if character.isascii():
        return 1
    if unicodedata.category(character) in {"Mn", "Me", "Cf"}:
        return 0
    return 2 if unicodedata.east_asian_width(character) in {"W", "F"} else 1


def cut(text: str, width: int) -> str:
    """`text`, cut to `width` cells with a mark at the end where it is longer."""
    if cells(text) <= width:
        return text
    mark = "..." if text.isascii() else "…"
    if width <= len(mark):
        return "." * width if text.isascii() else mark * min(width, 1)
    return _head(text, width - len(mark)) + mark


def _head(text: str, width: int) -> str:
    kept, used = [], 0
    for character in text:
        used += _width(character)
        if used > width:
            break
        kept.append(character)
    return "".join(kept)


def left(text: str, width: int) -> str:
    """`text` in exactly `width` cells, from the left."""
    text = cut(text, width)
    return text + " " * (width - cells(text))


def right(text: str, width: int) -> str:
    """`text` in exactly `width` cells, to the right."""
    text = cut(text, width)
    return " " * (width - cells(text)) + text


def wrap(text: str, width: int, *, first: str = "", rest: str = "") -> list[str]:
    """`text` in lines of at most `width` cells, words kept whole where they fit; `first` and `rest` lead the lines."""
    lines: list[str] = []
    line, empty = first, True
    for word in _words(text, max(1, width - max(cells(first), cells(rest)))):
        if not empty and cells(line) + 1 + cells(word) > width:
            lines.append(line)
            line, empty = rest, True
        line += word if empty else f" {word}"
        empty = False
    return [*lines, line.rstrip()]


def _words(text: str, width: int) -> list[str]:
    """The words of `text`, those wider than `width` in pieces."""
    pieces: list[str] = []
    for word in text.split():
        while cells(word) > width:
            head = _head(word, width) or word[0]
            pieces.append(head)
            word = word[len(head) :]  # noqa: PLW2901  what is left of it
        if word:
            pieces.append(word)
    return pieces


def columns(rows: Sequence[Sequence[str]], gap: int = 2) -> list[str]:
    """Lines of a table whose first column stands to the left and whose others stand to the right."""
    widths = [max(map(cells, column)) for column in zip(*rows, strict=True)]
    return [
        (
            left(row[0], widths[0])
            + "".join(" " * gap + right(*pair) for pair in zip(row[1:], widths[1:], strict=True))
        ).rstrip()
        for row in rows
    ]
