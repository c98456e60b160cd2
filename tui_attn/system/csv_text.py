"""Tables as CSV: UTF-8, RFC 4180, and no cell that a spreadsheet takes for a formula."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator, Sequence

from tui_attn.system.text import safe_text

_FORMULA = ("=", "+", "-", "@", "＝", "＋", "－", "＠")
"""What a formula begins with, in the wide forms of East Asian keyboards too."""
_BLOCK = 1 << 16


def csv_blocks(head: Sequence[str], rows: Iterable[Sequence[object]]) -> Iterator[bytes]:
    """The table in pieces, the line of `head` first. None is an empty cell."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\r\n")
    writer.writerow([_cell(cell) for cell in head])
    for row in rows:
        writer.writerow([_cell(cell) for cell in row])
        if buffer.tell() > _BLOCK:
            yield buffer.getvalue().encode("utf-8")
            buffer.seek(0)
            buffer.truncate()
    yield buffer.getvalue().encode("utf-8")


def _cell(value: object) -> object:
    """`value`; a text safe to show, with an apostrophe before what would be a formula."""
    if not isinstance(value, str):
        return value
    text = safe_text(value, one_line=True)
    return f"'{text}" if text.lstrip().startswith(_FORMULA) else text
