"""What can be done on a screen now, read off its bindings: what the palette offers."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from textual.binding import Binding
from textual.dom import DOMNode
from textual.screen import Screen

from tui_attn.ui.keys import ALL_KEYS, PALETTE_OPENERS, PANEL_KEYS
from tui_attn.ui.styles import drawing_mode
from tui_attn.ui.textual_private import is_allowed, remapped_bindings
from tui_attn.ui.widgets.key_bar import key_name

_TOOLTIPS = {key.id: key.tooltip for key in reversed(ALL_KEYS) if key.tooltip}
_LEFT_OUT = frozenset(PALETTE_OPENERS)
_MOVES = frozenset(key.id for key in PANEL_KEYS)
"""Going up and down comes last, and in what isn't focused it is no action to offer."""


@dataclass(frozen=True, slots=True)
class Action:
    """One thing that can be done."""

    label: str
    tooltip: str
    keys: str
    """Its keys as they are written for people, separated by blanks."""
    action: str
    node: DOMNode
    """Whose action it is."""


def possible(screen: Screen[Any]) -> list[Action]:
    """What can be done now: what the footer names, what else the screen, other panels and the app do, and moves."""
    found: dict[tuple[str, int], list[tuple[Binding, DOMNode]]] = {}
    named: set[str] = set()
    for binding, node in _now(screen):
        named.add(binding.id or binding.action)
        found.setdefault((binding.action, id(node)), []).append((binding, node))
    elsewhere = [pair for pair in _other_panels(screen) if (pair[0].id or pair[0].action) not in named]
    for binding, node in elsewhere:
        found.setdefault((binding.action, 0), []).append((binding, node))
    made = [(_rank(pairs[0], screen), _action(pairs, screen)) for pairs in found.values()]
    return [action for _, action in sorted(made, key=lambda pair: pair[0])]


def _rank(pair: tuple[Binding, DOMNode], screen: Screen[Any]) -> int:
    binding, node = pair
    if binding.id in _MOVES:
        return 4
    if node is screen.app:
        return 3
    if node is not screen and node is not screen.focused:
        return 2
    return 0 if binding.show else 1


def _now(screen: Screen[Any]) -> Iterator[tuple[Binding, DOMNode]]:
    for active in screen.active_bindings.values():
        if active.enabled and active.binding.id not in _LEFT_OUT:
            yield active.binding, active.node


def _other_panels(screen: Screen[Any]) -> Iterator[tuple[Binding, DOMNode]]:
    """What panels without the focus could do; of several that can do the same, the first does it."""
    for panel in screen.focus_chain:
        if panel is screen.focused:
            continue
        for _, binding in remapped_bindings(panel):
            if binding.id not in _MOVES and is_allowed(binding, panel):
                yield binding, panel


def _action(pairs: Iterable[tuple[Binding, DOMNode]], screen: Screen[Any]) -> Action:
    pairs = list(pairs)
    binding, node = pairs[0]
    ascii_only = drawing_mode(screen.app).ascii
    names = dict.fromkeys(key_name(other.key, ascii_only=ascii_only) for other, owner in pairs if owner is node)
    tooltip = binding.tooltip or _TOOLTIPS.get(binding.id or "", binding.description)
    return Action(binding.description, tooltip, " ".join(names), binding.action, node)
