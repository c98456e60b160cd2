"""Data sets without torch: finds, verifies, fetches and reads them.

NumPy, the modules for the network and those for folders of images are only imported when they are used.
"""

from __future__ import annotations

from tui_attn.data.base import (
    Arrays,
    DataError,
    DatasetInfo,
    FetchOptions,
    Located,
    Problem,
    Progress,
    SetStatus,
    check_limits,
    silent,
)
from tui_attn.data.catalogue import DATASETS
from tui_attn.data.folder import PREFIX as FOLDER
from tui_attn.data.folder import FolderGlance
from tui_attn.data.resolve import dataset_info, ensure, find, glance, how_to_fetch, parse_dataset, status, verify
from tui_attn.data.subset import draw_split

__all__ = [
    "DATASETS",
    "FOLDER",
    "Arrays",
    "DataError",
    "DatasetInfo",
    "FetchOptions",
    "FolderGlance",
    "Located",
    "Problem",
    "Progress",
    "SetStatus",
    "dataset_info",
    "ensure",
    "find",
    "glance",
    "how_to_fetch",
    "load",
    "parse_dataset",
    "silent",
    "status",
    "verify",
]


def load(
    located: Located,
    train_limit: int | None = None,
    test_limit: int | None = None,
    *,
    subset: int | None = None,
    validation: int | None = None,
) -> Arrays:
    """Read a data set into memory: as many training and test images as the limits say, or all.

    Images are uint8 (N, C, H, W), labels int64 (N,). `subset` is the seed from which the training images are drawn
    class by class. Without it limits take the first images; of a folder of images, which is sorted by class, evenly
    spaced ones. With `validation`, so many of the other training images are drawn and given in place of the test
    images, which are not read. What is read is checked against `located.version`. Raises `DataError`.
    """
    from tui_attn.data.reading import load_info

    check_limits(train_limit, test_limit)
    if located.name.startswith(FOLDER):
        from tui_attn.data.folder_content import load_folder

        return load_folder(located, train_limit, test_limit, subset, validation)
    info = dataset_info(located.name)
    if located.version != info.version:
        raise DataError(f"{info.title} is another version than the experiment began with: start a new experiment")
    if subset is None or train_limit is validation is None:
        return load_info(info, located, train_limit, test_limit)
    found = load_info(info, located, None, 0 if validation else test_limit)
    chosen, held_out = draw_split(found.train_labels, train_limit, validation, subset)
    if validation:
        found = found._replace(test_images=found.train_images[held_out], test_labels=found.train_labels[held_out])
    return found._replace(train_images=found.train_images[chosen], train_labels=found.train_labels[chosen])
