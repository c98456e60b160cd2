"""Which GPUs there are and which can be used, by a double of the driver's library."""

import json
import os
import sys
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest

from tests.processes import TAKE_SLOTS, python
from tests.processes import said as said_by
from tests.supervision.workshop import make
from tui_attn.cli import doctor
from tui_attn.experiment import writing
from tui_attn.experiment.config import ExperimentConfig
from tui_attn.experiment.folders import ExperimentDir
from tui_attn.experiment.options import ConfigError
from tui_attn.launch import choosing, devices, preflight
from tui_attn.launch.control import LaunchError
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
    monkeypatch.setattr(devices, "_torch_build", lambda: ("2.14.0", "13.0", None, Path("torch")))
    monkeypatch.setattr(devices, "_architectures", lambda *_: ("sm_75", "sm_80", "sm_90", "sm_100", "compute_120"))
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)


def test_auto_takes_the_gpu_with_the_latest_capability_and_the_most_free_memory(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    nvml(monkeypatch, A100, H200, H200)
    machine = devices.probe()
    assert machine.gpus == 3 and machine.driver_cuda == "13.0"
    assert machine.details[2] == GpuDetails("H200", (9, 0), 80 * GB, 12 * GB, "GPU-2aaa")
    assert choosing.choose("auto", machine) == ("cuda:2",)


@pytest.mark.parametrize(
    ("gpus", "driver", "reason"),
    [
        ((H200,), 12080, "the GPU's driver supports CUDA 12.8, and this torch needs 13.0"),
        ((V100,), 13000, "V100 has compute capability 7.0, and this torch was built for sm_75"),
    ],
)
def test_a_gpu_that_torch_can_not_use_is_left_alone_and_the_reason_told(
    monkeypatch: pytest.MonkeyPatch, gpus: tuple[tuple[str, tuple[int, int]], ...], driver: int, reason: str
) -> None:
    nvml(monkeypatch, *gpus, driver=driver)
    machine = devices.probe()
    assert choosing.choose("auto", machine) == ("cpu",)
    assert reason in str(choosing.unusable(machine, 0))
    with pytest.raises(ConfigError, match=reason):
        choosing.choose("cuda", machine)
    [found] = doctor._gpus(machine)
    assert found.verdict == "warning" and reason in str(found.remedy)


def test_a_gpu_that_can_not_be_used_is_passed_over_for_one_that_can(monkeypatch: pytest.MonkeyPatch) -> None:
    nvml(monkeypatch, V100, A100)
    assert choosing.choose("auto", devices.probe()) == ("cuda:1",)


def test_the_doctor_names_each_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    nvml(monkeypatch, H200)
    [found] = doctor._gpus(devices.probe())
    assert found.text == "cuda:0: H200, compute capability 9.0, 10.0 GB of 80.0 GB free, driver for CUDA 13.0"


def test_one_precision_for_all_gpus() -> None:
    mixed = Machine(2, "2.14.0", "12.6", False, "12.6", (GpuDetails(*A100), GpuDetails(*V100)))
    assert choosing.precision("auto", ("cuda:0",), mixed) == "bf16"
    assert choosing.precision("auto", ("cuda:0", "cuda:1"), mixed) == "fp32"
    assert choosing.precision("bf16", ("cuda:0", "cuda:1"), mixed) == "bf16"
    assert choosing.precision("auto", ("cpu",), mixed) == "auto"
    assert choosing.precision("auto", ("cuda:0",), Machine(1, "2.14.0", "12.6", False)) == "auto"


@pytest.mark.parametrize(
    ("variable", "expected"),
    [
        (None, [0, 1, 2]),
        ("0,7,1", [0]),
        ("0,0", []),
        ("0,+0", []),
        ("GPU-1,GPU-1aaa", []),
        ("GPU-1,GPU-0", [1, 0]),
        ("GPU-1aaa,GPU-unknown,GPU-0", [1]),
        ("GPU-", []),
        ("MIG-a,MIG-b", ["MIG-a", "MIG-b"]),
        ("NoDevFiles", []),
        ("-1", []),
        ("", []),
        (" 2 , 1 ", [2, 1]),
    ],
)
def test_cuda_visible_devices_is_read_as_torch_reads_it(variable: str | None, expected: list[int | str]) -> None:
    assert visible(["GPU-0aaa", "GPU-1aaa", "GPU-2aaa"], variable) == expected


def test_a_library_that_fails_means_no_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    nvml(monkeypatch, H200)

    def fail() -> None:
        raise OSError("no driver")

    monkeypatch.setattr("pynvml.nvmlInit", fail)
    machine = devices.probe()
    assert (machine.gpus, machine.driver_cuda, machine.details) == (0, None, ())


def test_without_the_drivers_library_pynvml_is_not_loaded() -> None:
    code = """
import ctypes, sys
def missing(name, *_): raise OSError(name)
ctypes.CDLL = missing
from tui_attn.launch import devices
print(devices.probe().gpus, "pynvml" in sys.modules)
"""
    with python(code) as process:
        assert said_by(process) == "0 False"


@pytest.mark.parametrize(
    ("architectures", "capability", "advice"),
    [
        ("sm_75 sm_80 sm_86 sm_90 sm_100 sm_120 compute_120", (7, 0), "install a torch for an earlier CUDA"),
        ("sm_75 sm_80 sm_86 sm_90", (12, 0), "install a torch for a later CUDA"),
        ("sm_75 sm_80 sm_90a", (9, 1), "install a torch for a later CUDA"),
        ("sm_75 sm_80 sm_90", (8, 9), None),
        ("sm_75 sm_80 compute_80", (12, 0), None),
        ("sm_90a", (9, 0), None),
        ("", (3, 7), None),  # unknown
    ],
)
def test_gpus_are_usable_for_which_torch_has_kernels(
    architectures: str, capability: tuple[int, int], advice: str | None
) -> None:
    details = (GpuDetails("GPU", capability),)
    machine = Machine(1, "2.14.0", "13.0", False, "13.0", details, architectures=tuple(architectures.split()))
    reason = choosing.unusable(machine, 0)
    assert (reason is None) if advice is None else reason is not None and reason.endswith(advice)


def test_torch_is_asked_once_for_which_gpus_it_was_built(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    version, _, _, folder = devices._torch_build()
    assert version and folder and (folder / "version.py").exists()
    found = devices._architectures(version, folder)  # none of a CPU build
    assert all(choosing._capability(architecture) for architecture in found)
    kept = tmp_path / "tui-attn" / "torch-architectures.json"
    assert kept.exists() == bool(found)
    key = f"{version} {folder} {(folder / 'version.py').stat().st_mtime_ns}"
    kept.parent.mkdir(exist_ok=True)
    kept.write_text(json.dumps({"torch": key, "architectures": ["sm_10"]}))
    assert devices._architectures(version, folder) == ("sm_10",)
    kept.write_text(json.dumps({"torch": "another", "architectures": ["sm_10"]}))
    assert devices._architectures(version, folder) == found


def test_auto_takes_a_gpu_without_an_experiment_of_this_user_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Wherever it is asked: at a start, on resuming, in the form, by doctor."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    nvml(monkeypatch, H200, H200, A100)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "1,0,2")  # the other way round than where the other experiment began
    machine, said = devices.probe(), list[str]()
    assert choosing.choose("auto", machine) == ("cuda:0",), "more is free"
    place = tmp_path / "tui-attn" / "devices" / os.uname().nodename
    with python(TAKE_SLOTS, place, "20260101-other", 1, "GPU-1aaa") as other:
        assert said_by(other)
        assert choosing.choose("auto", machine) == ("cuda:1",)
        assert "shared" not in preflight.of_devices("auto", machine, {}).text
        assert choosing.choose_and_tell(ExperimentConfig(), machine, said.append) == ("cuda:1",)
        with python(TAKE_SLOTS, place, "20260102-other", 1, "GPU-0aaa") as third:
            assert said_by(third)
            assert choosing.choose("auto", machine) == ("cuda:0",), "a later model, if shared"
    assert said == ["training on cuda:1: 2 other GPUs are left idle, and --device all uses them too"]


def test_all_takes_the_gpus_of_one_model_and_a_mixture_only_where_it_is_allowed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    nvml(monkeypatch, H200, H200, V100)
    assert choosing.choose("all", devices.probe()) == ("cuda:0", "cuda:1")
    nvml(monkeypatch, H200, A100)
    mixed = devices.probe()
    for requested in ("all", "cuda:0,cuda:1"):
        with pytest.raises(ConfigError, match=r"cuda:0 is H200 \(9.0\) and cuda:1 is A100 \(8.0\): .*--mix-devices"):
            choosing.choose(requested, mixed)
        assert choosing.choose(requested, mixed, mix=True) == ("cuda:0", "cuda:1")
    assert choosing.choose("all", Machine(0, "2.14.0", None, False)) == ("cpu",)


def test_what_is_left_out_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    nvml(monkeypatch, H200, H200, V100)
    said: list[str] = []
    choosing.choose_and_tell(ExperimentConfig(device="all"), devices.probe(), said.append)
    assert len(said) == 1 and said[0].startswith("training on cuda:0, cuda:1: V100 has compute capability 7.0")


def test_each_slice_of_a_gpu_in_mig_mode_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    nvml(monkeypatch, H200, H200)
    vars(sys.modules["pynvml"]).update(
        nvmlDeviceGetMigMode=lambda handle: (1 if handle == 1 else 0, 0),
        nvmlDeviceGetMaxMigDeviceCount=lambda handle: 7,
        nvmlDeviceGetMigDeviceHandleByIndex=lambda handle, at: {0: "one", 3: "two"}[at],
        nvmlDeviceGetDeviceHandleFromMigDeviceHandle=lambda part: 1,
        nvmlDeviceGetHandleByUUID=lambda uuid: {"MIG-one": "one", "MIG-two": "two"}[uuid],
        nvmlDeviceGetUUID=lambda handle: f"MIG-{handle}" if isinstance(handle, str) else f"GPU-{handle}aaa",
        nvmlDeviceGetName=lambda handle: "H200 MIG 1g.18gb" if isinstance(handle, str) else "H200",
        nvmlDeviceGetCudaComputeCapability=lambda index: {0: (9, 0), 1: (9, 0)}[index],
        nvmlDeviceGetMemoryInfo=lambda handle: SimpleNamespace(total=18 * GB, used=GB),
    )
    machine = devices.probe()
    assert [about.uuid for about in machine.details] == ["GPU-0aaa", "MIG-one", "MIG-two"]
    assert machine.details[2] == GpuDetails("H200 MIG 1g.18gb", (9, 0), 18 * GB, 17 * GB, "MIG-two")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "MIG-two,MIG-one")
    machine = devices.probe()
    assert choosing.choose("all", machine) == ("cuda:0", "cuda:1")
    assert machine.identities(["cuda:0"])["cuda:0"].uuid == "MIG-two"
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "MIG-gone")
    assert devices.probe().details == (GpuDetails("MIG slice", uuid="MIG-gone"),)


