"""A device: its properties, its memory, and waiting for it."""

from __future__ import annotations

import contextlib
import ctypes
import resource
import sys
from typing import Any

import torch

_M_TRIM_THRESHOLD = -1
_M_MMAP_THRESHOLD = -3
_LARGEST_MMAP_THRESHOLD = 32 << 20
_NEVER = 2**31 - 1


def no_graphs_on(device: torch.device) -> str | None:
    """Why `device` can't train by CUDA graphs, in words; None where it can."""
    if device.type != "cuda":
        return f"{device.type} has no CUDA graphs"
    return "they were never tried with AMD's ROCm" if torch.version.hip else None


def pinned(tensor: torch.Tensor, device: torch.device) -> torch.Tensor:
    """`tensor`, on the CPU, in pinned memory where `device` is CUDA, which copies from it asynchronously."""
    return tensor.pin_memory() if device.type == "cuda" else tensor


class HostCopy:
    """A copy of a tensor on the host, which CUDA makes asynchronously on the current stream."""

    def __init__(self, tensor: torch.Tensor) -> None:
        self._done: Any = None
        if tensor.device.type != "cuda":
            self.memory = tensor.to("cpu", copy=True)
            return
        self.memory = torch.empty_like(tensor, device="cpu", pin_memory=True).copy_(tensor, non_blocking=True)
        self._done = torch.cuda.Event()  # type: ignore[no-untyped-call]
        self._done.record(torch.cuda.current_stream(tensor.device))

    def get(self) -> torch.Tensor:
        """The copy; waits for it, not for work that was queued later. From any thread."""
        if self._done is not None:
            self._done.synchronize()
        return self.memory


def stream(device: torch.device) -> Any:
    """A new stream, so that one network computes concurrently with others; None on devices without streams."""
    return torch.cuda.Stream(device) if device.type == "cuda" else None  # type: ignore[no-untyped-call]


def on_stream(stream: Any) -> contextlib.AbstractContextManager[Any]:
    """Queue work on `stream`."""
    return contextlib.nullcontext() if stream is None else torch.cuda.stream(stream)


def synchronise(device: torch.device) -> None:
    """Wait until the device has finished all queued work."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    elif device.type == "mps":
        torch.mps.synchronize()


def peak_memory(device: torch.device) -> int | None:
    """Bytes: of the device's allocator on CUDA, of the whole worker process on the CPU."""
    if device.type == "cuda":
        return int(torch.cuda.max_memory_allocated(device))
    if device.type == "mps":
        return int(torch.mps.driver_allocated_memory())
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return int(peak) if sys.platform == "darwin" else int(peak) * 1024


def free_memory(device: torch.device) -> tuple[int, int]:
    """Free and total bytes of a CUDA device, shared with other processes; 0 and 0 on other devices."""
    return torch.cuda.mem_get_info(device) if device.type == "cuda" else (0, 0)


def reset_peak_memory(device: torch.device) -> None:
    """Measure peak memory from now on, where the device can: the runs of a worker take turns."""
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)


def gpu_facts(device: torch.device) -> dict[str, str]:
    """UUID (`gpu`) and compute `capability` of a GPU; empty where the device doesn't report them."""
    if device.type != "cuda":
        return {}
    try:
        about = torch.cuda.get_device_properties(device)
        found = {"capability": f"{about.major}.{about.minor}"}
    except Exception:  # training does without them
        return {}
    uuid = getattr(about, "uuid", None)
    return found if uuid is None else found | {"gpu": f"GPU-{uuid}"}


def device_name(device: torch.device) -> str:
    """The product name of a GPU; the type of any other device."""
    return torch.cuda.get_device_name(device) if device.type == "cuda" else device.type


def keep_freed_memory() -> bool:
    """Make glibc keep freed memory for later allocations; returns whether that was possible.

    A training step allocates and frees the same dozen large buffers. By default glibc returns each to the system, which
    then zeroes and maps its pages again: thousands of page faults per step. Blocks above 32 MiB, glibc's limit, are
    returned to the system nevertheless.
    """
    if not sys.platform.startswith("linux"):
        return False
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):  # another C library
        return False
    mallopt.argtypes, mallopt.restype = [ctypes.c_int, ctypes.c_int], ctypes.c_int
    done = (mallopt(_M_MMAP_THRESHOLD, _LARGEST_MMAP_THRESHOLD), mallopt(_M_TRIM_THRESHOLD, _NEVER))
    return all(done)


if __name__ == "__main__":  # run by the process that chooses devices, which doesn't import torch
    print(*torch.cuda.get_arch_list())  # noqa: T201 - its answer
