"""Decodes image files for the networks: RGB, 8 bits, square."""

from __future__ import annotations

import io
import math
import os
import threading
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from PIL import Image, UnidentifiedImageError
from PIL.Image import Image as Picture
from PIL.Image import Transpose

from tui_attn.data.files import os_error_text
from tui_attn.system.plain_file import NotAFileError, open_to_read

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

IMAGE_SIZE = 32
"""Side of the scaled images in pixels."""
BACKGROUND = 127
"""Grey level behind transparent pixels, on which neither black nor white drawings vanish."""
MAX_FILE_BYTES = 256 << 20
MAX_PIXELS = 64 << 20
"""Larger files and images are refused before they are decoded."""
EIGHT_BITS = "8-bit"
_FORMATS = ("JPEG", "PNG", "PPM", "BMP", "TIFF", "WEBP", "GIF")
"""Accepted formats, whatever the file's name; none has a decoder that runs other programs."""
_LARGE = 8 << 20
"""Images of more pixels are decoded one at a time."""
_ORIENTATION = 0x0112
_BITS_PER_SAMPLE, _SAMPLE_FORMAT = 258, 339

Scales = Mapping[str, tuple[float, float]]
"""For each kind of image with more than 8 bits, the values that are mapped to 0 and 255."""

_one_large = threading.Lock()


class UnreadableImageError(Exception):
    """An image can't be read; the message follows the file's name."""


@dataclass(frozen=True, slots=True)
class ImageFacts:
    """The facts about an image that are needed before its data set can be read."""

    kind: str = EIGHT_BITS
    """"8-bit", "12-bit", "16-bit", "32-bit" or "float"."""
    low: float = 0.0
    high: float = 0.0
    """The smallest and the largest finite value, of images with more than 8 bits."""
    transparent: bool = False
    rotated: bool = False
    several: bool = False
    """Whether the file holds further pictures, which are not used."""
    contrast: float = math.inf
    """The largest difference of two values of a channel, of 8-bit images that were examined thoroughly."""

    @property
    def plain(self) -> bool:
        """Whether version 0.1.0 reads the same pixels."""
        return self.kind == EIGHT_BITS and not self.transparent and not self.rotated


def read_file(path: str) -> bytes:
    """The bytes of the regular file at `path`. Raises `UnreadableImageError`."""
    try:
        with os.fdopen(open_to_read(Path(path), follow_links=True), "rb") as file:
            too_large = os.fstat(file.fileno()).st_size > MAX_FILE_BYTES
            content = b"" if too_large else file.read(MAX_FILE_BYTES + 1)
    except NotAFileError:
        raise UnreadableImageError("is not a file") from None
    except (OSError, ValueError) as error:
        raise UnreadableImageError(f"can't be read: {os_error_text(error)}") from None
    if too_large or len(content) > MAX_FILE_BYTES:
        raise UnreadableImageError(f"is too large: more than {MAX_FILE_BYTES >> 20} MiB")
    return content


def examine(content: bytes, *, thoroughly: bool = False) -> ImageFacts:
    """Examine an image: its header, and its pixels if needed or `thoroughly`. Raises `UnreadableImageError`."""
    with _opened(content) as image:
        kind = _kind(image)
        hidden = image.format == "PNG" and (b"eXIf" in content or b"rientation" in content)  # maybe after the pixels
        if thoroughly or hidden or kind != EIGHT_BITS or image.has_transparency_data:
            image.load()
        low, high = (0.0, 0.0) if kind == EIGHT_BITS else _range(_values(image, kind))
        picture, transparent = None, False
        if kind == EIGHT_BITS and (thoroughly or image.has_transparency_data):
            picture, transparent = _flattened(image) if image.has_transparency_data else (image.convert("RGB"), False)
        return ImageFacts(
            kind=kind,
            low=low,
            high=high,
            transparent=transparent,
            rotated=(image.format != "PNG" or thoroughly or hidden) and _orientation(image) != 1,
            several=_several(image),
            contrast=math.inf if picture is None else _contrast(picture),
        )


def decode(content: bytes, scales: Scales) -> NDArray[np.uint8]:
    """An image file as uint8 (3, S, S), S = `IMAGE_SIZE`: the shorter side is scaled to S, the longer one cropped.

    The EXIF orientation is applied. Transparent pixels are composed over `BACKGROUND`. Values of more than 8 bits are
    mapped by `scales`. Raises `UnreadableImageError`.
    """
    import numpy as np

    with _opened(content) as image:
        kind = _kind(image)
        image.load()
        turn = _orientation(image)
        if kind == EIGHT_BITS:
            picture = _flattened(image)[0] if image.has_transparency_data else image.convert("RGB")
        else:
            picture = _scaled(image, kind, scales)
        pixels: NDArray[np.uint8] = np.asarray(_square(_turned(picture, turn)), dtype=np.uint8)
        return pixels.transpose(2, 0, 1)  # (S, S, 3) -> (3, S, S)


