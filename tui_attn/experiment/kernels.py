"""The kernels that train on a kind of CPU: chosen once when an experiment begins, because they determine its bits."""

from __future__ import annotations

import os
import platform
from collections.abc import Mapping
from pathlib import Path

KERNELS = ("onednn", "plain")
"""onednn: the passes of `train/fast.py`, where there is one. plain: PyTorch's own layers."""


def cpu_kind(cpuinfo: Path = Path("/proc/cpuinfo"), environment: Mapping[str, str] = os.environ) -> str:
    """amx, avx512-bf16, avx512, avx2 or other, which determines the fastest kernels.

    ATEN_CPU_CAPABILITY=avx2, which keeps PyTorch from wider instructions, counts as such a CPU.
    """
    if platform.machine().lower() not in {"x86_64", "amd64"}:
        return "other"
    try:
        lines = cpuinfo.read_text().splitlines()
    except OSError:
        return "other"
    flags = set(next((line.partition(":")[2].split() for line in lines if line.startswith("flags")), ()))
    limited = environment.get("ATEN_CPU_CAPABILITY", "").lower()
    if limited == "default" or "avx2" not in flags:
        return "other"
    if limited == "avx2" or "avx512f" not in flags:
        return "avx2"
    return "amx" if "amx_bf16" in flags else "avx512-bf16" if "avx512_bf16" in flags else "avx512"


FASTEST = {
    ("avx512-bf16", "bf16"): "onednn",
    ("avx512-bf16", "fp32"): "onednn",
    ("avx2", "fp32"): "onednn",
}
"""Kind of CPU and precision -> kernels, as benchmarks/cpu_kernels.py measured; onednn where nobody did."""


def fastest(kind: str, precision: str) -> str:
    """The kernels for an experiment that begins on such a CPU; auto is bf16 where the CPU multiplies that fast."""
    if precision == "auto":
        precision = "bf16" if kind in {"amx", "avx512-bf16"} else "fp32"
    return FASTEST.get((kind, precision), "onednn")
