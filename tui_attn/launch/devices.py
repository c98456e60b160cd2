"""Which devices and cores there are, found out without importing torch."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import math
import os
import platform
import re
from dataclasses import dataclass
from pathlib import Path

from tui_attn.experiment.options import ConfigError, split_list

MAX_THREADS = 8
"""Networks of the lab's size gain nothing from more."""


@dataclass(frozen=True, slots=True)
class Machine:
    """What a start needs to know of this machine."""

    gpus: int
    """NVIDIA GPUs that CUDA programs may use here (CUDA_VISIBLE_DEVICES respected)."""
    torch_version: str | None
    torch_cuda: str | None
    """The CUDA version that the installed torch was built for; None for a CPU build or no torch."""
    mps: bool


def probe() -> Machine:
    """Look at this machine. Never raises."""
    version, cuda = _torch_build()
    apple = platform.system() == "Darwin" and platform.machine() == "arm64"
    return Machine(_visible_gpus(), version, cuda, apple)


_ADVICE = "use --device cpu or auto"


def choose(requested: str, machine: Machine) -> tuple[str, ...]:
    """The devices for `--device requested`, such as ("cpu",) or ("cuda:0", "cuda:1").

    Raises `ConfigError` for a device that this machine or this build of torch doesn't have.
    """
    if requested == "cpu":
        return ("cpu",)
    if requested == "auto":
        if machine.gpus and machine.torch_cuda:
            return ("cuda:0",)
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
    if len(set(wanted)) != len(wanted):
        raise ConfigError("names a device twice", "device", advice="use --jobs for several workers on one device")
    return tuple(wanted)


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


def _visible_gpus() -> int:
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is not None:
        named = split_list(visible)
        if not named or named[0] in {"-1", "NoDevFiles"}:
            return 0
    try:
        import pynvml

        pynvml.nvmlInit()
        try:
            there = int(pynvml.nvmlDeviceGetCount())
        finally:
            pynvml.nvmlShutdown()
    except Exception:  # the library raises its own types, and OSError kinds, where there is no driver
        return 0
    if visible is None:
        return there
    return len([name for name in named if not name.isdigit() or int(name) < there])