@contextmanager
def quiet() -> Iterator[None]:
    """Silence Pillow's warnings about sizes and metadata. Not thread-safe."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


@contextmanager
def _opened(content: bytes) -> Iterator[Picture]:
    """Open an image and check its size, without decoding it. Exceptions inside become `UnreadableImageError`."""
    if not content:
        raise UnreadableImageError("is empty")
    try:
        with Image.open(io.BytesIO(content), formats=_FORMATS) as image:
            width, height = image.size
            shorter, longer = min(image.size), max(image.size)
            if width * height > MAX_PIXELS or IMAGE_SIZE**2 * longer > MAX_PIXELS * shorter:
                raise UnreadableImageError(f"is too large: {width:,} x {height:,} pixels")
            if width * height > _LARGE:
                with _one_large:
                    yield image
            else:
                yield image
    except UnreadableImageError:
        raise
    except MemoryError:
        raise UnreadableImageError("needs more memory than there is") from None
    except Image.DecompressionBombError:
        raise UnreadableImageError("is too large: it has too many pixels") from None
    except UnidentifiedImageError:
        if content.startswith(b"version https://git-lfs"):
            raise UnreadableImageError("is in Git LFS: fetch it with 'git lfs pull'") from None
        raise UnreadableImageError("is damaged, or no image of a known format") from None
    except Exception:  # the decoders raise a dozen kinds on foreign bytes
        raise UnreadableImageError("is damaged") from None


def _several(image: Picture) -> bool:
    try:
        if image.format in ("GIF", "TIFF"):
            image.seek(1)
            return True
    except Exception:  # there is no second picture, or it is damaged
        return False
    return image.format != "MPO" and bool(getattr(image, "is_animated", False))  # a phone's second picture is a preview


def _kind(image: Picture) -> str:
    if image.mode == "F":
        return "float"
    tags: Mapping[int, Any] = getattr(image, "tag_v2", {})
    if image.mode == "I":
        return "16-bit" if image.format == "PPM" else "32-bit"  # a PGM's values are spread over 16 bits by Pillow
    if image.mode.startswith("I;16"):
        return "12-bit" if tags.get(_BITS_PER_SAMPLE) == (12,) else "16-bit"
    return EIGHT_BITS


def _values(image: Picture, kind: str) -> NDArray[Any]:
    """The values (H, W) of an image with more than 8 bits."""
    import numpy as np

    values = np.asarray(image)
    tags: Mapping[int, Any] = getattr(image, "tag_v2", {})
    if kind == "32-bit" and tags.get(_BITS_PER_SAMPLE) == (32,) and tags.get(_SAMPLE_FORMAT, (1,)) == (1,):
        return values.view(np.uint32)  # Pillow takes unsigned integers for signed ones
    return values


def _range(values: NDArray[Any]) -> tuple[float, float]:
    import numpy as np

    finite = values[np.isfinite(values)] if values.dtype.kind == "f" else values
    if finite.size == 0:
        raise UnreadableImageError("holds no finite value")
    return float(finite.min()), float(finite.max())


def _contrast(picture: Picture) -> float:
    extrema: Any = picture.getextrema()
    return float(max(high - low for low, high in extrema))


def _scaled(image: Picture, kind: str, scales: Scales) -> Picture:
    import numpy as np

    low, high = scales.get(kind, (0.0, 0.0))
    if high <= low:
        raise UnreadableImageError(f"is a {kind} image, and no training image says how to scale it")
    raw = _values(image, kind)
    wide = kind == "32-bit" or high - low > float(np.finfo(np.float32).max)
    values: NDArray[np.floating[Any]] = raw.astype(np.float64 if wide else np.float32)
    np.nan_to_num(values, copy=False, nan=low, posinf=high, neginf=low)
    values = (values - low) * (255 / (high - low))
    picture = np.clip(np.rint(values), 0, 255).astype(np.uint8)
    key = image.info.get("transparency")
    if isinstance(key, int):  # of a PNG: one value that is transparent
        picture[raw == key] = BACKGROUND
    return Image.fromarray(picture).convert("RGB")


def _flattened(image: Picture) -> tuple[Picture, bool]:
    """The image in RGB over `BACKGROUND`, and whether it has transparent pixels."""
    rgba = image.convert("RGBA")
    least: Any = rgba.getchannel("A").getextrema()[0]
    if least == 255:
        return rgba.convert("RGB"), False
    ground = Image.new("RGBA", rgba.size, (BACKGROUND, BACKGROUND, BACKGROUND, 255))
    return Image.alpha_composite(ground, rgba).convert("RGB"), True


def _orientation(image: Picture) -> int:
    """The EXIF orientation, 1 to 8; 1 where there is none. Pillow itself rotates TIFF images."""
    if image.format == "TIFF":
        return 1
    try:
        found = image.getexif().get(_ORIENTATION, 1)
    except Exception:  # damaged metadata of a sound picture
        return 1
    return found if isinstance(found, int) and 1 <= found <= 8 else 1


def _turned(image: Picture, orientation: int) -> Picture:
    names = "FLIP_LEFT_RIGHT ROTATE_180 FLIP_TOP_BOTTOM TRANSPOSE ROTATE_270 TRANSVERSE ROTATE_90"  # from 2 to 8
    return image if orientation == 1 else image.transpose(Transpose[names.split()[orientation - 2]])


def _square(image: Picture) -> Picture:
    """As torchvision's Resize(S) and CenterCrop(S): bilinear, with antialiasing."""
    width, height = image.size
    if width <= height:
        size = IMAGE_SIZE, int(IMAGE_SIZE * height / width)
    else:
        size = int(IMAGE_SIZE * width / height), IMAGE_SIZE
    if size != image.size:
        image = image.resize(size, Image.Resampling.BILINEAR)
    left, top = (round((length - IMAGE_SIZE) / 2) for length in size)
    return image.crop((left, top, left + IMAGE_SIZE, top + IMAGE_SIZE))
