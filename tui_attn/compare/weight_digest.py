"""A finished run's weights, checked against the digest that its log recorded; without torch."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from tui_attn.compare.archives import MOST_BYTES, ArchiveError
from tui_attn.experiment.folders import RunDir
from tui_attn.system.plain_file import NotAFileError, open_to_read

if TYPE_CHECKING:
    from numpy.typing import NDArray


def weights_digest(arrays: Mapping[str, NDArray[Any]]) -> str:
    """SHA-256 over the arrays as contiguous little-endian float32 bytes, names sorted."""
    digest = hashlib.sha256()
    for name in sorted(arrays):
        digest.update(arrays[name].astype("<f4").tobytes())
    return digest.hexdigest()


def read_weights(folder: RunDir, sha256: str | None) -> bytes:
    """The bytes of weights.safetensors. Raises `ArchiveError` where they are not those with the digest `sha256`."""
    try:
        with os.fdopen(open_to_read(folder.weights), "rb") as file:
            content = file.read(MOST_BYTES)
    except FileNotFoundError:
        raise ArchiveError("is missing") from None
    except NotAFileError:
        raise ArchiveError("is not a file") from None
    except OSError as error:
        raise ArchiveError(f"can't be read ({error.strerror})") from None
    try:
        from safetensors.numpy import load

        found = weights_digest(load(content))
    except Exception:  # safetensors raises many kinds on foreign bytes: all mean the same
        raise ArchiveError("is damaged") from None
    if found != sha256:
        raise ArchiveError("is damaged: it is not what the run's log recorded")
    return content
