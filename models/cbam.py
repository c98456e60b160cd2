"""Convolutional Block Attention Module: a gate for each channel, then a gate for each pixel.

Woo, Park, Lee and Kweon, "CBAM: Convolutional Block Attention Module", ECCV 2018, https://arxiv.org/abs/1807.06521
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .gates import ChannelGate, GatedTrunk
from .replace import Replacement


class CBAMBlock(ChannelGate):
    """Multiplies each map by its gate, and then every pixel of all maps by the gate of its place.

    The gate of a channel is computed from the averages and the maxima of all maps by one network with `channels //
    ratio` hidden units; that of a pixel from the average and the maximum over the channels, by a convolution with
    batch norm.
    """

    def __init__(self, channels: int, ratio: int = 16, kernel_size: int = 7) -> None:
        super().__init__()
        hidden = max(1, channels // ratio)
        self.mlp = nn.Sequential(nn.Linear(channels, hidden), nn.ReLU(), nn.Linear(hidden, channels))
        self.spatial = nn.Conv2d(2, 1, kernel_size, padding=kernel_size // 2, bias=False)
        self.bn = nn.BatchNorm2d(1, momentum=0.01)

    def gate(self, x: Tensor) -> Tensor:
        """The gates (B, C), each in (0, 1), of feature maps (B, C, H, W)."""
        return self.excite_pooled(x.mean((2, 3)), x.amax((2, 3)))

    def excite_pooled(self, means: Tensor, maxima: Tensor) -> Tensor:
        """The gates (B, C) of feature maps with these means and maxima (B, C)."""
        gates: Tensor = self.mlp(means) + self.mlp(maxima)
        return gates.sigmoid()

    def forward(self, x: Tensor, gate: Replacement | None = None) -> Tensor:
        """The maps (B, C, H, W) after both gates; `gate` replaces those of the channels."""
        x = super().forward(x, gate)
        return x * self.pixel_gates(self.spatial(torch.cat((x.amax(1, keepdim=True), x.mean(1, keepdim=True)), 1)))

    def pixel_gates(self, gates: Tensor) -> Tensor:
        """The gates of the pixels, each in (0, 1), of what the convolution gives: (B, 1, H, W) both."""
        bn = self.bn
        if self.training and gates.numel() == 1:  # a single value has no variance: it is normalised as in evaluation
            gates = F.batch_norm(gates, bn.running_mean, bn.running_var, bn.weight, bn.bias, eps=bn.eps)
        else:
            gates = bn(gates)
        return gates.sigmoid()

    def macs(self, channels: int, height: int, width: int) -> int:
        """Multiply-accumulates of the gates of one image's maps (C, H, W)."""
        per_pass = sum(parameter.numel() for parameter in self.mlp.parameters() if parameter.dim() == 2)
        return 2 * per_pass + self.spatial.weight.numel() * height * width


class CNN_CBAM(GatedTrunk):  # noqa: N801  named as the lab names its networks
    """The baseline with a CBAM block after each layer."""

    GATE_LAYERS = ("cbam1", "cbam2")
    BLOCK = CBAMBlock
