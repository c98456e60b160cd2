"""Style-based Recalibration Module: a gate for each channel from the mean and the standard deviation of its map alone.

Lee, Kim and Nam, "SRM: A Style-based Recalibration Module for Convolutional Neural Networks", ICCV 2019,
https://arxiv.org/abs/1903.10829
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .gates import ChannelGate, GatedTrunk


class SRMBlock(ChannelGate):
    """Multiplies each feature map by sigmoid(batch norm(w1 * mean + w2 * standard deviation)); at the start by 0.5.

    The weights are the channel's own, 0 at the start. No channel looks at another one.
    """

    def __init__(self, channels: int, epsilon: float = 1e-5) -> None:
        super().__init__()
        self.cfc = nn.Parameter(torch.zeros(channels, 2))
        self.bn = nn.BatchNorm1d(channels)
        self.epsilon = epsilon
        """Keeps the gradient of the standard deviation finite where a map is constant."""

    def gate(self, x: Tensor) -> Tensor:
        """The gates (B, C), each in (0, 1), of feature maps (B, C, H, W)."""
        several = min(1, x.shape[2] * x.shape[3] - 1)
        return self.excite_moments(x.mean((2, 3)), x.var((2, 3), correction=several))

    def excite_moments(self, means: Tensor, variances: Tensor) -> Tensor:
        """The gates (B, C) of feature maps with these means and unbiased variances (B, C)."""
        style = self.cfc[:, 0] * means + self.cfc[:, 1] * (variances + self.epsilon).sqrt()  # (B, C)
        bn = self.bn
        if self.training and len(means) == 1:  # one image has no variance over the batch
            normed = F.batch_norm(style, bn.running_mean, bn.running_var, bn.weight, bn.bias, eps=bn.eps)
        else:
            normed = bn(style)
        return normed.sigmoid()

    def macs(self, channels: int, height: int, width: int) -> int:
        """None that count: its products are elementwise."""
        return 0


class CNN_SRM(GatedTrunk):  # noqa: N801  named as the lab names its networks
    """The baseline with an SRM block after each layer."""

    GATE_LAYERS = ("srm1", "srm2")
    BLOCK = SRMBlock
