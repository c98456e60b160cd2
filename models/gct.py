"""Gated Channel Transformation: a gate from a channel's norm beside the norms of all, with three numbers a channel.

Yang, Zhu, Wu and Yang, "Gated Channel Transformation for Visual Recognition", CVPR 2020,
https://arxiv.org/abs/1909.11519
"""

import torch
from torch import Tensor, nn

from .gates import ChannelGate, GatedTrunk


class GCTBlock(ChannelGate):
    """Multiplies each feature map by 1 + tanh(gamma * normalised embedding + beta); at the start by 1.

    The embedding of a channel is alpha times the l2 norm of its map; it is divided by the root mean square of all.
    """

    RANGE = (0.0, 2.0)

    def __init__(self, channels: int, epsilon: float = 1e-5) -> None:
        super().__init__()
        self.epsilon = epsilon
        self.alpha = nn.Parameter(torch.ones(channels))
        self.gamma = nn.Parameter(torch.zeros(channels))
        self.beta = nn.Parameter(torch.zeros(channels))

    def gate(self, x: Tensor) -> Tensor:
        """The gates (B, C), each in (0, 2), of feature maps (B, C, H, W)."""
        return self.excite_norms(x.square().sum((2, 3)))

    def excite_norms(self, squares: Tensor) -> Tensor:
        """The gates (B, C) of feature maps whose squares have these sums (B, C)."""
        embedding = self.alpha * (squares + self.epsilon).sqrt()  # (B, C)
        size = (embedding.square().mean(1, keepdim=True) + self.epsilon).sqrt()  # (B, 1)
        return 1 + (embedding * (self.gamma / size) + self.beta).tanh()


class CNN_GCT(GatedTrunk):  # noqa: N801  named as the lab names its networks
    """The baseline with a GCT block after each layer."""

    GATE_LAYERS = ("gct1", "gct2")
    BLOCK = GCTBlock
