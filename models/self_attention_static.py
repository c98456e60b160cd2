"""A control for self-attention: its weights are learned, and the same for every image.

Everything else is as in `ChannelSelfAttention`. Matrices that are learned in the place of those computed from queries
and keys are the "random synthesizer" of Tay et al., "Synthesizer: Rethinking Self-Attention for Transformer Models",
ICML 2021, https://arxiv.org/abs/2005.00743
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .mixing import ChannelMixing, MixingTrunk
from .self_attention import ChannelSelfAttention
from .trunk import WIDTHS, ImageSize


class StaticChannelAttention(ChannelMixing):
    """`x + to_map(out_proj(softmax(scores) @ value(to_token(x))))` with learned scores (A, C, C), 0 at the start.

    The layers that it shares with `ChannelSelfAttention` start from the same weights where the seed is the same.
    """

    def __init__(self, pixels: int, embed_dim: int = 128, num_heads: int = 8) -> None:
        super().__init__((num_heads, WIDTHS[-1], WIDTHS[-1]))
        drawn = ChannelSelfAttention(pixels, embed_dim, num_heads)
        self.to_token, self.out_proj, self.to_map = drawn.to_token, drawn.mha.out_proj, drawn.to_map
        with torch.device("meta"):  # draws no random number
            self.value = nn.Linear(embed_dim, embed_dim)
        self.value.weight = nn.Parameter(drawn.mha.in_proj_weight.detach()[2 * embed_dim :].clone())
        self.value.bias = nn.Parameter(drawn.mha.in_proj_bias.detach()[2 * embed_dim :].clone())
        self.scores = nn.Parameter(torch.zeros(self.shape))

    def weights_and_values(self, maps: Tensor) -> tuple[Tensor, Tensor]:
        """The attention weights (B, A, C, C), the same for all images, and the values (B, A, C, D)."""
        batch, channels, _ = maps.shape
        heads, *_ = self.shape
        value = self.value(self.to_token(maps)).view(batch, channels, heads, -1).transpose(1, 2)
        return self.scores.softmax(-1).expand(batch, *self.shape), value

    def combine(self, maps: Tensor, mixed: Tensor) -> Tensor:
        """The result (B, C, N) for feature maps (B, C, N) and the weighted sums (B, A, C, D) of their values."""
        update: Tensor = self.to_map(self.out_proj(mixed.transpose(1, 2).flatten(2)))
        return maps + update

    def macs(self, channels: int, pixels: int) -> int:
        """Multiply-accumulates for one image's maps (C, N)."""
        embed = self.value.in_features
        return channels * (2 * pixels * embed + 2 * embed * embed) + channels * channels * embed

    def merged(self) -> ChannelMixing:
        """A block that computes the same from the present weights, with linear layers in a row made one."""
        return MergedStatic(self)


class MergedStatic(ChannelMixing):
    """`StaticChannelAttention` with the layers before and those after the weighted sum made one each."""

    def __init__(self, block: StaticChannelAttention) -> None:
        super().__init__(block.shape)
        self._scores = block.scores
        self._enter = block.value.weight @ block.to_token.weight  # (E, N)
        self._enter_bias = block.value.weight @ block.to_token.bias + block.value.bias
        self._leave = block.to_map.weight @ block.out_proj.weight  # (N, E)
        self._leave_bias = block.to_map.weight @ block.out_proj.bias + block.to_map.bias

    def weights_and_values(self, maps: Tensor) -> tuple[Tensor, Tensor]:
        """As `StaticChannelAttention.weights_and_values`."""
        batch, channels, _ = maps.shape
        value = F.linear(maps, self._enter, self._enter_bias).view(batch, channels, self.shape[0], -1)
        return self._scores.softmax(-1).expand(batch, *self.shape), value.transpose(1, 2)

    def combine(self, maps: Tensor, mixed: Tensor) -> Tensor:
        """As `StaticChannelAttention.combine`."""
        return maps + F.linear(mixed.transpose(1, 2).flatten(2), self._leave, self._leave_bias)


class CNN_SelfAttentionStatic(MixingTrunk):  # noqa: N801  named as the lab names its networks
    """The baseline with learned weights between its 64 last feature maps, just before the classifier."""

    def __init__(self, in_channels: int = 1, image_size: ImageSize = 28, num_classes: int = 10) -> None:
        super().__init__(in_channels, image_size, num_classes)
        self.attn = StaticChannelAttention(self.pixels)
