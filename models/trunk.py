"""What the networks share: two convolutions and a linear classifier."""

from collections.abc import Callable

import torch.nn.functional as F
from torch import Tensor, nn

WIDTHS = (32, 64)
"""Channels after the first and after the second convolution."""

ImageSize = int | tuple[int, int]
"""The side of a square image, or (height, width), in pixels."""


def conv_pool_relu(conv: nn.Module, x: Tensor) -> Tensor:  # (B, K, H, W) -> (B, C, H/2, W/2)
    """Convolution, max pooling 2 x 2, ReLU.

    Pooling and ReLU commute, exactly: the larger of two numbers stays the larger when negative ones
    become 0. Pooling first leaves a quarter of the elements to the ReLU and to its gradient.
    """
    return F.relu(F.max_pool2d(conv(x), kernel_size=2))


class Trunk(nn.Module):
    """The layers common to all networks, and the size of the images they take.

    They are made before whatever a network adds, so that with the same seed all networks of the same
    `widths` start from the same convolutions and the same classifier: only the attention differs.

    ValueError where a side of the image isn't a positive multiple of 4, since two poolings halve it twice.
    """

    conv_block: Callable[[nn.Module, Tensor], Tensor] = staticmethod(conv_pool_relu)
    """A layer without attention; training may put a faster function with the same results in its place."""

    def __init__(
        self,
        in_channels: int = 1,
        image_size: ImageSize = 28,
        num_classes: int = 10,
        widths: tuple[int, int] = WIDTHS,
    ) -> None:
        super().__init__()
        height, width = (image_size, image_size) if isinstance(image_size, int) else image_size
        if min(height, width) < 4 or height % 4 or width % 4:
            raise ValueError(
                f"an image of {height} x {width} pixels doesn't fit: both sides must be divisible by 4"
                " (two poolings halve them twice)"
            )
        if in_channels < 1 or num_classes < 1:
            raise ValueError(f"{in_channels} channels and {num_classes} classes: both must be at least 1")
        self.in_channels, self.num_classes = in_channels, num_classes
        self.height, self.width = height, width
        self.pixels = (height // 4) * (width // 4)  # N, of a map when both poolings are done

        first, second = widths
        self.conv1 = nn.Conv2d(in_channels, first, kernel_size=3, padding=1)
        self.conv2 = nn.Conv2d(first, second, kernel_size=3, padding=1)
        self.fc = nn.Linear(second * self.pixels, num_classes)

    def constant_gates(self) -> tuple[Tensor, Tensor] | None:
        """The gates (32,) and (64,), of at least 0, of a network that multiplies its maps by the same for all images.

        They fold into the convolutions: weight and bias times the gate. None where no gates are constant.
        """
        return None

    def features(self, x: Tensor) -> Tensor:
        """The feature maps (B, 64, H/4, W/4) that the trunk alone makes of normalised images (B, K, H, W)."""
        x = self.conv_block(self.conv1, x)  # (B, K, H, W) -> (B, 32, H/2, W/2)
        return self.conv_block(self.conv2, x)  # -> (B, 64, H/4, W/4)

    def forward(self, x: Tensor) -> Tensor:
        """The logits (B, classes) of normalised images (B, K, H, W)."""
        return self.classify(self.features(x))

    def classify(self, maps: Tensor) -> Tensor:  # (B, 64, H/4, W/4) -> (B, classes)
        """The logits that the linear classifier reads from the last feature maps."""
        logits: Tensor = self.fc(maps.flatten(1))
        return logits

    def macs(self) -> int:
        """Multiply-accumulates of one image's forward pass; `tui_attn.models.macs` says what is counted."""
        area = self.height * self.width
        conv1 = self.conv1.weight.numel() * area
        conv2 = self.conv2.weight.numel() * area // 4
        return conv1 + conv2 + self.fc.weight.numel()
