"""Random streams: each run has its own, independent of the other runs of its worker."""

from __future__ import annotations

import hashlib
import random
from typing import Any

import numpy as np
import torch


def derive_seed(seed: int, *purpose: object) -> int:
    """A seed in [0, 2**63) for one purpose of a run, independent of the others."""
    text = "/".join(str(part) for part in (seed, *purpose))
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "little") >> 1


def seed_all(seed: int) -> None:
    """Seed every global stream that a network may draw from: torch on all devices, Python, NumPy."""
    torch.manual_seed(seed)
    random.seed(seed)
    np.random.seed(seed % 2**32)


def capture(device: torch.device) -> dict[str, Any]:
    """The states of the global streams, in plain types."""
    version, words, gauss = random.getstate()
    _, keys, position, has_gauss, cached = np.random.get_state()
    states: dict[str, Any] = {
        "torch": torch.get_rng_state(),
        "python": [version, torch.tensor(words, dtype=torch.int64), gauss],
        "numpy": [torch.tensor(np.asarray(keys, dtype=np.int64)), int(position), int(has_gauss), float(cached)],
    }
    if device.type == "cuda":
        states["device"] = torch.cuda.get_rng_state(device)
    elif device.type == "mps":
        states["device"] = torch.mps.get_rng_state()
    return states


def restore(states: dict[str, Any], device: torch.device) -> None:
    """The inverse of `capture`; the device's stream stays as it is if the states are of another device.

    Raises `KeyError`, `TypeError`, `ValueError` or `RuntimeError` on damage.
    """
    torch.set_rng_state(states["torch"])
    version, words, gauss = states["python"]
    random.setstate((version, tuple(words.tolist()), gauss))
    keys, position, has_gauss, cached = states["numpy"]
    np.random.set_state(("MT19937", keys.numpy().astype(np.uint32), position, has_gauss, cached))
    own = states.get("device")
    if own is not None and device.type == "cuda":
        torch.cuda.set_rng_state(own, device)
    elif own is not None and device.type == "mps":
        torch.mps.set_rng_state(own)


def host_is_at(states: dict[str, Any]) -> bool:
    """Whether nothing was drawn from the streams on the CPU since `states` were captured."""
    now = capture(torch.device("cpu"))
    (_, words, _), (keys, position, *_) = states["python"], states["numpy"]
    return (
        torch.equal(now["torch"], states["torch"])
        and torch.equal(now["python"][1], words)
        and (torch.equal(now["numpy"][0], keys) and now["numpy"][1] == position)
    )


def permutation(seed: int, epoch: int, size: int) -> torch.Tensor:
    """The order of `size` training images in `epoch` (from 1): int64 (size,), drawn from (seed, epoch) alone."""
    generator = torch.Generator().manual_seed(derive_seed(seed, "order", epoch))
    return torch.randperm(size, generator=generator)
