"""A control for gates: one learned gate a channel, the same for every image.

Its gates are those of SE at the start, 0.5, and are as free as SE's otherwise (Hu et al.,
https://arxiv.org/abs/1709.01507): what SE does beyond it comes from looking at the image.
"""

import torch
from torch import Tensor, nn

from .gates import ChannelGate, GatedTrunk


class StaticGate(ChannelGate):
    """Multiplies each feature map by sigmoid(a), a learned number a channel, 0 at the start."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.a = nn.Parameter(torch.zeros(channels))

    def excite(self, averages: Tensor) -> Tensor:
        """The gates (B, C), each in (0, 1) and the same for all B images, whose averages (B, C) don't matter."""
        return self.a.sigmoid().expand(averages.shape)


class CNN_Static(GatedTrunk):  # noqa: N801  named as the lab names its networks
    """The baseline with a learned gate for each channel after each layer, blind to the image."""

    GATE_LAYERS = ("static1", "static2")
    BLOCK = StaticGate

    def constant_gates(self) -> tuple[Tensor, Tensor]:
        """The gates (32,) and (64,)."""
        first, second = (getattr(self, layer).a.sigmoid() for layer in self.GATE_LAYERS)
        return first, second
