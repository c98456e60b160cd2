"""Tensors that say `cuda:N`, take CUDA's way through dispatcher, autograd and autocast, and compute on the CPU."""

from __future__ import annotations

import itertools
import weakref
from collections import Counter
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode

if TYPE_CHECKING:
    from tests.pretended_cuda.device import Cuda
    from tests.pretended_cuda.streams import Stream

_NO_KERNEL = """
    view _unsafe_view detach t transpose permute expand unsqueeze squeeze select slice as_strided alias split unbind
    _reshape_alias lift_fresh empty empty_strided empty_like new_empty new_empty_strided chunk diagonal is_same_size
    split_with_sizes set_ resize_ tensor_split unfold view_as _local_scalar_dense
"""
_WAITS = """
    _local_scalar_dense nonzero equal masked_select unique_consecutive _unique2 _unique unique_dim
"""
NO_KERNEL = frozenset(f"aten::{name}" for name in _NO_KERNEL.split())
"""Operators that compute nothing on the device: views, and memory that nobody wrote yet."""
WAITS = frozenset(f"aten::{name}" for name in _WAITS.split())
"""Operators whose result the host waits for."""
CONVOLUTIONS = frozenset({"aten::convolution", "aten::convolution_backward"})
COPIES = frozenset({"aten::_to_copy", "aten::copy_"})
MIXED = COPIES | {"aten::index", "aten::index_put_", "aten::_index_put_impl_", "aten::_local_scalar_dense"}
"""Operators that take tensors of the CPU beside the device's."""


class Block:
    """Memory of a device: one storage, however many tensors show it."""

    def __init__(self, cuda: Cuda, index: int, size: int) -> None:
        self._memory = cuda.memory[index]
        self.size = 0
        self._memory.take(size)
        self.size = size
        self.written: tuple[Stream, int] | None = None
        """The stream that wrote it last, and when."""
        self.read: dict[Stream, int] = {}
        """When each stream read it last."""

    def __del__(self) -> None:
        self._memory.give(self.size)


