"""The data set on the device: uint8 tensors, loaded once by a worker for all of its runs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from tui_attn import data


@dataclass(frozen=True, slots=True)
class Images:
    """A data set on a device."""

    train_images: Tensor
    """uint8 (N, K, H, W)"""
    train_labels: Tensor
    """int64 (N,)"""
    test_images: Tensor
    """uint8 (M, K, H, W)"""
    test_labels: Tensor
    """int64 (M,)"""
    class_names: tuple[str, ...]
    mean: tuple[float, ...]
    """Of each image channel, pixels in [0, 1]."""
    std: tuple[float, ...]

    @property
    def channels(self) -> int:
        """Channels of an image."""
        return int(self.train_images.shape[1])

    @property
    def image_size(self) -> tuple[int, int]:
        """Height and width in pixels."""
        return int(self.train_images.shape[2]), int(self.train_images.shape[3])


def load(
    name: str,
    where: dict[str, Any],
    device: torch.device,
    *,
    train_limit: int | None,
    test_limit: int | None,
    subset: int | None = None,
) -> Images:
    """The data set `name` that `where`, from the manifest, locates, on `device`; `subset` as for `data.load`.

    Raises `DataError` with a message for the user.
    """
    arrays = data.load(
        data.Located.from_json(name, where), train_limit=train_limit, test_limit=test_limit, subset=subset
    )
    info = data.dataset_info(name)
    return Images(
        train_images=torch.from_numpy(arrays.train_images).to(device),
        train_labels=torch.from_numpy(arrays.train_labels).to(device),
        test_images=torch.from_numpy(arrays.test_images).to(device),
        test_labels=torch.from_numpy(arrays.test_labels).to(device),
        class_names=tuple(arrays.class_names),
        mean=tuple(info.mean),
        std=tuple(info.std),
    )


def augment(images: Tensor, kinds: tuple[str, ...], seed: int) -> Tensor:
    """A batch uint8 (B, K, H, W) with each image moved by up to 4 pixels (crop) or mirrored (flip) by itself.

    The draws come from `seed` alone. Crop pads by reflection, as common on CIFAR-10 (He et al.,
    https://arxiv.org/abs/1512.03385, pad 4 and crop back).
    """
    batch, _, height, width = images.shape
    generator = torch.Generator().manual_seed(seed)
    if "crop" in kinds:
        pad = 4
        shift = torch.randint(0, 2 * pad + 1, (2, batch), generator=generator).to(images.device)
        padded = torch.nn.functional.pad(images.float(), (pad, pad, pad, pad), mode="reflect").to(images.dtype)
        rows = shift[0, :, None] + torch.arange(height, device=images.device)  # (B, H)
        columns = shift[1, :, None] + torch.arange(width, device=images.device)  # (B, W)
        which = torch.arange(batch, device=images.device)[:, None, None]
        images = padded[which, :, rows[:, :, None], columns[:, None, :]].permute(0, 3, 1, 2)
    if "flip" in kinds:
        mirrored = (torch.rand(batch, generator=generator) < 0.5).to(images.device)
        images = torch.where(mirrored[:, None, None, None], images.flip(3), images)
    return images.contiguous()
