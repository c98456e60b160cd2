"""Which images of a folder without splits are for testing."""

from __future__ import annotations

import hashlib
import os
from collections import defaultdict
from collections.abc import Mapping

from tui_attn.data.base import DataError
from tui_attn.data.folder import TEST_SHARE, FolderListing, Labelled
from tui_attn.system.text import safe_text


def hold_out(listing: FolderListing, digests: Mapping[str, bytes]) -> tuple[tuple[Labelled, ...], tuple[Labelled, ...]]:
    """Training and test images of a folder without splits: a fifth of each class, at least one, is for testing.

    Test images are the first by the SHA-256 of their paths within the class, so that adding images moves few. Copies
    of an image, by `digests`, stay on one side. Raises `DataError` for a class with less than two different images.
    """
    by_label: dict[int, list[str]] = defaultdict(list)
    for path, label in listing.train:
        by_label[label].append(path)
    side: dict[bytes, bool] = {}
    held_out: set[str] = set()
    for label, paths in sorted(by_label.items()):
        skip = len(listing.class_names[label]) + 1

        def key(path: str, skip: int = skip) -> bytes:
            return hashlib.sha256(os.fsencode(path[skip:])).digest()

        copies: dict[bytes, list[str]] = defaultdict(list)
        for path in sorted(paths, key=key):
            copies[digests.get(path, os.fsencode(path))].append(path)
        if len(copies) < 2:
            what = "one image" if len(paths) == 1 else f"{len(paths):,} copies of one image"
            name = safe_text(listing.root / listing.class_names[label], one_line=True)
            raise DataError(f"{name} holds {what}: at least two different ones are needed, for training and testing")
        target = max(1, len(paths) // TEST_SHARE)
        chosen = [digest for digest in copies if side.get(digest)]
        count = sum(len(copies[digest]) for digest in chosen)
        free = [digest for digest in copies if digest not in side]
        for digest in free:
            if count + len(copies[digest]) <= target:
                chosen.append(digest)
                count += len(copies[digest])
        if not chosen and free:
            chosen.append(min(free, key=lambda digest: len(copies[digest])))
        side |= {digest: digest in chosen for digest in free}
        held_out.update(path for digest in chosen for path in copies[digest])
    train = tuple(item for item in listing.train if item[0] not in held_out)
    return train, tuple(item for item in listing.train if item[0] in held_out)
