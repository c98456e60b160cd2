"""The app: connects the feed, the sampler and the commands with the screens."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from rich.color import ColorSystem
from textual.screen import Screen

from tui_attn.runs import ExperimentDir
from tui_attn.ui import themes
from tui_attn.ui.bindings import bindings
from tui_attn.ui.charts.mode import Colors, DrawingMode
from tui_attn.ui.devices import Reading, Sampler
from tui_attn.ui.feed import Feed, Snapshot
from tui_attn.ui.inks import Inks
from tui_attn.ui.keys import APP_KEYS
from tui_attn.ui.messages import CommandSent, DevicesRead, ExperimentResumed, LogsAdvanced, SteeringFailed
from tui_attn.ui.options import THEMES, UiOptions
from tui_attn.ui.painter import PaintingApp
from tui_attn.ui.screens.confirm import LEAVE_QUESTION, ConfirmScreen
from tui_attn.ui.screens.dashboard import Dashboard
from tui_attn.ui.steering import PATIENCE, Pending, Steering
from tui_attn.ui.terminal import ascii_only, exit_on_signals

_COLORS: dict[ColorSystem | None, Colors] = {
    ColorSystem.TRUECOLOR: "true",
    ColorSystem.EIGHT_BIT: "256",
    ColorSystem.STANDARD: "16",
}
_SAY_SECONDS = 6.0
_LIVE = frozenset({"starting", "running", "stalled"})


class DashboardApp(PaintingApp, inherit_bindings=False):
    """The dashboard of one experiment. Raises `RunsError` when its folder can't be read."""

    TITLE = "tui-attn"
    CSS_PATH = "app.tcss"
    ENABLE_COMMAND_PALETTE = False
    BINDINGS = bindings(APP_KEYS)

    def __init__(
        self,
        folder: ExperimentDir,
        options: UiOptions,
        *,
        clock: Callable[[], float] = time.time,
        zone: Callable[[float], time.struct_time] = time.localtime,
        read_devices: Callable[[], Reading] | None = None,
    ) -> None:
        super().__init__(ascii_only=ascii_only() if options.ascii is None else options.ascii)
        self.folder = folder
        self.feed = Feed(folder, lambda snapshot: self.post_message(LogsAdvanced(snapshot)))
        self.sampler = Sampler(lambda reading: self.post_message(DevicesRead(reading)), read=read_devices)
        self.steering = Steering(folder, self.post_message)
        self.dashboard = Dashboard(folder, self.feed.manifest, self.steering, clock=clock, zone=zone)
        self.snapshot: Snapshot | None = None
        self._terminal_colors = self.console._color_system
        for theme in themes.ALL.values():
            self.register_theme(theme)
        few = self._terminal_colors in {ColorSystem.STANDARD, None}
        self._use_theme(options.theme or ("terminal" if few and not self.no_color else "dark"))
        self.set_keymap(dict(options.keymap))

    def _use_theme(self, name: str) -> None:
        self.theme = name
        own_colors = name == "terminal" and self._terminal_colors is not None
        system = ColorSystem.STANDARD if own_colors else self._terminal_colors
        colors: Colors = "none" if self.no_color else _COLORS.get(system, "true")
        self.drawing_mode = DrawingMode(colors=colors, ascii=self.ascii_only)
        self.inks = Inks(self.get_css_variables(), self.drawing_mode, dark=self.current_theme.dark)
        self.set_color_system(system)

    # ---- the course of things

    def get_default_screen(self) -> Screen[Any]:
        """The dashboard."""
        return self.dashboard

    def on_mount(self) -> None:
        """Start reading, once there is someone to tell."""
        exit_on_signals(self)
        self.feed.start()
        self.sampler.start()

    def on_unmount(self) -> None:
        """Let the threads end."""
        self.feed.stop()
        self.sampler.stop()

    def on_logs_advanced(self, message: LogsAdvanced) -> None:
        """Show the newest picture everywhere, and ask for another."""
        before, snapshot = self.snapshot, message.snapshot
        self.snapshot = snapshot
        self.dashboard.show(snapshot)
        show = getattr(self.screen, "show", None)
        if show is not None and self.screen is not self.dashboard:
            show(snapshot)
        self._set_sampling(snapshot)
        for pending, result in self.steering.answers(snapshot.acknowledged):
            self.say(f"{pending.text}: {result}")
        if before is not None and before.complete and not before.ended and snapshot.ended and snapshot.runs:
            self.dashboard.action_comparison()
        self.feed.interval = max(0.25, self.frame_seconds)
        self.feed.taken()

    def _set_sampling(self, snapshot: Snapshot) -> None:
        live = snapshot.supervised and any(view.shown in _LIVE for view in snapshot.runs.values())
        self.sampler.set_active(live)
        if not live:
            self.dashboard.show_devices(None)

    def on_devices_read(self, message: DevicesRead) -> None:
        """Show the machine's load."""
        self.dashboard.show_devices(message.reading)

    def pace_changed(self, slow: bool) -> None:
        """Say that the terminal is slow."""
        self.dashboard.title_bar.set_slow(slow)

    def say(self, text: str, ink: str = "normal") -> None:
        """Show a line for a few seconds."""
        bar = self.dashboard.key_bar
        bar.say(text, ink)
        self.set_timer(_SAY_SECONDS, lambda: bar.unsay(text))

    # ---- steering

    def on_command_sent(self, message: CommandSent) -> None:
        """Wait for the acknowledgement."""
        pending = self.steering.sent(message)
        self.say(f"{pending.text}: sent", "muted")
        self.feed.nudge()
        self.set_timer(PATIENCE, lambda: self._remark_on(message.id, pending))

    def _remark_on(self, id_: str, pending: Pending) -> None:
        if id_ in self.steering.pending:
            self.say(f"{pending.text}: no answer from the supervisor yet", "warning")

    def on_steering_failed(self, message: SteeringFailed) -> None:
        """Say why."""
        self.say(message.reason, "failed")

    def on_experiment_resumed(self, message: ExperimentResumed) -> None:
        """Say so."""
        self.say("resumed: a supervisor took the experiment up")
        self.feed.nudge()

    # ---- keys

    def action_leave(self) -> None:
        """Leave; the training goes on."""
        self.exit()

    def action_interrupt(self) -> None:
        """Ctrl-C: ask what is meant; a second one leaves."""
        screen = self.screen
        if (
            (isinstance(screen, ConfirmScreen) and screen.may_leave)
            or self.snapshot is None
            or not self.snapshot.supervised
            or self.snapshot.ended
        ):
            self.exit()
        else:
            self.push_screen(ConfirmScreen(*LEAVE_QUESTION, may_leave=True), self._interrupted)

    def _interrupted(self, stop: bool | None) -> None:
        if stop:
            self.steering.send("stop", None)

    def action_help(self) -> None:
        """Show every key."""
        from tui_attn.ui.screens.help import HelpScreen

        if isinstance(self.screen, HelpScreen):
            return
        panels = (("run list", self.dashboard.table), ("charts", self.dashboard.loss), ("log", self.dashboard.log_pane))
        self.push_screen(HelpScreen([("everywhere", self), ("dashboard", self.dashboard), *panels]))

    def action_next_theme(self) -> None:
        """Take the next theme."""
        name = THEMES[(THEMES.index(self.theme) + 1) % len(THEMES)]
        self._use_theme(name)
        self.say(f"theme: {name}")
