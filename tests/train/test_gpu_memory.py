"""A run's memory on a GPU: given back when it fails, and measured for each run."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from tests.pretended_cuda import machine
from tests.pretended_cuda.device import pretend
from tests.train.sessions import make, never
from tui_attn.experiment.event_log import LogReader
from tui_attn.train.accelerator import peak_memory, reset_peak_memory
from tui_attn.train.worker_context import WorkerContext


@pytest.mark.parametrize("hidden", [False, True])
def test_what_a_run_held_is_free_again_after_it_ran_out_of_memory(tmp_path: Path, hidden: bool) -> None:
    """Also where the model caught the error and raised another one."""
    experiment = make(tmp_path, models=("base",))
    with pretend(gpus=machine(1)) as cuda:
        context = WorkerContext(experiment, experiment.manifest_data(), "cuda:0", probes=False)
        idle = cuda.memory[0].used
        context.open("base-s0")

        def step() -> None:
            activations = torch.zeros(1_000_000, device="cuda")
            assert cuda.memory[0].used > idle + activations.numel()
            raise torch.OutOfMemoryError("CUDA out of memory")

        def forward() -> None:
            try:
                step()
            except torch.OutOfMemoryError:
                raise RuntimeError("out of memory in layer 3") from None

        try:
            (forward if hidden else step)()
        except RuntimeError as error:
            context.fail("base-s0", error, "the traceback")
            context.close("base-s0")
            assert cuda.memory[0].used == idle
    ended = LogReader(experiment.run("base-s0").events).read()[-1]
    assert ended["state"] == "failed" and ended["reason"].startswith("out of memory: use a smaller --batch-size")


def test_an_error_of_the_device_while_memory_is_given_back_costs_nothing_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    experiment = make(tmp_path, models=("base",))
    with pretend(gpus=machine(1)):
        context = WorkerContext(experiment, experiment.manifest_data(), "cuda:0", probes=False)
        context.open("base-s0")

        def fail() -> None:
            raise torch.AcceleratorError("CUDA error: an illegal memory access was encountered")

        monkeypatch.setattr(torch.cuda, "empty_cache", fail)
        context.close("base-s0")
        context.open("base-s0")  # its lock was released


def test_a_runs_peak_is_that_of_its_epoch(tmp_path: Path) -> None:
    experiment = make(tmp_path, models=("base",), epochs=1)
    with pretend(gpus=machine(1)) as cuda:
        context = WorkerContext(experiment, experiment.manifest_data(), "cuda:0", probes=False)
        context.open("base-s0")
        before = torch.zeros(100_000_000, device="cuda")  # of another run
        size = before.numel() * 4
        assert cuda.memory[0].peak > size
        del before
        session = context.session("base-s0")
        while not session.done:
            session.train_to_point(never)
        session.settle()
    events = LogReader(experiment.run("base-s0").events).read()
    peaks = [event["peak_memory"] for event in events if event.type == "epoch"]
    assert len(peaks) == 1 and 0 < peaks[0] < size


def test_the_peak_is_that_since_the_run_had_its_turn() -> None:
    device = torch.device("cuda:0")
    with pretend(gpus=machine(1)):
        del_me = torch.zeros(1000, device=device)
        assert peak_memory(device) == 4000
        del del_me
        reset_peak_memory(device)
        kept = torch.zeros(10, device=device)
        assert peak_memory(device) == 4 * kept.numel()
