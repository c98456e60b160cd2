"""A control without attention: the scale of SE's first gates, fixed.

The gates of an SE block are near 0.5 at the start (Hu et al., https://arxiv.org/abs/1709.01507), so that after two
layers the signal is a quarter of base's. This network has that scale and nothing else.
"""

import torch
from torch import Tensor

from .trunk import Trunk

SCALE = 0.5


class CNN_Half(Trunk):  # noqa: N801  named as the lab names its networks
    """The baseline with its maps multiplied by 0.5 after each layer."""

    def features(self, x: Tensor) -> Tensor:
        """The feature maps (B, 64, H/4, W/4) of normalised images (B, K, H, W)."""
        x = SCALE * self.conv_block(self.conv1, x)
        return SCALE * self.conv_block(self.conv2, x)

    def constant_gates(self) -> tuple[Tensor, Tensor]:
        """The gates (32,) and (64,), all 0.5."""
        first, second = (torch.full_like(conv.weight[:, 0, 0, 0], SCALE) for conv in (self.conv1, self.conv2))
        return first, second
