"""Efficient Channel Attention: a gate for each channel, computed from its neighbours by one small convolution.

Wang, Wu, Zhu, Li, Zuo and Hu, "ECA-Net: Efficient Channel Attention for Deep Convolutional Neural Networks",
https://arxiv.org/abs/1910.03151
"""

from torch import Tensor, nn

from .gates import ChannelGate, GatedTrunk
from .trunk import WIDTHS, ImageSize


class ECABlock(ChannelGate):
    """Multiplies each feature map by a gate computed from the averages of `kernel_size` neighbouring channels."""

    def __init__(self, kernel_size: int = 3) -> None:
        super().__init__()
        self.conv = nn.Conv1d(1, 1, kernel_size, padding=kernel_size // 2, bias=False)

    def excite(self, averages: Tensor) -> Tensor:
        """The gates (B, C), each in (0, 1), of feature maps with these averages (B, C)."""
        mixed: Tensor = self.conv(averages[:, None])  # (B, C) -> (B, 1, C)
        return mixed[:, 0].sigmoid()  # -> (B, C)

    def macs(self, channels: int, height: int, width: int) -> int:
        """Multiply-accumulates of the gates of one image: each channel reads `kernel_size` averages."""
        return channels * self.conv.weight.numel()


class CNN_ECA(GatedTrunk):  # noqa: N801  named as the lab names its networks
    """The baseline with an ECA block after each layer."""

    GATE_LAYERS = ("eca1", "eca2")

    def __init__(self, in_channels: int = 1, image_size: ImageSize = 28, num_classes: int = 10) -> None:
        super().__init__(in_channels, image_size, num_classes)
        self.eca1, self.eca2 = (ECABlock() for _ in WIDTHS)