def test_amds_gpus_are_found_and_train_step_by_step(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for node, text in enumerate(
        ("cpu_cores_count 64\nsimd_count 0\n", *["simd_count 304\ngfx_target_version 90402\n"] * 2)
    ):
        (tmp_path / str(node)).mkdir()
        (tmp_path / str(node) / "properties").write_text(text)
    monkeypatch.setenv("HIP_VISIBLE_DEVICES", "1")
    found = devices._amd_gpus(tmp_path)
    assert found == (GpuDetails("AMD gfx942"),)
    machine = Machine(1, "2.14.0+rocm7.1", None, False, None, found, "7.1")
    assert choosing.choose("auto", machine) == choosing.choose("cuda:0", machine) == ("cuda:0",)
    assert "not AMD's" in " ".join(choosing.remarks("cuda", ("cuda:0",), machine))
    assert "not Apple's" in " ".join(choosing.remarks("mps", ("mps",), Machine(0, "2.14.0", None, True)))
    assert list(choosing.remarks("cuda", ("cuda:0",), Machine(1, "2.14.0", "13.0", False))) == []


# ---- where an experiment that is resumed goes on


def begun(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *gpus: str, step: int = 9) -> ExperimentDir:
    """An experiment of one run on the first of `gpus`, or on the CPU, which trained `step` steps in fp32."""
    nvml(monkeypatch, H200, H200, A100)
    machine = devices.probe()
    _, workshop = make(tmp_path, monkeypatch, devices=gpus or ("cpu",), models=("base",))
    folder = workshop.folder
    moved = partial(replace, devices=gpus or ("cpu",), gpus=machine.identities(gpus), precision="fp32")
    writing.change_manifest(folder, moved)
    if step:
        workshop.made[0].begin("base-s0", step)
    return folder


def settled(folder: ExperimentDir, device: str | None = None, *, mix: bool = False) -> list[str]:
    said: list[str] = []
    choosing.settle(folder, device, said.append, mix=mix)
    return said


def test_a_gpu_is_found_again_under_another_index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = begun(tmp_path, monkeypatch, "cuda:1")
    assert settled(folder) == []
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "1")
    assert settled(folder) == [f"{folder.id} continues on cuda:0 (H200)"]
    manifest = folder.manifest_data()
    assert manifest.devices == ("cuda:0",) and manifest.uuids == {"cuda:0": "GPU-1aaa"}


