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
    """Why several steps can't be launched at once on `device`, in words; None where they can."""
    if device.type != "cuda":
        return f"{device.type} has no CUDA graphs"
    return "they were never tried with AMD's ROCm" if torch.version.hip else None


def pinned(tensor: torch.Tensor, device: torch.device) -> torch.Tensor:
    """`tensor`, on the CPU, in memory that `device` reads while the host does something else."""
    return tensor.pin_memory() if device.type == "cuda" else tensor


class HostCopy:
    """A copy of a tensor on the host, which CUDA makes, on the current stream, while the host does something else."""

    def __init__(self, tensor: torch.Tensor) -> None:
        self._done: Any = None
        if tensor.device.type != "cuda":
            self.memory = tensor.to("cpu", copy=True)
            return
        self.memory = torch.empty_like(tensor, device="cpu", pin_memory=True).copy_(tensor, non_blocking=True)
        self._done = torch.cuda.Event()  # type: ignore[no-untyped-call]
        self._done.record(torch.cuda.current_stream(tensor.device))

    def get(self) -> torch.Tensor:
        """The copy; waits until it is made, not for what the device was given since. From any thread."""
        if self._done is not None:
            self._done.synchronize()
        return self.memory


def stream(device: torch.device) -> Any:
    """A stream of its own for one network, so that several compute side by side; None where there are none."""
    return torch.cuda.Stream(device) if device.type == "cuda" else None  # type: ignore[no-untyped-call]


def on_stream(stream: Any) -> contextlib.AbstractContextManager[Any]:
    """Give what follows to `stream`."""
    return contextlib.nullcontext() if stream is None else torch.cuda.stream(stream)


def synchronise(device: torch.device) -> None:
    """Wait until the device has done what it was given."""
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
    """Measure the peak from now on, where the device can: several runs take turns in one worker."""
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)


def gpu_facts(device: torch.device) -> dict[str, str]:
    """`gpu`: which GPU it is, whatever its index, and its `capability`; nothing where the device doesn't tell."""
    if device.type != "cuda":
        return {}
    try:
        about = torch.cuda.get_device_properties(device)
        found = {"capability": f"{about.major}.{about.minor}"}
    except Exception:  # a device without them trains as well
        return {}
    uuid = getattr(about, "uuid", None)
    return found if uuid is None else found | {"gpu": f"GPU-{uuid}"}


def device_name(device: torch.device) -> str:
    """What people call it."""
    return torch.cuda.get_device_name(device) if device.type == "cuda" else device.type


def keep_freed_memory() -> bool:
    """Let this process keep what it frees, for its next allocation; whether that was possible (glibc only).

    A training step allocates and frees the same dozen large buffers. By default glibc gives each back to the
    system, which must then zero its pages again and map them one by one: thousands of page faults in every step.
    Blocks above 32 MiB, glibc's limit, are given back still.
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


if __name__ == "__main__":  # asked by the process that chooses devices, which doesn't import torch
    print(*torch.cuda.get_arch_list())  # noqa: T201 - its answer
