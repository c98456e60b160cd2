"""Detects devices and cores without importing torch."""

from __future__ import annotations

import contextlib
import importlib.util
import json
import math
import os
import platform
import re
import sys
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from subprocess import DEVNULL, PIPE, TimeoutExpired
from typing import Any, NamedTuple

from tui_attn.experiment.manifest import UUID, GpuIdentity
from tui_attn.system import children, files
from tui_attn.system.control_groups import cpu_quota
from tui_attn.system.files import user_folder
from tui_attn.system.machine import installed_version

MAX_THREADS = 8
"""More threads don't speed up networks of the lab's size."""


class GpuDetails(NamedTuple):
    """A GPU, or a MIG slice, which counts as a GPU of its own. None: not reported."""

    name: str
    capability: tuple[int, int] | None = None
    memory: int | None = None
    free: int | None = None
    """Bytes."""
    uuid: str | None = None
    lost: bool = False
    """Whether it no longer responds to its driver."""


class Machine(NamedTuple):
    """The facts about this machine that a start depends on."""

    gpus: int
    """GPUs that programs may use here (CUDA_VISIBLE_DEVICES respected): NVIDIA's, or AMD's with a torch for ROCm."""
    torch_version: str | None
    torch_cuda: str | None
    """The CUDA version that the installed torch was built for; None for another build or no torch."""
    mps: bool
    driver_cuda: str | None = None
    """The newest CUDA version that the GPUs' driver supports."""
    details: tuple[GpuDetails, ...] = ()
    """One for each of the `gpus`, where NVML reports them."""
    torch_hip: str | None = None
    """The ROCm version that the installed torch was built for; it also calls AMD's GPUs cuda:N."""
    architectures: tuple[str, ...] = ()
    """Architectures that the installed torch has kernels for, such as sm_90; empty if unknown."""

    @property
    def built_for_gpus(self) -> bool:
        """Whether the installed torch can compute on GPUs that it calls cuda:N."""
        return bool(self.torch_cuda or self.torch_hip)

    def about(self, device: str) -> GpuDetails | None:
        """Details of `device`; None for a CPU and for a GPU without any."""
        index = device.partition(":")[2]
        if not device.startswith("cuda:") or int(index) >= len(self.details):
            return None
        return self.details[int(index)]

    def identities(self, devices: Sequence[str]) -> dict[str, GpuIdentity]:
        """Those of `devices` that are GPUs with a UUID."""
        found: dict[str, GpuIdentity] = {}
        for device in devices:
            about = self.about(device)
            if about is not None and about.uuid:
                capability = ".".join(map(str, about.capability or ()))
                found[device] = GpuIdentity(about.uuid, about.name, capability)
        return found


def probe() -> Machine:
    """Probe this machine. Never raises."""
    version, cuda, hip, origin = _torch_build()
    apple = platform.system() == "Darwin" and platform.machine() == "arm64"
    if hip:
        details = _amd_gpus(Path("/sys/class/kfd/kfd/topology/nodes"))
        return Machine(len(details), version, None, apple, None, details, hip)
    gpus, driver, details = _gpus()
    kernels = _architectures(version, origin) if cuda and gpus and version and origin else ()
    return Machine(gpus, version, cuda, apple, driver, details, None, kernels)


def threads() -> int:
    """Threads for a worker: the cores this process may use, at most `MAX_THREADS` and `OMP_NUM_THREADS`."""
    asked = os.environ.get("OMP_NUM_THREADS", "").split(",")[0].strip()
    most = int(asked) if asked.isdecimal() and len(asked) < 5 and int(asked) else MAX_THREADS
    return max(1, min(usable_cores(), MAX_THREADS, most))


def usable_cores() -> int:
    """The cores that this process may use: by affinity, and by the CPU quotas of its control groups."""
    try:
        cores = len(os.sched_getaffinity(0))
    except AttributeError:
        cores = os.cpu_count() or 1
    quota = cpu_quota()
    return cores if quota is None else max(1, min(cores, math.ceil(quota)))


