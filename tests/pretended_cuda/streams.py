"""Streams, events and graphs of the pretended device, and the order in which they make things happen."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any

import torch

from tests.pretended_cuda.tensors import NO_KERNEL, Block, cuda

if TYPE_CHECKING:
    from collections.abc import Callable


class Clock:
    """What has certainly happened on each stream, as a stream or the host knows (a vector clock)."""

    def __init__(self) -> None:
        self.known: dict[Stream, int] = {}

    def knows(self, stream: Stream) -> int:
        """Up to when the work of `stream` is done."""
        return self.known.get(stream, 0)

    def learn(self, stream: Stream, time: int, more: dict[Stream, int]) -> None:
        """Know that `stream` has done its work up to `time`, and what it knew."""
        for other, then in (*more.items(), (stream, time)):
            self.known[other] = max(self.known.get(other, 0), then)


class Stream(Clock):
    """A queue of a device; `with` and `torch.cuda.stream` make it the current one."""

    def __init__(self, device: Any = None, priority: int = 0, **_: Any) -> None:
        super().__init__()
        self.device = cuda().device("cuda" if device is None else device)
        self.time = 0
        """Kernels that were put into it."""
        self._before: list[Stream] = []

    def wait_stream(self, other: Stream) -> None:
        self.learn(other, other.time, other.known)

    def wait_event(self, event: Event) -> None:
        if event.stream is not None:
            self.learn(event.stream, event.at, event.known)

    def record_event(self, event: Event | None = None) -> Event:
        event = event or Event()
        event.record(self)
        return event

    def synchronize(self) -> None:
        cuda().host_waits("stream.synchronize")
        cuda().host.learn(self, self.time, self.known)

    def __enter__(self) -> Stream:
        self._before.append(cuda().current_stream(self.device))
        cuda().current[self.device.index or 0] = self
        return self

    def __exit__(self, *_: object) -> None:
        cuda().current[self.device.index or 0] = self._before.pop()


class Event:
    """A mark in a stream."""

    def __init__(self, enable_timing: bool = False, blocking: bool = False, **_: Any) -> None:
        self.stream: Stream | None = None
        self.at = 0
        self.known: dict[Stream, int] = {}
        self._kernels = 0

    def record(self, stream: Stream | None = None) -> None:
        self.stream = stream or cuda().current_stream()
        self.at, self.known = self.stream.time, dict(self.stream.known)
        self._kernels = cuda().kernels

    def wait(self, stream: Stream | None = None) -> None:
        (stream or cuda().current_stream()).wait_event(self)

    def query(self) -> bool:
        return True

    def synchronize(self) -> None:
        """Wait for what is before it, which doesn't empty the stream: counted apart from other waits."""
        cuda().refuse_in_capture("event.synchronize")
        cuda().stats.events += 1
        if self.stream is not None:
            cuda().host.learn(self.stream, self.at, self.known)

    def elapsed_time(self, other: Event) -> float:
        """As if each kernel took 5 µs: times mean nothing here, but are the same each time."""
        return 0.005 * (other._kernels - self._kernels)


class Graph:
    """A recorded sequence of operators with their very tensors; a replay does them again in the same memory."""

    def __init__(self, keep_graph: bool = False) -> None:
        self.calls: list[tuple[Any, list[Any], dict[str, Any], list[torch.Tensor]]] = []
        self.blocks: list[Block] = []
        self.kernels = 0

    def pool(self) -> tuple[int, int]:
        return (0, 1)

    def reset(self) -> None:
        self.calls.clear()

    def add(self, func: Any, given: list[Any], options: dict[str, Any], real: Any) -> None:
        homes = {t.untyped_storage().data_ptr() for t in _flat((given, list(options.values())))}
        fresh = [tensor for tensor in _flat(real) if tensor.untyped_storage().data_ptr() not in homes]
        self.calls.append((func, given, options, _flat(real) if fresh else []))
        self.kernels += func._schema.name not in NO_KERNEL

    def replay(self) -> None:
        device = cuda()
        stream = device.current_stream()
        device.before("replay", stream.device)
        stream.time += 1
        device.stats.launches += 1
        device.stats.kernels += self.kernels
        device.kernels += self.kernels
        device.stats.replays += 1
        with torch.no_grad(), torch._C._DisableTorchDispatch():
            for func, given, options, made in self.calls:
                found = device.drawing(func, stream.device)(*given, **options)
                for old, new in zip(made, _flat(found), strict=False):
                    if old.data_ptr() != new.data_ptr():
                        old.copy_(new)
        for block in device.touched_by(self):
            device.touch(stream, block, writes=True)


def _flat(found: Any) -> list[torch.Tensor]:
    if isinstance(found, torch.Tensor):
        return [found]
    if isinstance(found, list | tuple):
        return list(itertools.chain.from_iterable(map(_flat, found)))
    return []


class Capture:
    """`torch.cuda.graph`."""

    def __init__(self, graph: Graph, pool: Any = None, stream: Stream | None = None, **_: Any) -> None:
        self._graph = graph
        self._stream = stream or Stream()

    def __enter__(self) -> None:
        device = cuda()
        if device.capturing is not None:
            raise RuntimeError("CUDA error: operation not permitted when stream is capturing")
        device.host_waits("torch.cuda.graph")
        self._stream.wait_stream(device.current_stream())
        self._stream.__enter__()
        device.capturing = self._graph

    def __exit__(self, *_: object) -> None:
        cuda().capturing = None
        self._stream.__exit__()


class Current:
    """`torch.cuda.stream`."""

    def __init__(self, stream: Stream | None) -> None:
        self._stream = stream

    def __enter__(self) -> None:
        if self._stream is not None:
            self._stream.__enter__()

    def __exit__(self, *_: object) -> None:
        if self._stream is not None:
            self._stream.__exit__()


def seeded(state: dict[int, torch.Tensor], index: int, func: Callable[..., Any]) -> Callable[..., Any]:
    """`func` drawing from the random stream of device `index`, whose state `state` holds."""

    def drawn(*args: Any, **kwargs: Any) -> Any:
        before = torch.get_rng_state()
        torch.set_rng_state(state[index])
        try:
            return func(*args, **kwargs)
        finally:
            state[index] = torch.get_rng_state()
            torch.set_rng_state(before)

    return drawn
