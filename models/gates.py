"""Channel gates: a number for each channel of a feature map, by which the whole map is multiplied."""

from collections.abc import Mapping
from typing import ClassVar

from torch import Tensor, nn

from .replace import Replacement, replaced
from .trunk import WIDTHS, ImageSize, Trunk


class ChannelGate(nn.Module):
    """Multiplies each feature map by a gate that is computed from all of them.

    A block overrides `excite`, which sees the average of each map, or `gate`, which sees the maps. One whose
    gates differ from pixel to pixel returns (B, C, H, W) from `gate`.
    """

    RANGE: ClassVar[tuple[float, float]] = (0.0, 1.0)
    """Lower and upper bound of the gates."""

    def excite(self, averages: Tensor) -> Tensor:
        """The gates (B, C) of feature maps with these averages (B, C)."""
        raise NotImplementedError

    def gate(self, x: Tensor) -> Tensor:
        """The gates (B, C) of feature maps (B, C, H, W)."""
        return self.excite(x.mean((2, 3)))  # (B, C, H, W) -> (B, C)

    def forward(self, x: Tensor, gate: Replacement | None = None) -> Tensor:
        """The maps (B, C, H, W), each multiplied by its gate, or by what `gate` puts in its place.

        A tensor of gates may be (B, C), one for each image, or (C,), the same for all.
        """
        gates = replaced(self.gate, x, gate)
        return x * (gates if gates.dim() == 4 else gates[..., None, None])  # (B, C, H, W) * (B, C, 1, 1)

    def macs(self, channels: int, height: int, width: int) -> int:
        """Multiply-accumulates of the gates of one image's maps (C, H, W).

        By default one for each weight: biases and factors of whole maps don't count.
        """
        return sum(parameter.numel() for parameter in self.parameters() if parameter.dim() > 1)


class GatedTrunk(Trunk):
    """The baseline with a `ChannelGate` after each layer, that is after convolution, pooling and ReLU.

    A network names its two blocks in `GATE_LAYERS`, and their class in `BLOCK`; or it makes them after
    `super().__init__`.
    """

    GATE_LAYERS: ClassVar[tuple[str, str]]
    BLOCK: ClassVar[type[ChannelGate] | None] = None
    """Called with the number of channels of a layer."""

    def __init__(self, in_channels: int = 1, image_size: ImageSize = 28, num_classes: int = 10) -> None:
        super().__init__(in_channels, image_size, num_classes)
        if self.BLOCK is not None:
            for layer, width in zip(self.GATE_LAYERS, WIDTHS, strict=True):
                self.add_module(layer, self.BLOCK(width))

    @property
    def gate_blocks(self) -> tuple[ChannelGate, ChannelGate]:
        """The blocks of the first and of the second layer."""
        first, second = (getattr(self, layer) for layer in self.GATE_LAYERS)
        return first, second

    def forward(self, x: Tensor, gates: Mapping[str, Replacement] | None = None) -> Tensor:
        """The logits (B, classes) of normalised images (B, K, H, W).

        `gates` puts other gates in the place of the computed ones, by the name of the layer:
        `net(x, gates={"se1": torch.ones(32)})`, `net(x, gates={"se2": lambda gate: gate.mean(0)})`.
        """
        gates = gates or {}
        for conv, layer in zip((self.conv1, self.conv2), self.GATE_LAYERS, strict=True):
            x = self.conv_block(conv, x)  # (B, K, H, W) -> (B, 32, H/2, W/2) -> (B, 64, H/4, W/4)
            x = getattr(self, layer)(x, gates.get(layer))
        return self.classify(x)  # -> (B, classes)

    def gates(self, x: Tensor) -> dict[str, Tensor]:
        """The gates of both layers by name, for images (B, K, H, W): (B, 32) and (B, 64), or one for each pixel."""
        found = {}
        for conv, layer, block in zip((self.conv1, self.conv2), self.GATE_LAYERS, self.gate_blocks, strict=True):
            x = self.conv_block(conv, x)
            found[layer] = block.gate(x)
            x = block(x, found[layer])
        return found

    def macs(self) -> int:
        """Multiply-accumulates of one image's forward pass; `tui_attn.models.macs` says what is counted."""
        first, second = self.gate_blocks
        first_macs = first.macs(self.conv1.out_channels, self.height // 2, self.width // 2)
        return super().macs() + first_macs + second.macs(self.conv2.out_channels, self.height // 4, self.width // 4)
