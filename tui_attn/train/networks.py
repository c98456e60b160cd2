"""The network of a run: a built-in or a custom model."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from tui_attn.compare.archives import weights_digest
from tui_attn.experiment.config import ExperimentConfig
from tui_attn.experiment.folders import ExperimentDir
from tui_attn.experiment.model_info import info_of, twin_of
from tui_attn.models import MODELS
from tui_attn.train import custom_model, rng
from tui_attn.train.tensors import Images


def make(folder: ExperimentDir, config: ExperimentConfig, model: str, data: Images, *, seed: int) -> nn.Module:
    """The network called `model` for such images, its weights drawn from `seed`, in training mode.

    Raises `CustomModelError`, and whatever the code of a custom model raises.
    """
    classes = len(data.class_names)
    if info_of(model):
        rng.seed_all(seed)
        return MODELS[twin_of(model) or model](data.channels, data.image_size, classes)
    network = custom_model.load_class(folder, config.custom_model(model))
    rng.seed_all(seed)  # again: the file may have drawn numbers
    return custom_model.build(network, data.channels, data.image_size, classes)


def keeps_layout(model: str) -> bool:
    """Whether the network called `model` works with any memory layout.

    The lab's do. `x.view(x.size(0), -1)`, which many networks contain, fails with channels last.
    """
    return info_of(model) is not None


def macs(model: str, network: nn.Module, data: Images) -> int | None:
    """Multiply-accumulates of one image's forward pass, as `tui_attn.models.macs` counts; None where unknown.

    Those of a custom model are what torch counts in one pass over one image: convolutions, products of matrices,
    and attention by torch's own function.
    """
    if info_of(model):
        return int(network.macs())  # type: ignore[operator]
    from torch.utils.flop_counter import FlopCounterMode

    device = next(network.parameters()).device
    image = torch.zeros(1, data.channels, *data.image_size, device=device)
    counter = FlopCounterMode(display=False)
    fastpath = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)  # its fused kernel isn't counted
    network.eval()
    try:
        with torch.no_grad(), counter:
            network(image)
    except Exception:  # the network may refuse a single image
        return None
    finally:
        network.train()
        torch.backends.mha.set_fastpath_enabled(fastpath)
    return counter.get_total_flops() // 2


def count_parameters(network: nn.Module) -> int:
    """Numbers that training may change."""
    return sum(parameter.numel() for parameter in network.parameters())


def check_logits(logits: object, batch: int, classes: int) -> str | None:
    """What is wrong with a network's output for `batch` images; None when it is logits (batch, classes)."""
    if not isinstance(logits, Tensor):
        return f"forward returns {type(logits).__name__}, not a tensor of logits"
    if logits.shape != (batch, classes):
        wanted = f"({batch}, {classes}): logits of {batch} images in {classes} classes"
        return f"forward returns a tensor of shape {tuple(logits.shape)}, not {wanted}"
    return None if logits.is_floating_point() else f"forward returns {logits.dtype}, not floating-point logits"


def plain_weights(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Parameters and buffers by name, contiguous and on the CPU, floating ones as float32, of a network's `state_dict`.

    Those that share memory, such as one layer under two names, are copied: a file of weights holds each name's own.
    """
    plain: dict[str, Tensor] = {}
    places: set[int] = set()
    for name, tensor in state.items():
        kept = tensor.detach().cpu()
        kept = (kept.float() if kept.is_floating_point() else kept).contiguous()
        place = kept.untyped_storage().data_ptr()
        plain[name] = kept.clone() if place in places else kept
        places.add(place)
    return plain


def weights_sha256(weights: dict[str, Tensor]) -> str:
    """SHA-256 over the tensors as contiguous little-endian float32 bytes, names sorted."""
    return weights_digest({name: tensor.contiguous().numpy() for name, tensor in weights.items()})
