"""Measuring the machine, and how it is shown."""

from __future__ import annotations

import sys
import threading
from dataclasses import replace
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
from textual.pilot import Pilot

from tests.ui.harness import DEADLINE, READING, drawn, drive, make_app, screen_text, staged, until
from tui_attn.launch.devices import visible
from tui_attn.ui.app import DashboardApp
from tui_attn.ui.devices import Gpu, Reading, Sampler, reader
from tui_attn.ui.widgets.device_panel import graph, load_style, memory_style


def test_this_machine_can_be_measured() -> None:
    found = reader()()
    assert found.cores >= 1
    assert 0 < found.memory_used < found.memory_total
    assert 0 <= found.cpu <= 1


def test_nothing_is_measured_until_something_trains() -> None:
    readings: list[Reading] = []
    came = threading.Event()

    def listener(reading: Reading) -> None:
        readings.append(reading)
        came.set()

    sampler = Sampler(listener, read=lambda: READING, interval=0.001)
    sampler.start()
    try:
        assert readings == []
        sampler.set_active(True)
        assert came.wait(DEADLINE)
        assert readings[0] is READING
    finally:
        sampler.stop()
        sampler.join(DEADLINE)
    assert not sampler.is_alive()


@pytest.mark.parametrize(
    ("size", "texts"),
    [
        ((80, 24), ["cpu 71 %", "memory 21.3 GB of 128.0 GB", "gpu 0 83 %"]),
        ((120, 40), ["71 % of 16 cores", "21.3 GB of 128.0 GB", "NVIDIA H200", "83 %  54 °C  312 W"]),
        ((200, 60), ["71 % of 16 cores", "NVIDIA H200", "83 %  54 °C  312 W"]),
    ],
)  # fmt: skip
def test_the_load_shows(tmp_path: Path, size: tuple[int, int], texts: list[str]) -> None:
    async def script(pilot: Pilot[int], app: DashboardApp) -> None:
        await drawn(pilot, app)
        await until(pilot, lambda: "71 %" in screen_text(app))
        assert [text for text in texts if text not in screen_text(app)] == []

    with staged(tmp_path, "running") as folder:
        drive(make_app(folder), script, size=size)


def test_a_device_that_tells_nothing_shows_nothing(tmp_path: Path) -> None:
    silent = Reading(0.1, 4, 1_000, 2_000, (Gpu(0, "\x1b]0;x\x07MIG", None, None, None, None, None),) * 2)

    async def script(pilot: Pilot[int], app: DashboardApp) -> None:
        await drawn(pilot, app)
        await until(pilot, lambda: "2 x ␛]0;x␇MIG" in screen_text(app))

    with staged(tmp_path, "running") as folder:
        drive(make_app(folder, reading=silent), script)


def test_what_is_over_is_not_measured(tmp_path: Path) -> None:
    async def script(pilot: Pilot[int], app: DashboardApp) -> None:
        await drawn(pilot, app)
        assert "idle" in screen_text(app)

    with staged(tmp_path, "finished") as folder:
        drive(make_app(folder), script)


@pytest.mark.parametrize(("ascii_only", "shown"), [(False, " ▁▁▅█"), (True, " ..=#")])
def test_a_graph_ends_with_the_newest_load(ascii_only: bool, shown: str) -> None:
    pieces = graph([1.0, None, 0.0, 0.1, 0.5, 1.0], 5, ascii_only=ascii_only)
    assert "".join(text for text, _ in pieces) == shown
    assert [style for text, style in pieces if text] == ["faint", "muted", "primary", "key"]
    assert "".join(text for text, _ in graph([1.0], 4, ascii_only=ascii_only))[:3] == "   "


def test_memory_warns_where_it_is_nearly_full_and_load_never_does() -> None:
    assert memory_style(0.95) == "warning"
    assert memory_style(0.5) == "primary"
    assert "warning" not in {load_style(load) for load in (None, 0.0, 0.5, 1.0)}


def test_every_device_has_a_graph_of_its_history(tmp_path: Path) -> None:
    async def script(pilot: Pilot[int], app: DashboardApp) -> None:
        await drawn(pilot, app)
        for load in (0.0, 1.0):
            app.dashboard.show_devices(replace(READING, cpu=load, gpus=(replace(READING.gpus[0], utilisation=load),)))
        await until(pilot, lambda: screen_text(app).count("▁█") == 2)

    with staged(tmp_path, "running") as folder:
        drive(make_app(folder), script)


