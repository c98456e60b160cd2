"""Which devices and cores there are, found out without importing torch."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import math
import os
import platform
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from tui_attn.experiment.options import ConfigError, split_list

MAX_THREADS = 8
"""Networks of the lab's size gain nothing from more."""


@dataclass(frozen=True, slots=True)
class GpuDetails:
    """One GPU; None for what it doesn't tell."""

    name: str
    capability: tuple[int, int] | None = None
    memory: int | None = None
    free: int | None = None
    """Bytes."""


@dataclass(frozen=True, slots=True)
class Machine:
    """What a start needs to know of this machine."""

    gpus: int
    """NVIDIA GPUs that CUDA programs may use here (CUDA_VISIBLE_DEVICES respected)."""
    torch_version: str | None
    torch_cuda: str | None
    """The CUDA version that the installed torch was built for; None for a CPU build or no torch."""
    mps: bool
    driver_cuda: str | None = None
    """The newest CUDA version that the GPUs' driver supports."""
    details: tuple[GpuDetails, ...] = ()
    """Of each of the `gpus`, where the driver's library tells."""


def probe() -> Machine:
    """Look at this machine. Never raises."""
    version, cuda = _torch_build()
    apple = platform.system() == "Darwin" and platform.machine() == "arm64"
    gpus, driver, details = _gpus()
    return Machine(gpus, version, cuda, apple, driver, details)


_ADVICE = "use --device cpu or auto"


def choose(requested: str, machine: Machine) -> tuple[str, ...]:
    """The devices for `--device requested`, such as ("cpu",) or ("cuda:0", "cuda:1").

    Raises `ConfigError` for a device that this machine or this build of torch doesn't have.
    """
    if requested == "cpu":
        return ("cpu",)
    if requested == "auto":
        usable = [index for index in range(machine.gpus) if unusable(machine, index) is None]
        if usable:
            return (f"cuda:{max(usable, key=lambda index: _rank(machine, index))}",)
        return ("mps",) if machine.mps else ("cpu",)
    if requested == "mps":
        if not machine.mps:
            raise ConfigError("this machine has no Apple GPU", "device", advice=_ADVICE)
        return ("mps",)
    if not machine.torch_cuda:
        raise ConfigError(
            f"the installed torch ({machine.torch_version or 'none'}) can't use GPUs",
            "device",
            advice="install a CUDA build of torch, or use --device cpu",
        )
    if not machine.gpus:
        raise ConfigError("no NVIDIA GPU is visible here", "device", advice=_ADVICE)
    wanted = [
        "cuda:0" if item == "cuda" else f"cuda:{int(item.removeprefix('cuda:'))}" for item in split_list(requested)
    ]
    for item in wanted:
        if int(item.removeprefix("cuda:")) >= machine.gpus:
            there = ", ".join(f"cuda:{index}" for index in range(machine.gpus))
            raise ConfigError(f"there is no {item} here, only {there}", "device")
        if reason := unusable(machine, int(item.removeprefix("cuda:"))):
            raise ConfigError(reason, "device", advice=_ADVICE)
    if len(set(wanted)) != len(wanted):
        raise ConfigError("names a device twice", "device", advice="use --jobs for several workers on one device")
    return tuple(wanted)


def _rank(machine: Machine, index: int) -> tuple[tuple[int, int], int, int]:
    """GPUs of a later capability first, then those with more free memory, then the first."""
    details = machine.details[index] if index < len(machine.details) else GpuDetails("")
    return details.capability or (0, 0), details.free or 0, -index


def threads() -> int:
    """Threads for a worker: the cores this process may use, at most `MAX_THREADS`."""
    return max(1, min(usable_cores(), MAX_THREADS))


def usable_cores() -> int:
    """The cores that this process may use: by affinity, and by the CPU quota of its control group."""
    try:
        cores = len(os.sched_getaffinity(0))
    except AttributeError:
        cores = os.cpu_count() or 1
    quota = _cgroup_quota()
    return cores if quota is None else max(1, min(cores, math.ceil(quota)))


def _cgroup_quota() -> float | None:
    try:
        limit, period = Path("/sys/fs/cgroup/cpu.max").read_text().split()
        return None if limit == "max" else int(limit) / int(period)
    except (OSError, ValueError, ZeroDivisionError):
        return None


def _torch_build() -> tuple[str | None, str | None]:
    """Version and CUDA version of the installed torch, read from its version file."""
    try:
        version = importlib.metadata.version("torch")
        spec = importlib.util.find_spec("torch")
    except (importlib.metadata.PackageNotFoundError, ImportError, ValueError):
        return None, None
    if spec is None or spec.origin is None:
        return None, None
    try:
        text = (Path(spec.origin).parent / "version.py").read_text()
    except OSError:
        return version, None
    cuda = re.search(r"^cuda\b[^=]*=\s*'([^']*)'", text, re.MULTILINE)
    return version, cuda.group(1) if cuda else None


