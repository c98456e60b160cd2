"""Which GPUs are pretended, and how the driver's library (NVML) tells of them; without torch."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass, field
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

GB = 1_000_000_000
SITE = Path(__file__).parent / "site"


@dataclass(frozen=True, slots=True)
class Gpu:
    """One GPU."""

    index: int = 0
    """In the order of the PCI bus."""
    name: str = "Pretended H200"
    capability: tuple[int, int] = (9, 0)
    memory: int = 141 * GB
    used: int = GB
    """Bytes that other programs hold."""
    mig: int = 0
    """Slices into which it is divided; 0 where it isn't."""
    busy: bool = False
    """Whether another program holds it for itself."""

    @property
    def uuid(self) -> str:
        return f"GPU-{self.index:08d}-aaaa-bbbb-cccc-{self.index:012d}"


@dataclass(frozen=True, slots=True)
class Failure:
    """What goes wrong, once."""

    kind: str
    """"out of memory", "sticky" (every later call of the process fails too) or "vanish" (NVML loses it as well)."""
    after: int = 1
    """At the so many-th call."""
    op: str | None = None
    """Of this operator, such as "replay" or "aten::convolution"; None for any."""
    device: int | None = None
    """On this GPU; None for any."""
    marker: str | None = None
    """A file that is made when it happens: it happens to one process only."""

    def happens(self) -> bool:
        """Whether it is this process's turn; if so, it is nobody's any more."""
        if self.marker is None:
            return True
        try:
            Path(self.marker).touch(exist_ok=False)
        except FileExistsError:
            return False
        return True


@dataclass(frozen=True, slots=True)
class Settings:
    """The pretended machine."""

    gpus: tuple[Gpu, ...] = field(default_factory=lambda: machine(1))
    driver: int = 13_000
    """Of CUDA, as NVML tells it: 1000 * major + 10 * minor."""
    failure: Failure | None = None

    def visible(self) -> list[Gpu]:
        """The GPUs that CUDA shows a process, by numbers in CUDA_VISIBLE_DEVICES."""
        chosen = os.environ.get("CUDA_VISIBLE_DEVICES")
        if chosen is None:
            return list(self.gpus)
        by_name = {str(gpu.index): gpu for gpu in self.gpus} | {gpu.uuid: gpu for gpu in self.gpus}
        return [by_name[item] for item in chosen.split(",") if item in by_name]

    @property
    def environment(self) -> dict[str, str]:
        """In which Python programs and their children believe in these GPUs."""
        root = str(SITE.parent.parent.parent)
        path = os.pathsep.join([str(SITE), root, *filter(None, [os.environ.get("PYTHONPATH")])])
        return {"PRETENDED_CUDA": json.dumps(asdict(self)), "PYTHONPATH": path}

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Settings:
        gpus = tuple(Gpu(**gpu | {"capability": tuple(gpu["capability"])}) for gpu in data["gpus"])
        failure = data["failure"]
        return cls(gpus, data["driver"], None if failure is None else Failure(**failure))


def machine(count: int, **gpu: Any) -> tuple[Gpu, ...]:
    """So many equal GPUs."""
    return tuple(Gpu(index, **gpu) for index in range(count))


def library(settings: Settings) -> ModuleType:
    """`pynvml` on the pretended machine."""

    class NVMLError(Exception):
        pass

    def lost(index: int) -> bool:
        failure = settings.failure
        return (
            failure is not None
            and failure.kind == "vanish"
            and failure.device in {None, index}
            and failure.marker is not None
            and Path(failure.marker).exists()
        )

    def handle(index: int) -> Gpu:
        if lost(index):
            raise NVMLError("GPU is lost")
        return settings.gpus[index]

    def initialise() -> None:
        if not settings.gpus:
            raise NVMLError("Driver Not Loaded")

    def slice_of(gpu: Gpu, index: int) -> SimpleNamespace:
        if index >= gpu.mig:
            raise NVMLError("Not Found")
        uuid = f"MIG-{gpu.index:08d}-{index:04d}-bbbb-cccc-{index:012d}"
        memory = gpu.memory // gpu.mig
        return SimpleNamespace(**asdict(gpu) | {"uuid": uuid, "memory": memory, "used": 0, "name": f"{gpu.name} MIG"})

    module = ModuleType("pynvml")
    vars(module).update(
        NVMLError=NVMLError,
        NVMLError_NotSupported=NVMLError,
        NVML_TEMPERATURE_GPU=0,
        nvmlInit=initialise,
        nvmlShutdown=lambda: None,
        nvmlSystemGetCudaDriverVersion_v2=lambda: settings.driver,
        nvmlSystemGetDriverVersion=lambda: "580.00",
        nvmlDeviceGetCount=lambda: len(settings.gpus),
        nvmlDeviceGetHandleByIndex=handle,
        nvmlDeviceGetUUID=lambda gpu: gpu.uuid,
        nvmlDeviceGetHandleByUUID=lambda uuid: next(handle(gpu.index) for gpu in settings.gpus if gpu.uuid == uuid),
        nvmlDeviceGetName=lambda gpu: gpu.name,
        nvmlDeviceGetCudaComputeCapability=lambda gpu: gpu.capability,
        nvmlDeviceGetMemoryInfo=lambda gpu: SimpleNamespace(
            total=gpu.memory, used=gpu.used, free=gpu.memory - gpu.used
        ),
        nvmlDeviceGetUtilizationRates=lambda gpu: SimpleNamespace(gpu=7, memory=3),
        nvmlDeviceGetPowerUsage=lambda gpu: 90_000,
        nvmlDeviceGetTemperature=lambda gpu, sensor: 40.0,
        nvmlDeviceGetMigMode=lambda gpu: (int(gpu.mig > 0), int(gpu.mig > 0)),
        nvmlDeviceGetMaxMigDeviceCount=lambda gpu: max(gpu.mig, 7),
        nvmlDeviceGetMigDeviceHandleByIndex=slice_of,
    )
    return module
