"""The networks' forward passes written for x86 CPUs: the same function of the same parameters, computed faster.

What makes the difference, most important first:

- Convolution, pooling and ReLU stay in oneDNN's own tensors. Its pooling stores the index of each maximum in a
  byte, where PyTorch's keeps it in eight, so that forward and backward pass move a third of the memory.
- Attention is explicit: matrix products around one softmax, in one precision, with an explicit gradient;
  PyTorch's fused kernel is made for long sequences and slow on 64 tokens of 16 numbers.
- Two linear layers in a row are one, W2 (W1 x + b1) + b2 = (W2 W1) x + (W2 b1 + b2), and the product of two
  small weight matrices is negligible next to the product of one of them with a whole batch.

Shapes are lettered as in `tui_attn.models`.
"""

from __future__ import annotations

import platform
from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from tui_attn.models import MODELS, ChannelSelfAttention, GatedTrunk, MixingTrunk, Trunk
from tui_attn.train.fast_gates import recalibrate

Pass = Callable[[Tensor], Tensor]
"""From normalised images, float32 (B, K, H, W), to logits, float32 (B, classes)."""


def fast_pass(model: nn.Module, device: torch.device, dtype: torch.dtype) -> Pass | None:
    """The pass of `model` that multiplies in `dtype`, or None where there is no faster one than its own.

    It differs from `model(x)` by rounding alone, and gives every parameter its gradient.
    """
    if device.type != "cpu" or platform.machine().lower() not in {"x86_64", "amd64"}:
        return None
    if not torch.backends.mkldnn.is_available():  # type: ignore[no-untyped-call]
        return None
    if dtype is torch.bfloat16 and not torch.ops.mkldnn._is_mkldnn_bf16_supported():
        return None
    body = _body(model)
    return None if body is None else partial(body, model, dtype)


def has_fast_pass(model: nn.Module) -> bool:
    """Whether there is a pass for `model` on some CPU."""
    return _body(model) is not None


def macs(model: nn.Module) -> int | None:
    """Multiply-accumulates of one image's pass by `fast_pass`, where they are others than the module's own."""
    if not isinstance(model, MixingTrunk) or not isinstance(model.attn, ChannelSelfAttention) or _body(model) is None:
        return None
    channels = model.conv2.out_channels
    return model.macs() - model.attn.macs(channels, model.pixels) + model.attn.merged_macs(channels, model.pixels)


def _body(model: nn.Module) -> Callable[..., Tensor] | None:
    if type(model) not in MODELS.values():  # a class derived from one of ours may compute something else
        return None
    if isinstance(model, Trunk) and model.constant_gates() is not None:
        return _plain
    passes: dict[Any, Callable[..., Tensor]] = {
        Trunk.forward: _plain,
        GatedTrunk.forward: _gated,
        MixingTrunk.forward: _mixing,
    }
    return passes.get(type(model).forward)


def _plain(net: Trunk, dtype: torch.dtype, x: Tensor) -> Tensor:
    first, second = net.constant_gates() or (None, None)
    maps = F.relu(_conv_pool(net.conv1, x.to(dtype).to_mkldnn(), first))
    maps = F.relu(_conv_pool(net.conv2, maps, second))
    return _linear(net.fc, maps.to_dense().flatten(1)).float()


def _gated(net: GatedTrunk, dtype: torch.dtype, x: Tensor) -> Tensor:
    first, second = net.gate_blocks
    maps = F.relu(_conv_pool(net.conv1, x.to(dtype).to_mkldnn()).to_dense())
    maps = recalibrate(first, maps).to_mkldnn()
    maps = F.relu(_conv_pool(net.conv2, maps).to_dense())
    maps = recalibrate(second, maps)
    return _linear(net.fc, maps.flatten(1)).float()


def _mixing(net: MixingTrunk, dtype: torch.dtype, x: Tensor) -> Tensor:
    maps = F.relu(_conv_pool(net.conv1, x.to(dtype).to_mkldnn()))
    maps = F.relu(_conv_pool(net.conv2, maps)).to_dense().flatten(2)
    if isinstance(net.attn, ChannelSelfAttention):
        maps = _mix(net.attn, maps)
    else:
        with torch.autocast("cpu", torch.bfloat16, enabled=dtype is torch.bfloat16):
            maps = net.attn(maps).to(dtype)
    return _linear(net.fc, maps.flatten(1)).float()


def _conv_pool(conv: nn.Conv2d, x: Tensor, gate: Tensor | None = None) -> Tensor:
    """Convolution and max pooling 2 x 2 of a oneDNN tensor (B, K, H, W): (B, C, H/2, W/2), a oneDNN tensor.

    Gates (C,) of at least 0 multiply the weights, which equals multiplying the maps after pooling and ReLU.
    """
    weight, bias = conv.weight, conv.bias
    if gate is not None:
        weight, bias = weight * gate[:, None, None, None], None if bias is None else bias * gate
    weight, bias = weight.to(x.dtype), None if bias is None else bias.to(x.dtype)
    rows = x.shape[1] == 1 and not x.requires_grad and torch.backends.cpu.get_cpu_capability() == "AVX2"
    maps = _RowsAsChannels.apply(x, weight, bias) if rows else _convolve(x, weight, bias)
    return F.max_pool2d(maps, kernel_size=2, stride=2)