def visible(uuids: Sequence[str], variable: str | None) -> list[int | None]:
    """Which of the machine's GPUs CUDA programs see, in their order, by `CUDA_VISIBLE_DEVICES` as torch reads it.

    `uuids`: those of all GPUs, in the order of the PCI bus, which workers ask CUDA for. None stands for a MIG slice,
    which is a part of a GPU. A GPU that is named twice hides all; one that isn't there hides those after it.
    """
    if variable is None:
        return list(range(len(uuids)))
    items = [item.strip() for item in variable.split(",")]
    found: list[int | None] = []
    for item in items:
        if items[0].startswith("MIG-"):
            if not item.startswith("MIG-"):
                break
            found.append(None)
            continue
        if items[0].startswith("GPU-"):
            matching = [at for at, uuid in enumerate(uuids) if item.startswith("GPU-") and uuid.startswith(item)]
        else:
            number = re.match(r"[+-]?[0-9]+", item)
            matching = [at for at in range(len(uuids)) if number and at == int(number[0])]
        if len(matching) != 1:
            break
        if matching[0] in found:
            return []
        found += matching
    return [] if len(set(items)) < len(items) else found


def unusable(machine: Machine, index: int) -> str | None:
    """Why the installed torch can't compute on the GPU that it calls `cuda:index`; None where it can.

    CUDA's libraries run on any driver of their own major version or a later one.
    """
    if machine.torch_cuda is None:
        return f"the installed torch ({machine.torch_version or 'none'}) can't use GPUs"
    built = _version(machine.torch_cuda)
    driver = _version(machine.driver_cuda or "")
    if driver and built and driver[0] < built[0]:
        return (
            f"the GPU's driver supports CUDA {machine.driver_cuda}, and this torch needs {built[0]}.0:"
            f" update the driver, or install a torch for CUDA {driver[0]}"
        )
    capability = machine.details[index].capability if index < len(machine.details) else None
    limits = _LEAST_CAPABILITY if _is_official(machine) else ()
    least = next((least for cuda, least in limits if built >= cuda), (0, 0))
    if capability is not None and capability < least:
        name = machine.details[index].name
        return (
            f"{name} has compute capability {capability[0]}.{capability[1]}, and this torch needs"
            f" {least[0]}.{least[1]}: install a torch for an earlier CUDA"
        )
    return None


_LEAST_CAPABILITY = (((12, 8), (7, 5)), ((0, 0), (5, 0)))
"""From which CUDA version on PyTorch's own wheels need which compute capability.

The smallest of TORCH_CUDA_ARCH_LIST in its .ci/manywheel/build_cuda.sh: 5.0 for CUDA 12.6, 7.5 for 12.8 since torch
2.11 (https://github.com/pytorch/pytorch/issues/172352) and for 13 (https://github.com/pytorch/pytorch/issues/190385).
"""


def _is_official(machine: Machine) -> bool:
    """Whether the torch is one of PyTorch's own wheels; others may be built for other GPUs."""
    return re.fullmatch(r"[0-9.]+(\+cu[0-9]+)?", machine.torch_version or "") is not None


def _version(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in text.split(".")[:2] if part.isdecimal())


def precision(requested: str, devices: Sequence[str], machine: Machine) -> str:
    """`requested`, and for auto on GPUs what all of them compute fast, so that one comparison has one precision."""
    if requested != "auto" or not all(device.startswith("cuda:") for device in devices):
        return requested
    indices = [int(device.removeprefix("cuda:")) for device in devices]
    found = [machine.details[index].capability if index < len(machine.details) else None for index in indices]
    known = [capability for capability in found if capability is not None]
    return requested if len(known) < len(found) else "bf16" if min(known) >= (8, 0) else "fp32"


def _gpus() -> tuple[int, str | None, tuple[GpuDetails, ...]]:
    """How many GPUs CUDA programs see, the CUDA version of their driver, and what NVML reports of each."""
    try:
        import pynvml

        pynvml.nvmlInit()
        try:
            handles = [pynvml.nvmlDeviceGetHandleByIndex(at) for at in range(pynvml.nvmlDeviceGetCount())]
            uuids = [_text(_ask(partial(pynvml.nvmlDeviceGetUUID, handle))) for handle in handles]
            driver = _ask(lambda: int(pynvml.nvmlSystemGetCudaDriverVersion_v2()))
            seen = visible(uuids, os.environ.get("CUDA_VISIBLE_DEVICES"))
            details = tuple(_details(pynvml, None if at is None else handles[at]) for at in seen)
        finally:
            pynvml.nvmlShutdown()
    except Exception:  # the library raises its own types, and OSError kinds, where there is no driver
        return 0, None, ()
    return len(seen), f"{driver // 1000}.{driver % 1000 // 10}" if driver else None, details


def _details(nvml: Any, handle: Any) -> GpuDetails:
    if handle is None:
        return GpuDetails("MIG slice")
    memory = _ask(lambda: nvml.nvmlDeviceGetMemoryInfo(handle))
    return GpuDetails(
        _text(_ask(lambda: nvml.nvmlDeviceGetName(handle))) or "GPU",
        _ask(lambda: tuple(nvml.nvmlDeviceGetCudaComputeCapability(handle))),
        None if memory is None else int(memory.total),
        None if memory is None else int(memory.total) - int(memory.used),
    )


def _ask(question: Callable[[], Any]) -> Any:
    """The answer, or None where there is none (MIG, virtual GPUs, old drivers)."""
    try:
        return question()
    except Exception:  # NVML's own kinds, and AttributeError of an old library
        return None


def _text(found: object) -> str:
    return found.decode("utf-8", "replace") if isinstance(found, bytes) else str(found or "")
