"""Data sets without torch: find, verify, fetch, read.

Cheap to import: NumPy waits until arrays are built, the network modules until something is fetched.
"""

from __future__ import annotations

from tui_attn.data.base import (
    Arrays,
    DataError,
    FetchOptions,
    Located,
    Problem,
    Progress,
    SetStatus,
    silent,
)
from tui_attn.data.catalogue import DATASETS
from tui_attn.data.folder import PREFIX as FOLDER
from tui_attn.data.folder import FolderImages, folder_images
from tui_attn.data.registry import DatasetInfo
from tui_attn.data.resolve import dataset_info, ensure, find, glance, how_to_fetch, parse_dataset, status, verify

__all__ = [
    "DATASETS",
    "FOLDER",
    "Arrays",
    "DataError",
    "DatasetInfo",
    "FetchOptions",
    "FolderImages",
    "Located",
    "Problem",
    "Progress",
    "SetStatus",
    "dataset_info",
    "ensure",
    "find",
    "folder_images",
    "glance",
    "how_to_fetch",
    "load",
    "parse_dataset",
    "silent",
    "status",
    "verify",
]


def load(located: Located, train_limit: int | None = None, test_limit: int | None = None) -> Arrays:
    """Read a data set into memory: the first `train_limit` training and `test_limit` test images, or all.

    Images are uint8 (N, C, H, W), labels int64 (N,). Reads every data set but `folder:PATH`, and checks what it
    reads against the pinned digests. Raises `DataError`.
    """
    from tui_attn.data.reading import load_info

    return load_info(dataset_info(located.name), located, train_limit, test_limit)
