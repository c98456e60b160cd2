"""The gates of other papers in fewer passes over the feature maps, for the passes of `tui_attn.train.fast`.

Each function equals its block's own forward pass but for rounding. The maps are read in the precision that they have,
sums over rows and columns are matrix products, which the CPU computes faster than sums along short rows, and gradients
are written out, so that no intermediate map is kept in float32.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor
from torch.autograd import Function
from torch.autograd.function import once_differentiable
from torch.nn import functional as F

from tui_attn.models import ChannelGate
from tui_attn.models.cbam import CBAMBlock
from tui_attn.models.coordinate import CoordinateBlock
from tui_attn.models.gct import GCTBlock
from tui_attn.models.simam import SimAMBlock
from tui_attn.models.srm import SRMBlock

MOST_PIXELS = 1024
"""Of a map, up to which matrix products are faster than the sums that they stand for."""


def recalibrate(block: ChannelGate, maps: Tensor) -> Tensor:
    """The maps (B, C, H, W), contiguous, as `block` changes them; gates of channels are computed in float32."""
    fast = _FAST.get(type(block))
    if fast is not None and maps.shape[2] * maps.shape[3] <= MOST_PIXELS:
        return fast(block, maps)
    if type(block).forward is not ChannelGate.forward:
        found: Tensor = block(maps.float())
        return found.to(maps.dtype)
    if type(block).gate is not ChannelGate.gate:
        gate = block.gate(maps.float()).to(maps.dtype)
        return maps * (gate if gate.dim() == 4 else gate[..., None, None])
    return _scaled(maps, block.excite(_means(maps)))


def _means(maps: Tensor) -> Tensor:
    """The mean of each map, float32 (B, C); the gradient of a sum, unlike that of a mean, is no map of its own."""
    return maps.sum((2, 3)).float() / (maps.shape[2] * maps.shape[3])


def _scaled(maps: Tensor, gates: Tensor) -> Tensor:
    return maps * gates.to(maps.dtype)[..., None, None]


def _gct(block: GCTBlock, maps: Tensor) -> Tensor:
    return _scaled(maps, block.excite_norms(_SquareSums.apply(maps)))


def _srm(block: SRMBlock, maps: Tensor) -> Tensor:
    return _scaled(maps, block.excite_moments(*_Moments.apply(maps)))


def _simam(block: SimAMBlock, maps: Tensor) -> Tensor:
    found: Tensor = _SimAM.apply(maps, block.e_lambda)
    return found


def _cbam(block: CBAMBlock, maps: Tensor) -> Tensor:
    maxima: Tensor = _Maxima.apply(maps, (2, 3))
    maps = _scaled(maps, block.excite_pooled(_means(maps), maxima.flatten(1).float()))
    pixels = torch.cat((_Maxima.apply(maps, (1,)).float(), maps.sum(1, keepdim=True).float() / maps.shape[1]), 1)
    gates = block.spatial(pixels.contiguous(memory_format=torch.channels_last))  # twice as fast there
    return maps * block.pixel_gates(gates).to(maps.dtype)


def _coordinate(block: CoordinateBlock, maps: Tensor) -> Tensor:
    batch, channels, height, width = maps.shape
    means = _LineMeans.apply(maps).transpose(1, 2).reshape(-1, channels)  # (B * (H + W), C)
    mixed = block.bn1(F.linear(means, block.conv1.weight.flatten(1), block.conv1.bias)[..., None, None])
    rows, columns = block.act(mixed).view(batch, height + width, -1).split((height, width), 1)
    gates = [
        F.linear(lines, conv.weight.flatten(1), conv.bias).sigmoid().to(maps.dtype).transpose(1, 2)
        for lines, conv in ((rows, block.conv_h), (columns, block.conv_w))
    ]
    found: Tensor = _ByLines.apply(maps, *gates)  # of gates (B, C, H) and (B, C, W)
    return found


class _SquareSums(Function):
    """Sums of the squares of each map: (B, C, H, W) to float32 (B, C)."""

    @staticmethod
    def forward(ctx: Any, maps: Tensor) -> Tensor:
        ctx.save_for_backward(maps)
        norms: Tensor = torch.linalg.vector_norm(maps, dim=(2, 3), dtype=torch.float32)
        return norms.square_()

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        (maps,) = ctx.saved_tensors
        return _scaled(maps, 2 * grad)


class _Moments(Function):
    """Mean and unbiased variance of each map: (B, C, H, W) to two of float32 (B, C)."""

    @staticmethod
    def forward(ctx: Any, maps: Tensor) -> tuple[Tensor, Tensor]:
        others = max(maps.shape[2] * maps.shape[3] - 1, 1)
        exact = maps.float()
        means = exact.mean((2, 3))
        centred = exact - means[..., None, None]
        ctx.save_for_backward(maps, means)
        return means, torch.linalg.vector_norm(centred, dim=(2, 3)).square_().div_(others)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_means: Tensor, grad_variances: Tensor) -> Tensor:
        maps, means = ctx.saved_tensors
        pixels = maps.shape[2] * maps.shape[3]
        slope = grad_variances * (2 / max(pixels - 1, 1))
        offset = grad_means / pixels - slope * means
        return _scaled(maps, slope).add_(offset.to(maps.dtype)[..., None, None])


class _SimAM(Function):
    """`SimAMBlock`."""

    @staticmethod
    def forward(ctx: Any, maps: Tensor, e_lambda: float) -> Tensor:
        others = max(maps.shape[2] * maps.shape[3] - 1, 1)
        distances = maps - maps.sum((2, 3), keepdim=True) / (others + 1)
        variances = torch.linalg.vector_norm(distances, dim=(2, 3), dtype=torch.float32).square_().div_(others)
        scale = 0.25 / (variances + e_lambda)
        gates = distances.square().mul_(scale.to(maps.dtype)[..., None, None]).add_(0.5).sigmoid_()
        ctx.save_for_backward(maps, distances, scale, gates)
        return maps * gates

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:
        maps, distances, scale, gates = ctx.saved_tensors
        others = max(maps.shape[2] * maps.shape[3] - 1, 1)
        # Of t = scale * distances**2 + 0.5, whose sigmoid is the gates; then of the distances.
        found = torch.ops.aten.sigmoid_backward(grad * maps, gates).mul_(distances)
        slope = (found * distances).sum((2, 3)).float().mul_(scale * scale).mul_(-8 / others)  # (B, C)
        found.mul_((2 * scale).to(maps.dtype)[..., None, None]).add_(_scaled(distances, slope))
        found.sub_(found.sum((2, 3), keepdim=True) / (others + 1))
        return found.addcmul_(grad, gates), None


class _Maxima(Function):
    """The largest values along `dims`, which are kept with size 1; the gradient is shared among equals."""

    @staticmethod
    def forward(ctx: Any, maps: Tensor, dims: tuple[int, ...]) -> Tensor:
        if dims == (1,):  # halves are compared as a whole, which is faster than channel by channel
            found = maps
            while found.shape[1] % 2 == 0:
                found = torch.maximum(*found.chunk(2, 1))
            found = found.amax(1, keepdim=True)
        else:
            found = maps.float().amax(dims, keepdim=True).to(maps.dtype)
        ctx.save_for_backward(maps, found)
        ctx.dims = dims
        return found

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:
        maps, maxima = ctx.saved_tensors
        where = torch.eq(maps, maxima, out=torch.empty_like(maps))  # much faster than to bool
        return where.mul_(grad / where.sum(ctx.dims, keepdim=True)), None


class _LineMeans(Function):
    """The means of all rows and of all columns of each map: (B, C, H, W) to float32 (B, C, H + W)."""

    @staticmethod
    def forward(ctx: Any, maps: Tensor) -> Tensor:
        height, width = ctx.size = maps.shape[2:]
        sums = maps.flatten(0, 1).flatten(1) @ _lines(height, width, maps.dtype).t()  # (B * C, H + W)
        ctx.dtype = maps.dtype
        return _mean_of_lines(sums.view(*maps.shape[:2], -1).float(), height, width)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        height, width = ctx.size
        grad = _mean_of_lines(grad.clone(), height, width).to(ctx.dtype)
        return (grad.flatten(0, 1) @ _lines(height, width, ctx.dtype)).view(*grad.shape[:2], height, width)


def _mean_of_lines(sums: Tensor, height: int, width: int) -> Tensor:
    """Sums (B, C, H + W) of rows and columns, divided by the pixels of each, in place."""
    sums[..., :height].div_(width)
    sums[..., height:].div_(height)
    return sums


class _ByLines(Function):
    """Maps (B, C, H, W), each pixel times a number of its row (B, C, H) and one of its column (B, C, W)."""

    @staticmethod
    def forward(ctx: Any, maps: Tensor, by_row: Tensor, by_column: Tensor) -> Tensor:
        height, width = maps.shape[2:]
        lines = _lines(height, width, maps.dtype)
        rows, columns = by_row.flatten(0, 1) @ lines[:height], by_column.flatten(0, 1) @ lines[height:]
        ctx.save_for_backward(maps, rows, columns)  # (B * C, H * W)
        return (rows * columns).mul_(maps.view_as(rows)).view_as(maps)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        maps, rows, columns = ctx.saved_tensors
        batch, channels, height, width = maps.shape
        lines = _lines(height, width, maps.dtype)
        grad = grad.contiguous().view_as(rows)
        gates = grad * maps.view_as(rows)
        by_row = (gates * columns) @ lines[:height].t()
        by_column = gates.mul_(rows) @ lines[height:].t()
        found = (rows * columns).mul_(grad).view_as(maps)
        return found, by_row.view(batch, channels, height), by_column.view(batch, channels, width)


@lru_cache(maxsize=16)
def _lines(height: int, width: int, dtype: torch.dtype) -> Tensor:
    """Which of the pixels lie in each row, then in each column: (H + W, H * W) of zeros and ones."""
    with torch.inference_mode(mode=False):
        place = torch.arange(height * width)
        rows = torch.arange(height)[:, None] == place // width
        columns = torch.arange(width)[:, None] == place % width
        return torch.cat((rows, columns)).to(dtype)


_FAST: dict[type[ChannelGate], Callable[[Any, Tensor], Tensor]] = {
    CBAMBlock: _cbam,
    CoordinateBlock: _coordinate,
    GCTBlock: _gct,
    SRMBlock: _srm,
    SimAMBlock: _simam,
}
