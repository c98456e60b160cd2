"""Self-attention between the channels: every feature map looks at all the others, never pixel at pixel.

Vaswani et al., "Attention Is All You Need", https://arxiv.org/abs/1706.03762
"""

from torch import Tensor, nn
from torch.nn import functional as F

from .replace import Replacement, replaced
from .trunk import WIDTHS, ImageSize, Trunk, conv_pool_relu


class ChannelSelfAttention(nn.Module):
    """Takes each feature map as one token: `x + to_map(attention(to_token(x)))`.

    `pixels` is the number N of pixels of a map. With `residual=False` the sum is left out, which is the lab
    read to the letter: nothing then passes around the attention, whose rows are nearly uniform at the start,
    so that all tokens come out alike (Dong et al., https://arxiv.org/abs/2103.03404).

    The `nn.MultiheadAttention` owns the parameters. `forward` writes its computation out as two matrix
    products, equal to the module's own to 1e-5: on CPUs that is much faster than its fused kernel.
    """

    def __init__(self, pixels: int, embed_dim: int = 128, num_heads: int = 8, residual: bool = True) -> None:
        super().__init__()
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

    def attention(self, maps: Tensor) -> Tensor:
        """The attention weights (B, A, C, C) for feature maps (B, C, N)."""
        query, key, _ = self.project(self.to_token(maps))
        return self.weigh(query, key)

    def forward(self, maps: Tensor, attention: Replacement | None = None) -> Tensor:
        """The maps (B, C, N) after each has looked at the others.

        `attention` puts other weights in the place of the computed ones: a tensor that broadcasts to
        (B, A, C, C), or a function of the computed weights.
        """
        batch, channels, _ = maps.shape
        query, key, value = self.project(self.to_token(maps))  # (B, C, N) -> (B, C, E) -> 3 x (B, A, C, D)
        weights = replaced(lambda q: self.weigh(q, key), query, attention)  # (B, A, C, C)
        mixed = weights.to(value.dtype) @ value  # (B, A, C, C) x (B, A, C, D) -> (B, A, C, D)
        tokens = mixed.transpose(1, 2).reshape(batch, channels, -1)  # the heads side by side: (B, C, E)
        update: Tensor = self.to_map(self.mha.out_proj(tokens))  # (B, C, E) -> (B, C, N)
        return maps + update if self.residual else update


class CNN_SelfAttention(Trunk):  # noqa: N801  the lab's name
    """The baseline with self-attention between its 64 last feature maps, just before the classifier."""

    def __init__(
        self,
        in_channels: int = 1,
        image_size: ImageSize = 28,
        num_classes: int = 10,
        residual: bool = True,
    ) -> None:
        super().__init__(in_channels, image_size, num_classes)
        self.attn = ChannelSelfAttention(self.pixels, residual=residual)

    def maps(self, x: Tensor) -> Tensor:
        """The last feature maps (B, 64, N), each flattened, of normalised images (B, K, H, W)."""
        x = conv_pool_relu(self.conv1, x)  # (B, K, H, W) -> (B, 32, H/2, W/2)
        x = conv_pool_relu(self.conv2, x)  # -> (B, 64, H/4, W/4)
        return x.flatten(2)  # -> (B, 64, N)

    def forward(self, x: Tensor, attention: Replacement | None = None) -> Tensor:
        """The logits (B, classes) of normalised images (B, K, H, W).

        `attention` puts other weights in the place of the computed ones: `net(x, attention=torch.eye(64))`,
        `net(x, attention=lambda weights: weights.mean(0))`.
        """
        return self.classify(self.attn(self.maps(x), attention))  # (B, 64, N) -> (B, classes)

    def attention(self, x: Tensor) -> Tensor:
        """The attention weights (B, 8, 64, 64) for normalised images (B, K, H, W); each row sums to 1."""
        return self.attn.attention(self.maps(x))

    def macs(self) -> int:
        """Multiply-accumulates of one image's forward pass; `tui_attn.models.macs` says what is counted."""
        channels = WIDTHS[-1]
        linear = [self.attn.to_token.weight, self.attn.mha.in_proj_weight]
        linear += [self.attn.mha.out_proj.weight, self.attn.to_map.weight]
        per_token = sum(weight.numel() for weight in linear)
        # Q x K and weights x V, each C * C * D for a head, all heads together C * C * E
        products = 2 * channels * channels * int(self.attn.mha.embed_dim)
        return super().macs() + channels * per_token + products
