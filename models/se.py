"""Squeeze-and-Excitation: a gate between 0 and 1 for each channel, computed from all of them.

Hu, Shen, Albanie, Sun and Wu, "Squeeze-and-Excitation Networks", https://arxiv.org/abs/1709.01507
"""

from torch import Tensor, nn

from .gates import ChannelGate, GatedTrunk
from .trunk import WIDTHS, ImageSize


class SEBlock(ChannelGate):
    """Multiplies each feature map by a gate: squeeze, excite, recalibrate.

    `reduction` is the width of the hidden layer, as in the lab's code. It isn't the ratio that the paper
    calls r: a width of 16 on 32 and 64 channels is r = 2 and r = 4. The two linear layers have no biases,
    as in the paper's section 6, since without them the gates model how channels depend on each other better.
    """

    def __init__(self, channels: int, reduction: int = 16) -> None:
        super().__init__()
        self.fc = nn.Sequential(
            nn.Linear(channels, reduction, bias=False),
            nn.ReLU(),
            nn.Linear(reduction, channels, bias=False),
            nn.Sigmoid(),
        )

    def excite(self, averages: Tensor) -> Tensor:
        """The gates (B, C), each in (0, 1), of feature maps with these averages (B, C)."""
        gate: Tensor = self.fc(averages)  # (B, C) -> (B, reduction) -> (B, C)
        return gate


class CNN_SE(GatedTrunk):  # noqa: N801  the lab's name
    """The baseline with an SE block after each layer."""

    GATE_LAYERS = ("se1", "se2")

    def __init__(self, in_channels: int = 1, image_size: ImageSize = 28, num_classes: int = 10) -> None:
        super().__init__(in_channels, image_size, num_classes)
        self.se1, self.se2 = (SEBlock(width) for width in WIDTHS)
