"""Self-attention between the channels: every feature map looks at all the others, never pixel at pixel.

Vaswani et al., "Attention Is All You Need", NeurIPS 2017, https://arxiv.org/abs/1706.03762
"""

from torch import Tensor, nn
from torch.nn import functional as F

from .mixing import ChannelMixing, MixingTrunk
from .trunk import WIDTHS, ImageSize


class ChannelSelfAttention(ChannelMixing):
    """Takes each feature map as one token: `x + to_map(attention(to_token(x)))`.

    `pixels` is the number N of pixels of a map. With `residual=False` the sum is left out. Then nothing passes around
    the attention, whose rows are nearly uniform at the start, so that all tokens come out alike (Dong et al.,
    "Attention is not all you need", ICML 2021, https://arxiv.org/abs/2103.03404).

    The `nn.MultiheadAttention` owns the parameters. `forward` writes its computation out as two matrix
    products, equal to the module's own to 1e-5: on CPUs that is much faster than its fused kernel.
    """

    def __init__(self, pixels: int, embed_dim: int = 128, num_heads: int = 8, residual: bool = True) -> None:
        super().__init__((num_heads, WIDTHS[-1], WIDTHS[-1]))
        self.num_heads, self.head_dim = num_heads, embed_dim // num_heads
        self.residual = residual
        self.to_token = nn.Linear(pixels, embed_dim)
        self.mha = nn.MultiheadAttention(embed_dim, num_heads, batch_first=True)
        self.to_map = nn.Linear(embed_dim, pixels)

    def project(self, tokens: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Queries, keys and values, each (B, A, C, D), of tokens (B, C, E)."""
        batch, channels, _ = tokens.shape
        qkv = F.linear(tokens, self.mha.in_proj_weight, self.mha.in_proj_bias)  # -> (B, C, 3 * E)
        qkv = qkv.view(batch, channels, 3, self.num_heads, self.head_dim)  # -> (B, C, 3, A, D)
        query, key, value = qkv.permute(2, 0, 3, 1, 4)  # -> 3 x (B, A, C, D)
        return query, key, value

    def weigh(self, query: Tensor, key: Tensor) -> Tensor:
        """The attention weights (B, A, C, C); a row sums to 1 and says where that channel looks."""
        scores: Tensor = (query * self.head_dim**-0.5) @ key.transpose(2, 3)  # (B, A, C, D) x (B, A, D, C)
        return scores.softmax(dim=-1)

    def weights_and_values(self, maps: Tensor) -> tuple[Tensor, Tensor]:
        """The attention weights (B, A, C, C) and the values (B, A, C, D) of feature maps (B, C, N)."""
        query, key, value = self.project(self.to_token(maps))  # (B, C, N) -> (B, C, E) -> 3 x (B, A, C, D)
        return self.weigh(query, key), value

    def combine(self, maps: Tensor, mixed: Tensor) -> Tensor:
        """The result (B, C, N) for feature maps (B, C, N) and the weighted sums (B, A, C, D) of their values."""
        tokens = mixed.transpose(1, 2).flatten(2)  # the heads side by side: (B, C, E)
        update: Tensor = self.to_map(self.mha.out_proj(tokens))  # (B, C, E) -> (B, C, N)
        return maps + update if self.residual else update

    def merged_layers(self) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Weight and bias of the layers before the attention as one, (3 * E, N), and of those after it, (N, E)."""
        enter = self.mha.in_proj_weight @ self.to_token.weight
        enter_bias = self.mha.in_proj_weight @ self.to_token.bias + self.mha.in_proj_bias
        leave = self.to_map.weight @ self.mha.out_proj.weight
        leave_bias = self.to_map.weight @ self.mha.out_proj.bias + self.to_map.bias
        return enter, enter_bias, leave, leave_bias

    def merged(self) -> ChannelMixing:
        """A block that computes the same from the present weights, with linear layers in a row made one."""
        return _Merged(self)

    def macs(self, channels: int, pixels: int) -> int:
        """Multiply-accumulates for one image's maps (C, N)."""
        linear = [self.to_token.weight, self.mha.in_proj_weight, self.mha.out_proj.weight, self.to_map.weight]
        per_token = sum(weight.numel() for weight in linear)
        # Q x K and weights x V, each C * C * D for a head, all heads together C * C * E
        products = 2 * channels * channels * int(self.mha.embed_dim)
        return channels * per_token + products

    def merged_macs(self, channels: int, pixels: int) -> int:
        """The same with `merged_layers`, whose own products are small beside those of a batch and not counted."""
        embed = int(self.mha.embed_dim)
        return channels * (4 * embed * pixels) + 2 * channels * channels * embed


class _Merged(ChannelMixing):
    def __init__(self, block: ChannelSelfAttention) -> None:
        super().__init__(block.shape)
        self._weigh, self._heads, self._residual = block.weigh, block.num_heads, block.residual
        self._enter, self._enter_bias, self._leave, self._leave_bias = block.merged_layers()

    def weights_and_values(self, maps: Tensor) -> tuple[Tensor, Tensor]:
        batch, channels, _ = maps.shape
        qkv = F.linear(maps, self._enter, self._enter_bias)
        qkv = qkv.view(batch, channels, 3, self._heads, -1).permute(2, 0, 3, 1, 4).contiguous()
        query, key, value = qkv
        return self._weigh(query, key), value

    def combine(self, maps: Tensor, mixed: Tensor) -> Tensor:
        update = F.linear(mixed.transpose(1, 2).flatten(2), self._leave, self._leave_bias)
        return maps + update if self._residual else update


class CNN_SelfAttention(MixingTrunk):  # noqa: N801  the lab's name
    """The baseline with self-attention between its 64 last feature maps, just before the classifier."""

    attn: ChannelSelfAttention

    def __init__(
        self,
        in_channels: int = 1,
        image_size: ImageSize = 28,
        num_classes: int = 10,
        residual: bool = True,
    ) -> None:
        super().__init__(in_channels, image_size, num_classes)
        self.attn = ChannelSelfAttention(self.pixels, residual=residual)


class CNN_SelfAttentionLab(CNN_SelfAttention):  # noqa: N801
    """The lab read literally: self-attention without a residual connection around it."""

    def __init__(self, in_channels: int = 1, image_size: ImageSize = 28, num_classes: int = 10) -> None:
        super().__init__(in_channels, image_size, num_classes, residual=False)
