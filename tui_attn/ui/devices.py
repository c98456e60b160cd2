"""The load of CPU, memory and GPUs, measured in a thread of its own."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tui_attn.launch.devices import ask, nvml_gpus, nvml_handle

INTERVAL = 2.0
"""Seconds between two measurements."""


@dataclass(frozen=True, slots=True)
class Gpu:
    """One GPU; None for what it doesn't tell."""

    index: int
    name: str
    utilisation: float | None
    """Fraction of the time that it computed."""
    memory_used: int | None
    memory_total: int | None
    """Bytes."""
    temperature: float | None
    """Degrees Celsius."""
    power: float | None
    """Watts."""


@dataclass(frozen=True, slots=True)
class Reading:
    """One measurement."""

    cpu: float
    """Fraction of all cores in use."""
    cores: int
    memory_used: int
    memory_total: int
    """Bytes."""
    gpus: tuple[Gpu, ...] = ()


class Sampler(threading.Thread):
    """Measures this machine and its `devices` while active, and calls `listener` from its own thread."""

    def __init__(
        self,
        listener: Callable[[Reading], object],
        *,
        devices: Sequence[str] = (),
        uuids: Mapping[str, str] | None = None,
        read: Callable[[], Reading] | None = None,
        interval: float = INTERVAL,
    ) -> None:
        super().__init__(name="devices", daemon=True)
        self._listener = listener
        self._devices, self._uuids = devices, uuids
        self._read = read
        self._interval = interval
        self._stopping = threading.Event()
        self._active = threading.Event()

    def set_active(self, active: bool) -> None:
        """Measure, or rest while nothing trains."""
        if active:
            self._active.set()
        else:
            self._active.clear()

    def stop(self) -> None:
        """End the thread soon."""
        self._stopping.set()
        self._active.set()

    def run(self) -> None:
        """Measure until stopped."""
        self._active.wait()
        read = self._read or reader(self._devices, self._uuids)
        while not self._stopping.is_set():
            self._listener(read())
            self._stopping.wait(self._interval)
            self._active.wait()


def reader(devices: Sequence[str] = ("cuda",), uuids: Mapping[str, str] | None = None) -> Callable[[], Reading]:
    """What measures this machine, and those of its GPUs that are among `devices`, named as torch names them.

    `uuids`: device -> its GPU, where that is known: this process may see other GPUs, or number them differently.
    Imports psutil, and NVIDIA's library where GPUs are asked for.
    """
    import psutil

    gpus = _nvidia(devices, uuids or {}) if any(device.startswith("cuda") for device in devices) else tuple
    psutil.cpu_percent()  # the first call only starts the measurement

    def read() -> Reading:
        memory = psutil.virtual_memory()
        return Reading(
            cpu=psutil.cpu_percent() / 100,
            cores=psutil.cpu_count() or 1,
            memory_used=memory.total - memory.available,
            memory_total=memory.total,
            gpus=gpus(),
        )

    return read


def _nvidia(devices: Sequence[str], uuids: Mapping[str, str]) -> Callable[[], tuple[Gpu, ...]]:
    try:
        import pynvml

        pynvml.nvmlInit()
        seen = [gpu.handle for gpu in nvml_gpus(pynvml)]
    except Exception:  # no library, no driver or no GPU: all the same here
        return tuple
    chosen = []
    for index in _indices(devices):
        uuid = uuids.get(f"cuda:{index}")
        handle = nvml_handle(pynvml, uuid) if uuid else seen[index] if index < len(seen) else None
        if handle is not None:
            chosen.append((index, handle))
    return lambda: tuple(_gpu(pynvml, index, handle) for index, handle in chosen)


def _indices(devices: Sequence[str]) -> list[int]:
    """The indices of torch's CUDA devices among `devices`; `cuda` alone is the first."""
    found = [device.partition(":")[2] or "0" for device in devices if device.startswith("cuda")]
    return sorted({int(index) for index in found if index.isdecimal()})


def _gpu(nvml: Any, index: int, handle: Any) -> Gpu:
    memory = ask(lambda: nvml.nvmlDeviceGetMemoryInfo(handle))
    utilisation = ask(lambda: nvml.nvmlDeviceGetUtilizationRates(handle).gpu / 100)
    power = ask(lambda: nvml.nvmlDeviceGetPowerUsage(handle) / 1000)
    name = ask(lambda: nvml.nvmlDeviceGetName(handle))
    return Gpu(
        index=index,
        name=name.decode("utf-8", "replace") if isinstance(name, bytes) else str(name or "GPU"),
        utilisation=utilisation,
        memory_used=None if memory is None else int(memory.used),
        memory_total=None if memory is None else int(memory.total),
        temperature=ask(lambda: float(nvml.nvmlDeviceGetTemperature(handle, nvml.NVML_TEMPERATURE_GPU))),
        power=power,
    )
