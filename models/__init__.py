"""The built-in networks: a small CNN, and the same CNN with different kinds of channel attention.

Every file spells its shapes with the same letters:

| letter | meaning |
| --- | --- |
| B | images in the batch |
| K | channels of an image: 1 on Fashion-MNIST, 3 on CIFAR-10 |
| H, W | height and width of an image in pixels, both divisible by 4 |
| C | channels of a feature map: 32 after the first layer, 64 after the second |
| N | pixels of a feature map after both poolings, H/4 * W/4 |
| E | embedding dimension of a token, 128 |
| A | attention heads, 8 |
| D | width of one head, E / A = 16 |
"""

from collections.abc import Mapping
from types import MappingProxyType

import torch

from .base_wide import CNN_BaseWide, CNN_BaseWideSE
from .baseline import CNN_Base
from .cbam import CNN_CBAM
from .coordinate import CNN_Coordinate
from .eca import CNN_ECA, ECABlock
from .fold import fold_attention, fold_gates
from .gates import ChannelGate, GatedTrunk
from .gct import CNN_GCT
from .half import CNN_Half
from .mixing import ChannelMixing, MixingTrunk
from .replace import Replacement
from .se import CNN_SE, SEBlock
from .se2x import CNN_SE2x
from .self_attention import ChannelSelfAttention, CNN_SelfAttention, CNN_SelfAttentionLab
from .self_attention_static import CNN_SelfAttentionStatic
from .simam import CNN_SimAM
from .srm import CNN_SRM
from .static import CNN_Static
from .trunk import ImageSize, Trunk
from .xca import CNN_XCA

MODELS: Mapping[str, type[Trunk]] = MappingProxyType(
    {
        "base": CNN_Base,
        "se": CNN_SE,
        "self-attention": CNN_SelfAttention,
        "eca": CNN_ECA,
        "half": CNN_Half,
        "static": CNN_Static,
        "se2x": CNN_SE2x,
        "self-attention-lab": CNN_SelfAttentionLab,
        "self-attention-static": CNN_SelfAttentionStatic,
        "base-wide": CNN_BaseWide,
        "base-wide-se": CNN_BaseWideSE,
        "cbam": CNN_CBAM,
        "gct": CNN_GCT,
        "simam": CNN_SimAM,
        "coordinate": CNN_Coordinate,
        "xca": CNN_XCA,
        "srm": CNN_SRM,
    }
)
"""The networks by the name that a user types."""


def macs(name: str, in_channels: int = 1, image_size: ImageSize = 28, num_classes: int = 10) -> int:
    """Multiply-accumulates of one image's forward pass through the network called `name`.

    Counted are convolutions, linear layers and the two matrix products of attention; not counted are
    biases, poolings, activations, the softmax, and the multiplication of each map by its gate. No weights
    are made and no random number is drawn. KeyError for an unknown name, ValueError for an impossible size.
    """
    with torch.device("meta"):
        return MODELS[name](in_channels, image_size, num_classes).macs()


__all__ = [
    "CNN_ECA",
    "CNN_SE",
    "MODELS",
    "CNN_Base",
    "CNN_SelfAttention",
    "ChannelGate",
    "ChannelMixing",
    "ChannelSelfAttention",
    "ECABlock",
    "GatedTrunk",
    "ImageSize",
    "MixingTrunk",
    "Replacement",
    "SEBlock",
    "Trunk",
    "fold_attention",
    "fold_gates",
    "macs",
]
