"""`benchmarks/gpu.py` and `doctor --device` on the pretended GPU."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.pretended_cuda.device import pretend
from tests.threads import one_thread  # noqa: F401
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
        env={key: value for key, value in os.environ.items() if key != "PYTEST_CURRENT_TEST"}
        | {"OMP_NUM_THREADS": "1"},
        check=False,
    )
    assert done.returncode == 0, done.stderr
    rows = json.loads((tmp_path / "out.json").read_text())["fast_path"]
    assert [(row["model"], row["precision"]) for row in rows] == [(m, p) for p in ("fp32", "bf16") for m in LAB]
    for row in rows:
        assert row["graphed"] and row["equal"]
        assert row["syncs_per_step"] == 0
        assert row["launches_per_step"] < 1 < row["kernels_per_step"]
        assert row["kernels_per_step"] <= row["plain"]["kernels_per_step"]


def test_a_device_is_checked_with_all_models_and_precisions(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, value in (("BATCH", 4), ("INTERVAL", 2), ("SECONDS", 0.0)):
        monkeypatch.setattr(device_check, name, value)
    with pretend():
        assert device_check.main("cuda:0") == 0
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [(row["model"], row["precision"]) for row in rows] == [(m, p) for p in ("fp32", "bf16") for m in LAB]
    assert all(row["graphed"] for row in rows), rows


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
