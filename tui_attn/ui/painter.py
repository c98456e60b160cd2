"""An app that writes only differences to the terminal, and no faster than the terminal takes them."""

from __future__ import annotations

from collections.abc import Sequence

from rich.color import ColorSystem
from rich.console import COLOR_SYSTEMS
from textual.filter import LineFilter, NoColor
from textual.timer import Timer

from tui_attn.ui.filters import AsciiOnly
from tui_attn.ui.frames import FrameBuffer
from tui_attn.ui.terminal import TerminalDriver, claims_rgb, may_ask, tells_rgb
from tui_attn.ui.textual_private import BufferedApp, Patch, TerminalReplied

_RETRY_SECONDS = 0.05
_SLOW_SECONDS = 0.1
"""A terminal that takes longer than this for a frame is slow."""
_SHARE = 4.0
"""Seconds between frames on a slow terminal, per second that the last frame took."""
_LONGEST_SECONDS = 2.0
_NO_COLOR, _ASCII_ONLY = NoColor(), AsciiOnly()
"""Made once: Textual keeps a line's filtered form by filter."""
SYNC_START, SYNC_END = "\x1b[?2026h", "\x1b[?2026l"


class PaintingApp(BufferedApp):
    """An app with a frame buffer."""

    def __init__(self, *, ascii_only: bool) -> None:
        super().__init__(driver_class=TerminalDriver)
        self.color_system = COLOR_SYSTEMS.get(self.console.color_system or "")
        """The colours of the terminal; None: it has none."""
        if self.color_system == ColorSystem.EIGHT_BIT:
            if claims_rgb():
                self.color_system = ColorSystem.TRUECOLOR
            else:
                self.asks_for_rgb = may_ask()
        self.frames = FrameBuffer(self.color_system)
        self.frame_seconds = 0.0
        """Least time between two frames; 0 on a terminal that keeps up."""
        self._paint_timer: Timer | None = None
        self._slow_timer: Timer | None = None
        self.ascii_only = ascii_only
        """Whether ASCII characters only are written."""

    def get_line_filters(self) -> Sequence[LineFilter]:
        """Textual's filters for ANSI themes or for no colour, and our own."""
        colors = [_NO_COLOR] if self.no_color else self.theme_filters
        return [*colors, _ASCII_ONLY] if self.ascii_only else colors

    def set_color_system(self, system: ColorSystem | None) -> None:
        """Write colours for this kind of terminal, from the next frame on."""
        self.frames.color_system = system or ColorSystem.TRUECOLOR
        self.frames.forget()

    def on_terminal_replied(self, message: TerminalReplied) -> None:
        """Take RGB colours where the terminal shows them."""
        if self.color_system == ColorSystem.EIGHT_BIT and tells_rgb(message.reply):
            self.use_rgb()

    def use_rgb(self) -> None:
        """Write RGB colours from now on."""
        self.color_system = ColorSystem.TRUECOLOR
        self.set_color_system(self.color_system)

    def on_terminal_regained(self) -> None:
        """Write the whole screen again."""
        self.action_redraw()

    def action_redraw(self) -> None:
        """Write the whole screen again."""
        self.frames.forget()
        self.refresh(layout=True)

    def paint(self, patch: Patch) -> None:
        """Take `patch` into the picture of the screen, and write the difference."""
        self.frames.apply(patch)
        self._paint()

    def _paint(self) -> None:
        """Write the difference, or try again when the terminal has taken the last one."""
        driver = self.output_driver
        if not isinstance(driver, TerminalDriver) or not self.frames.dirty or self._paint_timer is not None:
            return
        if driver.terminal.backlog:
            self._paint_timer = self.set_timer(_RETRY_SECONDS, self._paint_again)
            return
        self._set_pace(driver.terminal.write_seconds)
        wait = self.frame_seconds - driver.terminal.idle_seconds
        if wait > 0:
            self._paint_timer = self.set_timer(wait, self._paint_again)
            return
        difference = self.frames.flush()
        if difference:
            driver.write(f"{SYNC_START}{difference}{SYNC_END}" if self.synchronized else difference)
            driver.flush()
            if self.frame_seconds:
                self._check_later(_LONGEST_SECONDS)

    def _paint_again(self) -> None:
        self._paint_timer = None
        self._paint()

    def _check_later(self, seconds: float) -> None:
        """Check a slow terminal again after `seconds`, also when nothing more is drawn."""
        if self._slow_timer is not None:
            self._slow_timer.stop()
        self._slow_timer = self.set_timer(seconds, self._check_slow)

    def _check_slow(self) -> None:
        """Clear the slow flag once the terminal has drained its backlog."""
        self._slow_timer = None
        driver = self.output_driver
        if not isinstance(driver, TerminalDriver):
            return
        if driver.terminal.backlog or self._paint_timer is not None:
            self._check_later(_LONGEST_SECONDS)
            return
        driver.terminal.write_seconds = 0.0
        self._set_pace(0.0)

    def _set_pace(self, write_seconds: float) -> None:
        slow = write_seconds > _SLOW_SECONDS
        before, self.frame_seconds = self.frame_seconds, min(_SHARE * write_seconds, _LONGEST_SECONDS) if slow else 0.0
        if (before > 0) != slow:
            self.pace_changed(slow)

    def pace_changed(self, slow: bool) -> None:
        """The terminal became slow, or fast again."""
