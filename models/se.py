"""Squeeze-and-Excitation: a gate between 0 and 1 for each channel, computed from all of them.

Hu, Shen, Albanie, Sun and Wu, "Squeeze-and-Excitation Networks", https://arxiv.org/abs/1709.01507
"""

from collections.abc import Mapping

from torch import Tensor, nn

from .replace import Replacement, replaced
from .trunk import WIDTHS, ImageSize, Trunk, conv_pool_relu


class SEBlock(nn.Module):
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

    def gate(self, x: Tensor) -> Tensor:
        """The gates (B, C), each in (0, 1), of feature maps (B, C, H, W)."""
        squeezed = x.mean((2, 3))  # (B, C, H, W) -> (B, C), a map's average
        gate: Tensor = self.fc(squeezed)  # (B, C) -> (B, reduction) -> (B, C)
        return gate

    def forward(self, x: Tensor, gate: Replacement | None = None) -> Tensor:
        """The maps (B, C, H, W), each multiplied by its gate, or by what `gate` puts in its place.

        A tensor of gates may be (B, C), one for each image, or (C,), the same for all.
        """
        gates = replaced(self.gate, x, gate)
        return x * gates[..., None, None]  # (B, C, H, W) * (B, C, 1, 1)


class CNN_SE(Trunk):  # noqa: N801  the lab's name
    """The baseline with an SE block after each layer, that is after convolution, pooling and ReLU."""

    SE_LAYERS = ("se1", "se2")

    def __init__(self, in_channels: int = 1, image_size: ImageSize = 28, num_classes: int = 10) -> None:
        super().__init__(in_channels, image_size, num_classes)
        first, second = WIDTHS
        self.se1 = SEBlock(first)
        self.se2 = SEBlock(second)

    def forward(self, x: Tensor, gates: Mapping[str, Replacement] | None = None) -> Tensor:
        """The logits (B, classes) of normalised images (B, K, H, W).

        `gates` puts other gates in the place of the computed ones, by the name of the layer:
        `net(x, gates={"se1": torch.ones(32)})`, `net(x, gates={"se2": lambda gate: gate.mean(0)})`.
        """
        gates = gates or {}
        x = conv_pool_relu(self.conv1, x)  # (B, K, H, W) -> (B, 32, H/2, W/2)
        x = self.se1(x, gates.get("se1"))
        x = conv_pool_relu(self.conv2, x)  # -> (B, 64, H/4, W/4)
        x = self.se2(x, gates.get("se2"))
        return self.classify(x)  # -> (B, classes)

    def gates(self, x: Tensor) -> dict[str, Tensor]:
        """The gates of each SE layer, {"se1": (B, 32), "se2": (B, 64)}, for images (B, K, H, W)."""
        x = conv_pool_relu(self.conv1, x)
        first = self.se1.gate(x)
        x = conv_pool_relu(self.conv2, self.se1(x, first))
        return {"se1": first, "se2": self.se2.gate(x)}

    def macs(self) -> int:
        """Multiply-accumulates of one image's forward pass; `tui_attn.models.macs` says what is counted."""
        excitation = sum(p.numel() for block in (self.se1, self.se2) for p in block.parameters())
        return super().macs() + excitation
