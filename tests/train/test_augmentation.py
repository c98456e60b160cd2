"""Augmented images: each from its own draw, the same on resuming."""

from pathlib import Path

import pytest
import torch

from tests.train.sessions import after, context, make, train
from tui_attn.train import tensors


def test_the_draws_of_an_epoch_are_those_of_its_steps_one_by_one() -> None:
    """Of each step's own generator, crop first, as in experiments of earlier versions."""
    sizes, seeds = [16, 16, 5], [3, 1, 2]
    found = tensors.draw(sizes, ("crop", "flip"), seeds)
    begin = 0
    for size, seed in zip(sizes, seeds, strict=True):
        generator = torch.Generator().manual_seed(seed)
        part = found.of(torch.arange(begin, begin + size))
        assert part.shift is not None
        assert part.mirrored is not None
        assert torch.equal(part.shift, torch.randint(0, 9, (2, size), generator=generator))
        assert torch.equal(part.mirrored, torch.rand(size, generator=generator) < 0.5)
        begin += size


@pytest.mark.parametrize("augment", [("crop",), ("flip",), ("crop", "flip")])
def test_augmentation_is_each_images_own_and_reproducible(augment: tuple[str, ...]) -> None:
    def augmented(images: torch.Tensor, kinds: tuple[str, ...], seed: int) -> torch.Tensor:
        return tensors.augment(images, tensors.draw([len(images)], kinds, [seed]))

    image = torch.arange(28 * 28, dtype=torch.int64).remainder(251).to(torch.uint8).view(1, 1, 28, 28)
    batch = image.expand(64, 1, 28, 28).contiguous()
    one = augmented(batch, augment, 7)
    assert torch.equal(one, augmented(batch, augment, 7))
    assert not torch.equal(one, augmented(batch, augment, 8))
    kinds = {tuple(picture.flatten().tolist()) for picture in one}
    assert len(kinds) == 2 if augment == ("flip",) else len(kinds) > 10
    assert one.shape == batch.shape
    assert one.dtype == torch.uint8


def test_augmented_training_is_resumable_too(tmp_path: Path) -> None:
    whole = train(context(make(tmp_path / "whole", augment=("crop", "flip"))), "base-s0")
    experiment = make(tmp_path / "cut", augment=("crop", "flip"))
    made = context(experiment)
    made.open("base-s0")
    made.session("base-s0").train_epoch(after(2))
    made.session("base-s0").suspend()
    assert train(context(experiment), "base-s0") == whole
