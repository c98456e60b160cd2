"""Looks up what the form for a new experiment shows: data, custom models, devices and past runs. Knows no widget."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from tui_attn.experiment.options import ConfigError
from tui_attn.launch import choosing, devices, estimate, preflight
from tui_attn.launch.preflight import DataStatus, FieldStatus, ModelsStatus
from tui_attn.system.text import safe_text
from tui_attn.ui.devices import reader


@dataclass(frozen=True, slots=True)
class Request:
    """What to look up."""

    dataset: str
    data_dir: str | None
    device: str
    own: str = ""
    """The custom models as entered."""

    @property
    def place(self) -> Request:
        """The part about data and devices."""
        return replace(self, own="")


@dataclass(frozen=True, slots=True)
class Result:
    """What is known so far; None for what was not looked up yet."""

    request: Request | None = None
    data: DataStatus | None = None
    own: ModelsStatus | None = None
    device: FieldStatus | None = None
    devices: tuple[str, ...] = ("cpu",)
    choices: tuple[str, ...] = ("auto", "cpu")
    free: tuple[tuple[str, FieldStatus], ...] = ()
    """The devices of this machine, each with its status."""
    past: tuple[estimate.Pace, ...] | None = None
    """Speeds of past runs on this machine."""

    def same_place(self, request: Request | None) -> bool:
        """Whether this is about the data and the devices of `request`."""
        return request is not None and self.request is not None and request.place == self.request.place


class Lookup:
    """Answers requests; calls may take as long as the disk does. Knows this machine once it was called."""

    def __init__(self, runs_dir: Path, host: str) -> None:
        """`host`: the name of this machine."""
        self._runs_dir = runs_dir
        self._host = host
        self._machine: devices.Machine | None = None
        self._memory: Callable[[], preflight.Memory] = dict

    def answer(self, before: Result, request: Request) -> Result:
        """Look up what `before` doesn't tell yet. Errors of data, models and devices are remarks of the result."""
        if self._machine is None:
            self._machine = devices.probe()
            self._memory = _memory_reader(self._machine)
            before = replace(before, choices=preflight.device_choices(self._machine))
        machine, before = self._machine, replace(before, own=preflight.of_custom_models(request.own))
        if before.same_place(request):
            return replace(before, request=request)
        try:
            chosen = choosing.choose(request.device, machine, mix=True)
        except ConfigError:
            chosen = ("cpu",)
        memory, named = self._memory(), [name for name in before.choices if name not in {"auto", "all"}]
        return replace(
            before,
            request=request,
            data=preflight.of_data(request.dataset, request.data_dir),
            device=preflight.of_devices(request.device, machine, memory),
            devices=chosen,
            free=tuple((name, preflight.of_devices(name, machine, memory)) for name in named),
        )

    def past(self) -> tuple[estimate.Pace, ...]:
        """How fast past runs on this machine were."""
        return tuple(estimate.paces(self._runs_dir, self._host))

    @staticmethod
    def failed(before: Result, request: Request, error: Exception) -> Result:
        """The result of a lookup that ended in an unexpected error."""
        text = f"can't be looked up: {type(error).__name__}: {error}"
        status = FieldStatus(safe_text(text, one_line=True), "wrong")
        own = ModelsStatus(status) if request.own else before.own
        return replace(before, request=request, data=DataStatus(status), device=status, own=own)


def _memory_reader(machine: devices.Machine) -> Callable[[], preflight.Memory]:
    if not machine.gpus:
        return dict
    read = reader([f"cuda:{index}" for index in range(machine.gpus)])

    def memory() -> preflight.Memory:
        return {
            f"cuda:{gpu.index}": (gpu.memory_used, gpu.memory_total)
            for gpu in read().gpus
            if gpu.memory_used is not None and gpu.memory_total is not None
        }

    return memory


class StartProgress:
    """Turns the progress of a start into lines, at most one every 0.2 s."""

    _EVERY = 0.2

    def __init__(self, show: Callable[[str], object]) -> None:
        self._show = show
        self._phase = ""
        self._begun = self._next = 0.0
        self._begun_at = 0

    def __call__(self, phase: str, done: int, total: int | None) -> None:
        """Take the progress of `phase`."""
        from tui_attn.system.console import fetch_line

        now = time.monotonic()
        if phase != self._phase:
            self._phase, self._begun, self._begun_at, self._next = phase, now, done, now
        if now >= self._next:
            self._next = now + self._EVERY
            line = fetch_line("", done, total, fresh=done - self._begun_at, seconds=now - self._begun)
            self._show(f"{line}  {phase}".strip())
