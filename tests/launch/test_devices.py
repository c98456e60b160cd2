"""Which GPUs there are and which can be used, by a double of the driver's library."""

import sys
from types import ModuleType, SimpleNamespace

import pytest

from tui_attn.cli import doctor
from tui_attn.experiment.options import ConfigError
from tui_attn.launch import devices
from tui_attn.launch.devices import GpuDetails, Machine, visible

GB = 1_000_000_000
H200, A100, V100 = ("H200", (9, 0)), ("A100", (8, 0)), ("V100", (7, 0))


def nvml(monkeypatch: pytest.MonkeyPatch, *gpus: tuple[str, tuple[int, int]], driver: int = 13000) -> None:
    """Put a double in the place of NVIDIA's library: these GPUs, the later ones with more free memory."""
    library = ModuleType("pynvml")
    vars(library).update(
        nvmlInit=lambda: None,
        nvmlShutdown=lambda: None,
        nvmlDeviceGetCount=lambda: len(gpus),
        nvmlDeviceGetHandleByIndex=lambda index: index,
        nvmlDeviceGetUUID=lambda index: f"GPU-{index}aaa",
        nvmlDeviceGetName=lambda index: gpus[index][0],
        nvmlDeviceGetCudaComputeCapability=lambda index: gpus[index][1],
        nvmlDeviceGetMemoryInfo=lambda index: SimpleNamespace(total=80 * GB, used=(70 - index) * GB),
        nvmlSystemGetCudaDriverVersion_v2=lambda: driver,
    )
    monkeypatch.setitem(sys.modules, "pynvml", library)
    monkeypatch.setattr(devices, "_torch_build", lambda: ("2.14.0", "13.0"))
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)


def test_auto_takes_the_gpu_with_the_latest_capability_and_the_most_free_memory(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    nvml(monkeypatch, A100, H200, H200)
    machine = devices.probe()
    assert machine.gpus == 3 and machine.driver_cuda == "13.0"
    assert machine.details[2] == GpuDetails("H200", (9, 0), 80 * GB, 12 * GB)
    assert devices.choose("auto", machine) == ("cuda:2",)


@pytest.mark.parametrize(
    ("gpus", "driver", "reason"),
    [
        ((H200,), 12080, "the GPU's driver supports CUDA 12.8, and this torch needs 13.0"),
        ((V100,), 13000, "V100 has compute capability 7.0, and this torch needs 7.5"),
    ],
)
def test_a_gpu_that_torch_can_not_use_is_left_alone_and_the_reason_told(
    monkeypatch: pytest.MonkeyPatch, gpus: tuple[tuple[str, tuple[int, int]], ...], driver: int, reason: str
) -> None:
    nvml(monkeypatch, *gpus, driver=driver)
    machine = devices.probe()
    assert devices.choose("auto", machine) == ("cpu",)
    assert reason in str(devices.unusable(machine, 0))
    with pytest.raises(ConfigError, match=reason):
        devices.choose("cuda", machine)
    [found] = doctor._gpus(machine)
    assert found.verdict == "warning" and reason in str(found.remedy)


def test_a_gpu_that_can_not_be_used_is_passed_over_for_one_that_can(monkeypatch: pytest.MonkeyPatch) -> None:
    nvml(monkeypatch, V100, A100)
    assert devices.choose("auto", devices.probe()) == ("cuda:1",)


def test_the_doctor_names_each_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    nvml(monkeypatch, H200)
    [found] = doctor._gpus(devices.probe())
    assert found.text == "cuda:0: H200, compute capability 9.0, 10.0 GB of 80.0 GB free, driver for CUDA 13.0"


def test_one_precision_for_all_gpus() -> None:
    mixed = Machine(2, "2.14.0", "12.6", False, "12.6", (GpuDetails(*A100), GpuDetails(*V100)))
    assert devices.precision("auto", ("cuda:0",), mixed) == "bf16"
    assert devices.precision("auto", ("cuda:0", "cuda:1"), mixed) == "fp32"
    assert devices.precision("bf16", ("cuda:0", "cuda:1"), mixed) == "bf16"
    assert devices.precision("auto", ("cpu",), mixed) == "auto"
    assert devices.precision("auto", ("cuda:0",), Machine(1, "2.14.0", "12.6", False)) == "auto"


@pytest.mark.parametrize(
    ("variable", "expected"),
    [
        (None, [0, 1, 2]),
        ("0,7,1", [0]),
        ("0,0", []),
        ("GPU-1,GPU-0", [1, 0]),
        ("GPU-1aaa,GPU-unknown,GPU-0", [1]),
        ("GPU-", []),
        ("MIG-a,MIG-b", [None, None]),
        ("NoDevFiles", []),
        ("-1", []),
        ("", []),
        (" 2 , 1 ", [2, 1]),
    ],
)
def test_cuda_visible_devices_is_read_as_torch_reads_it(variable: str | None, expected: list[int | None]) -> None:
    assert visible(["GPU-0aaa", "GPU-1aaa", "GPU-2aaa"], variable) == expected


def test_a_library_that_fails_means_no_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    nvml(monkeypatch, H200)

    def fail() -> None:
        raise OSError("no driver")

    monkeypatch.setattr("pynvml.nvmlInit", fail)
    machine = devices.probe()
    assert (machine.gpus, machine.driver_cuda, machine.details) == (0, None, ())


@pytest.mark.parametrize(
    ("torch_version", "cuda", "capability", "usable"),
    [
        ("2.14.0", "13.0", (7, 0), False),
        ("2.11.0+cu128", "12.8", (7, 0), False),
        ("2.11.0+cu128", "12.8", (7, 5), True),
        ("2.14.0+cu126", "12.6", (5, 2), True),
        ("2.14.0+cu126", "12.6", (3, 7), False),
        ("2.14.0a0+git1234", "12.8", (7, 0), True),  # built by somebody, for whatever GPUs
    ],
)
def test_the_least_capability_is_that_of_pytorchs_own_wheels(
    torch_version: str, cuda: str, capability: tuple[int, int], usable: bool
) -> None:
    machine = Machine(1, torch_version, cuda, False, "13.0", (GpuDetails("GPU", capability),))
    assert (devices.unusable(machine, 0) is None) is usable
