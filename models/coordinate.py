"""Coordinate attention: a gate for each row and one for each column of every map.

Hou, Zhou and Feng, "Coordinate Attention for Efficient Mobile Network Design", CVPR 2021,
https://arxiv.org/abs/2103.02907
"""

import torch
from torch import Tensor, nn

from .gates import ChannelGate, GatedTrunk


class CoordinateBlock(ChannelGate):
    """Multiplies each pixel by the gate of its row and by that of its column.

    Both are computed from the averages of all rows and columns, through `hidden` channels with batch norm.
    """

    def __init__(self, channels: int, hidden: int = 8) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, hidden, 1)
        self.bn1 = nn.BatchNorm2d(hidden)
        self.act = nn.Hardswish()
        self.conv_h = nn.Conv2d(hidden, channels, 1)
        self.conv_w = nn.Conv2d(hidden, channels, 1)

    def gate(self, x: Tensor) -> Tensor:
        """The gates (B, C, H, W), each in (0, 1), of feature maps (B, C, H, W)."""
        height, width = x.shape[2:]
        averages = torch.cat((x.mean(3), x.mean(2)), 2)[..., None]  # (B, C, H + W, 1)
        mixed = self.act(self.bn1(self.conv1(averages)))  # -> (B, hidden, H + W, 1)
        rows, columns = mixed.split((height, width), 2)
        by_row: Tensor = self.conv_h(rows)  # (B, C, H, 1)
        by_column: Tensor = self.conv_w(columns.transpose(2, 3))  # (B, C, 1, W)
        return by_row.sigmoid() * by_column.sigmoid()

    def macs(self, channels: int, height: int, width: int) -> int:
        """Multiply-accumulates of the gates of one image's maps (C, H, W)."""
        return 2 * self.conv1.weight.numel() * (height + width)


class CNN_Coordinate(GatedTrunk):  # noqa: N801  named as the lab names its networks
    """The baseline with coordinate attention after each layer."""

    GATE_LAYERS = ("coordinate1", "coordinate2")
    BLOCK = CoordinateBlock
