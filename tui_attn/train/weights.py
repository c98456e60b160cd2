"""The weights of a network as plain tensors, and their digest."""

from __future__ import annotations

import hashlib

import torch
from torch import Tensor


def plain_weights(network: torch.nn.Module) -> dict[str, Tensor]:
    """Parameters and buffers by name, contiguous and on the CPU; floating ones as float32."""
    return {
        name: (tensor.detach().cpu().float() if tensor.is_floating_point() else tensor.detach().cpu()).contiguous()
        for name, tensor in network.state_dict().items()
    }


def weights_sha256(weights: dict[str, Tensor]) -> str:
    """SHA-256 over the tensors as contiguous little-endian float32 bytes, names sorted."""
    digest = hashlib.sha256()
    for name in sorted(weights):
        digest.update(weights[name].contiguous().numpy().astype("<f4").tobytes())
    return digest.hexdigest()
