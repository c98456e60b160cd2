"""The whole program on pretended GPUs: start, stop, resume, extend, probe, and GPUs that fail or are gone."""

from __future__ import annotations

import json
import os
import signal
from dataclasses import replace
from pathlib import Path

import pytest

from tests.pretended_cuda import Failure, Gpu, Settings, machine
from tests.waiting import eventually
from tui_attn.experiment.folders import ExperimentDir
from tui_attn.experiment.follower import read_state
from tui_attn.experiment.reducer import RunState

from .conftest import Program

SMALL = ("--dataset", "synthetic", "--train-limit", "256", "--test-limit", "100")


def on(program: Program, settings: Settings) -> Program:
    """The program on these GPUs from now on."""
    program.environment |= settings.environment
    program.environment["XDG_CACHE_HOME"] = str(program.folder / "cache")  # what torch says of its kernels
    program.environment.pop("CUDA_VISIBLE_DEVICES", None)
    return program


def gpus_of(folder: ExperimentDir) -> dict[str, tuple[str | None, str | None]]:
    """Run -> the device that its log names, and the GPU that it was."""
    return {run.id: (run.about.get("device"), run.about.get("gpu")) for run in read_state(folder).state.runs.values()}


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Program:
    """Two seeds of se, trained on two GPUs."""
    program = on(Program(tmp_path_factory.mktemp("gpus")), Settings(machine(2)))
    done = program("--no-ui", *SMALL, "--models", "se", "--seeds", "2", "--epochs", "1", "--device", "all")
    assert done.code == 0, done.err
    return program


def test_a_start_names_its_gpus_in_manifest_and_logs(trained: Program) -> None:
    folder = trained.newest()
    zero, one = machine(2)
    assert folder.manifest_data().uuids == {"cuda:0": zero.uuid, "cuda:1": one.uuid}
    assert folder.manifest_data().precision == "bf16"
    assert sorted(gpus_of(folder).values()) == [("cuda:0", zero.uuid), ("cuda:1", one.uuid)]


def test_auto_says_how_many_gpus_it_leaves_idle(tmp_path: Path) -> None:
    auto = on(Program(tmp_path), Settings(machine(3)))("--dry-run", *SMALL)
    assert "2 other GPUs are left idle, and --device all uses them too" in " ".join(auto.err.split())


def test_extend_and_probe_go_on_with_the_gpu_that_is_left(trained: Program) -> None:
    folder = trained.newest()
    on(trained, Settings((Gpu(1),)))
    refused = trained("extend", "--seeds", "3", "--no-ui")
    assert refused.code != 0, "one of its GPUs is gone, and no other of its model is free"
    assert refused.err.count("\n") == 2 and "--device" in refused.err
    extended = trained("extend", "--seeds", "3", "--no-ui", "--device", "cuda")
    assert extended.code == 0, extended.err
    assert gpus_of(folder)["se-s2"] == ("cuda:0", Gpu(1).uuid)
    probed = trained("probe", "--run", "se-s2")
    assert probed.code == 0, probed.err
    assert "intervening on se-s2 (1 of 1)" in probed.err


def test_probe_uses_the_cpu_where_no_gpu_of_the_model_is(trained: Program) -> None:
    folder = trained.newest()
    for path in folder.path.glob("*/interventions*"):
        path.unlink()
    on(trained, Settings((Gpu(0, name="Pretended A100", capability=(8, 0)),)))
    probed = trained("probe", "--run", "se-s0")
    assert probed.code == 0, probed.err


def test_a_stopped_experiment_continues_on_another_gpu_of_the_model_and_not_silently_on_another(
    program: Program,
) -> None:
    on(program, Settings(machine(2)))
    started = program(
        "--detach", *SMALL, "--models", "base", "--epochs", "500", "--device", "cuda:1", "--batch-size", "16"
    )
    assert started.code == 0, started.err
    folder = program.newest()
    eventually(lambda: any(run.step for run in read_state(folder).state.runs.values()))
    assert program("stop").code == 0
    program("wait")
    before = read_state(folder).state.runs["base-s0"].step
    on(program, Settings((Gpu(0, name="Pretended A100", capability=(8, 0)),)))
    for arguments in ((), ("--device", "cpu"), ("--device", "cuda:0")):
        refused = program("resume", "--detach", *arguments)
        assert refused.code != 0
        assert "Traceback" not in refused.err
        assert ("--mix-devices" if arguments else "--device") in refused.err
    on(program, Settings(machine(1)))
    resumed = program("resume", "--detach")
    assert resumed.code == 0, resumed.err
    assert "continues on cuda:0 (Pretended H200)" in resumed.err
    eventually(lambda: gpus_of(folder)["base-s0"] == ("cuda:0", Gpu(0).uuid))
    eventually(lambda: read_state(folder).state.runs["base-s0"].resumed_from is not None)
    assert read_state(folder).state.runs["base-s0"].resumed_from == before
    assert program("stop").code == 0
    program("wait")


