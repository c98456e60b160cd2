"""How much memory an experiment will take on its devices, estimated from its configuration."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tui_attn.data import DATASETS
from tui_attn.experiment.config import ExperimentConfig
from tui_attn.experiment.model_info import MODELS, attention_of, info_of
from tui_attn.launch.estimate import shape_of
from tui_attn.supervision import scheduling
from tui_attn.system.text import size

_WIDTHS = 32, 64
"""Channels of the trunk's two layers."""


@dataclass(frozen=True, slots=True)
class MemoryEstimate:
    """Bytes of tensors on the device with the most workers, and their parts."""

    device: str
    workers: int
    """Workers on that device."""
    images: int
    activations: int
    state: int
    """Parameters, gradients and optimiser state."""

    @property
    def total(self) -> int:
        """All parts together."""
        return self.images + self.activations + self.state

    def words(self) -> str:
        """The estimate as it is shown."""
        shared = f" in {self.workers} workers" if self.workers > 1 else ""
        parts = f"images {size(self.images)}, activations {size(self.activations)}, weights and Adam {size(self.state)}"
        return f"about {size(self.total)} on {self.device}{shared}, without torch itself: {parts}"


def estimate_memory(config: ExperimentConfig, devices: Sequence[str], sizes: tuple[int, int]) -> MemoryEstimate:
    """Estimate the memory of `config` on `devices`; `sizes` are the numbers of training and test images.

    Each worker holds, for images of C x S x S:

    - all images and labels: (train + test) * (C S^2 + 8) bytes, uint8 and int64;
    - parameters, gradients and Adam's two averages: 16 bytes a parameter of each model that it trains in turn;
    - activations and their gradients of one batch, of the model that needs most: 2 * 4 bytes a value (2 * 2 in bf16),
      where an image has C S^2 + sum over the layers of w s^2 (1 + 1/4 * (2 + 2)) values: the convolution's output, then
      pooling, its int64 indices and ReLU on a quarter of the positions. Attention between channels adds 5 * 64 * 128
      for its tokens and 2 * 8 * 64^2 for its weights.

    Custom models count as base. Not counted: torch, its libraries and its workspaces (0.76 and 0.99 GB in two CPU
    workers).
    """
    channels, side = shape_of(config.dataset)
    slots = scheduling.make_slots(devices, config.jobs)[: len(config.models) * config.seeds]
    device, workers = max(((slot.device, slot.index + 1) for slot in slots), key=lambda pair: pair[1])
    value = 2 if config.precision == "bf16" else 4
    values = channels * side**2 + sum(
        width * pixels * 2 for width, pixels in zip(_WIDTHS, (side**2, side**2 // 4), strict=True)
    )
    if any(attention_of(model) == "channel matrix" for model in config.models):
        values += 5 * 64 * 128 + 2 * 8 * 64**2
    return MemoryEstimate(
        device=device,
        workers=workers,
        images=workers * sum(sizes) * (channels * side**2 + 8),
        activations=workers * 2 * value * min(config.batch_size, sizes[0]) * values,
        state=workers * 16 * sum(parameters(model, config.dataset) for model in config.models),
    )


def parameters(model: str, dataset: str) -> int:
    """The number of parameters of `model` on `dataset`, exact for the lab's three."""
    info = info_of(model) or MODELS["base"]
    channels, side = shape_of(dataset)
    classes = len(DATASETS[dataset].class_names) if dataset in DATASETS else 10
    first, second = _WIDTHS
    pixels = (side // 4) ** 2
    trunk = 9 * first * (channels - 1) + second * (pixels * classes - 49 * 10) + classes - 10
    attention = 257 * (pixels - 49) if info.attention == "channel matrix" else 0  # two linear layers, pixels <-> 128
    return info.parameters + trunk + attention
