"""Every private part of Textual that the program relies on, in one place.

Textual offers no public way to read what a screen is about to draw, to write to another descriptor, or to list the
bindings of a widget. The dependency is therefore pinned to one minor version, and `tests/ui/test_textual_private.py`
fails when a part used here has changed. An update that can't be read is drawn by Textual itself.
"""

from __future__ import annotations

import re
import time
import traceback
from collections.abc import Iterable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple, cast

from rich.cells import cell_len
from rich.text import Text
from textual._compositor import ChopsUpdate, CompositorUpdate, LayoutUpdate
from textual._xterm_parser import XTermParser
from textual.app import App
from textual.drivers import linux_driver
from textual.drivers.linux_driver import LinuxDriver
from textual.filter import ANSIToTruecolor, LineFilter
from textual.message import Message

from tui_attn.system.text import stand_ins
from tui_attn.ui.typed_ahead import KeysInTurn

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.segment import Segment
    from textual.binding import Binding, BindingsMap
    from textual.dom import DOMNode
    from textual.screen import Screen
    from textual.widgets import Input


class Patch(NamedTuple):
    """What an update of the screen draws."""

    size: tuple[int, int] | None
    """Columns and rows of an update of the whole screen."""
    pieces: list[tuple[int, int, Iterable[Segment]]]
    """Row, first column, and what to draw from there on."""


def read_update(update: object) -> Patch | None:
    """Return what `update` draws; None for a kind, or a form of one, that is unknown here."""
    pieces: list[tuple[int, int, Iterable[Segment]]] = []
    try:
        if isinstance(update, LayoutUpdate):
            for y, strips in enumerate(update.strips):
                pieces.append((y, 0, [segment for strip in strips for segment in strip]))
            return Patch((update.region.width, update.region.height), pieces)
        if isinstance(update, ChopsUpdate):
            for y, start, end in update.spans:
                for chop_end, (x, strip) in zip(update.chop_ends[y], update.chops[y].items(), strict=False):
                    # Outside the span, chops lack the widgets on top.
                    if strip is not None and x < end and chop_end > start:
                        pieces.append((y, x, strip.crop(0, min(chop_end, end) - x)))
            return Patch(None, pieces)
    except (AttributeError, LookupError, TypeError, ValueError):
        return None
    return None


class TerminalReplied(Message, bubble=False):
    """The terminal answered the question that the driver asked."""

    def __init__(self, reply: str) -> None:
        super().__init__()
        self.reply = reply


class ReplyParser(XTermParser):
    """Textual's parser of input, which would take a device control string for keys: it takes out the replies first.

    A reply may come late or in pieces. While one is expected, what may be the beginning of one is kept for
    `HELD_SECONDS`; what can't be a key is kept until the rest has come, and dropped after `BROKEN_SECONDS`.
    """

    HELD_SECONDS = 0.1
    BROKEN_SECONDS = 5.0
    _REPLY = re.compile(r"\x1bP[01][$+]r([\x20-\x7e]*)(?:\x1b\\|\x07)")
    _BEGUN = re.compile(r"\x1b(?:P(?:[01](?:[$+](?:r[\x20-\x7e]{0,200}\x1b?)?)?)?)?\Z")
    _NO_KEY = 4
    """Characters from which on it can be nothing else."""

    def __init__(self, driver: OutputDriver, debug: bool = False) -> None:
        super().__init__(debug)
        self._driver = driver
        self._held = ""
        self._held_at = 0.0

    def feed(self, data: str) -> Iterable[Message]:
        """Return the messages for `data`, which is empty at the end."""
        held_at = self._held_at if self._held else time.monotonic()
        whole, self._held = self._held + data, ""
        for match in self._REPLY.finditer(whole):
            self._driver.awaits_reply = False
            yield TerminalReplied(match[1])
        rest = self._REPLY.sub("", whole)
        begun = self._BEGUN.search(rest) if data else None
        if begun and (self._driver.awaits_reply or len(begun[0]) >= self._NO_KEY):
            self._held, self._held_at, rest = begun[0], held_at, rest[: begun.start()]
        if rest or not data:
            yield from super().feed(rest)

    def tick(self) -> Iterable[Message]:
        """Return the messages for what was kept long enough."""
        is_key = len(self._held) < self._NO_KEY
        if self._held and time.monotonic() - self._held_at >= (self.HELD_SECONDS if is_key else self.BROKEN_SECONDS):
            held, self._held = self._held, ""
            if is_key:
                yield from super().feed(held)
        yield from super().tick()


