"""Probes: the attention on a fixed, stratified set of test images, in a pass apart from training."""

from __future__ import annotations

import io
import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from tui_attn.models import ChannelGate, ChannelMixing, GatedTrunk, MixingTrunk
from tui_attn.train.accelerator import HostCopy
from tui_attn.train.tensors import Images

PROBE_IMAGES = 500
"""About this many test images, the same number of each class."""
MOST_LAYERS = 24
"""The most gate blocks of a custom model that are probed, all of which fit into a file of arrays."""
MOST_CHANNELS = 256
"""The most channels for which attention is saved: a matrix for each class and head."""
MOST_WHOLE_BYTES = 2_000_000
"""The largest array of attention by class and head; a larger one isn't saved."""
RANK_IMAGES = 50
"""Images over which the effective rank of the tokens is averaged."""
SHARE = 100
"""The batch size for custom models."""

Arrays = dict[str, NDArray[Any]]
"""float32, or float16 where there is much of it."""


@dataclass(frozen=True, slots=True)
class ProbeSet:
    """The images of all probes on this data."""

    images: Tensor
    """float32 (P, K, H, W), normalised."""
    labels: Tensor
    """int64 (P,)"""
    classes: int
    members: tuple[Tensor, ...] = field(init=False)
    """The images of each class, int64: choosing by a mask would wait for the device each time."""
    counts: NDArray[np.float32] = field(init=False)
    """The number of images of each class."""

    def __post_init__(self) -> None:
        members = tuple(torch.nonzero(self.labels == label).flatten() for label in range(self.classes))
        object.__setattr__(self, "members", members)
        object.__setattr__(self, "counts", np.array([len(some) for some in members], np.float32))

    @classmethod
    def of(cls, data: Images) -> ProbeSet:
        """The first images of each class of the test set."""
        classes = len(data.class_names)
        share = max(1, PROBE_IMAGES // classes)
        chosen = [torch.nonzero(data.test_labels == label).flatten()[:share] for label in range(classes)]
        index = torch.cat(chosen).sort().values
        mean = torch.tensor(data.mean, device=index.device)[:, None, None]
        std = torch.tensor(data.std, device=index.device)[:, None, None]
        images = (data.test_images[index].float() / 255 - mean) / std
        return cls(images, data.test_labels[index], classes)


Probed = tuple[Arrays, dict[str, list[float]]]
"""The arrays of one probe, and as a summary the mean gate of every channel by layer."""


@torch.inference_mode()
def compute(model: nn.Module, probe: ProbeSet, *, whole: bool = False) -> Callable[[], Probed]:
    """Compute a probe of `model`; the returned function waits for the device, from any thread, and gives the arrays.

    - `classes/images` (classes,): the number of images.
    - For each layer with gates: `<layer>/by_class` (classes, C), the mean gate of each class; `<layer>/within`
      (classes, C), the standard deviation between images of a class; `<layer>/saturated` (2,), the shares of gates
      in the lowest and in the highest 5 % of their range. Gates that differ from pixel to pixel are averaged over the
      pixels first.
    - For a matrix of attention weights: `attention/by_head` (A, 64, 64) and `attention/by_class` (classes, 64, 64),
      mean weights (of heads that have their own channels one matrix, whose blocks along the diagonal are the heads);
      `attention/within` (classes, 64), the standard deviations between images of a class of the weights in a row, the
      heads' mean, as a root mean square over the row; `attention/saturated` (2,), the shares of rows (of single heads
      and images) that give no channel more than twice its even share, and that give one channel more than half; and
      where `whole` is set, `attention/by_class_and_head` (classes, A, 64, 64), mean weights in float16, unless they
      exceed `MOST_WHOLE_BYTES`; `attention/entropy` (A,), the mean entropy of a row as a share of the largest possible;
      and `attention/rank` (1,), the mean effective rank of the maps (64, N) after the attention.

    A custom model gives the same for the blocks of `tui_attn.models` in it: for each `ChannelGate`, called as the model
    calls it, and for the first `ChannelMixing`. A network without such attention gives nothing. No random number
    is drawn and no weight is changed, unless a custom model does so.
    """
    was_training = model.training
    model.eval()
    kept: dict[str, Tensor] = {}
    if isinstance(model, GatedTrunk):
        ranges = {layer: block.RANGE for layer, block in zip(model.GATE_LAYERS, model.gate_blocks, strict=True)}
        gates_of = {layer: (gates, ranges[layer]) for layer, gates in model.gates(probe.images).items()}
        attention = None
    elif isinstance(model, MixingTrunk):
        gates_of = {}
        ranked = model.attn(model.maps(probe.images[:RANK_IMAGES]))
        attention = model.attention(probe.images).float(), model.attn.grouped, ranked
    else:
        gates_of, attention = _seen(model, probe.images)
    for layer, (gates, limits) in gates_of.items():
        by_channel = gates.float() if gates.dim() == 2 else gates.float().mean((2, 3))
        kept |= _gate_arrays(layer, by_channel, limits, probe)
        kept[f"{layer}{_GLANCE}"] = by_channel.mean(0)
    if attention is not None:
        weights, grouped, kept[_RANK] = attention
        kept |= _attention_arrays(weights, grouped, probe, whole)
    model.train(was_training)
    packed = HostCopy(torch.cat([tensor.float().flatten() for tensor in kept.values()])) if kept else None
    shapes = {name: tensor.shape for name, tensor in kept.items()}
    counts = probe.counts

    def read() -> Probed:
        return _arrays(packed.get().numpy(), shapes, counts) if packed else ({}, {})

    return read


def _arrays(packed: NDArray[np.float32], shapes: dict[str, torch.Size], counts: NDArray[np.float32]) -> Probed:
    """The arrays of a probe, from all of its numbers one after another."""
    ends = np.cumsum([shape.numel() for shape in shapes.values()])
    parts = np.split(packed, ends[:-1])
    arrays: Arrays = {name: part.reshape(shape) for (name, shape), part in zip(shapes.items(), parts, strict=True)}
    glances = [name for name in arrays if name.endswith(_GLANCE)]
    glance = {name.removesuffix(_GLANCE): [round(value, 4) for value in arrays.pop(name).tolist()] for name in glances}
    if _RANK in arrays:
        arrays[_RANK] = _effective_rank(arrays[_RANK])
    if _WHOLE in arrays:
        arrays[_WHOLE] = arrays[_WHOLE].astype(np.float16)
    return arrays | {"classes/images": counts}, glance


_GLANCE, _RANK, _WHOLE = "/glance", "attention/rank", "attention/by_class_and_head"


_Gates = dict[str, tuple[Tensor, tuple[float, float]]]
"""By layer, gates (P, C) or (P, C, H, W), and between which they lie."""


def _seen(model: nn.Module, images: Tensor) -> tuple[_Gates, tuple[Tensor, bool, Tensor] | None]:
    """The gates, and attention weights (P, A, C, C), whether they are grouped and the first maps after them.

    Of a custom model: those of the blocks of `tui_attn.models` in it.

    A block that is called more than once for an image is seen at its first call.
    """
    blocks = [(name, block) for name, block in model.named_modules() if isinstance(block, ChannelGate)][:MOST_LAYERS]
    mixing = [block for block in model.modules() if isinstance(block, ChannelMixing)][:1]
    if not blocks and not mixing:
        return {}, None
    inputs: dict[nn.Module, Tensor] = {}

    def keep(block: nn.Module, given: tuple[Tensor, ...]) -> None:
        inputs.setdefault(block, given[0])

    hooks = [block.register_forward_pre_hook(keep) for block in (*(block for _, block in blocks), *mixing)]
    found: dict[str, list[Tensor]] = {}
    weights: list[Tensor] = []
    ranked = torch.empty(0)
    try:
        for part in torch.split(images, SHARE):
            inputs.clear()
            model(part.clone())  # a custom model may change its input in place
            for name, block in blocks:
                if block in inputs:
                    found.setdefault(_layer_name(name), []).append(block.gate(inputs[block]).float())
            if mixing and mixing[0] in inputs and inputs[mixing[0]].shape[1] <= MOST_CHANNELS:
                maps = inputs[mixing[0]]
                ranked = ranked if weights else mixing[0](maps[:RANK_IMAGES])
                weights.append(mixing[0].attention(maps).float())
    finally:
        for hook in hooks:
            hook.remove()
    ranges = {_layer_name(name): block.RANGE for name, block in blocks}
    gates = {name: torch.cat(parts) for name, parts in found.items()}
    whole = {name: (gate, ranges[name]) for name, gate in gates.items() if len(gate) == len(images)}
    attention = torch.cat(weights) if weights else torch.empty(0)
    return whole, (attention, mixing[0].grouped, ranked) if len(attention) == len(images) else None


def _layer_name(name: str) -> str:
    """The name of a block in arrays: the model's, unless that means something else there."""
    return f"gates.{name}" if name in {"", "attention", "classes"} else name[-40:]


def _gate_arrays(layer: str, gates: Tensor, limits: tuple[float, float], probe: ProbeSet) -> dict[str, Tensor]:
    """The arrays of a layer with gates (P, C) between `limits`."""
    within = torch.stack([some.std(0, correction=0) for some in _of_classes(gates, probe)])
    low, high = limits
    shares = (gates - low) / (high - low)
    saturated = torch.stack([(shares < 0.05).float().mean(), (shares > 0.95).float().mean()])
    return {
        f"{layer}/by_class": _by_class(gates, probe),
        f"{layer}/within": within.nan_to_num(),
        f"{layer}/saturated": saturated,
    }


def _attention_arrays(weights: Tensor, grouped: bool, probe: ProbeSet, whole: bool) -> dict[str, Tensor]:
    """The arrays of attention weights (P, A, C, C), or (P, A, C/A, C/A) where each head has a group of channels."""
    largest, even = weights.amax(-1), 1 / weights.shape[-1]  # (P, A, C)
    saturated = torch.stack([(largest <= 2 * even).float().mean(), (largest > 0.5).float().mean()])
    entropy = torch.stack([torch.special.entr(some).sum(-1).mean((0, 2)) for some in torch.split(weights, SHARE)])
    if grouped:
        count, heads, size, _ = weights.shape
        whole_matrix = weights.new_zeros(count, heads, size, heads, size)
        whole_matrix.diagonal(dim1=1, dim2=3).copy_(weights.permute(0, 2, 3, 1))  # one block a head on the diagonal
        weights = whole_matrix.view(count, 1, heads * size, heads * size)
    kept: dict[str, Tensor] = {}
    if whole and 2 * probe.classes * weights[0].numel() <= MOST_WHOLE_BYTES:
        kept[_WHOLE] = _by_class(weights, probe)
    mean = weights.mean(1)  # (P, C, C)
    within = torch.stack(
        [some.var(0, correction=0).mean(-1).sqrt() for some in _of_classes(mean, probe)]
    )  # (classes, C)
    return kept | {
        "attention/by_head": weights.mean(0),
        "attention/by_class": _by_class(mean, probe),
        "attention/within": within.nan_to_num(),
        "attention/saturated": saturated,
        "attention/entropy": entropy.mean(0) / math.log(1 / even),
    }


def _effective_rank(maps: NDArray[np.float32]) -> NDArray[np.float32]:
    """The exponential of the entropy of the singular values' shares, mean over matrices (B, C, N): shape (1,)."""
    values = torch.linalg.svdvals(torch.from_numpy(maps))
    shares = values / values.sum(-1, keepdim=True).clamp_min(1e-30)
    found: NDArray[np.float32] = torch.special.entr(shares).sum(-1).exp().mean()[None].numpy()
    return found


def _of_classes(values: Tensor, probe: ProbeSet) -> list[Tensor]:
    """The part of `values` (P, ...) of each class; a single 0 for a class without images."""
    parts = (values[members] for members in probe.members)
    return [part if len(part) else values.new_zeros((1, *values.shape[1:])) for part in parts]


def _by_class(values: Tensor, probe: ProbeSet) -> Tensor:
    """The mean of `values` (P, ...) over the images of each class: (classes, ...); 0 for a class without any."""
    means = torch.stack([some.mean(0) for some in _of_classes(values, probe)])
    return means.nan_to_num()


def pack(arrays: Arrays) -> bytes:
    """The bytes of an .npz file; equal arrays give equal bytes."""
    buffer = io.BytesIO()
    np.savez_compressed(buffer, allow_pickle=False, **arrays)
    return buffer.getvalue()
