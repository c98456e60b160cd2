"""The pretended devices themselves: how many, of which kind, what they hold, how they fail, and what is counted."""

from __future__ import annotations

import contextlib
import json
import os
import weakref
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import torch

from tests.pretended_cuda import operators, streams, tensors  # noqa: F401 - operators registers kernels
from tests.pretended_cuda.nvml import Gpu, Settings
from tui_attn.train import fused_pooling

STICKY = "CUDA error: an illegal memory access was encountered"
"""An error after which every call of the process fails."""


@dataclass(slots=True)
class Stats:
    """What was done since the last `clear`."""

    launches: int = 0
    """Calls that put work on a device: one for an operator, one for a whole graph."""
    kernels: int = 0
    """Kernels that a device ran, at least: one for an operator, those of a graph at each replay."""
    replays: int = 0
    events: int = 0
    """Waits for a mark in a stream, which may have work after it."""
    waits: Counter[str] = field(default_factory=Counter)
    """Times that the host waited for a whole stream, by reason."""
    by_name: Counter[str] = field(default_factory=Counter)

    @property
    def syncs(self) -> int:
        """Times that the host waited for a whole stream."""
        return self.waits.total()


class Memory:
    """Of one device, in bytes."""

    def __init__(self, total: int) -> None:
        self.total, self.used, self.peak = total, 0, 0

    def take(self, size: int) -> None:
        if self.used + size > self.total:
            raise torch.OutOfMemoryError(f"CUDA out of memory. Tried to allocate {size} bytes. GPU 0 has too little.")
        self.used += size
        self.peak = max(self.peak, self.used)

    def give(self, size: int) -> None:
        self.used -= size


