"""The load of the machine: one line on a small screen, bars on a large one."""

from __future__ import annotations

from collections.abc import Sequence

from textual.geometry import Size

from tui_attn.system.text import safe_text, size
from tui_attn.ui import formatting
from tui_attn.ui.devices import Gpu, Reading
from tui_attn.ui.drawing import Lines, Piece, Row, fit, rule
from tui_attn.ui.styles import drawing_mode

_LABEL = 10


class DevicePanel(Lines):
    """CPU and memory, and each GPU's utilisation, memory, temperature and power."""

    def __init__(self, elsewhere: str | None = None, *, id: str) -> None:
        """`elsewhere`: the machine that trains, when it isn't this one."""
        super().__init__(id=id)
        host = safe_text(elsewhere, one_line=True)
        self._without = "idle" if elsewhere is None else f"not measured: on {host}"
        self._reading: Reading | None = None
        self._said = "measuring"
        """What stands there instead of a reading."""

    def get_content_height(self, container: Size, viewport: Size, width: int) -> int:
        """Lines that show everything."""
        return 3 + 2 * len(self._reading.gpus) if self._reading else 3

    def show(self, reading: Reading | None) -> None:
        """Show this measurement, or that nothing is measured."""
        gpus = len(self._reading.gpus) if self._reading else 0
        self._said = self._without
        self._reading = reading
        if gpus != (len(reading.gpus) if reading else 0):
            self.refresh(layout=True)
        self.redraw()

    def lines(self, width: int, height: int) -> Sequence[Row]:
        """One line, or a title and bars."""
        if height == 1:
            return [self._one_line(width)]
        reading = self._reading
        rows = [rule("device", width, right=_names(reading))]
        if reading is None:
            return [*rows, Row(((fit(f" {self._said}", width), "muted"),))]
        cores = "1 core" if reading.cores == 1 else f"{reading.cores} cores"
        rows.append(self._gauge("cpu", reading.cpu, f"{100 * reading.cpu:.0f} % of {cores}", width))
        rows.append(self._gauge("memory", reading.memory_used / max(reading.memory_total, 1), _memory(reading), width))
        for gpu in reading.gpus:
            rows += self._gpu(gpu, width)
        return rows

    def _gpu(self, gpu: Gpu, width: int) -> list[Row]:
        facts = [_used(gpu)]
        facts += [f"{gpu.temperature:.0f} °C"] if gpu.temperature is not None else []
        facts += [f"{gpu.power:.0f} W"] if gpu.power is not None else []
        return [
            self._gauge(f"gpu {gpu.index}", gpu.utilisation, "  ".join(facts), width),
            self._gauge("  memory", _share(gpu), _gpu_memory(gpu), width),
        ]

    def _gauge(self, label: str, fraction: float | None, text: str, width: int) -> Row:
        room = max(width - _LABEL - 25, 6)
        ascii_only = drawing_mode(self.app).ascii
        full, empty = formatting.bar(fraction or 0.0, room, ascii_only=ascii_only)
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
            return Row(((fit(f" device  {self._said}", width), "muted"),))
        parts = [f"cpu {100 * reading.cpu:.0f} %", f"memory {_memory(reading)}"]
        for gpu in reading.gpus:
            facts = [f"gpu {gpu.index} {_used(gpu)}", _gpu_memory(gpu)]
            facts += [f"{gpu.temperature:.0f} °C"] if gpu.temperature is not None else []
            facts += [f"{gpu.power:.0f} W"] if gpu.power is not None else []
            parts.append(" ".join(facts))
        return Row(((fit(" " + "  ·  ".join(parts), width), "muted"),))


def _memory(reading: Reading) -> str:
    return f"{size(reading.memory_used)} of {size(reading.memory_total)}"


def _names(reading: Reading | None) -> str:
    """The GPUs' name when they share one."""
    names = {safe_text(gpu.name, one_line=True) for gpu in reading.gpus} if reading else set()
    count = len(reading.gpus) if reading else 0
    return "" if len(names) != 1 else names.pop() if count == 1 else f"{count} x {names.pop()}"


def _used(gpu: Gpu) -> str:
    return formatting.DASH if gpu.utilisation is None else f"{100 * gpu.utilisation:.0f} %"


def _gpu_memory(gpu: Gpu) -> str:
    if gpu.memory_used is None or gpu.memory_total is None:
        return formatting.DASH
    return f"{size(gpu.memory_used)} of {size(gpu.memory_total)}"


def _share(gpu: Gpu) -> float | None:
    return gpu.memory_used / gpu.memory_total if gpu.memory_used is not None and gpu.memory_total else None
