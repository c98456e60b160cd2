"""The network without attention."""

from .trunk import Trunk


class CNN_Base(Trunk):  # noqa: N801  the lab's name
    """Two layers of convolution, pooling and ReLU, and a linear classifier."""
