"""The mean gate of every channel of a run, one strip of cells a layer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from textual.geometry import Size
from textual.strip import Strip

from tui_attn.ui.charts.chart_style import Look
from tui_attn.ui.charts.gates import compose_gates
from tui_attn.ui.charts.surface import Surface


class GateStrip(Surface):
    """Mean gates, 0 to 1, of each layer with gates; channels are grouped when the width asks for it, and it says so."""

    DEFAULT_CSS = """
    GateStrip {
        width: 1fr;
        height: auto;
    }
    """

    def __init__(
        self,
        *,
        empty: str = "no gates yet",
        name: str | None = None,
        id: str | None = None,
        classes: str | None = None,
        disabled: bool = False,
    ) -> None:
        """`empty` stands where there are no gates."""
        super().__init__(name=name, id=id, classes=classes, disabled=disabled)
        self.empty = empty
        self._gates: dict[str, list[float]] = {}
        self._caption = ""

    def set_gates(self, gates: Mapping[str, Sequence[float]], caption: str = "", *, empty: str | None = None) -> None:
        """Show `gates`, by layer; `caption` says whose they are (run and epoch), `empty` why there are none."""
        fresh = {layer: [float(value) for value in values] for layer, values in gates.items()}
        said = self.empty if empty is None else empty
        if (repr(fresh), caption, said) == (repr(self._gates), self._caption, self.empty):
            return
        taller = max(len(fresh), 1) != max(len(self._gates), 1)
        self._gates, self._caption, self.empty = fresh, caption, said
        if taller:
            self.refresh(layout=True)
        self.invalidate()

    def draw(self, width: int, height: int, look: Look) -> list[Strip]:
        """Draw the strips."""
        return compose_gates(self._gates, self._caption, self.empty, width, height, look)

    def get_content_height(self, container: Size, viewport: Size, width: int) -> int:
        """A line for each layer and one above."""
        return 1 + max(len(self._gates), 1)
