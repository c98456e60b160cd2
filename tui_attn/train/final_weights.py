"""The weights of a network as plain tensors, and their digest."""

from __future__ import annotations

import torch
from torch import Tensor

from tui_attn.compare.archives import weights_digest


def plain_weights(network: torch.nn.Module) -> dict[str, Tensor]:
    """Parameters and buffers by name, contiguous and on the CPU; floating ones as float32.

    Those that share memory, such as one layer under two names, are copied: a file of weights holds each name's own.
    """
    plain: dict[str, Tensor] = {}
    places: set[int] = set()
    for name, tensor in network.state_dict().items():
        kept = tensor.detach().cpu()
        kept = (kept.float() if kept.is_floating_point() else kept).contiguous()
        place = kept.untyped_storage().data_ptr()
        plain[name] = kept.clone() if place in places else kept
        places.add(place)
    return plain


def weights_sha256(weights: dict[str, Tensor]) -> str:
    """SHA-256 over the tensors as contiguous little-endian float32 bytes, names sorted."""
    return weights_digest({name: tensor.contiguous().numpy() for name, tensor in weights.items()})
