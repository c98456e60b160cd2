"""What the sessions of a worker share: data, precision, errors of a device."""

import json
import os
import sys
import threading
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.train.sessions import context, make, never
from tui_attn import data
from tui_attn.experiment.event_log import LogReader
from tui_attn.experiment.folders import ExperimentDir
from tui_attn.experiment.manifest import FIRST, STRATIFIED
from tui_attn.system.signals import Signals
from tui_attn.train import rng, step
from tui_attn.train.command_pipe import CommandPipe
from tui_attn.train.session import PrecisionChangedError
from tui_attn.train.worker import Worker
from tui_attn.train.worker_context import device_is_lost, explain

CPU = torch.device("cpu")
MODELS = ("base", "se", "self-attention")


def begun_in_bf16(folder: Path, monkeypatch: pytest.MonkeyPatch) -> ExperimentDir:
    """An experiment whose run base-s0 was left after an epoch."""
    experiment = make(folder, precision="auto", epochs=2)
    monkeypatch.setattr(step, "_cpu_multiplies_bf16", lambda: True)
    made = context(experiment, probes=False)
    made.open("base-s0")
    made.session("base-s0").train_epoch(never)
    made.session("base-s0").suspend()
    return experiment


def test_a_run_goes_on_in_the_precision_of_its_checkpoints(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    experiment = begun_in_bf16(tmp_path, monkeypatch)
    monkeypatch.setattr(step, "_cpu_multiplies_bf16", lambda: False)  # as on another machine
    made = context(experiment, probes=False)
    made.open("base-s0")
    assert made.session("base-s0").progress.epoch == 1
    events = list(LogReader(experiment.run("base-s0").events).read())
    assert [event["precision"] for event in events if event.type == "started"] == ["bf16", "fp32", "bf16"]
    assert events[-1]["skipped"] == []


def test_checkpoints_that_a_device_can_not_take_up_are_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    experiment = begun_in_bf16(tmp_path, monkeypatch)
    kept = sorted(path.name for path in experiment.run("base-s0").checkpoints.iterdir())

    def choose(requested: str, device: torch.device) -> str:
        if requested == "bf16":
            raise step.PrecisionError("not here")
        return "fp32"

    monkeypatch.setattr("tui_attn.train.session.choose_precision", choose)
    monkeypatch.setattr("tui_attn.train.worker_context.choose_precision", choose)
    made = context(experiment, probes=False)
    with pytest.raises(PrecisionChangedError, match="its checkpoints are in bf16, which cpu can't compute"):
        made.open("base-s0")
    assert sorted(path.name for path in experiment.run("base-s0").checkpoints.iterdir()) == kept


def test_a_checkpoint_of_the_cpu_is_taken_up_on_a_gpu_whose_stream_it_lacks() -> None:
    rng.seed_all(5)
    states = rng.capture(CPU)
    drawn = torch.rand(3)
    rng.restore(states, torch.device("cuda"))
    assert torch.equal(torch.rand(3), drawn)


def test_errors_of_a_gpu_are_explained_and_a_lost_one_is_known() -> None:
    memory = torch.AcceleratorError("CUDA error: out of memory")
    assert explain(memory).startswith("out of memory: use a smaller --batch-size") and not device_is_lost(memory)
    busy = torch.AcceleratorError("CUDA error: CUDA-capable device(s) is/are busy or unavailable")
    assert "another program holds the GPU" in explain(busy)
    assert device_is_lost(torch.AcceleratorError("CUDA error: an illegal memory access was encountered"))
    assert device_is_lost(RuntimeError("CUDA error: unspecified launch failure"))
    assert not device_is_lost(RuntimeError("mat1 and mat2 shapes cannot be multiplied"))
    assert not device_is_lost(ValueError("CUDA error"))


@pytest.mark.parametrize(("subset", "drawn_from"), [(STRATIFIED, [0, 1, 0]), (FIRST, [None])])
def test_each_seed_has_its_own_images_unless_the_experiment_began_with_the_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, subset: str, drawn_from: list[int | None]
) -> None:
    loaded: list[int | None] = []
    load = data.load

    def watched(*arguments: Any, **options: Any) -> data.Arrays:
        loaded.append(options["subset"])
        return load(*arguments, **options)

    monkeypatch.setattr(data, "load", watched)
    worker = context(make(tmp_path, subset=subset, seeds=2), probes=False)
    for run in ("base-s0", "se-s0", "base-s1", "self-attention-s0"):
        worker.open(run)
        worker.close(run)
    assert loaded == drawn_from


def test_images_that_could_not_be_read_are_read_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    worker, load = context(make(tmp_path, subset=STRATIFIED, seeds=2), probes=False), data.load

    def fails(*_arguments: Any, **_options: Any) -> data.Arrays:
        monkeypatch.setattr(data, "load", load)
        raise data.DataError("its disk is away")

    first = worker.images
    monkeypatch.setattr(data, "load", fails)
    with pytest.raises(data.DataError):
        worker.open("base-s1")
    worker.open("se-s1")
    assert not torch.equal(worker.images.train_images, first.train_images)
    worker.close("se-s1")


def test_a_model_that_calls_sys_exit_fails_its_run_and_says_so(tmp_path: Path) -> None:
    experiment = make(tmp_path)
    made = context(experiment)
    reading, writing = os.pipe()
    with Signals([]) as signals:
        worker = Worker(experiment, made, CommandPipe(reading, signals))
        made.open("base-s0")
        assert not worker._guarded("base-s0", lambda: sys.exit(0))
    for descriptor in (reading, writing):
        os.close(descriptor)
    last = LogReader(experiment.run("base-s0").events).read()[-1]
    assert (last.type, last["state"]) == ("ended", "failed")
    assert "its code called sys.exit(0)" in last["reason"]


def test_a_run_that_is_handed_out_again_is_not_paused(tmp_path: Path) -> None:
    """The supervisor took a late word of the run's former worker for its end, which also ended the pause."""
    folder = make(tmp_path, models=("base",))
    reading, writing = os.pipe()
    orders = [("train", "base-s0"), ("pause", "base-s0"), ("train", "base-s0"), ("exit", None)]
    os.write(writing, b"".join(b"%s\n" % json.dumps({"do": do, "run": run}).encode() for do, run in orders))
    ended = threading.Timer(60, os.close, [writing])  # ends a worker that waits for ever
    ended.start()
    with Signals([]) as signals:
        assert Worker(folder, context(folder), CommandPipe(reading, signals)).work() == 0
    assert ended.is_alive()
    ended.cancel()
    os.close(writing)
    os.close(reading)
    assert LogReader(folder.run("base-s0").events).read()[-1]["state"] == "finished"
