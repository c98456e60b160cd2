"""SimAM: a gate for every pixel of every map, without parameters, from how far it stands out of its map.

Yang, Zhang, Li and Xie, "SimAM: A Simple, Parameter-Free Attention Module for Convolutional Neural Networks",
ICML 2021, https://proceedings.mlr.press/v139/yang21o.html
"""

from torch import Tensor

from .gates import ChannelGate, GatedTrunk
from .trunk import ImageSize


class SimAMBlock(ChannelGate):
    """Multiplies each pixel by sigmoid(d / (4 (v + lambda)) + 1/2).

    d is its squared distance from the mean of its map, v the variance of the map, and lambda is `e_lambda`.
    """

    def __init__(self, e_lambda: float = 1e-4) -> None:
        super().__init__()
        self.e_lambda = e_lambda

    def gate(self, x: Tensor) -> Tensor:
        """The gates (B, C, H, W), each in (0.62, 1), of feature maps (B, C, H, W)."""
        distances = (x - x.mean((2, 3), keepdim=True)).square()
        others = max(x.shape[2] * x.shape[3] - 1, 1)
        variance = distances.sum((2, 3), keepdim=True) / others  # (B, C, 1, 1)
        return (distances / (4 * (variance + self.e_lambda)) + 0.5).sigmoid()


class CNN_SimAM(GatedTrunk):  # noqa: N801  named as the lab names its networks
    """The baseline with SimAM after each layer."""

    GATE_LAYERS = ("simam1", "simam2")

    def __init__(self, in_channels: int = 1, image_size: ImageSize = 28, num_classes: int = 10) -> None:
        super().__init__(in_channels, image_size, num_classes)
        self.simam1, self.simam2 = SimAMBlock(), SimAMBlock()
