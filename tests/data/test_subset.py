"""Subsets of the training images: shares of the classes, draws by seed, and what the loaders make of them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from tests.data.small_sets import make_idx_set
from tui_attn import data
from tui_attn.data import folder_content
from tui_attn.data.locate import located
from tui_attn.data.reading import load_info
from tui_attn.data.subset import draw_split, stratified


@given(st.lists(st.integers(0, 6), min_size=1, max_size=200), st.integers(1, 220), st.integers(0, 2**40))
def test_every_class_keeps_its_share(labels: list[int], limit: int, seed: int) -> None:
    chosen = stratified(labels, limit, seed)
    assert len(set(chosen.tolist())) == min(limit, len(labels))
    assert (np.diff(chosen) > 0).all()
    assert chosen.tolist() == stratified(labels, limit, seed).tolist()
    if len(set(labels)) <= limit < len(labels):
        for label in set(labels):
            exact = labels.count(label) * limit / len(labels)
            assert abs(sum(labels[index] == label for index in chosen) - exact) < 1


def test_seeds_draw_different_images_and_each_image_as_often_as_another() -> None:
    labels = [0] * 30 + [1] * 10
    draws = [stratified(labels, 8, seed) for seed in range(2000)]
    assert len({tuple(draw) for draw in draws}) > 1900
    counts = np.bincount(np.concatenate(draws), minlength=40)
    assert abs(counts / 400 - 1).max() < 0.2, "400 expected of each, standard deviation 18"


def test_fewer_images_than_classes_are_drawn_from_all() -> None:
    labels = list(range(10)) * 5
    found = {labels[index] for seed in range(200) for index in stratified(labels, 3, seed)}
    assert found == set(range(10))


def test_the_draw_is_the_one_that_was_recorded() -> None:
    """These indices may never change: a resumed run must have the images that it began with."""
    labels = np.arange(100) % 7
    assert stratified(labels, 9, 0).tolist() == RECORDED[0]
    assert stratified(labels, 9, 2**33 + 5).tolist() == RECORDED[1]


@given(st.integers(0, 2**40), st.none() | st.integers(1, 60), st.integers(1, 30))
def test_what_is_held_out_is_never_trained_on(seed: int, limit: int | None, validation: int) -> None:
    labels = np.arange(100) % 7
    train, held_out = draw_split(labels, limit, validation, seed)
    assert not set(train) & set(held_out)
    assert (len(train), len(held_out)) == (limit or 100 - validation, validation)
    assert (np.diff(train) > 0).all()
    assert (np.diff(held_out) > 0).all()
    if limit is not None:
        assert train.tolist() == stratified(labels, limit, seed).tolist(), "as without a validation split"


def test_a_validation_split_is_drawn_from_the_training_images_and_the_test_files_are_not_opened(tmp_path: Path) -> None:
    made = make_idx_set()
    where = located(made.info, made.write_raw(tmp_path), "test")
    for path in where.files[2:]:
        path.unlink()
    found = load_info(made.info, where, None, 0)
    assert (found.train_labels == made.train[1]).all()
    assert len(found.test_labels) == 0

    synthetic = data.ensure("synthetic")
    whole, chosen = data.load(synthetic), data.load(synthetic, 500, 100, subset=3, validation=300)
    train, held_out = draw_split(whole.train_labels, 500, 300, 3)
    assert (chosen.train_images == whole.train_images[train]).all()
    assert (chosen.test_images == whole.train_images[held_out]).all()
    assert (chosen.test_labels == whole.train_labels[held_out]).all()


def test_a_loaded_subset_has_its_labels() -> None:
    where = data.ensure("synthetic")
    whole = data.load(where)
    for seed in (3, 4):
        found = data.load(where, 500, 100, subset=seed)
        chosen = stratified(whole.train_labels, 500, seed)
        assert (found.train_labels == whole.train_labels[chosen]).all()
        assert (found.train_images == whole.train_images[chosen]).all()
    assert (data.load(where, None, 100, subset=3).train_labels == whole.train_labels).all()


def test_a_folder_is_drawn_class_by_class_and_only_what_is_drawn_is_decoded(tmp_path: Path) -> None:
    for split, count in (("train", 12), ("test", 2)):
        for value, name in enumerate(("cats", "dogs")):
            folder = tmp_path / split / name
            folder.mkdir(parents=True)
            for index in range(count):
                noise = np.random.default_rng(100 * value + index).integers(0, 256, (64, 64), dtype=np.uint8)
                Image.fromarray(noise).save(folder / f"{index:02}.png")
    where = data.ensure(f"folder:{tmp_path}")
    first, second = (data.load(where, 6, None, subset=seed) for seed in (0, 1))
    assert [labels.tolist().count(0) for labels in (first.train_labels, second.train_labels)] == [3, 3]
    assert not np.array_equal(first.train_images, second.train_images)
    for index in range(12):
        path = tmp_path / "train" / "cats" / f"{index:02}.png"
        content = path.read_bytes()
        path.write_bytes(content[: len(content) // 2])  # the header is whole, the pixels aren't
        fresh = data.ensure(f"folder:{tmp_path}")
        drawn = index in stratified([0] * 12 + [1] * 12, 6, 0)
        if drawn:
            with pytest.raises(data.DataError, match=f"{index:02}.png"):
                folder_content.check_images(fresh, 6, None, seeds=(0,))
        else:
            folder_content.check_images(fresh, 6, None, seeds=(0,))
        path.write_bytes(content)


RECORDED = [[3, 9, 21, 28, 33, 36, 39, 62, 78], [6, 16, 42, 63, 64, 74, 87, 92, 96]]
