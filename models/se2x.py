"""SE with gates twice as large: at the start they are near 1, and the signal keeps base's scale.

The block is that of Hu et al., "Squeeze-and-Excitation Networks", CVPR 2018, https://arxiv.org/abs/1709.01507
"""

from torch import Tensor

from .gates import GatedTrunk
from .se import SEBlock


class SE2xBlock(SEBlock):
    """Multiplies each feature map by twice the gate of an `SEBlock`."""

    RANGE = (0.0, 2.0)

    def excite(self, averages: Tensor) -> Tensor:
        """The gates (B, C), each in (0, 2), of feature maps with these averages (B, C)."""
        return 2 * super().excite(averages)


class CNN_SE2x(GatedTrunk):  # noqa: N801  named as the lab names its networks
    """The baseline with an SE block of doubled gates after each layer."""

    GATE_LAYERS = ("se2x1", "se2x2")
    BLOCK = SE2xBlock
