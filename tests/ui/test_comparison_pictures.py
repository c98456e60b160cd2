"""The page of images on which two models disagree, of a folder of images."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests import recorded
from tests.ui.test_comparison import SMALL, page, plain
from tui_attn import data
from tui_attn.experiment.config import ExperimentConfig
from tui_attn.experiment.folders import ExperimentDir
from tui_attn.ui.comparison import disagreements
from tui_attn.ui.comparison.source import ExperimentSource


@pytest.fixture
def folder(tmp_path: Path) -> ExperimentDir:
    """An experiment on a folder of 20 images, of which each network mistakes many."""
    rng = np.random.default_rng(0)
    for split, count in (("train", 1), ("test", 10)):
        for label in ("cats", "dogs"):
            (tmp_path / "pets" / split / label).mkdir(parents=True)
            for at in range(count):
                pixels = rng.integers(0, 256, (40, 50, 3), dtype=np.uint8)
                Image.fromarray(pixels).save(tmp_path / "pets" / split / label / f"{at}.png")
    config = ExperimentConfig(epochs=2, dataset=f"folder:{tmp_path / 'pets'}")
    located = data.find(config.dataset)
    assert located is not None
    made = recorded.record(tmp_path / "runs", config=config, data={"version": located.version}, **SMALL)
    labels = np.repeat(np.arange(2), 10)
    for run in ("base-s0", "se-s0"):
        recorded.write_predictions(made.run(run), run.split("-")[0], 0, 0.6, labels, 2)
    return made


def disagreement(folder: ExperimentDir) -> disagreements.Disagreement:
    source = ExperimentSource(folder)
    source.overview()
    found = source.disagreement("base-s0", "se-s0")
    assert isinstance(found, disagreements.Disagreement)
    return found


def test_the_images_of_a_folder_are_drawn(folder: ExperimentDir) -> None:
    found = disagreement(folder)
    assert found.pictures is not None
    (group,) = [at for at, indices in enumerate(found.groups) if len(indices)][:1]
    shown = plain(disagreements.rows(found, group, page()))
    assert "▀" * 32 in shown
    assert f"#{found.groups[group][0]}" in shown
    first = plain(disagreements.rows(found, group, page(80))[:21])  # what 24 lines show
    assert "base: " in first
    assert "se: " in first


def test_a_folder_that_changed_is_told_in_words(folder: ExperimentDir, tmp_path: Path) -> None:
    (tmp_path / "pets" / "test" / "dogs" / "3.png").write_bytes(b"damaged since")
    found = disagreement(folder)
    assert found.pictures is None
    assert "has changed since the experiment began" in found.problem
    (tmp_path / "pets" / "test").rename(tmp_path / "gone")
    assert disagreement(folder).pictures is None


def test_a_picture_that_cannot_be_shown_is_told_in_its_place(folder: ExperimentDir) -> None:
    found = disagreement(folder)
    assert found.pictures is not None
    (group,) = [at for at, indices in enumerate(found.groups) if len(indices)][:1]
    first = int(found.groups[group][0])
    assert isinstance(found.pictures, dict)
    found.pictures[first] = "is damaged"
    rows = disagreements.rows(found, group, page())
    assert "this image is damaged" in plain(rows)


def test_predictions_on_other_images_get_no_pictures(folder: ExperimentDir) -> None:
    for run in ("base-s0", "se-s0"):
        recorded.write_predictions(folder.run(run), run.split("-")[0], 0, 0.6, np.repeat(np.arange(2), 11), 2)
    assert disagreement(folder).problem == disagreements.OTHERS