class Twin(torch.Tensor):
    """A tensor of the pretended device; `host` holds its numbers."""

    host: torch.Tensor
    block: Block | None

    @staticmethod
    def __new__(cls, host: torch.Tensor, device: torch.device, block: Block | None) -> Twin:
        with torch.inference_mode(False):  # a wrapper has no version counter there
            twin: Twin = torch.Tensor._make_wrapper_subclass(
                cls,
                host.size(),
                strides=host.stride(),
                storage_offset=host.storage_offset(),
                dtype=host.dtype,
                layout=host.layout,
                device=device,
                requires_grad=False,
            )
        twin.host, twin.block = host, block
        return twin

    __torch_function__ = torch._C._disabled_torch_function_impl  # type: ignore[assignment]

    def tolist(self) -> Any:
        cuda().host_waits("tolist")
        return self.host.tolist()

    def __repr__(self, *, tensor_contents: Any = None) -> str:  # type: ignore[override]
        return f"Twin({self.host}, device='{self.device}')"

    def __reduce_ex__(self, protocol: Any) -> Any:
        """As a tensor of CUDA that is read with `map_location="cpu"`."""
        cuda().host_waits("torch.save")
        if isinstance(self, torch.nn.Parameter):
            return torch.nn.Parameter(self.host, self.requires_grad).__reduce_ex__(protocol)  # type: ignore[no-untyped-call]
        return self.host.detach().__reduce_ex__(protocol)  # type: ignore[no-untyped-call]

    @classmethod
    def __torch_dispatch__(  # type: ignore[override]
        cls, func: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        return dispatch(func, args, kwargs or {})


_installed: list[Cuda] = []


def cuda() -> Cuda:
    """The pretended CUDA of this process."""
    return _installed[-1]


class Mode(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Sends to the device what makes tensors there, and watches the host's memory that is copied to."""

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        device = kwargs.get("device")
        if (device is not None and torch.device(device).type == "cuda") or any(
            isinstance(item, Twin) for item in _tensors(args, kwargs)
        ):
            return dispatch(func, args, kwargs)
        pinned = kwargs.pop("pin_memory", None)
        _host_reads(cuda(), args, kwargs)
        made = func(*args, **kwargs)
        if pinned:
            made.is_pretended_pinned = True
        return made


def _host_reads(cuda: Cuda, args: Any, kwargs: Any) -> None:
    """Raise where the host reads what the device may not have written yet."""
    if not cuda.pending:
        return
    for tensor in _tensors(args, kwargs):
        place = tensor.untyped_storage().data_ptr()
        if place in cuda.pending:
            copy, stream, time = cuda.pending[place]
            if copy() is not None and cuda.host.knows(stream) < time:
                raise cuda.race("the host reads a copy from the device that it has not waited for")
            del cuda.pending[place]  # read, or other memory by now


def _tensors(args: Any, kwargs: Any) -> Iterator[torch.Tensor]:
    for item in itertools.chain(args, kwargs.values()):
        if isinstance(item, torch.Tensor):
            yield item
        elif isinstance(item, list | tuple):
            yield from (each for each in item if isinstance(each, torch.Tensor))


def _map(item: Any, change: Callable[[torch.Tensor], Any]) -> Any:
    if isinstance(item, torch.Tensor):
        return change(item)
    if isinstance(item, list | tuple):
        return type(item)(_map(each, change) for each in item)
    return item


def _host_of(tensor: torch.Tensor) -> torch.Tensor:
    return tensor.host if isinstance(tensor, Twin) else tensor


def dispatch(func: Any, args: Any, kwargs: dict[str, Any]) -> Any:
    """Do on the pretended device what `func`, an operator of ATen, does with these arguments."""
    if func._schema.name in CONVOLUTIONS:
        return _convolution(func, args)
    return _dispatch(func, args, kwargs)


def _dispatch(func: Any, args: Any, kwargs: dict[str, Any]) -> Any:
    device = cuda()
    name: str = func._schema.name
    twins = [tensor for tensor in _tensors(args, kwargs) if isinstance(tensor, Twin)]
    target = kwargs.get("device")
    target = None if target is None else device.device(target)
    _check_devices(name, twins, args, kwargs)
    place = target if target is not None else twins[0].device
    if name == "aten::copy_" and not isinstance(args[0], Twin):
        place = torch.device("cpu")
    home = place if place.type == "cuda" else twins[0].device
    stream = device.current_stream(home)
    device.before(name, home)
    _count(device, func, name, place, twins, args, kwargs)
    given = [_map(item, _host_of) for item in args]
    options = {key: _map(item, _host_of) for key, item in kwargs.items()}
    if target is not None:
        options["device"] = torch.device("cpu")
        options.pop("pin_memory", None)
    if name == "aten::_fused_adam_":
        _check_fused(given)
    if device.capturing is None and name not in NO_KERNEL:
        _follow(device, stream, func, args, kwargs)
    with torch.inference_mode(False), torch.no_grad(), torch._C._DisableTorchDispatch():
        real = device.drawing(func, home)(*given, **options)
    if place.type != "cuda" or name == "aten::_local_scalar_dense":
        if kwargs.get("pin_memory"):
            real.is_pretended_pinned = True
        if isinstance(real, torch.Tensor) and real.numel() and _asynchronous(name, args, kwargs, real):
            device.pending[real.untyped_storage().data_ptr()] = weakref.ref(real), stream, stream.time
        return args[0] if name == "aten::copy_" else real
    known = {id(twin.host): twin for twin in twins}
    if device.capturing is not None:
        device.capturing.add(func, given, options, real)

    def wrap(tensor: torch.Tensor) -> torch.Tensor:
        if id(tensor) in known:
            return known[id(tensor)]
        block = device.block(tensor, home.index)
        if name not in NO_KERNEL and block is not None and device.capturing is None:
            block.written = block.written if _is_view(twins, block) else (stream, stream.time)
        if device.capturing is not None and block is not None:
            device.capturing.blocks.append(block)
        return Twin(tensor, place, block)

    return _map(real, wrap)


def _convolution(func: Any, args: Any) -> Any:
    """As CUDA does it: the bias is added, and its gradient summed, by operators of their own."""
    if func is torch.ops.aten.convolution.default:
        bias = args[2]
        maps = _dispatch(func, (*args[:2], None, *args[3:]), {})
        if bias is None:
            return maps
        column = _dispatch(torch.ops.aten.view.default, (bias, [1, -1, *[1] * (maps.dim() - 2)]), {})
        return _dispatch(torch.ops.aten.add_.Tensor, (maps, column), {})
    grad, *_ = args
    *wanted, bias_wanted = args[-1]
    found = _dispatch(func, (*args[:-1], [*wanted, False]), {})
    if bias_wanted:
        found = *found[:2], _dispatch(torch.ops.aten.sum.dim_IntList, (grad, [0, *range(2, grad.dim())]), {})
    return found


def _is_view(twins: list[Twin], block: Block) -> bool:
    return any(twin.block is block for twin in twins)


def _check_devices(name: str, twins: list[Twin], args: Any, kwargs: Any) -> None:
    devices = {twin.device for twin in twins}
    if len(devices) > 1 and name not in COPIES:
        raise RuntimeError(f"Expected all tensors to be on the same device, but found at least two, {devices} ({name})")
    if twins and name not in MIXED:
        foreign = [t for t in _tensors(args, kwargs) if not isinstance(t, Twin) and t.dim() > 0]
        if foreign:
            raise RuntimeError(
                "Expected all tensors to be on the same device, but found at least two devices,"
                f" {twins[0].device} and cpu! ({name}, {[tuple(tensor.shape) for tensor in foreign]})"
            )
    if name == "aten::index" and not isinstance(args[0], Twin):
        raise RuntimeError("indices should be either on cpu or on the same device as the indexed tensor (cpu)")


def _asynchronous(name: str, args: Any, kwargs: Any, to: torch.Tensor) -> bool:
    wanted = kwargs.get("non_blocking") or (name == "aten::copy_" and len(args) > 2 and args[2])
    return bool(wanted)


def _count(cuda: Cuda, func: Any, name: str, place: torch.device, twins: list[Twin], args: Any, kwargs: Any) -> None:
    """Count launches, kernels and the host's waits; refuse what a capture forbids."""
    stats = cuda.stats
    waits: str | None = None
    if name in WAITS:
        waits = name
    elif name == "aten::_to_copy" and (not twins or place.type == "cpu"):
        source = args[0]
        fast = kwargs.get("non_blocking") and (place.type == "cpu" or getattr(source, "is_pretended_pinned", False))
        waits = None if fast else "copy to the host" if place.type == "cpu" else "copy to the device"
    elif name == "aten::copy_" and not (isinstance(args[0], Twin) and isinstance(args[1], Twin)):
        host = args[1] if isinstance(args[0], Twin) else args[0]
        fast = _asynchronous(name, args, kwargs, host) and getattr(host, "is_pretended_pinned", False)
        tiny = isinstance(args[0], Twin) and host.dim() == 0  # a number, which the launch itself carries
        waits = None if fast or tiny else "copy_"
        if not fast and cuda.capturing is not None and not tiny:
            waits = waits or "copy_"
    elif name in {"aten::index", "aten::index_put_"}:
        chosen = [index for index in args[1] if index is not None]
        if any(index.dtype in {torch.bool, torch.uint8} for index in chosen):
            waits = "index by a mask"
        elif any(not isinstance(index, Twin) for index in chosen):
            waits = "index by a tensor of the host"
    if waits is not None:
        cuda.host_waits(waits)
    if name not in NO_KERNEL:
        stats.kernels += 1
        cuda.kernels += 1
        stats.launches += cuda.capturing is None
        stats.by_name[name] += 1


def _follow(cuda: Cuda, stream: Stream, func: Any, args: Any, kwargs: Any) -> None:
    """Raise where `stream` reads or writes what another stream may still write or read."""
    stream.time += 1
    written = {
        argument.name
        for argument in func._schema.arguments
        if argument.alias_info is not None and argument.alias_info.is_write
    }
    names = [argument.name for argument in func._schema.arguments]
    for key, item in [*zip(names, args, strict=False), *kwargs.items()]:
        for tensor in _tensors((item,), {}):
            if isinstance(tensor, Twin) and tensor.block is not None:
                cuda.touch(stream, tensor.block, writes=key in written)


def _check_fused(args: list[Any]) -> None:
    """What CUDA's fused Adam demands of its tensors, and the CPU's doesn't look at."""
    for parameter, *others in zip(*args[:4], strict=True):
        for other in others:
            strides = zip(parameter.shape, parameter.stride(), other.stride(), strict=True)
            if other.dtype != parameter.dtype or any(size != 1 and one != two for size, one, two in strides):
                raise RuntimeError("params, grads, exp_avgs, and exp_avg_sqs must have same dtype, device, and layout")


def backward(tensors: Any, grad_tensors: Any = None, *_: Any, **__: Any) -> None:
    """`torch.autograd.backward` without its engine, whose streams need a driver: the same nodes, called in order."""
    root = tensors[0] if isinstance(tensors, tuple | list) else tensors
    gradient = grad_tensors[0] if isinstance(grad_tensors, tuple | list) else grad_tensors
    waiting: Counter[Any] = Counter()
    found, seen = [root.grad_fn], {root.grad_fn}
    while found:
        for following, _index in found.pop().next_functions:
            if following is not None:
                waiting[following] += 1
                if following not in seen:
                    seen.add(following)
                    found.append(following)
    held: dict[Any, dict[int, torch.Tensor]] = {}
    with torch.no_grad():
        ready = [(root.grad_fn, {0: torch.ones_like(root) if gradient is None else gradient})]
        while ready:
            node, grads = ready.pop(0)
            if _takes(node, grads):
                continue
            call = node if callable(node) else node.apply
            out = call(*[grads.get(index) for index in range(max(grads) + 1)])
            for (following, index), grad in zip(
                node.next_functions, out if isinstance(out, tuple) else (out,), strict=False
            ):
                if following is None:
                    continue
                if grad is not None:
                    box = held.setdefault(following, {})
                    whole = _as_expected(grad, following._input_metadata[index])
                    box[index] = whole if index not in box else box[index] + whole
                waiting[following] -= 1
                if waiting[following] == 0 and following in held:
                    ready.append((following, held.pop(following)))


def grad(outputs: torch.Tensor, inputs: Any, *_: Any, **__: Any) -> tuple[torch.Tensor, ...]:
    """`torch.autograd.grad` of leaves, by `backward`; no leaf's own gradient is touched."""
    root: Any = outputs.grad_fn
    leaves, found, seen = list(inputs), [root], {root}
    while found:
        node = found.pop()
        leaf = getattr(node, "variable", None)
        if leaf is not None and all(leaf is not known for known in leaves):
            leaves.append(leaf)
        new = {following for following, _index in node.next_functions if following is not None} - seen
        seen |= new
        found += new
    before = [leaf.grad for leaf in leaves]
    try:
        for leaf in leaves:
            leaf.grad = None
        backward(outputs)
        gradients = tuple(leaf.grad for leaf in inputs)
    finally:
        for leaf, own in zip(leaves, before, strict=True):
            leaf.grad = own
    if any(gradient is None for gradient in gradients):
        raise RuntimeError("One of the differentiated Tensors appears to not have been used in the graph")
    return gradients


def _takes(node: Any, grads: dict[int, torch.Tensor]) -> bool:
    """Whether a leaf took its first gradient as it is, without a copy, as the engine lets it where the layout fits."""
    leaf = getattr(node, "variable", None)
    if leaf is None or leaf.grad is not None or grads[0].stride() != leaf.stride():
        return False
    leaf.grad = grads[0].detach()
    return True


def _as_expected(grad: torch.Tensor, meta: Any) -> torch.Tensor:
    """As the engine makes it before a node takes it."""
    if tuple(grad.shape) != tuple(meta.shape):
        grad = grad.sum_to_size(tuple(meta.shape))
    return grad if grad.dtype == meta.dtype else grad.to(meta.dtype)
