"""The load of the machine: one line on a small screen, graphs of its history and bars on a large one."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Sequence
from itertools import groupby

from textual.geometry import Size

from tui_attn.system.text import safe_text, size
from tui_attn.ui import formatting
from tui_attn.ui.devices import Gpu, Reading
from tui_attn.ui.drawing import Lines, Piece, Row, fit, row_width, rule

_LABEL = 10
_KEPT = 200
"""Readings that the graphs go back."""
_LEVELS, _ASCII_LEVELS = "▁▂▃▄▅▆▇█", "._-~=+*#"
_HOT = 85.0
"""Degrees Celsius from which on a GPU is marked."""


def load_style(load: float | None) -> str:
    """Return the style of a utilisation in [0, 1]: idle devices are pale, busy ones stand out."""
    return "faint" if load is None or load < 0.05 else "muted" if load < 0.5 else "primary" if load < 0.9 else "key"


def memory_style(share: float | None) -> str:
    """Return the style of a share of memory that is in use; from 90 % on it warns."""
    return "faint" if share is None else "primary" if share < 0.8 else "held" if share < 0.9 else "warning"


def graph(history: Sequence[float | None], width: int, *, ascii_only: bool) -> list[Piece]:
    """Return the newest `width` loads, in [0, 1], as a graph of one line that ends on the right."""
    levels = _ASCII_LEVELS if ascii_only else _LEVELS
    cells = []
    for load in history[-width:]:
        known = load is not None and math.isfinite(load)
        level = min(max(int((load or 0.0) * len(levels)), 0), len(levels) - 1) if known else -1
        cells.append((levels[level] if known else " ", load_style(load)))
    found: list[Piece] = [(" " * (width - len(cells)), "normal")]
    return found + [("".join(sign for sign, _ in same), style) for style, same in groupby(cells, key=lambda c: c[1])]


class DevicePanel(Lines):
    """CPU and memory, and each GPU's utilisation, memory, temperature and power."""

    def __init__(self, elsewhere: str | None = None, *, id: str) -> None:
        """`elsewhere`: the machine that trains, when it isn't this one."""
        super().__init__(id=id)
        host = safe_text(elsewhere, one_line=True)
        self._without = "idle" if elsewhere is None else f"not measured: on {host}"
        self._reading: Reading | None = None
        self._history: deque[Reading] = deque(maxlen=_KEPT)
        self._said = "measuring"
        """The text without a reading."""

    def get_content_height(self, container: Size, viewport: Size, width: int) -> int:
        """Lines that show everything."""
        return 3 + 2 * len(self._reading.gpus) if self._reading else 3

    def show(self, reading: Reading | None) -> None:
        """Show this measurement, or that nothing is measured."""
        gpus = len(self._reading.gpus) if self._reading else 0
        self._said = self._without
        self._reading = reading
        if reading is not None:
            self._history.append(reading)
        if gpus != (len(reading.gpus) if reading else 0):
            self.refresh(layout=True)
        self.redraw()

    def keep(self, readings: int) -> None:
        """Let the graphs go back that many readings."""
        self._history = deque(self._history, maxlen=readings)
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
        used = f"{100 * reading.cpu:.0f} % of {cores}"
        rows.append(self._graph("cpu", [each.cpu for each in self._history], [(used, "normal")], width))
        share = reading.memory_used / max(reading.memory_total, 1)
        rows.append(self._bar("memory", share, _amount(reading.memory_used, reading.memory_total), width))
        for gpu in reading.gpus:
            rows += self._gpu(gpu, width)
        return rows

    def _gpu(self, gpu: Gpu, width: int) -> list[Row]:
        history = [
            next((old.utilisation for old in each.gpus if old.index == gpu.index), None) for each in self._history
        ]
        return [
            self._graph(f"gpu {gpu.index}", history, _gpu_facts(gpu, "  "), width),
            self._bar("  memory", _share(gpu), _amount(gpu.memory_used, gpu.memory_total), width),
        ]

    def _graph(self, label: str, history: Sequence[float | None], facts: list[Piece], width: int) -> Row:
        ascii_only = self.drawing.mode.ascii
        return self._line(label, graph(history, _room(width), ascii_only=ascii_only), facts, width)

    def _bar(self, label: str, share: float | None, text: str, width: int) -> Row:
        full, empty = formatting.bar(share or 0.0, _room(width), ascii_only=self.drawing.mode.ascii)
        return self._line(label, [(full, memory_style(share)), (empty, "rule")], [(text, "normal")], width)

    def _line(self, label: str, drawn: list[Piece], facts: list[Piece], width: int) -> Row:
        pieces: list[Piece] = [(fit(f" {label}", _LABEL + 1), "muted"), *drawn, ("  ", "normal")]
        room = width - row_width(pieces)
        if row_width(facts) > room:
            facts = [(fit("".join(text for text, _ in facts), max(room, 0)), "normal")]
        return Row((*pieces, *facts))

    def _one_line(self, width: int) -> Row:
        reading = self._reading
        if reading is None:
            return Row(((fit(f" device  {self._said}", width), "muted"),))
        share = reading.memory_used / max(reading.memory_total, 1)
        memory = _amount(reading.memory_used, reading.memory_total)
        parts: list[list[Piece]] = [
            [("cpu ", "muted"), (f"{100 * reading.cpu:.0f} %", load_style(reading.cpu))],
            [("memory ", "muted"), (memory, "warning" if share >= 0.9 else "muted")],
        ]
        for gpu in reading.gpus:
            parts.append([(f"gpu {gpu.index} ", "muted"), *_gpu_facts(gpu, " ", memory=True)])
        pieces: list[Piece] = [(" ", "normal")]
        for at, part in enumerate(parts):
            pieces += [*([("  ·  ", "muted")] if at else []), *part]
        if row_width(pieces) > width:
            pieces = [(fit("".join(text for text, _ in pieces), width), "muted")]
        return Row(tuple(pieces))


def _room(width: int) -> int:
    """Cells of a graph or a bar."""
    return max(width - _LABEL - 25, 6)


def _gpu_facts(gpu: Gpu, gap: str, *, memory: bool = False) -> list[Piece]:
    """Utilisation, where asked memory, temperature and power."""
    used = formatting.DASH if gpu.utilisation is None else f"{100 * gpu.utilisation:.0f} %"
    found: list[Piece] = [(used, load_style(gpu.utilisation))]
    found += [(gap + _amount(gpu.memory_used, gpu.memory_total), memory_style(_share(gpu)))] if memory else []
    if gpu.temperature is not None:
        found.append((f"{gap}{gpu.temperature:.0f} °C", "warning" if gpu.temperature >= _HOT else "muted"))
    return [*found, *([(f"{gap}{gpu.power:.0f} W", "muted")] if gpu.power is not None else [])]


def _names(reading: Reading | None) -> str:
    """The GPUs' name when they share one."""
    names = {safe_text(gpu.name, one_line=True) for gpu in reading.gpus} if reading else set()
    count = len(reading.gpus) if reading else 0
    return "" if len(names) != 1 else names.pop() if count == 1 else f"{count} x {names.pop()}"


def _amount(used: int | None, total: int | None) -> str:
    return formatting.DASH if used is None or total is None else f"{size(used)} of {size(total)}"


def _share(gpu: Gpu) -> float | None:
    return gpu.memory_used / gpu.memory_total if gpu.memory_used is not None and gpu.memory_total else None