def _torch_build() -> tuple[str | None, str | None, str | None, Path | None]:
    """The installed torch's version, CUDA version, ROCm version and folder, read from its version file."""
    version = installed_version("torch")
    spec = importlib.util.find_spec("torch") if version else None
    if spec is None or spec.origin is None:
        return None, None, None, None
    folder = Path(spec.origin).parent
    try:
        text = (folder / "version.py").read_text()
    except OSError:
        return version, None, None, folder
    cuda, hip = (re.search(rf"^{name}\b[^=]*=\s*'([^']*)'", text, re.MULTILINE) for name in ("cuda", "hip"))
    return version, cuda[1] if cuda else None, hip[1] if hip else None, folder


_ARCHITECTURES_WITHIN = 60.0
"""Seconds within which torch must be imported and report its architectures."""


def _architectures(version: str, origin: Path) -> tuple[str, ...]:
    """`torch.cuda.get_arch_list()` of the installed torch, cached on disk; empty if unavailable."""
    base = user_folder("cache")
    kept = None if base is None else base / "torch-architectures.json"
    with contextlib.suppress(OSError):
        key = f"{version} {origin} {(origin / 'version.py').stat().st_mtime_ns}"
        known = (files.read_json(kept) if kept else None) or {}
        if known.get("torch") == key and isinstance(known.get("architectures"), list):
            return tuple(map(str, known["architectures"]))
        with children.python("tui_attn.train.accelerator", stdout=PIPE, stderr=DEVNULL) as asked:
            try:
                said = asked.communicate(timeout=_ARCHITECTURES_WITHIN)[0].decode().split()
            except (TimeoutExpired, UnicodeDecodeError):
                asked.kill()
                return ()
        if kept is not None and said:
            files.make_folders(kept.parent)
            files.write_atomically(kept, json.dumps({"torch": key, "architectures": said}).encode(), sync=False)
        return tuple(said)
    return ()


def visible(uuids: Sequence[str], variable: str | None) -> list[int | str]:
    """The GPUs that CUDA programs see, in CUDA's order, by `CUDA_VISIBLE_DEVICES` as torch parses it.

    `uuids`: those of all GPUs, in the order of the PCI bus, which workers ask CUDA for. A MIG slice is given by its
    UUID. A GPU that is named twice hides all GPUs; an unknown one hides those after it.
    """
    if variable is None:
        return list(range(len(uuids)))
    items = [item.strip() for item in variable.split(",")]
    found: list[int | str] = []
    for item in items:
        if items[0].startswith("MIG-"):
            if not item.startswith("MIG-"):
                break
            found.append(item)
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


class NvmlGpu(NamedTuple):
    """A GPU or MIG slice in NVML."""

    handle: Any
    """None for a GPU that doesn't respond, or a slice that isn't found."""
    uuid: str
    whole: Any
    """The handle of the GPU that a slice is part of; else `handle`."""


def nvml_gpus(nvml: Any) -> list[NvmlGpu]:
    """The GPUs that CUDA programs see, in CUDA's order. `nvml` is initialised; raises its errors.

    A GPU in MIG mode is replaced by its slices. CUDA shows a process only one slice, so each worker is told its own.
    """
    handles = [ask(partial(nvml.nvmlDeviceGetHandleByIndex, at)) for at in range(nvml.nvmlDeviceGetCount())]
    uuids = [_text(ask(partial(nvml.nvmlDeviceGetUUID, handle))) for handle in handles]
    found: list[NvmlGpu] = []
    for seen in visible(uuids, os.environ.get("CUDA_VISIBLE_DEVICES")):
        if isinstance(seen, int):
            found += list(_slices(nvml, handles[seen])) or [NvmlGpu(handles[seen], uuids[seen], handles[seen])]
        else:
            handle = nvml_handle(nvml, seen)
            found.append(NvmlGpu(handle, seen, None if handle is None else _whole(nvml, handle)))
    return found


def nvml_handle(nvml: Any, uuid: str) -> Any:
    """The handle of the GPU or MIG slice with this UUID; None where there is none."""
    return ask(lambda: nvml.nvmlDeviceGetHandleByUUID(uuid))


def _whole(nvml: Any, handle: Any) -> Any:
    return ask(lambda: nvml.nvmlDeviceGetDeviceHandleFromMigDeviceHandle(handle))


