"""Every key and what it does, made from the bindings themselves."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from textual.app import App
from textual.binding import Binding, BindingsMap
from textual.dom import DOMNode

from tui_attn.ui.drawing import Row, fit
from tui_attn.ui.screens.page import PageScreen
from tui_attn.ui.styles import drawing_mode
from tui_attn.ui.textual_private import bindings_of
from tui_attn.ui.widgets.key_bar import key_name

_KEYS_WIDTH = 22


class HelpScreen(PageScreen):
    """The keys of the app, and those of `parts`: the screen that was open and its panels, each with its title."""

    TITLE = "keys"

    def __init__(self, app: App[Any], parts: Sequence[tuple[str, DOMNode]]) -> None:
        super().__init__()
        ascii_only = drawing_mode(app).ascii
        self._sections = [(title, _described(node, ascii_only)) for title, node in [("everywhere", app), *parts]]

    def page(self, width: int) -> Sequence[Row]:
        """A section for each part of the screen."""
        rows: list[Row] = []
        for title, entries in self._sections:
            if not entries:
                continue
            rows += [Row(()), Row(((f" {title}", "bold"),))]
            for keys, tooltip in entries:
                shown = fit(f"  {keys}", _KEYS_WIDTH)
                rows.append(Row(((shown, "key"), (fit(tooltip, max(width - _KEYS_WIDTH, 0)), "normal"))))
        rows += [
            Row(()),
            Row(((" Every key can be changed: a table [keys] in the configuration file, id = key.", "muted"),)),
        ]
        return rows


def _described(node: DOMNode, ascii_only: bool) -> list[tuple[str, str]]:
    """Keys and tooltip of every binding of `node`, keymap applied, bindings of one id together."""
    by_action: dict[str, list[Binding]] = {}
    for binding in _in_order(bindings_of(node)):
        by_action.setdefault(binding.id or binding.action, []).append(binding)
    return [
        (
            " ".join(dict.fromkeys(key_name(binding.key, ascii_only=ascii_only) for binding in found)),
            found[0].tooltip or found[0].description,
        )
        for found in by_action.values()
        if found[0].tooltip or found[0].description
    ]


def _in_order(found: BindingsMap) -> Iterable[Binding]:
    return (binding for same_key in found.key_to_bindings.values() for binding in same_key)
