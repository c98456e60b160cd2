"""The app: brings what the session's threads tell to the screens."""

from __future__ import annotations

import platform
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from textual.screen import Screen

from tui_attn.runs import ExperimentDir
from tui_attn.ui.bindings import bindings
from tui_attn.ui.keys import APP_KEYS
from tui_attn.ui.options import UiOptions
from tui_attn.ui.screens.dashboard import Dashboard
from tui_attn.ui.terminal import exit_on_signals
from tui_attn.ui.theming import ThemedApp

if TYPE_CHECKING:
    from tui_attn.ui.devices import Reading
    from tui_attn.ui.feed import Snapshot
    from tui_attn.ui.messages import (
        CommandSent,
        DevicesRead,
        ExperimentResumed,
        FeedFailed,
        LogsAdvanced,
        SteeringFailed,
    )
    from tui_attn.ui.session import Session

_SAY_SECONDS = 6.0
_PATIENCE = 5.0
"""Seconds after which a command without an answer is remarked on."""


class DashboardApp(ThemedApp, inherit_bindings=False):
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
        host: str | None = None,
    ) -> None:
        super().__init__(options)
        self.folder = folder
        self._manifest = folder.manifest_data()
        self._here = self._manifest.host == (platform.node() if host is None else host)
        self.dashboard = Dashboard(folder, self._manifest, here=self._here, clock=clock, zone=zone)
        self._read_devices = read_devices
        self.session: Session | None = None
        self.snapshot: Snapshot | None = None
        self.set_keymap(dict(options.keymap))

    # ---- the course of things

    def get_default_screen(self) -> Screen[Any]:
        """The dashboard."""
        return self.dashboard

    def on_mount(self) -> None:
        """Leave properly whoever ends this."""
        exit_on_signals(self)

    def on_ready(self) -> None:
        """Start reading, now that there is something to see."""
        from tui_attn.ui.session import Session

        self.session = Session(
            self.folder, self._manifest, self.post_message, here=self._here, read_devices=self._read_devices
        )
        self.session.start()

    def on_unmount(self) -> None:
        """Let the threads end."""
        if self.session is not None:
            self.session.stop()

    def on_logs_advanced(self, message: LogsAdvanced) -> None:
        """Show the newest picture everywhere, and ask for another."""
        session, before, snapshot = self.session, self.snapshot, message.snapshot
        self.snapshot = snapshot
        self.dashboard.show(snapshot)
        show = getattr(self.screen, "show", None)
        if show is not None and self.screen is not self.dashboard:
            show(snapshot)
        if session is not None:
            if before is None:
                self.call_after_refresh(self.dashboard.furnish, session.steering)
            for text in session.take(snapshot, least_seconds=self.frame_seconds):
                self.say(text)
            if not session.sampling:
                self.dashboard.show_devices(None)
        if before is not None and before.complete and not before.ended and snapshot.ended and snapshot.runs:
            if self.screen is self.dashboard:
                self.dashboard.action_comparison()
            else:
                self.say(f"the training has ended: {snapshot.state}")

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
        if self.session is None:
            return
        steering = self.session.steering
        pending = steering.sent(message)
        self.say(f"{pending.text}: sent", "muted")
        self.session.feed.nudge()

        def remark() -> None:
            if message.id in steering.pending:
                self.say(f"{pending.text}: no answer from the supervisor yet", "warning")

        self.set_timer(_PATIENCE, remark)

    def on_steering_failed(self, message: SteeringFailed) -> None:
        """Say why."""
        self.say(message.reason, "failed")

    def on_experiment_resumed(self, message: ExperimentResumed) -> None:
        """Say so."""
        self.say("resumed: a supervisor took the experiment up")
        if self.session is not None:
            self.session.feed.nudge()

    def on_feed_failed(self, message: FeedFailed) -> None:
        """Leave: what would be shown from now on would be old."""
        self.failure = message.failure
        self.exit(return_code=1)

    # ---- keys

    def action_leave(self) -> None:
        """Leave; the training goes on."""
        self.exit()

    def action_interrupt(self) -> None:
        """Ctrl-C: ask what is meant; a second one leaves."""
        from tui_attn.ui.screens.confirm import LEAVE_QUESTION, ConfirmScreen

        asked = isinstance(self.screen, ConfirmScreen) and self.screen.may_leave
        steering, snapshot = self.dashboard.steering, self.snapshot
        if asked or steering is None or snapshot is None or not snapshot.supervised or snapshot.ended:
            self.exit()
            return

        def answered(stop: bool | None) -> None:
            if stop:
                steering.send("stop", None)

        self.push_screen(ConfirmScreen(*LEAVE_QUESTION, may_leave=True), answered)

    def action_help(self) -> None:
        """Show every key."""
        from tui_attn.ui.screens.help import HelpScreen

        if not isinstance(self.screen, HelpScreen):
            self.push_screen(HelpScreen(self.dashboard))

    def action_next_theme(self) -> None:
        """Take the next theme."""
        self.say(f"theme: {self.next_theme()}")