def _slices(nvml: Any, handle: Any) -> Iterator[NvmlGpu]:
    mode = ask(lambda: nvml.nvmlDeviceGetMigMode(handle))
    if not mode or not mode[0]:
        return
    for at in range(ask(lambda: nvml.nvmlDeviceGetMaxMigDeviceCount(handle)) or 0):
        part = ask(partial(nvml.nvmlDeviceGetMigDeviceHandleByIndex, handle, at))
        if part is not None:
            yield NvmlGpu(part, _text(ask(partial(nvml.nvmlDeviceGetUUID, part))), handle)


def _may_have_nvml() -> bool:
    """Whether NVIDIA's library may be there: False where pynvml, whose import delays a start, wouldn't find it."""
    if sys.platform != "linux" or "pynvml" in sys.modules:
        return True
    found, installed = importlib.util.find_spec("pynvml"), importlib.util.find_spec("psutil")
    where = [Path(str(spec.origin)).parent for spec in (found, installed) if spec]
    if len(where) < 2 or where[0] != where[1].parent:
        return True  # another module of this name than the installed one may know better
    import ctypes

    try:
        ctypes.CDLL("libnvidia-ml.so.1")
    except OSError:
        return False
    return True


def _gpus() -> tuple[int, str | None, tuple[GpuDetails, ...]]:
    """Number of GPUs that CUDA programs see, CUDA version of their driver, and details of each from NVML."""
    if not _may_have_nvml():
        return 0, None, ()
    try:
        import pynvml

        pynvml.nvmlInit()
        try:
            driver = ask(lambda: int(pynvml.nvmlSystemGetCudaDriverVersion_v2()))
            details = tuple(_details(pynvml, gpu) for gpu in nvml_gpus(pynvml))
        finally:
            pynvml.nvmlShutdown()
    except Exception:  # the library raises its own types, and OSError kinds, where there is no driver
        return 0, None, ()
    return len(details), f"{driver // 1000}.{driver % 1000 // 10}" if driver else None, details


def _details(nvml: Any, gpu: NvmlGpu) -> GpuDetails:
    uuid = gpu.uuid if UUID.fullmatch(gpu.uuid) else None
    if gpu.handle is None:
        return GpuDetails("MIG slice", uuid=uuid) if uuid else GpuDetails("GPU", lost=True)
    memory = ask(lambda: nvml.nvmlDeviceGetMemoryInfo(gpu.handle))
    return GpuDetails(
        _text(ask(lambda: nvml.nvmlDeviceGetName(gpu.handle))) or "GPU",
        ask(lambda: tuple(nvml.nvmlDeviceGetCudaComputeCapability(gpu.whole))),
        None if memory is None else int(memory.total),
        None if memory is None else int(memory.total) - int(memory.used),
        uuid,
    )


def _amd_gpus(nodes: Path) -> tuple[GpuDetails, ...]:
    """AMD's GPUs from sysfs, filtered by the indices in HIP_VISIBLE_DEVICES or CUDA_VISIBLE_DEVICES."""
    found = []
    for node in sorted(nodes.glob("[0-9]*"), key=lambda path: int(path.name)):
        try:
            facts = dict(line.split(maxsplit=1) for line in (node / "properties").read_text().splitlines())
            if int(facts.get("simd_count", "0")) > 0:  # else it is a CPU
                version = int(facts.get("gfx_target_version", "0"))
                name = f"gfx{version // 10000}{version // 100 % 100:x}{version % 100:x}"
                found.append(GpuDetails(f"AMD {name}" if version else "AMD GPU"))
        except (OSError, ValueError):
            continue
    shown = os.environ.get("HIP_VISIBLE_DEVICES", os.environ.get("CUDA_VISIBLE_DEVICES"))
    return tuple(found[at] for at in visible([""] * len(found), shown) if isinstance(at, int))


def ask(question: Callable[[], Any]) -> Any:
    """The result of an NVML call; None where it fails (MIG, virtual GPUs, old drivers and libraries)."""
    try:
        return question()
    except Exception:  # NVML's own kinds, and AttributeError of an old library
        return None


def _text(found: object) -> str:
    return found.decode("utf-8", "replace") if isinstance(found, bytes) else str(found or "")