TWO_SEEDS = ("--no-ui", *SMALL, "--models", "base", "--seeds", "2", "--epochs", "2", "--device", "all")


def trained_weights(program: Program, settings: Settings) -> list[str | None]:
    done = on(program, settings)(*TWO_SEEDS)
    assert done.code == 0, done.err
    return [run.weights_sha256 for run in read_state(program.newest()).state.runs.values()]


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> list[str | None]:
    return trained_weights(Program(tmp_path_factory.mktemp("undisturbed")), Settings(machine(2)))


@pytest.mark.parametrize("once", [True, False])
def test_runs_of_a_gpu_that_fails_go_on_and_come_to_the_same_bits(
    program: Program, tmp_path: Path, undisturbed: list[str | None], once: bool
) -> None:
    """A sticky error of one process costs a restart; a GPU at which every process fails is avoided."""
    marker = str(tmp_path / "failed") if once else None
    failure = Failure("sticky", after=100 if once else 50, device=1, marker=marker)
    found = trained_weights(program, Settings(machine(2), failure=failure))
    warnings = [text for _, text in read_state(program.newest()).state.warnings]
    assert any("its device failed" in text for text in warnings)
    assert any("cuda:1 failed 2 times" in text for text in warnings) != once
    assert found == undisturbed
    assert None not in found


def test_a_killed_worker_on_a_gpu_costs_time_and_no_bit(program: Program) -> None:
    on(program, Settings(machine(1)))
    options = (*SMALL, "--models", "base,se", "--epochs", "5", "--batch-size", "8")
    assert program("--no-ui", *options).code == 0
    wanted = {run.id: run.weights_sha256 for run in read_state(program.newest()).state.runs.values()}
    assert program("--detach", *options).code == 0
    folder = program.newest()

    def under_way() -> dict[str, RunState]:
        runs = read_state(folder).state.runs
        return runs if len(runs) == 2 and all(run.step >= 40 for run in runs.values()) else {}

    eventually(lambda: bool(under_way()))
    pids = {int(run.about["pid"]) for run in under_way().values()}
    assert len(pids) == 1, "both are trained side by side"
    os.kill(pids.pop(), signal.SIGKILL)
    assert program("wait").code == 0
    runs = read_state(folder).state.runs
    assert {run.id: run.weights_sha256 for run in runs.values()} == wanted
    assert all(run.attempt == 2 for run in runs.values())


def test_an_old_driver_and_an_old_gpu_lead_to_the_cpu_with_the_reason(program: Program) -> None:
    start = ("--no-ui", *SMALL, "--models", "base", "--epochs", "1")
    for settings, reason in (
        (Settings(machine(1), driver=11_080), "the GPU's driver supports CUDA 11.8"),
        (Settings(machine(1, name="Pretended K80", capability=(3, 7))), "has compute capability 3.7"),
    ):
        done = on(program, settings)(*start)
        assert done.code == 0, done.err
        assert "training on cpu" in done.err and reason in done.err
        found = {each["what"]: each for each in json.loads(on(program, settings)("doctor", "--json").out)}
        assert found["GPU"]["verdict"] == "warning" and reason in found["GPU"]["remedy"]


def test_a_gpu_that_does_not_answer_is_passed_over(program: Program, tmp_path: Path) -> None:
    lost = tmp_path / "lost"
    lost.touch()
    settings = Settings(machine(2), failure=Failure("vanish", device=0, after=10**9, marker=str(lost)))
    done = on(program, replace(settings))("--no-ui", *SMALL, "--models", "base", "--epochs", "1")
    assert done.code == 0, done.err
    assert "cuda:0 doesn't answer its driver" in done.err
    assert list(program.newest().manifest_data().uuids) == ["cuda:1"]
