"""HTML from Python values: every text is escaped, unless it was made here."""

from __future__ import annotations

import re
from collections.abc import Sequence
from html import escape

from tui_attn.system.text import safe_text

_NOT_FOR_XML = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ufdd0-\ufdef\ufffe\uffff\ud800-\udfff]")
_MINUS = re.compile(r"(?<![\w.-])-(?=\d)")
_VOID = frozenset({"br", "col", "hr", "img", "meta", "wbr"})


class Markup(str):
    """Text that is HTML already."""

    __slots__ = ()


Content = str | None | list["Content"]
"""What may stand in an element: text, markup, nothing, or several of these."""


def plain(text: object) -> str:
    """`text` without anything that an HTML page or an SVG picture may not hold."""
    return _NOT_FOR_XML.sub("\N{REPLACEMENT CHARACTER}", safe_text(text))


def _typeset(text: str) -> str:
    """Minus signs before numbers, and no line breaks before a per cent sign."""
    return _MINUS.sub("−", text).replace(" %", "\N{NO-BREAK SPACE}%")


def tag(name: str, /, *content: Content, **attributes: str | int | None) -> Markup:
    """An element. `class_` and `for_` stand for the attributes of these names, `_` for `-`; None leaves one out."""
    head = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{escape(plain(value))}"'
        for key, value in attributes.items()
        if value is not None
    )
    return Markup(f"<{name}{head}>" if name in _VOID else f"<{name}{head}>{inside(*content)}</{name}>")


def inside(*content: Content) -> Markup:
    """Several things one after the other."""
    parts: list[str] = []
    for item in content:
        if isinstance(item, list):
            parts.append(inside(*item))
        elif isinstance(item, Markup):
            parts.append(item)
        elif item is not None:
            parts.append(escape(_typeset(plain(item)), quote=False))
    return Markup("".join(parts))


def table(rows: Sequence[Sequence[Content]], *, numbers_from: int = 1, class_: str | None = None) -> Markup:
    """A table whose first row is its head, and the first cell of every other one too.

    Columns from `numbers_from` on stand to the right. Two blanks before the first cell of a row put it below the one
    before.
    """

    def cell(name: str, index: int, item: Content, **attributes: str) -> Markup:
        return tag(name, item, class_="number" if index >= numbers_from else None, **attributes)

    first, *rest = rows
    head = [cell("th", index, item, scope="col") for index, item in enumerate(first)]
    body = []
    for label, *others in rest:
        below = {"data_sub": "1"} if isinstance(label, str) and label.startswith("  ") else {}
        cells = [cell("td", index, item) for index, item in enumerate(others, start=1)]
        body.append(tag("tr", tag("th", label, scope="row", **below), list(cells)))
    parts = tag("table", tag("thead", tag("tr", list(head))), tag("tbody", list(body)), class_=class_)
    return tag("div", parts, class_="scroll", tabindex=0)