class OutputDriver(LinuxDriver):
    """Textual's driver, writing to `output`, with the size that `terminal_size` tells."""

    def __init__(self, app: App[Any], output: Any, *, debug: bool, mouse: bool, size: tuple[int, int] | None) -> None:
        """`output` has `write`, `flush` and `fileno` of a text file: Textual's writer thread uses no more."""
        super().__init__(app, debug=debug, mouse=mouse, size=size)
        self._file = output
        self.awaits_reply = False
        """Whether the terminal was asked something and may still answer."""

    @property
    def app(self) -> App[Any]:
        """The app that this is the driver of."""
        return self._app

    def terminal_size(self) -> tuple[int, int]:
        """Columns and rows."""
        raise NotImplementedError

    def _get_terminal_size(self) -> tuple[int, int]:
        return self.terminal_size()

    def run_input_thread(self) -> None:
        """Read keys, with a parser that knows the terminal's replies."""
        linux_driver.XTermParser = partial(ReplyParser, self)  # type: ignore[assignment,attr-defined]
        super().run_input_thread()


class BufferedApp(KeysInTurn):
    """An app whose screen updates go to `paint` as long as each of them can be read."""

    unreadable = False
    """Whether an update could not be read: from then on Textual draws, without `paint`."""
    asks_for_rgb = False
    """Whether the driver shall ask the terminal, before the first frame, if it shows RGB colours."""
    failure: str | None = None
    """The traceback of the error that ended the app."""

    def paint(self, patch: Patch) -> None:
        """Draw `patch`."""
        raise NotImplementedError

    @property
    def output_driver(self) -> OutputDriver | None:
        """The driver; None in tests without a terminal."""
        return self._driver if isinstance(self._driver, OutputDriver) else None

    def write_to_terminal(self, sequences: str) -> None:
        """Send control sequences that draw nothing, between two frames."""
        if sequences and self._driver is not None:
            self._driver.write(sequences)

    @property
    def synchronized(self) -> bool:
        """Whether the terminal supports synchronized output."""
        return self._sync_available

    @property
    def theme_filters(self) -> Sequence[LineFilter]:
        """Textual's filters that translate ANSI colours, those in use."""
        return [found for found in self._filters if isinstance(found, ANSIToTruecolor) and found.enabled]

    def _display(self, screen: Screen[Any], renderable: RenderableType | None) -> None:
        update: object = renderable
        if self.output_driver is None or self.unreadable or not isinstance(update, CompositorUpdate):
            super()._display(screen, renderable)
            return
        patch = read_update(update)
        if patch is None:
            self.unreadable = True
            super()._display(screen, renderable)
            self.refresh(layout=True)
            return
        if self._running and not self._closed and not self._batch_count:
            self.paint(patch)
        self.post_display_hook()

    def _fatal_error(self) -> None:
        """Keep the traceback for the caller instead of printing it over the terminal."""
        self.failure = traceback.format_exc()
        self._return_code = 1
        self._close_messages_no_wait()

    def _set_pointer_shape(self, shape: str) -> None:
        """Do nothing: few terminals know the sequence, and some print it."""


class ControlStandIns:
    """A mixin of Textual's Input that draws stand-ins for control characters."""

    @property
    def _value(self) -> Text:
        return Text(stand_ins(cast("Input", self).value), no_wrap=True, overflow="ignore", end="")

    def _position_to_cell(self, position: int) -> int:
        """The column of a character; a stand-in is one cell wide, a control character none."""
        return cell_len(stand_ins(cast("Input", self).value[:position]))


def bindings_of(node: DOMNode) -> BindingsMap:
    """Return the bindings of `node`, with the user's keys."""
    return node._bindings


def remapped_bindings(node: DOMNode) -> BindingsMap:
    """Return a copy of the bindings of `node` to which the app's keymap is applied."""
    bindings = node._bindings.copy()
    if node.app._keymap:
        bindings.apply_keymap(node.app._keymap)
    return bindings


def is_allowed(binding: Binding, node: DOMNode) -> bool:
    """Return whether the action of `binding` can be run on `node` now."""
    return bool(node.app._check_action_state(binding.action, node))


def make_replaceable(screen: Screen[Any]) -> None:
    """Let `App.switch_screen` replace `screen` although it was never pushed."""
    screen._push_result_callback(screen, None)
