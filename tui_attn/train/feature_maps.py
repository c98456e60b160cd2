"""A trained network's feature maps, computed block by block as in training."""

from __future__ import annotations

from collections.abc import Sequence
from copy import copy
from dataclasses import dataclass
from typing import Generic, Self, TypeVar

import torch
from torch import Tensor
from torch.nn import functional as F

from tui_attn.models import Trunk
from tui_attn.train.step import DTYPES, use_exact_float32
from tui_attn.train.tensors import scale_and_shift

Network_co = TypeVar("Network_co", bound=Trunk, covariant=True)

CPU_BATCH, DEVICE_BATCH = 100, 1000
"""Images in a block on a CPU, whose caches hold their maps, and on other devices."""


@dataclass(frozen=True, slots=True)
class LabelledImages:
    """Labelled images on the network's device."""

    images: Tensor
    """uint8 (M, K, H, W)"""
    labels: Tensor
    """int64 (M,)"""
    mean: Sequence[float]
    """Of each image channel, pixels in [0, 1]."""
    std: Sequence[float]

    def __len__(self) -> int:
        return len(self.labels)


@dataclass(frozen=True, slots=True)
class Answers:
    """A network's answers for every test image, in one or several draws of an intervention."""

    rows: Tensor
    """float32 (3, M) or (D, 3, M): right (1) or not (0), predicted class, cross-entropy loss in nats."""

    @property
    def right(self) -> Tensor:
        """Whether the image is classified correctly: bool (M,) or (D, M)."""
        return self.rows[..., 0, :] > 0

    @property
    def predicted(self) -> Tensor:
        """The class with the largest logit: (M,) or (D, M)."""
        return self.rows[..., 1, :]

    @property
    def loss(self) -> Tensor:
        """In nats: (M,) or (D, M)."""
        return self.rows[..., 2, :]


class FeatureMaps(Generic[Network_co]):
    """The two convolutions of a network in training's precision, `fp32` or `bf16`.

    Channels lie innermost in memory, as the convolutions compute them.
    """

    def __init__(self, model: Network_co, data: LabelledImages, precision: str) -> None:
        self.model, self.data = model, data
        self.device = data.images.device
        self.block = CPU_BATCH if self.device.type == "cpu" else DEVICE_BATCH
        """Images that the device computes fast at once."""
        self._layout = torch.contiguous_format if self.device.type == "mps" else torch.channels_last
        model.to(self.device).to(memory_format=self._layout)
        if self.device.type == "cuda":
            use_exact_float32()
        self._dtype = DTYPES.get(precision, torch.float32)
        self._scale, self._shift = scale_and_shift(data.mean, data.std, self.device)

    @property
    def blocks(self) -> list[slice]:
        """All images, block by block."""
        return [slice(first, first + self.block) for first in range(0, len(self.data), self.block)]

    def of(self, data: LabelledImages) -> Self:
        """The same for other images."""
        other = copy(self)
        other.data = data
        return other

    def pixels(self, block: slice | Tensor) -> Tensor:
        """Some images, normalised: float32 (B, K, H, W)."""
        return self.data.images[block].to(torch.float32, memory_format=self._layout).mul_(self._scale).add_(self._shift)

    def first(self, block: slice | Tensor) -> Tensor:
        """The maps (B, 32, H/2, W/2) of some images after the first convolution, pooling and ReLU."""
        return self._pooled(self.model.conv1, self.pixels(block)).relu_()

    def second(self, maps: Tensor, weight: Tensor | None = None) -> Tensor:
        """The maps (B, 64, H/4, W/4), float32, that the second convolution, pooling and ReLU make of the first's.

        `weight`: to use in the place of the convolution's own.
        """
        return self.before_relu(maps, weight).relu().float()

    def before_relu(self, maps: Tensor, weight: Tensor | None = None) -> Tensor:
        """What `second` gives, before the ReLU and in training's precision."""
        return self._pooled(self.model.conv2, maps, weight)

    def _pooled(self, conv: torch.nn.Conv2d, x: Tensor, weight: Tensor | None = None) -> Tensor:
        """Convolution and max pooling."""
        bias = None if conv.bias is None else conv.bias.to(self._dtype)
        maps = F.conv2d(x.to(self._dtype), (conv.weight if weight is None else weight).to(self._dtype), bias, padding=1)
        if maps.requires_grad:  # whose gradient through the slices below is slow
            return F.max_pool2d(maps, 2)
        rows = torch.maximum(maps[:, :, ::2], maps[:, :, 1::2])
        return torch.maximum(rows[..., ::2], rows[..., 1::2])

    def answers(self, logits: Tensor, block: slice | Tensor) -> Tensor:
        """The rows of `Answers`, float32 (3, B) on the CPU, for the logits (B, classes) of some images."""
        labels, predicted = self.data.labels[block], logits.argmax(1)
        loss = F.cross_entropy(logits.float(), labels, reduction="none")
        return torch.stack([(predicted == labels).float(), predicted.float(), loss]).cpu()


def another_image(count: int, generator: torch.Generator) -> Tensor:
    """For each of `count` images another one, drawn so that all are equally likely: int64 (count,).

    A random cycle through all images: no image gets itself, and each is used once. One image has no other.
    """
    order = torch.randperm(count, generator=generator)
    partner = torch.empty_like(order)
    partner[order] = order.roll(1)
    return partner
