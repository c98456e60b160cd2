"""Turns the table of keys into Textual's bindings."""

from __future__ import annotations

from collections.abc import Iterable

from textual.binding import Binding, BindingType

from tui_attn.ui.keys import Key


def bindings(keys: Iterable[Key]) -> list[BindingType]:
    """A binding for each key, with its id and tooltip."""
    return [
        Binding(key.keys, key.action, key.label, show=key.show, tooltip=key.tooltip, id=key.id, priority=key.priority)
        for key in keys
    ]
