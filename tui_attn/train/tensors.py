"""The data set on the device: uint8 tensors, loaded once by a worker for all of its runs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from tui_attn import data
from tui_attn.train import rng


@dataclass(frozen=True, slots=True)
class Images:
    """A data set on a device."""

    train_images: Tensor
    """uint8 (N, K, H, W)"""
    train_labels: Tensor
    """int64 (N,)"""
    test_images: Tensor  # or those of the validation split
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


def scale_and_shift(mean: Sequence[float], std: Sequence[float], device: torch.device) -> tuple[Tensor, Tensor]:
    """Factor and summand (1, K, 1, 1) that normalise uint8 images, of `mean` and `std` for pixels in [0, 1]."""
    scale = torch.tensor(std, dtype=torch.float64, device="cpu") * 255
    shift = -255 * torch.tensor(mean, dtype=torch.float64, device="cpu") / scale
    return tuple(each.float().view(1, -1, 1, 1).to(device) for each in (1 / scale, shift))  # type: ignore[return-value]


def on_device(name: str, arrays: data.Arrays, device: torch.device) -> Images:
    """The arrays of the data set `name` as tensors on `device`."""
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


def with_random_labels(images: Images, seed: int) -> Images:
    """The same with the labels of the training images permuted as `seed` draws it; the test labels stay."""
    generator = torch.Generator().manual_seed(rng.derive_seed(seed, "twin", "labels"))
    order = torch.randperm(len(images.train_labels), generator=generator)
    return replace(images, train_labels=images.train_labels[order.to(images.train_labels.device)])


@dataclass(frozen=True, slots=True)
class Draws:
    """The random choices by which each image of several steps is augmented."""

    shift: Tensor | None
    """int64 (2, N): rows and columns by which images are moved, 0 to 8; None without crop."""
    mirrored: Tensor | None
    """bool (N,); None without flip."""

    def of(self, which: Tensor) -> Draws:
        """The choices for the images `which`, int64 (B,)."""
        shift = None if self.shift is None else self.shift.index_select(1, which)
        return Draws(shift, None if self.mirrored is None else self.mirrored.index_select(0, which))

    def tensors(self) -> list[Tensor]:
        """The tensors that aren't None."""
        return [tensor for tensor in (self.shift, self.mirrored) if tensor is not None]


PAD = 4


def draw(sizes: Sequence[int], kinds: tuple[str, ...], seeds: Sequence[int]) -> Draws:
    """Draw the choices for steps of these batch sizes on the CPU, each step from its own seed."""
    shifts, mirrored = [], []
    for size, seed in zip(sizes, seeds, strict=True):
        generator = torch.Generator().manual_seed(seed)
        if "crop" in kinds:
            shifts.append(torch.randint(0, 2 * PAD + 1, (2, size), generator=generator))
        if "flip" in kinds:
            mirrored.append(torch.rand(size, generator=generator) < 0.5)
    return Draws(torch.cat(shifts, dim=1) if shifts else None, torch.cat(mirrored) if mirrored else None)


def augment(images: Tensor, draws: Draws) -> Tensor:
    """A batch uint8 (B, K, H, W) with each image moved by up to 4 pixels (crop) or mirrored (flip) as `draws` say.

    Crop pads by reflection, as common on CIFAR-10 (He et al., https://arxiv.org/abs/1512.03385, pad 4 and crop back).
    """
    batch, _, height, width = images.shape
    if draws.shift is not None:
        padded = torch.nn.functional.pad(images.float(), (PAD, PAD, PAD, PAD), mode="reflect").to(images.dtype)
        rows = draws.shift[0, :, None] + torch.arange(height, device=images.device)  # (B, H)
        columns = draws.shift[1, :, None] + torch.arange(width, device=images.device)  # (B, W)
        which = torch.arange(batch, device=images.device)[:, None, None]
        images = padded[which, :, rows[:, :, None], columns[:, None, :]].permute(0, 3, 1, 2)
    if draws.mirrored is not None:
        images = torch.where(draws.mirrored[:, None, None, None], images.flip(3), images)
    return images.contiguous()