class FakeNvml(ModuleType):
    """NVIDIA's library with two GPUs, of which the second tells nothing but its name."""

    class NVMLError(Exception):
        """What the real one raises for everything."""

    NVML_TEMPERATURE_GPU = 0

    def nvmlInit(self) -> None:  # noqa: N802
        pass

    def nvmlDeviceGetCount(self) -> int:  # noqa: N802
        return 2

    def nvmlDeviceGetHandleByIndex(self, index: int) -> int:  # noqa: N802
        return index

    def nvmlDeviceGetUUID(self, handle: int) -> str:  # noqa: N802
        return f"GPU-{handle}"

    def nvmlDeviceGetHandleByUUID(self, uuid: str) -> int:  # noqa: N802
        return ["GPU-0", "GPU-1"].index(uuid)

    def nvmlDeviceGetName(self, handle: int) -> bytes:  # noqa: N802
        return b"NVIDIA H200"

    def _told(self, handle: int, answer: Any) -> Any:
        if handle:
            raise self.NVMLError("Not Supported")
        return answer

    def nvmlDeviceGetMemoryInfo(self, handle: int) -> Any:  # noqa: N802
        return self._told(handle, SimpleNamespace(used=3, total=4))

    def nvmlDeviceGetUtilizationRates(self, handle: int) -> Any:  # noqa: N802
        return self._told(handle, SimpleNamespace(gpu=75))

    def nvmlDeviceGetPowerUsage(self, handle: int) -> Any:  # noqa: N802
        return self._told(handle, 312_000)

    def nvmlDeviceGetTemperature(self, handle: int, sensor: int) -> Any:  # noqa: N802
        return self._told(handle, 54)


def test_gpus_are_asked_through_nvidias_library(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pynvml", FakeNvml("pynvml"))
    first, second = reader(["cuda:0", "cuda:1"])().gpus
    assert first == Gpu(0, "NVIDIA H200", 0.75, 3, 4, 54.0, 312.0)
    assert second == Gpu(1, "NVIDIA H200", None, None, None, None, None)


def test_a_machine_without_gpu_has_none(monkeypatch: pytest.MonkeyPatch) -> None:
    class Broken(FakeNvml):
        def nvmlInit(self) -> None:  # noqa: N802
            raise self.NVMLError("Driver Not Loaded")

    monkeypatch.setitem(sys.modules, "pynvml", Broken("pynvml"))
    assert reader()().gpus == ()


def test_only_the_gpus_that_train_are_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pynvml", FakeNvml("pynvml"))
    assert [gpu.index for gpu in reader(["cuda:1"])().gpus] == [1]
    assert [gpu.index for gpu in reader(["cuda"])().gpus] == [0]
    assert reader(["cpu"])().gpus == ()
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "1")
    (only,) = reader(["cuda:0"])().gpus
    assert only.utilisation is None, "the machine's second GPU, which is CUDA's first"


def test_the_gpu_of_an_experiment_is_shown_whatever_this_shell_calls_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pynvml", FakeNvml("pynvml"))
    for variable in ("1", ""):  # here cuda:0 is another GPU, or none
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", variable)
        (only,) = reader(["cuda:0"], {"cuda:0": "GPU-0"})().gpus
        assert (only.index, only.utilisation) == (0, 0.75)
    assert reader(["cuda:0"], {"cuda:0": "GPU-gone"})().gpus == ()


@pytest.mark.parametrize(
    ("variable", "expected"),
    [
        (None, [0, 1, 2]),
        ("2,0", [2, 0]),
        ("GPU-bb", [1]),
        ("GPU-a,GPU-c", [0, 2]),
        ("0,7,1", [0]),
        ("", []),
        ("-1", []),
        ("GPU-", []),
    ],
)
def test_cuda_visible_devices_is_respected(variable: str | None, expected: list[int]) -> None:
    assert visible(["GPU-aa", "GPU-bb", "GPU-cc"], variable) == expected


def test_a_machine_that_is_not_this_one_is_not_measured(tmp_path: Path) -> None:
    async def script(pilot: Pilot[int], app: DashboardApp) -> None:
        await drawn(pilot, app)
        assert "not measured: on recorder" in screen_text(app)
        assert "71 %" not in screen_text(app)

    with staged(tmp_path, "running") as folder:
        drive(make_app(folder, host="laptop"), script)
