"""A matrix of attention weights between channels: each channel becomes a weighted sum over channels."""

from torch import Tensor, nn

from .replace import Replacement, replaced
from .trunk import Trunk


class ChannelMixing(nn.Module):
    """Mixes the channels of feature maps with attention weights, in A heads.

    A block implements `weights_and_values` and `combine`, which are affine in the maps once the weights are fixed.
    `shape` is that of the weights of one image: (A, C, C), or (A, C/A, C/A) where `grouped` says that each head has
    its own channels.
    """

    def __init__(self, shape: tuple[int, int, int], *, grouped: bool = False) -> None:
        super().__init__()
        self.shape, self.grouped = shape, grouped

    def weights_and_values(self, maps: Tensor) -> tuple[Tensor, Tensor]:
        """The attention weights (B, *shape) of feature maps (B, C, N), each row of sum 1, and the values they weigh.

        The values are (B, A, channels of a head, width of a value).
        """
        raise NotImplementedError

    def combine(self, maps: Tensor, mixed: Tensor) -> Tensor:
        """The result (B, C, N) for feature maps (B, C, N) and `mixed`, the weighted sums of their values."""
        raise NotImplementedError

    def attention(self, maps: Tensor) -> Tensor:
        """The attention weights (B, *shape) of feature maps (B, C, N)."""
        return self.weights_and_values(maps)[0]

    def forward(self, maps: Tensor, attention: Replacement | None = None) -> Tensor:
        """The maps (B, C, N) after each channel has looked at others.

        `attention` replaces the computed weights: a tensor that broadcasts to (B, *shape), or a function of them.
        """
        weights, values = self.weights_and_values(maps)
        weights = replaced(lambda _: weights, maps, attention)
        return self.combine(maps, weights.to(values.dtype) @ values)

    def merged(self) -> "ChannelMixing":
        """A block that computes the same from the present weights, with fewer operations where there is one."""
        return self

    def macs(self, channels: int, pixels: int) -> int:
        """Multiply-accumulates for one image's maps (C, N)."""
        raise NotImplementedError


class MixingTrunk(Trunk):
    """The baseline with a `ChannelMixing`, called `attn`, on its 64 last feature maps, just before the classifier."""

    attn: ChannelMixing

    def maps(self, x: Tensor) -> Tensor:
        """The last feature maps (B, 64, N), each flattened, of normalised images (B, K, H, W)."""
        return self.features(x).flatten(2)

    def forward(self, x: Tensor, attention: Replacement | None = None) -> Tensor:
        """The logits (B, classes) of normalised images (B, K, H, W).

        `attention` replaces the computed weights: `net(x, attention=torch.eye(64))`,
        `net(x, attention=lambda weights: weights.mean(0))`.
        """
        return self.classify(self.attn(self.maps(x), attention))  # (B, 64, N) -> (B, classes)

    def attention(self, x: Tensor) -> Tensor:
        """The attention weights, (B, 8, 64, 64) or as `attn.shape` says, for normalised images (B, K, H, W)."""
        return self.attn.attention(self.maps(x))

    def macs(self) -> int:
        """Multiply-accumulates of one image's forward pass; `tui_attn.models.macs` says what is counted."""
        return super().macs() + self.attn.macs(self.conv2.out_channels, self.pixels)
