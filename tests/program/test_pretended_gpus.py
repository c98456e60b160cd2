"""Whole experiments on two pretended GPUs: the program, its supervisor and its workers."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.pretended_cuda import Failure, Settings, machine

OPTIONS = (
    "--no-ui --dataset synthetic --device cuda:0,cuda:1 --jobs 2 --epochs 1 --train-limit 26 --test-limit 20"
    " --batch-size 8 --precision bf16"
)


def experiment(runs: Path, settings: Settings) -> dict[str, Any]:
    """Run one to its end; what `compare --json` says of it."""
    environment = os.environ | settings.environment
    tui_attn = [sys.executable, "-P", "-m", "tui_attn"]
    done = subprocess.run(
        [*tui_attn, *OPTIONS.split(), "--runs-dir", runs],
        env=environment,
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    told = subprocess.run(
        [*tui_attn, "compare", "--json", "--runs-dir", runs], env=environment, capture_output=True, check=True
    )
    found: dict[str, Any] = json.loads(told.stdout)
    return found


def weights(found: dict[str, Any]) -> dict[str, str]:
    return {run["run"]: run["weights_sha256"] for model in found["models"] for run in model["runs"]}


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    return experiment(tmp_path_factory.mktemp("whole"), Settings(machine(2)))


def test_all_three_models_train_on_two_gpus(whole: dict[str, Any]) -> None:
    assert whole["state"] == "finished"
    assert set(weights(whole)) == {"base-s0", "se-s0", "self-attention-s0"} and all(weights(whole).values())


@pytest.mark.parametrize("kind", ["sticky", "out of memory"])
def test_what_fails_once_on_a_gpu_changes_no_bit(tmp_path: Path, whole: dict[str, Any], kind: str) -> None:
    marker = tmp_path / "failed"
    if kind == "sticky":  # the worker is replaced
        failure = Failure("sticky", after=5, op="replay", marker=str(marker))
    else:  # steps are launched one by one
        failure = Failure("out of memory", after=1, op="replay", marker=str(marker))
    found = experiment(tmp_path / "runs", Settings(machine(2), failure=failure))
    assert marker.exists()
    assert weights(found) == weights(whole)