class Cuda:
    """The pretended CUDA of a process."""

    def __init__(self, settings: Settings) -> None:
        self.settings, self.gpus = settings, settings.visible()
        self.stats = Stats()
        self.kernels = 0
        """Run since the process began."""
        self.memory = [Memory(gpu.memory - gpu.used) for gpu in self.gpus]
        self.host = streams.Clock()
        self.pending: dict[int, tuple[weakref.ref[torch.Tensor], streams.Stream, int]] = {}
        """Where memory of the host is copied to -> the tensor there, and when the copy is done."""
        self.capturing: streams.Graph | None = None
        self.sync_mode = "default"
        self.index = 0
        self.current: list[streams.Stream] = []
        self._blocks: weakref.WeakValueDictionary[int, tensors.Block] = weakref.WeakValueDictionary()
        self._calls = 0
        self._broken: str | None = None
        self.seeds = {at: torch.Generator().manual_seed(0).get_state() for at in range(len(self.gpus))}

    def clear(self) -> Stats:
        """Count anew; what was counted until now."""
        found, self.stats = self.stats, Stats()
        return found

    def device(self, device: Any) -> torch.device:
        """`device` with its index. Raises as CUDA does where there is none of that index."""
        found = torch.device("cuda", device) if isinstance(device, int) else torch.device(device)
        if found.type != "cuda":
            return found
        index = self.index if found.index is None else found.index
        if index >= len(self.gpus):
            raise torch.AcceleratorError("CUDA error: invalid device ordinal")
        return torch.device("cuda", index)

    def current_stream(self, device: Any = None) -> streams.Stream:
        if not self.current:
            self.current = [streams.Stream(at) for at in range(len(self.gpus))]
        return self.current[self.index if device is None else self.device(device).index or 0]

    def block(self, host: torch.Tensor, index: int | None) -> tensors.Block | None:
        """The memory in which a tensor of the device `index` lies."""
        storage = host.untyped_storage()
        if not storage.nbytes():
            return None
        found = self._blocks.get(storage.data_ptr())
        if found is None:
            found = self._blocks[storage.data_ptr()] = tensors.Block(self, index or 0, storage.nbytes())
        return found

    # ---- order

    def race(self, what: str) -> RuntimeError:
        return RuntimeError(f"pretended CUDA: a race: {what}")

    def touch(self, stream: streams.Stream, block: tensors.Block, *, writes: bool) -> None:
        """Note that `stream` reads or writes `block`; raise where another stream may not be done with it."""
        before = [*block.read.items(), *([block.written] if block.written else [])] if writes else [block.written]
        for other, time in (item for item in before if item is not None):
            if other is not stream and max(stream.knows(other), self.host.knows(other)) < time:
                raise self.race(f"a stream {'writes' if writes else 'reads'} what another one has not finished with")
        if writes:
            block.written, block.read = (stream, stream.time), {}
        else:
            block.read[stream] = stream.time

    def touched_by(self, graph: streams.Graph) -> list[tensors.Block]:
        """The memory that a replay writes."""
        return graph.blocks

    def refuse_in_capture(self, what: str) -> None:
        if self.capturing is not None:
            raise RuntimeError(f"CUDA error: operation not permitted when stream is capturing ({what})")

    def host_waits(self, why: str) -> None:
        """Count that the host waits for the current stream, and refuse it where it is forbidden."""
        self.refuse_in_capture(why)
        if self.sync_mode == "error":
            raise RuntimeError(f"called a synchronizing CUDA operation ({why})")
        self.stats.waits[why] += 1
        stream = self.current_stream()
        self.host.learn(stream, stream.time, stream.known)

    def synchronize(self, device: Any = None) -> None:
        self.before("synchronize", self.device("cuda" if device is None else device))
        self.host_waits("torch.cuda.synchronize")
        for memory in self._blocks.values():
            for stream, time in [*memory.read.items(), *([memory.written] if memory.written else [])]:
                self.host.learn(stream, max(time, stream.time), stream.known)

    # ---- failures

    def before(self, name: str, device: torch.device) -> None:
        """Fail here, if the settings say so."""
        if self.gpus[device.index or 0].busy:
            raise torch.AcceleratorError("CUDA error: CUDA-capable device(s) is/are busy or unavailable")
        if self._broken is not None:
            raise torch.AcceleratorError(self._broken)
        failure = self.settings.failure
        if failure is None or (failure.device is not None and failure.device != self.gpus[device.index or 0].index):
            return
        if failure.op in {None, name}:
            self._calls += 1
        if self._calls == failure.after and failure.happens():
            if failure.kind == "out of memory":
                raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 MiB.")
            self._broken = STICKY if failure.kind == "sticky" else "CUDA error: GPU is lost"
            raise torch.AcceleratorError(self._broken)

    # ---- random numbers

    def drawing(self, func: Any, device: torch.device) -> Callable[..., Any]:
        """`func`, which draws from the device's own stream if it draws."""
        if torch.Tag.nondeterministic_seeded in func.tags:
            return streams.seeded(self.seeds, device.index or 0, func)
        return func  # type: ignore[no-any-return]

    def get_rng_state(self, device: Any = "cuda") -> torch.Tensor:
        self.refuse_in_capture("get_rng_state")
        return self.seeds[self.device(device).index or 0].clone()

    def set_rng_state(self, state: torch.Tensor, device: Any = "cuda") -> None:
        self.seeds[self.device(device).index or 0] = state.clone()

    def manual_seed_all(self, seed: int) -> None:
        for at in self.seeds:
            self.seeds[at] = torch.Generator().manual_seed(seed).get_state()

    def properties(self, device: Any = None) -> Any:
        gpu = self.gpus[self.device("cuda" if device is None else device).index or 0]
        return SimpleNamespace(
            name=gpu.name,
            major=gpu.capability[0],
            minor=gpu.capability[1],
            total_memory=gpu.memory,
            multi_processor_count=132,
            uuid=gpu.uuid.removeprefix("GPU-"),
        )


class DeviceContext:
    """`torch.cuda.device`."""

    def __init__(self, device: Any) -> None:
        self._index = tensors.cuda().device(device).index or 0
        self._before = 0

    def __enter__(self) -> None:
        self._before, tensors.cuda().index = tensors.cuda().index, self._index

    def __exit__(self, *_: object) -> None:
        tensors.cuda().index = self._before