def test_another_gpu_of_the_model_goes_on_and_one_of_another_model_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = begun(tmp_path, monkeypatch, "cuda:0")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "2")
    with pytest.raises(LaunchError, match=r"trains on cuda:0: H200 .* is not here\n.*--device"):
        settled(folder)
    with pytest.raises(LaunchError, match=r"trained on H200 .*; on A100 .* differ.*\n.*--mix-devices"):
        settled(folder, "cuda:0")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "1,2")
    assert settled(folder) == [f"{folder.id} continues on cuda:0 (H200)"]
    assert settled(folder, "cuda:1", mix=True) == [f"{folder.id} continues on cuda:1 (A100)"]
    assert folder.manifest_data().config.mix_devices


def test_the_cpu_is_another_device_too_unless_nothing_was_trained(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = begun(tmp_path, monkeypatch)
    with pytest.raises(LaunchError, match=r"trained on cpu; on H200 \(9.0\) results differ"):
        settled(folder, "cuda:0")
    settled(folder, "cuda:0", mix=True)
    assert folder.manifest_data().precision == "fp32", "that of the run so far"
    folder = begun(tmp_path / "fresh", monkeypatch, step=0)
    settled(folder, "cuda:0")
    assert folder.manifest_data().precision == "bf16", "as if it began there"
    assert not folder.manifest_data().config.mix_devices


def test_a_precision_that_the_other_gpu_lacks_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = begun(tmp_path, monkeypatch, "cuda:0", step=0)
    config = replace(folder.manifest_data().config, precision="bf16")
    writing.write_manifest(folder, replace(folder.manifest_data(), config=config, precision="bf16"))
    nvml(monkeypatch, ("Quadro", (7, 5)))
    with pytest.raises(LaunchError, match="computes in bf16, which Quadro can't"):
        settled(folder, "cuda:0")
