"""The pictures of the test set that an experiment was evaluated on, or in words why there are none."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from tui_attn import data
from tui_attn.system.text import safe_text

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from tui_attn.experiment.manifest import Manifest

Picture: TypeAlias = "NDArray[np.uint8] | str"
"""Pixels [C, H, W], or why this one can't be shown."""
OTHERS = "the test images here are not those that the runs were evaluated on"


@dataclass(frozen=True, slots=True)
class TestImages:
    """The test images of a data set: their labels, and how to get their pictures."""

    __test__ = False  # no class of tests

    labels: NDArray[np.int64] | None
    read: Callable[[Sequence[int]], Mapping[int, Picture]] | None
    problem: str = ""

    def pictures(self, indices: Sequence[int], labels: NDArray[np.int64]) -> tuple[Mapping[int, Picture] | None, str]:
        """The pictures of `indices`, in a test set with these `labels`; or None, and why."""
        if self.read is None or self.labels is None:
            return None, self.problem
        if len(self.labels) != len(labels) or (self.labels != labels).any():
            return None, OTHERS
        try:
            return self.read(indices), ""
        except data.DataError as error:
            return None, safe_text(error, one_line=True)


def find_test_images(manifest: Manifest) -> TestImages:
    """Find the test set that an experiment was evaluated on. What goes wrong is told, not raised."""
    name, given = manifest.config.dataset, manifest.config.data_dir
    shown = safe_text(name, one_line=True)
    try:
        located = data.find(name, Path(given) if given else None)
        if located is None:
            return TestImages(None, None, f"{shown} is not on this machine: 'tui-attn data {shown}' fetches it")
        if located.version != manifest.data.get("version"):
            return TestImages(None, None, f"{shown} has changed since the experiment began: its images are not drawn")
        if name.startswith(data.FOLDER):
            return _of_folder(located, manifest.config.test_limit)
        arrays = data.load(located, train_limit=1, test_limit=manifest.config.test_limit)
    except data.DataError as error:
        return TestImages(None, None, safe_text(error, one_line=True))
    pixels = arrays.test_images
    return TestImages(arrays.test_labels, lambda indices: {index: pixels[index] for index in indices})


def _of_folder(located: data.Located, limit: int | None) -> TestImages:
    """A folder's pictures are decoded as they are asked for: there may be many, and large ones."""
    import numpy as np

    labels = np.array(data.folder_test_labels(located, limit), dtype=np.int64)
    return TestImages(labels, lambda indices: data.folder_test_images(located, indices, limit))
