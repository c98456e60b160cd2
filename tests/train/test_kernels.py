"""Which kernels train on a CPU: chosen by its kind when an experiment begins, recorded, used again, and never mixed."""

from dataclasses import replace
from pathlib import Path

import pytest

from tests.train.sessions import context, fold, make, never
from tui_attn.compare.pairs import comparable, why_not_paired
from tui_attn.experiment.folders import ExperimentDir
from tui_attn.experiment.kernels import FASTEST, KERNELS, cpu_kind, fastest
from tui_attn.experiment.reducer import RunState
from tui_attn.experiment.writing import write_manifest

AVX2, AVX512 = "fpu sse4_2 avx avx2", "fpu sse4_2 avx avx2 avx512f"


@pytest.mark.parametrize(
    ("flags", "environment", "kind"),
    [
        (f"{AVX512} avx512_bf16 amx_bf16", {}, "amx"),
        (f"{AVX512} avx512_bf16", {}, "avx512-bf16"),
        (AVX512, {}, "avx512"),
        (AVX2, {}, "avx2"),
        ("fpu sse4_2", {}, "other"),
        (f"{AVX512} avx512_bf16", {"ATEN_CPU_CAPABILITY": "avx2"}, "avx2"),
        (AVX512, {"ATEN_CPU_CAPABILITY": "default"}, "other"),
    ],
)
def test_the_kind_of_a_cpu(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, flags: str, environment: dict[str, str], kind: str
) -> None:
    monkeypatch.setattr("platform.machine", lambda: "x86_64")
    (tmp_path / "cpuinfo").write_text(f"processor\t: 0\nflags\t\t: {flags}\n")
    assert cpu_kind(tmp_path / "cpuinfo", environment) == kind
    monkeypatch.setattr("platform.machine", lambda: "aarch64")
    assert cpu_kind(tmp_path / "cpuinfo", environment) == "other"


def test_a_cpu_that_tells_nothing_is_of_no_kind(tmp_path: Path) -> None:
    (tmp_path / "cpuinfo").write_text("")
    assert cpu_kind(tmp_path / "nothing", {}) == cpu_kind(tmp_path / "cpuinfo", {}) == "other"


def test_the_table_decides_and_what_was_not_measured_has_the_one_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    assert set(FASTEST.values()) <= set(KERNELS)
    monkeypatch.setitem(FASTEST, ("avx2", "fp32"), "plain")
    assert fastest("avx2", "fp32") == fastest("avx2", "auto") == "plain"
    monkeypatch.setitem(FASTEST, ("amx", "bf16"), "plain")
    assert (fastest("amx", "auto"), fastest("amx", "fp32")) == ("plain", "onednn")
    assert fastest("other", "auto") == "onednn"


def recorded(folder: Path, kernels: str) -> ExperimentDir:
    experiment = make(folder, models=("base", "se"), epochs=1)
    write_manifest(experiment, replace(experiment.manifest_data(), kernels=kernels))
    assert experiment.manifest_data().kernels == kernels
    return experiment


def begun(experiment: ExperimentDir, run: str) -> RunState:
    made = context(experiment, probes=False)
    made.open(run)
    found = made.session(run)
    found.train_to_point(never)
    found.suspend()
    made.close(run)
    return fold(experiment, run)  # type: ignore[no-any-return]


def test_workers_use_what_the_experiment_recorded_also_when_they_go_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    experiment = recorded(tmp_path, "plain")
    monkeypatch.setattr("tui_attn.experiment.kernels.FASTEST", {})  # as if another CPU went on with it
    assert begun(experiment, "base-s0").about["kernels"] == "plain"
    resumed = begun(experiment, "base-s0")
    assert resumed.resumed_from == 1 and resumed.about["kernels"] == "plain"
    assert begun(experiment, "se-s0").about["kernels"] == "plain"


def test_runs_of_different_kernels_are_not_compared(tmp_path: Path) -> None:
    plain, onednn = (recorded(tmp_path / kernels, kernels) for kernels in ("plain", "onednn"))
    base, same, other = begun(plain, "base-s0"), begun(plain, "se-s0"), begun(onednn, "se-s0")
    assert why_not_paired(base, same) is None
    assert why_not_paired(base, other) == "kernels: onednn against plain"
    assert comparable(plain.manifest_data(), onednn.manifest_data()) == ["kernels: plain and onednn"]