@contextlib.contextmanager
def pretend(settings: Settings | None = None, /, **options: Any) -> Iterator[Cuda]:
    """Give this process pretended GPUs while it lasts; `options` are those of `Settings`."""
    cuda = Cuda(settings or Settings(**options))
    tensors._installed.append(cuda)
    torch._C._ensureCUDADeviceGuardSet()
    lifted = torch._C._only_lift_cpu_tensors()
    overwritten = torch.__future__.get_overwrite_module_params_on_conversion()
    with contextlib.ExitStack() as stack:
        for owner, names in _patches(cuda):
            for name, value in names.items():
                before = getattr(owner, name)
                setattr(owner, name, value)
                stack.callback(setattr, owner, name, before)
        torch._C._set_only_lift_cpu_tensors(True)
        stack.callback(torch._C._set_only_lift_cpu_tensors, lifted)
        torch.__future__.set_overwrite_module_params_on_conversion(True)
        stack.callback(torch.__future__.set_overwrite_module_params_on_conversion, overwritten)
        stack.callback(tensors._installed.remove, cuda)
        with tensors.Mode():  # type: ignore[no-untyped-call]
            yield cuda


def _patches(cuda: Cuda) -> list[tuple[Any, dict[str, Any]]]:
    def gpu(device: Any = None) -> Gpu:
        return cuda.gpus[cuda.device("cuda" if device is None else device).index or 0]

    def memory(device: Any = None) -> Memory:
        return cuda.memory[cuda.device("cuda" if device is None else device).index or 0]

    def reset_peak(device: Any = None) -> None:
        memory(device).peak = memory(device).used

    def pin(tensor: torch.Tensor, device: Any = None) -> torch.Tensor:
        pinned = tensor.clone()
        pinned.is_pretended_pinned = True  # type: ignore[attr-defined]
        return pinned

    def backward(self: torch.Tensor, gradient: Any = None, *_: Any, **__: Any) -> None:
        tensors.backward(self, gradient)

    return [
        (
            torch.cuda,
            {
                "_lazy_init": lambda: None,
                "is_available": lambda: bool(cuda.gpus),
                "is_initialized": lambda: True,
                "device_count": lambda: len(cuda.gpus),
                "current_device": lambda: cuda.index,
                "set_device": lambda device: setattr(cuda, "index", cuda.device(device).index or 0),
                "get_device_capability": lambda device=None: gpu(device).capability,
                "get_device_name": lambda device=None: gpu(device).name,
                "get_device_properties": cuda.properties,
                "is_bf16_supported": lambda including_emulation=True: gpu().capability >= (8, 0),
                "mem_get_info": lambda device=None: (memory(device).total - memory(device).used, gpu(device).memory),
                "memory_allocated": lambda device=None: memory(device).used,
                "max_memory_allocated": lambda device=None: memory(device).peak,
                "reset_peak_memory_stats": reset_peak,
                "empty_cache": lambda: cuda.refuse_in_capture("empty_cache"),
                "synchronize": cuda.synchronize,
                "set_sync_debug_mode": lambda mode: setattr(cuda, "sync_mode", mode),
                "get_rng_state": cuda.get_rng_state,
                "set_rng_state": cuda.set_rng_state,
                "manual_seed": cuda.manual_seed_all,
                "manual_seed_all": cuda.manual_seed_all,
                "is_current_stream_capturing": lambda: cuda.capturing is not None,
                "CUDAGraph": streams.Graph,
                "graph": streams.Capture,
                "graph_pool_handle": lambda: (0, 1),
                "Stream": streams.Stream,
                "Event": streams.Event,
                "stream": streams.Current,
                "current_stream": cuda.current_stream,
                "default_stream": cuda.current_stream,
                "device": DeviceContext,
            },
        ),
        (fused_pooling, {"compile_kernels": lambda dtype: None, "keep_compiled_code": lambda: None}),
        (torch.backends.cudnn, {"enabled": False}),  # whose batch norm only CUDA has
        (torch.autograd, {"backward": tensors.backward, "grad": tensors.grad}),
        (torch.Tensor, {"backward": backward, "pin_memory": pin}),
    ]


def from_environment() -> contextlib.AbstractContextManager[Cuda] | None:
    """What the environment variable PRETENDED_CUDA asks for, which `Settings.environment` writes."""
    given = os.environ.get("PRETENDED_CUDA")
    return None if given is None else pretend(Settings.from_json(json.loads(given)))
