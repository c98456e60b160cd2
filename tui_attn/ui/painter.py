"""An app that writes to the terminal only what changed on the screen, and no faster than the terminal takes it."""

from __future__ import annotations

import traceback
from collections.abc import Sequence
from typing import Any

from rich.color import ColorSystem
from rich.console import RenderableType
from textual._compositor import CompositorUpdate
from textual.app import App
from textual.filter import ANSIToTruecolor, LineFilter
from textual.screen import Screen
from textual.timer import Timer

from tui_attn.ui.filters import AsciiOnly, WithoutColor
from tui_attn.ui.frames import FrameBuffer
from tui_attn.ui.terminal import TerminalDriver

_RETRY_SECONDS = 0.05
_SLOW_SECONDS = 0.1
"""A terminal that takes longer than this for a frame is a slow one."""
_SHARE = 4.0
"""A slow terminal is written to at most one part in so many of the time."""
_LONGEST_SECONDS = 2.0
SYNC_START, SYNC_END = "\x1b[?2026h", "\x1b[?2026l"


class PaintingApp(App[int]):
    """Keeps the picture of the screen. Subclasses set `ascii_only` before anything is drawn."""

    def __init__(self, *, ascii_only: bool) -> None:
        super().__init__(driver_class=TerminalDriver)
        self.frames = FrameBuffer(self.console._color_system)
        self.frame_seconds = 0.0
        """Least time between two frames: 0 on a terminal that keeps up."""
        self.failure: str | None = None
        """The traceback of what ended the dashboard, if anything did."""
        self._paint_timer: Timer | None = None
        self._rest_timer: Timer | None = None
        self._own_filters: list[LineFilter] = []
        if self.no_color:
            self._own_filters.append(WithoutColor())
        self.set_ascii_only(ascii_only)

    def set_ascii_only(self, ascii_only: bool) -> None:
        """Write ASCII characters only, or any."""
        self.ascii_only = ascii_only
        self._own_filters = [found for found in self._own_filters if not isinstance(found, AsciiOnly)]
        if ascii_only:
            self._own_filters.append(AsciiOnly())

    def _fatal_error(self) -> None:
        """Leave the terminal as it was found; whoever opened the dashboard says what went wrong."""
        self.failure = traceback.format_exc()
        self._return_code = 1
        self._close_messages_no_wait()

    def get_line_filters(self) -> Sequence[LineFilter]:
        """Textual's translation of the terminal's colours where the theme isn't made of them, and our own filters."""
        if self.no_color:
            return self._own_filters
        return [found for found in self._filters if isinstance(found, ANSIToTruecolor) and found.enabled] + (
            self._own_filters
        )

    def set_color_system(self, system: ColorSystem | None) -> None:
        """Write colours for this kind of terminal, from the next frame on."""
        self.frames.color_system = system or ColorSystem.TRUECOLOR
        self.frames.forget()

    def on_terminal_regained(self) -> None:
        """Write the whole screen again."""
        self.action_redraw()

    def action_redraw(self) -> None:
        """Write the whole screen again."""
        self.frames.forget()
        self.refresh(layout=True)

    def _display(self, screen: Screen[Any], renderable: RenderableType | None) -> None:
        """Take Textual's update into the picture of the screen, and write the difference."""
        update: object = renderable
        if not isinstance(self._driver, TerminalDriver) or not isinstance(update, CompositorUpdate):
            super()._display(screen, renderable)
            return
        if self._running and not self._closed and not self._batch_count and self.frames.apply(update):
            self._paint()
        self.post_display_hook()

    def _paint(self) -> None:
        """Write the difference, or come back when the terminal has taken what it was given before."""
        driver = self._driver
        if not isinstance(driver, TerminalDriver) or not self.frames.dirty or self._paint_timer is not None:
            return
        if driver.terminal.backlog:
            self._paint_timer = self.set_timer(_RETRY_SECONDS, self._paint_again)
            return
        self._note_pace(driver.terminal.write_seconds)
        wait = self.frame_seconds - driver.terminal.idle_seconds
        if wait > 0:
            self._paint_timer = self.set_timer(wait, self._paint_again)
            return
        difference = self.frames.flush()
        if difference:
            driver.write(f"{SYNC_START}{difference}{SYNC_END}" if self._sync_available else difference)
            driver.flush()
            if self.frame_seconds:
                self._look_after(_LONGEST_SECONDS)

    def _paint_again(self) -> None:
        self._paint_timer = None
        self._paint()

    def _look_after(self, seconds: float) -> None:
        """Look at a slow terminal once more when it has had this time for itself: perhaps nothing more is written."""
        if self._rest_timer is not None:
            self._rest_timer.stop()
        self._rest_timer = self.set_timer(seconds, self._look_again)

    def _look_again(self) -> None:
        """Hold nothing against a terminal that has taken all and waits for more."""
        self._rest_timer = None
        driver = self._driver
        if not isinstance(driver, TerminalDriver):
            return
        if driver.terminal.backlog or self._paint_timer is not None:
            self._look_after(_LONGEST_SECONDS)
            return
        driver.terminal.write_seconds = 0.0
        self._note_pace(0.0)

    def _note_pace(self, write_seconds: float) -> None:
        slow = write_seconds > _SLOW_SECONDS
        before, self.frame_seconds = self.frame_seconds, min(_SHARE * write_seconds, _LONGEST_SECONDS) if slow else 0.0
        if (before > 0) != slow:
            self.pace_changed(slow)

    def _set_pointer_shape(self, shape: str) -> None:
        """Leave the mouse pointer alone: few terminals know the sequence, and some print it."""

    def pace_changed(self, slow: bool) -> None:
        """The terminal became slow, or fast again."""
