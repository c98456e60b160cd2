"""Bias, max pooling 2 x 2 and ReLU as one kernel on CUDA, with the bits of torch's operators.

A Triton kernel compares the sums as torch rounds them, keeps the index of each maximum in a byte, and another one
writes the gradient of the maps. Both are compiled for the device when a worker starts, if Triton and a C compiler are
there, and kept in the user's cache folder.
"""

from __future__ import annotations

import functools
import os
import stat
import threading
import time
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from tui_attn.models import MODELS, Trunk
from tui_attn.models.trunk import conv_pool_relu
from tui_attn.system.files import user_folder
from tui_attn.system.text import safe_text
from tui_attn.train.accelerator import no_graphs_on

SECONDS = 2.0
"""The longest that a worker waits for the compiler, once for all its networks."""
NAMESPACE = "tui_attn"
BLOCK = 512
_LARGEST = 2**31
"""Elements of the maps that the kernels can count."""

_library: Any = torch.library.Library(NAMESPACE, "DEF")  # type: ignore[no-untyped-call]
_library.define("pool_relu(Tensor maps, Tensor bias) -> (Tensor, Tensor)")
_library.define("pool_relu_backward(Tensor grad, Tensor winners) -> Tensor")


def pool_relu(maps: Tensor, bias: Tensor) -> tuple[Tensor, Tensor]:
    """The pooled maps (B, C, H/2, W/2) and their winners, uint8, of maps (B, C, H, W) without their bias (C,)."""
    from tui_attn.train import pooling_kernels

    batch, channels, height, width = maps.shape
    maps = maps.contiguous(memory_format=torch.channels_last)
    options: dict[str, Any] = {"device": maps.device, "memory_format": torch.channels_last}
    shape = batch, channels, height // 2, width // 2
    pooled = torch.empty(shape, dtype=maps.dtype, **options)
    winners = torch.empty(shape, dtype=torch.uint8, **options)
    count = pooled.numel()
    pooling_kernels.pool_relu[_grid(count)](maps, bias, pooled, winners, count, channels, width // 2, BLOCK)
    return pooled, winners


def pool_relu_backward(grad: Tensor, winners: Tensor) -> Tensor:
    """The gradient of the maps (B, C, H, W), of that of the pooled maps (B, C, H/2, W/2)."""
    from tui_attn.train import pooling_kernels

    batch, channels, height, width = winners.shape
    shape = batch, channels, 2 * height, 2 * width
    result = torch.empty(shape, dtype=grad.dtype, device=grad.device, memory_format=torch.channels_last)
    count = winners.numel()
    pooling_kernels.pool_relu_backward[_grid(count)](
        grad, winners, result, count, channels, height, width, *grad.stride(), BLOCK
    )
    return result


def _grid(count: int) -> tuple[int]:
    return (-(-count // BLOCK),)


_library.impl("pool_relu", pool_relu, "CUDA")
_library.impl("pool_relu_backward", pool_relu_backward, "CUDA")


class _PoolReLU(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, maps: Tensor, bias: Tensor) -> Tensor:
        pooled, winners = torch.ops.tui_attn.pool_relu(maps, bias)
        ctx.save_for_backward(winners)
        return pooled  # type: ignore[no-any-return]

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor]:
        maps_grad = torch.ops.tui_attn.pool_relu_backward(grad, *ctx.saved_tensors)
        return maps_grad, maps_grad.sum((0, 2, 3))  # as torch sums the gradient of a convolution's bias


def conv_block(conv: nn.Module, x: Tensor) -> Tensor:
    """`conv_pool_relu(conv, x)`, by the kernels while gradients are recorded."""
    if not torch.is_grad_enabled() or not isinstance(conv, nn.Conv2d) or conv.bias is None:
        return conv_pool_relu(conv, x)
    if x[:, 0].numel() * conv.out_channels >= _LARGEST:
        return conv_pool_relu(conv, x)
    maps = F.conv2d(x, conv.weight, None, conv.stride, conv.padding, conv.dilation, conv.groups)
    pooled: Tensor = _PoolReLU.apply(maps, conv.bias.to(maps.dtype))
    return pooled


def fuse(model: nn.Module, fused: bool) -> None:
    """Let `model`, a network of the lab, pool by the kernels from now on, or no longer."""
    if isinstance(model, Trunk):
        model.conv_block = conv_block if fused else conv_pool_relu


def unavailable(model: nn.Module, device: torch.device, dtype: torch.dtype) -> str | None:
    """Why `model` can't pool by the kernels, in words; None where it can.

    Waits for the compiler until `SECONDS` after it was started.
    """
    if type(model) not in MODELS.values():
        return "only the lab's networks pool by one kernel"
    compiler = start_compiling(device, dtype)
    compiler.join(max(0.0, compiler.deadline - time.monotonic()))
    return f"Triton wasn't done within {SECONDS:g} s" if compiler.is_alive() else compiler.problem


@functools.cache
def start_compiling(device: torch.device, dtype: torch.dtype) -> Compiler:
    """The thread that compiles the kernels for `device`, which the first call starts."""
    compiler = Compiler(device, dtype)
    compiler.start()
    return compiler


class Compiler(threading.Thread):
    """Compiles the kernels in the background; `problem` says why that failed, in words."""

    problem: str | None = None

    def __init__(self, device: torch.device, dtype: torch.dtype) -> None:
        super().__init__(daemon=True, name="triton")
        self._device, self._dtype = device, dtype
        self.deadline = time.monotonic() + SECONDS

    def run(self) -> None:
        """Compile, without putting anything into a stream of the device."""
        try:
            self.problem = no_graphs_on(self._device) or keep_compiled_code()
            if self.problem is None:
                with torch.cuda.device(self._device):
                    compile_kernels(self._dtype)
        except ImportError:
            self.problem = "Triton isn't installed"
        except Exception as error:  # whatever Triton, a C compiler or the driver raise
            first = (str(error).strip().splitlines() or [""])[0]
            self.problem = f"Triton can't compile here: {safe_text(first, one_line=True)[:200]}"


def keep_compiled_code() -> str | None:
    """Keep compiled code where only this user can write, whatever TRITON_CACHE_DIR says; why not, where impossible."""
    import triton

    base = user_folder("cache")
    if base is None:
        return "there is no home folder for compiled kernels"
    folder = base / "triton"
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    about = folder.lstat()
    if not stat.S_ISDIR(about.st_mode) or about.st_uid != os.getuid() or about.st_mode & 0o022:
        return f"others could write to {folder}, where compiled kernels are kept"
    triton.knobs.cache.dir = str(folder)
    return None


def compile_kernels(dtype: torch.dtype) -> None:
    """Compile the kernels for the current device, with arguments like those of the networks."""
    from tui_attn.train import pooling_kernels

    sizes = 16, 16, 1, 1, 1, 1, 1, 1  # of which only divisibility by 16 matters
    pooling_kernels.pool_relu.warmup(dtype, dtype, dtype, torch.uint8, *sizes[:3], BLOCK, grid=(1,))
    pooling_kernels.pool_relu_backward.warmup(dtype, torch.uint8, dtype, *sizes, BLOCK, grid=(1,))
