"""A folder of images, read by torchvision, which takes a second to import and is needed for nothing else."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tui_attn.data import Arrays, DataError, Located, folder_images
from tui_attn.data.folder import IMAGE_SIZE, Labelled, some
from tui_attn.system.text import safe_text

MAX_BYTES = 8 << 30
"""More than this doesn't fit beside the training in the memory of most machines."""


def load(located: Located, *, train_limit: int | None, test_limit: int | None) -> Arrays:
    """The images of `folder:PATH` as uint8 (N, 3, S, S), S = `IMAGE_SIZE`: the shorter side scaled, the middle taken.

    Limits take images evenly from the whole list, which is sorted by class. Raises `DataError` for a file that is no
    image.
    """
    found = folder_images(located.name)
    train, test = some(found.train, train_limit), some(found.test, test_limit)
    if (len(train) + len(test)) * 3 * IMAGE_SIZE**2 > MAX_BYTES:
        raise DataError(f"{located.root} holds too many images for memory: use --train-limit and --test-limit")
    return Arrays(
        train_images=_read(train),
        train_labels=np.array([label for _, label in train], dtype=np.int64),
        test_images=_read(test),
        test_labels=np.array([label for _, label in test], dtype=np.int64),
        class_names=found.class_names,
    )


def _read(items: list[Labelled]) -> NDArray[np.uint8]:
    from torchvision.datasets.folder import pil_loader
    from torchvision.transforms import v2

    shape = v2.Compose([v2.Resize(IMAGE_SIZE, antialias=True), v2.CenterCrop(IMAGE_SIZE)])
    images = np.empty((len(items), 3, IMAGE_SIZE, IMAGE_SIZE), dtype=np.uint8)
    for index, (path, _) in enumerate(items):
        try:
            image = shape(pil_loader(str(path)))
        except (OSError, ValueError, SyntaxError) as error:
            reason = safe_text(error, one_line=True)[:200]
            raise DataError(
                f"{safe_text(path, one_line=True)} is no readable image: remove or replace it\n{reason}"
            ) from None
        images[index] = np.asarray(image, dtype=np.uint8).transpose(2, 0, 1)  # (S, S, 3) -> (3, S, S)
    return images
