"""The devices and the log: below the charts, or beside them on a wide terminal."""

from __future__ import annotations

import time
from collections.abc import Callable

from textual.app import ComposeResult
from textual.widget import Widget

from tui_attn.ui.devices import Reading
from tui_attn.ui.feed import Snapshot
from tui_attn.ui.widgets.device_panel import DevicePanel
from tui_attn.ui.widgets.log_pane import LogPane


class SidePanel(Widget):
    """Shows the load of the devices and the log."""

    def __init__(self, zone: Callable[[float], time.struct_time], elsewhere: str | None, *, id: str) -> None:
        super().__init__(id=id)
        self.devices = DevicePanel(elsewhere, id="devices")
        self.log_pane = LogPane(zone, id="log")

    def compose(self) -> ComposeResult:
        """The devices above or beside the log."""
        yield self.devices
        yield self.log_pane

    def show(self, snapshot: Snapshot) -> None:
        """Show this picture."""
        self.log_pane.show(snapshot)

    def show_devices(self, reading: Reading | None) -> None:
        """Show the machine's load."""
        self.devices.show(reading)