def _convolve(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    return torch.mkldnn_convolution(x, weight, bias, [1, 1], [1, 1], [1, 1], 1)  # padding, stride, dilation, groups


class _RowsAsChannels(torch.autograd.Function):
    """`_convolve` of images with one channel (B, 1, H, W); the images get no gradient.

    oneDNN's AVX2 kernel for the gradient of the weights (C, 1, 3, 3) is much faster with three channels than with
    one. So it takes each image and its shifts by a row as the channels of a convolution by 1 x 3: the same sums.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        ctx.save_for_backward(x, weight)
        return _convolve(x, weight, bias)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[None, Tensor, Tensor | None]:
        x, weight = ctx.saved_tensors
        height, outputs, wanted = x.shape[2], len(weight), [False, True, ctx.needs_input_grad[2]]
        padded = F.pad(x.to_dense(), (0, 0, 1, 1))
        shifted = torch.cat([padded[:, :, row : row + height] for row in range(3)], 1).to_mkldnn()  # (B, 3, H, W)
        layout = [outputs], [1, 1], [0, 1], [1, 1], False, [0, 0], 1  # stride, padding, dilation, not transposed
        _, by_weight, by_bias = torch.ops.aten.convolution_backward(
            grad, shifted, weight.reshape(outputs, 3, 1, 3), *layout, wanted
        )
        return None, by_weight.reshape(weight.shape), by_bias


def _linear(layer: nn.Linear, x: Tensor) -> Tensor:
    return F.linear(x, layer.weight.to(x.dtype), layer.bias.to(x.dtype))


def _mix(block: ChannelSelfAttention, maps: Tensor) -> Tensor:
    """The maps (B, C, N) after each has looked at the others: `block(maps)`."""
    dtype = maps.dtype
    enter, enter_bias, leave, leave_bias = block.merged_layers()
    batch, channels, pixels = maps.shape
    flat = maps.reshape(batch * channels, pixels)
    qkv = torch.addmm(enter_bias.to(dtype), flat, enter.t().to(dtype))  # (B * C, 3 * E)
    mixed: Tensor = _Attention.apply(qkv, batch, block.num_heads)  # (B * C, E)
    update = torch.addmm(leave_bias.to(dtype), mixed, leave.t().to(dtype))  # (B * C, N)
    return (flat + update if block.residual else update).view(batch, channels, pixels)


class _Attention(torch.autograd.Function):
    """Multi-head attention of queries, keys and values that lie side by side: (B * C, 3 * E) to (B * C, E)."""

    @staticmethod
    def forward(ctx: Any, qkv: Tensor, batch: int, heads: int) -> Tensor:
        channels, dim = qkv.shape[0] // batch, qkv.shape[1] // (3 * heads)
        split = qkv.view(batch, channels, 3, heads, dim).permute(2, 0, 3, 1, 4)  # (3, B, A, C, D)
        # Always a copy: with one image, what `reshape` gives is a view of the input, which the line after would change.
        query, key, value = split.contiguous().view(3, batch * heads, channels, dim)  # 3 x (B * A, C, D)
        query.mul_(dim**-0.5)
        weights = torch.softmax(torch.bmm(query, key.transpose(1, 2)), dim=-1)  # (B * A, C, C)
        mixed = torch.bmm(weights, value)  # (B * A, C, D)
        ctx.save_for_backward(query, key, value, weights)
        ctx.heads = heads
        return _beside(mixed.view(1, batch, heads, channels, dim))

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None]:
        query, key, value, weights = ctx.saved_tensors
        heads = ctx.heads
        count, channels, dim = query.shape  # B * A, C, D
        batch = count // heads
        grad = grad.view(batch, channels, heads, dim).transpose(1, 2).reshape(count, channels, dim)
        grads = grad.new_empty(3, count, channels, dim)
        torch.bmm(weights.transpose(1, 2), grad, out=grads[2])
        grad_weights = torch.bmm(grad, value.transpose(1, 2))  # (B * A, C, C)
        grad_scores = torch._softmax_backward_data(grad_weights, weights, -1, weights.dtype)
        torch.bmm(grad_scores, key, out=grads[0]).mul_(dim**-0.5)
        torch.bmm(grad_scores.transpose(1, 2), query, out=grads[1])
        return _beside(grads.view(3, batch, heads, channels, dim)), None, None


def _beside(parts: Tensor) -> Tensor:
    """What `parts` (P, B, A, C, D) hold of one token side by side: (B * C, P * A * D)."""
    count, batch, heads, channels, dim = parts.shape
    return parts.permute(1, 3, 0, 2, 4).reshape(batch * channels, count * heads * dim)
