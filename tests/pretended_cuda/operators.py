"""What the program's own kernels compute, in torch's operators, for the pretended device."""

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from tui_attn.train import fused_pooling

NONE = 4


def pool_relu(maps: Tensor, bias: Tensor) -> tuple[Tensor, Tensor]:
    pooled, where = F.max_pool2d(maps + bias[:, None, None], 2, return_indices=True)
    width = maps.shape[3]
    corner = where // width % 2 * 2 + where % width % 2
    return F.relu(pooled), corner.masked_fill(pooled <= 0, NONE).to(torch.uint8)


def pool_relu_backward(grad: Tensor, winners: Tensor) -> Tensor:
    batch, channels, height, width = winners.shape
    shape = batch, channels, 2 * height, 2 * width
    result = torch.empty(shape, dtype=grad.dtype).to(memory_format=torch.channels_last)
    for corner in range(4):
        result[:, :, corner // 2 :: 2, corner % 2 :: 2] = grad.masked_fill(winners != corner, 0)
    return result


_library: Any = torch.library.Library(fused_pooling.NAMESPACE, "IMPL")  # type: ignore[no-untyped-call]
_library.impl("pool_relu", pool_relu, "CPU")
_library.impl("pool_relu_backward", pool_relu_backward, "CPU")
