"""The command palette and the help: Textual's palette on our keys.

The palette lists what can be done now, the help every key of the screen. Both run what is chosen.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any, NamedTuple

from textual.app import ComposeResult
from textual.binding import Binding
from textual.command import CommandInput, CommandList, CommandPalette, DiscoveryHit, Hit, Hits, Provider
from textual.containers import Horizontal, Vertical
from textual.content import Content
from textual.dom import DOMNode
from textual.screen import Screen
from textual.style import Style
from textual.widgets import LoadingIndicator

from tui_attn.ui.bindings import bindings
from tui_attn.ui.drawing import fit
from tui_attn.ui.keys import ALL_KEYS, PALETTE_KEYS, PALETTE_OPENERS, PANEL_KEYS, TABLES, Key
from tui_attn.ui.protocols import app_of
from tui_attn.ui.textual_private import ControlStandIns, is_allowed, remapped_bindings
from tui_attn.ui.widgets.key_bar import KeyBar, key_name

_KEYS_WIDTH = 12
_KEYS = {key.id: key for key in reversed(ALL_KEYS) if key.tooltip}
_PLACES = {key.id: place for place, keys in reversed(TABLES.items()) for key in keys}
_MOVES = frozenset(key.id for key in PANEL_KEYS)


class Command(NamedTuple):
    """One thing that a key does."""

    id: str
    keys: str
    """Its keys as they are written for people, separated by blanks."""
    action: str
    node: DOMNode
    """Whose action it is."""
    possible: bool
    """Whether it can be done now."""

    @property
    def key(self) -> Key:
        """Its row in the table of keys."""
        return _KEYS[self.id]


def commands(screen: Screen[Any]) -> list[Command]:
    """Everything that keys do on `screen`: what the footer shows first, moves in a panel last."""
    here = [screen] if screen.focused is None else [*screen.focused.ancestors_with_self]
    if screen.is_modal:
        here = [node for node in here if node is not screen.app]
    found: dict[str, list[tuple[str, Binding, DOMNode]]] = {}
    for node in dict.fromkeys([*here, screen, *screen.focus_chain]):
        for key, binding in remapped_bindings(node):
            if binding.id in _KEYS:
                found.setdefault(binding.id or "", []).append((key, binding, node))
    made = [_command(id_, pairs, app_of(screen).drawing.mode.ascii) for id_, pairs in found.items()]
    return sorted(made, key=lambda command: _rank(command, here, screen))


def _command(id_: str, pairs: Sequence[tuple[str, Binding, DOMNode]], ascii_only: bool) -> Command:
    allowed = next((pair for pair in pairs if is_allowed(pair[1], pair[2])), None)
    _, binding, node = allowed or pairs[0]
    names = dict.fromkeys(key_name(key, ascii_only=ascii_only) for key, _, owner in pairs if owner is node)
    return Command(id_, " ".join(names), binding.action, node, allowed is not None)


def _rank(command: Command, here: Sequence[DOMNode], screen: Screen[Any]) -> int:
    if command.id in _MOVES:
        return 4
    if command.node is screen.app:
        return 3
    if command.node not in here:
        return 2
    return 0 if command.key.show else 1


def possible(screen: Screen[Any]) -> list[Command]:
    """What can be done on `screen` now."""
    return [
        command
        for command in commands(screen)
        if command.possible
        and command.id not in PALETTE_OPENERS
        and (command.id not in _MOVES or command.node in {screen, screen.focused})
    ]


class _Found(Provider):
    """Finds commands by their sentence, their label, or the place where they work."""

    def __init__(
        self, listed: Sequence[Command], palette: PaletteScreen, screen: Screen[Any], match_style: Style | None = None
    ) -> None:
        super().__init__(screen, match_style)
        self._listed = listed
        self._palette = palette

    async def discover(self) -> Hits:
        """All of them."""
        for command in self._listed:
            text = command.key.tooltip
            yield DiscoveryHit(self._row(command, Content(text)), self._run(command), text)

    async def search(self, query: str) -> Hits:
        """Those that match."""
        matcher = self.matcher(query)
        for command in self._listed:
            key, text = command.key, command.key.tooltip
            score = max(matcher.match(text), matcher.match(key.label) * 2, matcher.match(_PLACES[command.id]) / 2)
            if score:
                yield Hit(score, self._row(command, matcher.highlight(text)), self._run(command), text)

    def _row(self, command: Command, text: Content) -> Content:
        def style(name: str) -> Style:
            found = self.app.get_component_styles(name)  # what isn't set here is the row's, such as reverse
            return Style(foreground=found.color, bold=found.text_style.bold or None)

        plain = "normal" if command.possible else "muted"
        keys = fit(command.keys, max(_KEYS_WIDTH, len(command.keys)))
        return Content.assemble(
            (f"{keys} ", style("key")), text.stylize_before(style(plain)), (f"  {_PLACES[command.id]}", style("muted"))
        )

    def _run(self, command: Command) -> Any:
        return partial(self._palette.run_command, command)


class _Input(ControlStandIns, CommandInput):
    """Textual's input, with stand-ins for control characters."""


class PaletteScreen(CommandPalette, inherit_bindings=False):
    """The palette over a screen; with `everything`, the help."""

    BINDINGS = bindings(PALETTE_KEYS)
    CSS_PATH = "palette.tcss"

    def __init__(self, listed: Sequence[Command], *, everything: bool = False) -> None:
        super().__init__([lambda: partial(_Found, listed, self)])  # type: ignore[list-item,return-value]
        self.everything = everything

    def compose(self) -> ComposeResult:
        """What is typed, what is found, the keys."""
        with Vertical(id="--container"):
            with Horizontal(id="--input"):
                asked = "type a word to find a key" if self.everything else "type what you want to do"
                yield _Input(placeholder=asked, select_on_focus=False)
            with Vertical(id="--results"):
                yield CommandList()
                yield LoadingIndicator()
            yield KeyBar()

    def on_resize(self) -> None:
        """Let the list have what the rest leaves of the height."""
        self.query_one(CommandList).styles.max_height = max(self.size.height - 8, 4)

    async def run_command(self, command: Command) -> None:
        """Do `command`, or say why it can't be done."""
        if not await self.app.run_action(command.action, command.node):
            app_of(self).say_why_not(command.id, command.action, command.node)

    def action_choose(self) -> None:
        """Run what is selected."""
        self.query_one(CommandList).action_select()
