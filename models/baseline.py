"""The network without attention."""

from torch import Tensor

from .trunk import Trunk, conv_pool_relu


class CNN_Base(Trunk):  # noqa: N801  the lab's name
    """Two layers of convolution, pooling and ReLU, and a linear classifier."""

    def forward(self, x: Tensor) -> Tensor:
        """The logits (B, classes) of normalised images (B, K, H, W)."""
        x = conv_pool_relu(self.conv1, x)  # (B, K, H, W) -> (B, 32, H/2, W/2)
        x = conv_pool_relu(self.conv2, x)  # -> (B, 64, H/4, W/4)
        return self.classify(x)  # -> (B, classes)
