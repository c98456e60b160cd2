"""Controls for the number of parameters: the baseline, its second layer widened to as many as a network with attention.

Their second convolution and their classifier are larger than base's, and so start from other weights.
"""

import torch

from .se import CNN_SE
from .self_attention import CNN_SelfAttention
from .trunk import WIDTHS, ImageSize, Trunk


class CNN_BaseWide(Trunk):  # noqa: N801  named as the lab names its networks
    """The baseline with about as many parameters as `CNN_SelfAttention`."""

    AS_LARGE_AS: type[Trunk] = CNN_SelfAttention

    def __init__(self, in_channels: int = 1, image_size: ImageSize = 28, num_classes: int = 10) -> None:
        with torch.device("meta"):  # makes no weights and draws no random number
            other = self.AS_LARGE_AS(in_channels, image_size, num_classes)
        wanted = sum(parameter.numel() for parameter in other.parameters())
        first = WIDTHS[0]
        fixed = 9 * in_channels * first + first + num_classes
        each = 9 * first + 1 + other.pixels * num_classes  # of one channel of the second layer
        super().__init__(in_channels, image_size, num_classes, (first, max(1, round((wanted - fixed) / each))))


class CNN_BaseWideSE(CNN_BaseWide):  # noqa: N801  named as the lab names its networks
    """The baseline with about as many parameters as `CNN_SE`."""

    AS_LARGE_AS = CNN_SE
