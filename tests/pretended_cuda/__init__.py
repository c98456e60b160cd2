"""A pretended CUDA and a pretended NVML, on which the whole program runs without a GPU.

Tensors say `cuda:N`, go through CUDA's dispatch, autograd formulas and autocast, and compute on the CPU. Mixing
devices raises. A capture is recorded and replayed into the same memory, and what a capture forbids raises. Launches,
kernels and the host's waits are counted, and `torch.cuda.set_sync_debug_mode("error")` refuses waits as it does on a
GPU. Memory is counted and may run out. Streams know what they have waited for: reading what another stream may still
write raises.

It can't tell how fast a kernel is, nor its bits on a real device, and nothing here happens at the same time.

    with pretend(gpus=machine(2)) as cuda: ...              in this process
    subprocess.run(..., env=os.environ | Settings(machine(2)).environment)   in a program and its children
"""

from tests.pretended_cuda.nvml import GB, Failure, Gpu, Settings, library, machine

__all__ = ["GB", "Failure", "Gpu", "Settings", "library", "machine"]
