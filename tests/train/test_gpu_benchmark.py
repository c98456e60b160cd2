"""`benchmarks/gpu.py` and `doctor --device` on the pretended GPU."""

import importlib
import json
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from tests.pretended_cuda import machine
from tests.pretended_cuda.device import pretend
from tui_attn.cli import doctor
from tui_attn.train import device_check

REPOSITORY = Path(__file__).parents[2]
LAB = ("base", "se", "self-attention")


def test_the_benchmark_counts_without_a_gpu_and_without_pytest(tmp_path: Path) -> None:
    code = "import runpy, sys; runpy.run_path(sys.argv.pop(1), run_name='__main__')"
    done = subprocess.run(
        [sys.executable, "-c", code, REPOSITORY / "benchmarks/gpu.py", "--pretend", "--json", tmp_path / "out.json"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        env={key: value for key, value in os.environ.items() if key != "PYTEST_CURRENT_TEST"},
        check=False,
    )
    assert done.returncode == 0, done.stderr
    rows = json.loads((tmp_path / "out.json").read_text())["fast_path"]
    assert [(row["model"], row["precision"]) for row in rows] == [(m, p) for p in ("fp32", "bf16") for m in LAB]
    for row in rows:
        assert row["graphed"] and row["equal"]
        assert row["syncs_per_step"] == 0
        assert row["launches_per_step"] < 1 < row["kernels_per_step"]
        ways = row["pooling"]
        assert row["kernels_per_step"] == ways["fused"]["kernels_per_step"] < ways["torch"]["kernels_per_step"]
        assert ways["torch"]["kernels_per_step"] <= row["plain"]["kernels_per_step"]


def test_all_that_is_timed_runs(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """On the pretended device, whose times mean nothing; the programs are tried by what they print and how they end."""
    gpu, programs = (importlib.import_module(f"benchmarks.{name}") for name in ("gpu", "gpu_programs"))
    monkeypatch.setattr(gpu, "programs", lambda *_: iter([("a program", "1.0 s")]))
    with pretend(gpus=machine(1)) as cuda:
        bench = gpu.Bench(torch.device("cuda:0"), 4, 4 * gpu.INTERVAL, cuda)
        found = gpu.measure(bench, "bf16", 1, lambda: 1e9)
    for name in LAB:
        assert set(found[name]) == {"rates", "evaluation of 10,000", "checkpoint"}
        assert len(found[name]["rates"]) == 5 and all(rate > 0 for rate in found[name]["rates"].values())
    assert "failed" not in capsys.readouterr().out
    assert gpu.measure(bench, "bf16", 1, lambda: 1.0)["base"]["rates"] == "no time was left"
    python = [sys.executable, "-c"]
    assert programs.took([*python, "print('x'); print('12.0 images/s')"], 60) == "12.0 images/s"
    assert programs.took([*python, "print('done')"], 60).endswith(" s")
    assert programs.took([*python, "raise SystemExit('no module')"], 60) == "failed: no module"
    assert programs.took([*python, "import time; time.sleep(600)"], 5.0) == "more than 5 s"
    assert programs.took([*python, ""], 1.0) == "no time was left"


def test_a_profile_is_counted_within_the_range_alone() -> None:
    counts = importlib.import_module("benchmarks.gpu_counts")

    def event(name: str, start: float, end: float, device: str = "CPU") -> SimpleNamespace:
        return SimpleNamespace(
            name=name, time_range=SimpleNamespace(start=start, end=end), device_type=SimpleNamespace(name=device)
        )

    found = counts.counted(
        [
            event("cudaDeviceSynchronize", 0, 1),
            event(counts.COUNTED, 2, 10),
            event(counts.COUNTED, 2, 12, "CUDA"),  # the range as the device's track shows it
            event("cudaGraphLaunch", 3, 4),
            event("cudaMemcpyAsync", 5, 6),
            event("cudaStreamSynchronize", 6, 7),
            event("aten::add", 7, 8),
            *(event("kernel", at, at + 1, "CUDA") for at in range(4, 13)),
            event("cudaDeviceSynchronize", 11, 12),  # the profiler's own
        ]
    )
    assert (found.launches * 9, found.kernels * 9, found.syncs * 9) == pytest.approx((2, 9, 1))


def test_a_device_is_checked_with_all_models_and_precisions(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, value in (("BATCH", 4), ("INTERVAL", 2), ("SECONDS", 0.0)):
        monkeypatch.setattr(device_check, name, value)
    with pretend():
        assert device_check.main("cuda:0") == 0
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [(row["model"], row["precision"]) for row in rows] == [(m, p) for p in ("fp32", "bf16") for m in LAB]
    assert all(row["graphed"] and row["unfused"] is None for row in rows), rows


def test_the_doctor_tells_how_fast_a_device_trains() -> None:
    found = list(doctor.trained("cpu"))
    assert len(found) == 6
    for finding in found:
        assert (finding.verdict, finding.remedy) == ("ok", None)
        assert "images/s; steps are launched one by one" in finding.text


def test_the_doctor_says_why_a_device_can_not_train() -> None:
    [finding] = doctor.trained("cuda:7")
    assert (finding.verdict, finding.text) == ("problem", "cuda:7 can't train")
    assert finding.remedy
