"""The load of the machine: one line on a small screen, bars on a large one."""

from __future__ import annotations

from collections.abc import Sequence

from tui_attn.text import safe_text, size
from tui_attn.ui import present
from tui_attn.ui.devices import Gpu, Reading
from tui_attn.ui.widgets.lines import Lines, Piece, Row, fit, rule

_LABEL = 8


class DevicePanel(Lines):
    """CPU and memory, and each GPU's utilisation, memory, temperature and power."""

    def __init__(self, *, id: str) -> None:
        super().__init__(id=id)
        self._reading: Reading | None = None

    @property
    def wanted_height(self) -> int:
        """Lines that show everything."""
        return 3 + 3 * len(self._reading.gpus) if self._reading else 3

    def show(self, reading: Reading | None) -> None:
        """Show this measurement, or that nothing is measured."""
        self._reading = reading
        self.redraw()

    def lines(self, width: int, height: int) -> Sequence[Row]:
        """One line, or a title and bars."""
        if height == 1:
            return [self._one_line(width)]
        rows = [rule("device", width)]
        reading = self._reading
        if reading is None:
            return [*rows, Row(((" measured while something trains", "muted"),))]
        cores = "1 core" if reading.cores == 1 else f"{reading.cores} cores"
        rows.append(self._gauge("cpu", reading.cpu, f"{100 * reading.cpu:.0f} % of {cores}", width))
        rows.append(self._gauge("memory", reading.memory_used / max(reading.memory_total, 1), _memory(reading), width))
        for gpu in reading.gpus:
            rows += self._gpu(gpu, width)
        return rows

    def _gpu(self, gpu: Gpu, width: int) -> list[Row]:
        name = safe_text(gpu.name, one_line=True)
        heat = [f"{gpu.temperature:.0f} °C"] if gpu.temperature is not None else []
        watts = [f"{gpu.power:.0f} W"] if gpu.power is not None else []
        facts = " · ".join([name, *heat, *watts])
        used = DASH_TEXT if gpu.utilisation is None else f"{100 * gpu.utilisation:.0f} %"
        return [
            Row(((fit(f" gpu {gpu.index}", _LABEL + 1), "muted"), (fit(facts, max(width - _LABEL - 2, 0)), "normal"))),
            self._gauge("", gpu.utilisation, used, width),
            self._gauge("", _share(gpu), _gpu_memory(gpu), width),
        ]

    def _gauge(self, label: str, fraction: float | None, text: str, width: int) -> Row:
        room = max(width - _LABEL - 24, 6)
        ascii_only = self.app.drawing_mode.ascii  # type: ignore[attr-defined]
        full, empty = present.bar(fraction or 0.0, room, ascii_only=ascii_only)
        pieces: list[Piece] = [
            (fit(f" {label}", _LABEL + 1), "muted"),
            (full, "primary"),
            (empty, "rule"),
            (f"  {fit(text, max(width - _LABEL - room - 4, 0))}", "normal"),
        ]
        return Row(tuple(pieces))

    def _one_line(self, width: int) -> Row:
        reading = self._reading
        if reading is None:
            return Row(((fit(" device  measured while something trains", width), "muted"),))
        parts = [f"cpu {100 * reading.cpu:.0f} %", f"memory {_memory(reading)}"]
        for gpu in reading.gpus:
            used = DASH_TEXT if gpu.utilisation is None else f"{100 * gpu.utilisation:.0f} %"
            facts = [f"gpu {gpu.index} {used}", _gpu_memory(gpu)]
            facts += [f"{gpu.temperature:.0f} °C"] if gpu.temperature is not None else []
            facts += [f"{gpu.power:.0f} W"] if gpu.power is not None else []
            parts.append(" ".join(facts))
        return Row(((fit(" " + "  ·  ".join(parts), width), "muted"),))


DASH_TEXT = present.DASH


def _memory(reading: Reading) -> str:
    return f"{size(reading.memory_used)} of {size(reading.memory_total)}"


def _gpu_memory(gpu: Gpu) -> str:
    if gpu.memory_used is None or gpu.memory_total is None:
        return DASH_TEXT
    return f"{size(gpu.memory_used)} of {size(gpu.memory_total)}"


def _share(gpu: Gpu) -> float | None:
    return gpu.memory_used / gpu.memory_total if gpu.memory_used is not None and gpu.memory_total else None
