"""The pretended CUDA behaves as CUDA where the program relies on it."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest
import torch

from tests.pretended_cuda import GB, Failure, Gpu, Settings, library, machine
from tests.pretended_cuda.device import Cuda, pretend


@pytest.fixture
def cuda() -> Iterator[Cuda]:
    with pretend(gpus=machine(2)) as found:
        yield found


def test_tensors_of_two_devices_do_not_mix(cuda: Cuda) -> None:
    here, there = torch.ones(3, device="cuda"), torch.ones(3, device="cuda:1")
    assert (here.device, there.device) == (torch.device("cuda:0"), torch.device("cuda:1"))
    assert (here + 1).tolist() == [2, 2, 2]
    for other in (there, torch.ones(3)):
        with pytest.raises(RuntimeError, match="Expected all tensors to be on the same device"):
            here + other
    with pytest.raises(torch.AcceleratorError, match="invalid device ordinal"):
        torch.ones(3, device="cuda:2")


def test_a_network_trains_with_autocast_and_fused_adam(cuda: Cuda) -> None:
    network = torch.nn.Conv2d(1, 4, 3).to("cuda:1").to(memory_format=torch.channels_last)
    adam = torch.optim.Adam(network.parameters(), lr=0.1, fused=True)
    before = network.weight.detach().cpu()
    with torch.autocast("cuda", torch.bfloat16):
        maps = network(torch.ones(2, 1, 8, 8, device="cuda:1"))
    assert maps.dtype is torch.bfloat16
    maps.float().sum().backward()
    adam.step()
    assert torch.allclose(network.weight.detach().cpu(), before - 0.1, atol=1e-5)


def test_a_replay_does_the_captured_work_again_in_the_same_memory(cuda: Cuda) -> None:
    total, number = torch.zeros(2, device="cuda"), torch.ones(2, device="cuda")
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        doubled = number * 2
        total.add_(doubled)
    number.fill_(5)
    cuda.clear()
    graph.replay()
    assert (cuda.stats.launches, cuda.stats.kernels, cuda.stats.syncs) == (1, 2, 0)
    assert (total.tolist()[0] - doubled.tolist()[0]) % 2 == 0
    assert doubled.tolist() == [10, 10]


@pytest.mark.parametrize("forbidden", ["item", "cpu", "nonzero", "synchronize", "from the host"])
def test_what_a_capture_forbids_raises(cuda: Cuda, forbidden: str) -> None:
    numbers = torch.ones(3, device="cuda")
    with (
        pytest.raises(RuntimeError, match="not permitted when stream is capturing"),
        torch.cuda.graph(torch.cuda.CUDAGraph()),
    ):
        if forbidden == "item":
            numbers.sum().item()
        elif forbidden == "cpu":
            numbers.cpu()
        elif forbidden == "nonzero":
            numbers.nonzero()
        elif forbidden == "synchronize":
            torch.cuda.synchronize()
        else:
            torch.ones(3).to("cuda")


def test_waits_are_counted_and_can_be_refused(cuda: Cuda) -> None:
    numbers = torch.ones(3, device="cuda")
    pinned = torch.zeros(3).pin_memory()
    cuda.clear()
    pinned.copy_(numbers, non_blocking=True)
    assert cuda.stats.syncs == 0
    torch.cuda.set_sync_debug_mode("error")
    for wait in (numbers.sum().item, numbers.cpu, numbers.tolist):
        with pytest.raises(RuntimeError, match="called a synchronizing CUDA operation"):
            wait()


def test_reading_what_was_not_waited_for_is_a_race(cuda: Cuda) -> None:
    numbers = torch.ones(3, device="cuda")
    torch.cuda.synchronize()
    side = torch.cuda.Stream()  # type: ignore[no-untyped-call]
    with torch.cuda.stream(side):
        more = numbers + 1
    with pytest.raises(RuntimeError, match="a race"):
        more * 2
    torch.cuda.current_stream().wait_stream(side)
    assert (more * 2).tolist() == [4, 4, 4]
    pinned = torch.zeros(3).pin_memory()
    pinned.copy_(more, non_blocking=True)
    done = torch.cuda.Event()  # type: ignore[no-untyped-call]
    done.record()
    with pytest.raises(RuntimeError, match="has not waited for"):
        pinned + 1
    done.synchronize()
    assert (pinned + 1).tolist() == [3, 3, 3]


def test_random_numbers_are_the_devices_own_and_go_on_in_replays(cuda: Cuda) -> None:
    torch.manual_seed(3)
    one = torch.rand(4, device="cuda").cpu()
    state = torch.cuda.get_rng_state()
    two = torch.rand(4, device="cuda").cpu()
    torch.cuda.set_rng_state(state)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        drawn = torch.rand(4, device="cuda")
    torch.cuda.set_rng_state(state)
    graph.replay()
    assert torch.equal(drawn.cpu(), two)
    assert not torch.equal(one, two)


def test_memory_runs_out_and_is_given_back() -> None:
    with pretend(gpus=(Gpu(memory=2_000_000, used=1_000_000),)):
        held = torch.ones(200_000, device="cuda")
        with pytest.raises(torch.OutOfMemoryError):
            torch.ones(200_000, device="cuda")
        assert torch.cuda.max_memory_allocated() == torch.cuda.memory_allocated() == 800_000
        del held
        assert torch.ones(200_000, device="cuda").sum().item() == 200_000


def test_a_sticky_error_stays_and_hits_one_process_only(tmp_path: Path) -> None:
    failure = Failure("sticky", after=2, op="aten::mul", marker=str(tmp_path / "failed"))
    for failing in (True, False):
        with pretend(failure=failure):
            ones = torch.ones(3, device="cuda")
            ones.mul(2)
            if failing:
                for _ in range(2):
                    with pytest.raises(torch.AcceleratorError, match="illegal memory access"):
                        ones.mul(2)
            else:
                assert ones.mul(2).tolist() == [2, 2, 2]


def test_the_pretence_ends() -> None:
    with pretend():
        assert torch.cuda.is_available()
    assert not torch.cuda.is_available()
    with pytest.raises((RuntimeError, AssertionError)):
        torch.ones(3, device="cuda")


def test_the_library_tells_of_the_same_machine(tmp_path: Path) -> None:
    lost = tmp_path / "lost"
    gpus = (Gpu(0, name="V100", capability=(7, 0)), Gpu(1, mig=2, used=40 * GB))
    nvml: ModuleType = library(Settings(gpus, 12_080, Failure("vanish", device=1, marker=str(lost))))
    assert (nvml.nvmlDeviceGetCount(), nvml.nvmlSystemGetCudaDriverVersion_v2()) == (2, 12_080)
    first, second = (nvml.nvmlDeviceGetHandleByIndex(at) for at in range(2))
    assert nvml.nvmlDeviceGetCudaComputeCapability(first) == (7, 0)
    assert nvml.nvmlDeviceGetMemoryInfo(second).free == 101 * GB
    assert nvml.nvmlDeviceGetUUID(nvml.nvmlDeviceGetMigDeviceHandleByIndex(second, 1)).startswith("MIG-")
    with pytest.raises(nvml.NVMLError):
        nvml.nvmlDeviceGetMigDeviceHandleByIndex(second, 2)
    lost.touch()
    with pytest.raises(nvml.NVMLError, match="lost"):
        nvml.nvmlDeviceGetHandleByIndex(1)


def test_programs_and_their_children_believe_in_the_machine() -> None:
    code = "import torch, pynvml; print(torch.cuda.device_count(), pynvml.nvmlDeviceGetCount())"
    done = subprocess.run(
        [sys.executable, "-P", "-c", code],
        env=os.environ | Settings(machine(2)).environment,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.split() == ["2", "2"]
