"""Single images of a folder, as a worker reads them, without torch: for showing, not for training."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from tui_attn.data.files import os_error_text
from tui_attn.data.folder import IMAGE_SIZE, folder_images, folder_path, some
from tui_attn.system.plain_file import NotAFileError, open_to_read

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from PIL.Image import Image

MOST_BYTES = 64 << 20
MOST_PIXELS = 64 << 20
"""Larger files and pictures are not opened for a thumbnail."""
_FORMATS = ("JPEG", "PNG", "PPM", "BMP", "TIFF", "WEBP")
"""Those of `tui_attn.data.folder.EXTENSIONS`."""


class _UnreadableError(Exception):
    """The message says why, in a few words."""


def folder_test_images(
    name: str, indices: Iterable[int], test_limit: int | None = None
) -> dict[int, NDArray[np.uint8] | str]:
    """Test images of `folder:PATH` by their indices, uint8 (3, S, S), S = `IMAGE_SIZE`; or why one can't be shown.

    `test_limit` is the experiment's: it decides which images there are. Raises `DataError` where the folder is not one
    of labelled images.
    """
    root = folder_path(name)
    files = [path for path, _ in some(folder_images(name).test, test_limit)]
    found: dict[int, NDArray[np.uint8] | str] = {}
    for index in indices:
        try:
            found[index] = _read(root, files[index])
        except _UnreadableError as problem:
            found[index] = str(problem)
        except IndexError:
            found[index] = "is not there"
    return found


def _read(root: Path, path: Path) -> NDArray[np.uint8]:
    import numpy as np

    try:
        with _opened(root, path) as file:
            image = _decoded(file)
    except OSError as error:
        raise _UnreadableError(f"can't be read: {os_error_text(error)}") from None
    pixels: NDArray[np.uint8] = np.asarray(_middle(image), dtype=np.uint8).transpose(2, 0, 1)  # (S, S, 3) -> (3, S, S)
    return pixels


def _opened(root: Path, path: Path) -> BinaryIO:
    """The file, which may be a link to another one of the folder, and to nothing else."""
    real = Path(os.path.realpath(path))
    if not real.is_relative_to(os.path.realpath(root)):
        raise _UnreadableError("is a link out of the folder")
    try:
        file = os.fdopen(open_to_read(real), "rb")
    except NotAFileError:
        raise _UnreadableError("is not a file") from None
    if os.fstat(file.fileno()).st_size > MOST_BYTES:
        file.close()
        raise _UnreadableError("is too large to show")
    return file


def _decoded(file: BinaryIO) -> Image:
    """The picture in RGB. Its size is known before it is decoded."""
    from PIL import Image

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of sizes, which are checked here, and of odd metadata
            image = Image.open(file, formats=_FORMATS)
            if image.width * image.height > MOST_PIXELS:
                raise _UnreadableError("is too large to show")
            return image.convert("RGB")
    except (_UnreadableError, MemoryError):
        raise
    except Exception:  # the decoders raise a dozen kinds on foreign bytes: all mean the same
        raise _UnreadableError("is damaged") from None


def _middle(image: Image) -> Image:
    """The shorter side scaled to `IMAGE_SIZE`, the middle of the longer one taken: as torchvision does in a worker."""
    from PIL import Image

    width, height = image.size
    if width <= height:
        size = IMAGE_SIZE, int(IMAGE_SIZE * height / width)
    else:
        size = int(IMAGE_SIZE * width / height), IMAGE_SIZE
    if size != image.size:
        image = image.resize(size, Image.Resampling.BILINEAR)
    left, top = (round((length - IMAGE_SIZE) / 2) for length in size)
    return image.crop((left, top, left + IMAGE_SIZE, top + IMAGE_SIZE))
