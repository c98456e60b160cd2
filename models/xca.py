"""Cross-covariance attention: tokens are pixels, and the attention is between the channels of each head.

El-Nouby et al., "XCiT: Cross-Covariance Image Transformers", NeurIPS 2021, https://arxiv.org/abs/2106.09681
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .mixing import ChannelMixing, MixingTrunk
from .trunk import WIDTHS, ImageSize


class XCABlock(ChannelMixing):
    """`x + proj(softmax(temperature * q k^T) v)` with queries and keys of norm 1 over the pixels.

    Each of the A heads has its own C/A channels. As the authors' module, `qkv` has no bias by default.
    """

    def __init__(self, channels: int, num_heads: int = 8) -> None:
        super().__init__((num_heads, channels // num_heads, channels // num_heads), grouped=True)
        self.temperature = nn.Parameter(torch.ones(num_heads, 1, 1))
        self.qkv = nn.Linear(channels, 3 * channels, bias=False)
        self.proj = nn.Linear(channels, channels)

    def weights_and_values(self, maps: Tensor) -> tuple[Tensor, Tensor]:
        """The attention weights (B, A, C/A, C/A) and the values (B, A, C/A, N) of feature maps (B, C, N)."""
        batch, _, pixels = maps.shape
        heads, size, _ = self.shape
        projected: Tensor = self.qkv(maps.transpose(1, 2))  # (B, N, C) -> (B, N, 3 * C)
        query, key, value = projected.view(batch, pixels, 3, heads, size).permute(2, 0, 3, 4, 1)
        query, key = F.normalize(query, dim=-1), F.normalize(key, dim=-1)
        weights = (query @ key.transpose(2, 3) * self.temperature).softmax(-1)
        return weights, value

    def combine(self, maps: Tensor, mixed: Tensor) -> Tensor:
        """The result (B, C, N) for feature maps (B, C, N) and the weighted sums (B, A, C/A, N) of their values."""
        update: Tensor = self.proj(mixed.flatten(1, 2).transpose(1, 2))  # (B, N, C)
        return maps + update.transpose(1, 2)

    def macs(self, channels: int, pixels: int) -> int:
        """Multiply-accumulates for one image's maps (C, N)."""
        return pixels * (4 * channels * channels + 2 * channels * self.shape[1])


class CNN_XCA(MixingTrunk):  # noqa: N801  named as the lab names its networks
    """The baseline with cross-covariance attention between its 64 last feature maps, just before the classifier."""

    def __init__(self, in_channels: int = 1, image_size: ImageSize = 28, num_classes: int = 10) -> None:
        super().__init__(in_channels, image_size, num_classes)
        self.attn = XCABlock(WIDTHS[-1])
