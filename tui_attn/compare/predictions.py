"""The final logits of a run on the test set, as `predictions.npz` keeps them: checked before anything trusts them."""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

if TYPE_CHECKING:
    import zipfile

    import numpy as np
    from numpy.typing import NDArray

MOST_BYTES = 1 << 30
"""Of an array; what is larger is not read."""


class PredictionsError(ValueError):
    """The predictions can't be used; the message says why in a few words, such as "is missing"."""


@dataclass(frozen=True, slots=True)
class Predictions:
    """Final logits and the labels that they should have led to."""

    logits: NDArray[np.float32]
    """[N, K] for N test images and K classes, finite."""
    labels: NDArray[np.int64]
    """[N], from 0 to K - 1."""

    @property
    def right(self) -> NDArray[np.bool_]:
        """[N], whether the class with the largest logit is the label."""
        found: NDArray[np.bool_] = self.logits.argmax(axis=1) == self.labels
        return found

    @property
    def accuracy(self) -> float:
        """Fraction of the images that are classified rightly."""
        return float(self.right.mean())


def load_predictions(path: Path) -> Predictions:
    """Read and check `path`: no pickles, no symlinks, no array beyond a gigabyte. Raises `PredictionsError`."""
    import zipfile

    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOFOLLOW)
    except FileNotFoundError:
        raise PredictionsError("is missing") from None
    except OSError as error:
        raise PredictionsError(f"can't be read ({error.strerror})") from None
    if not stat.S_ISREG(os.fstat(fd).st_mode):
        os.close(fd)
        raise PredictionsError("is not a file")
    with os.fdopen(fd, "rb") as file:
        try:
            with zipfile.ZipFile(file) as archive:
                logits, labels = _array(archive, "logits"), _array(archive, "labels")
        except PredictionsError:
            raise
        except Exception:  # the readers of zip and npy raise a dozen kinds on foreign bytes: all mean the same
            raise PredictionsError("is damaged") from None
    return _checked(logits, labels)


def _array(archive: zipfile.ZipFile, name: str) -> NDArray[Any]:
    import numpy as np

    info = archive.getinfo(f"{name}.npy")
    if info.file_size > MOST_BYTES:
        raise PredictionsError(f"holds {name} of more than a gigabyte")
    with archive.open(info) as member:
        expected = _declared_bytes(member)
        if expected != info.file_size:
            raise PredictionsError(f"holds {name} of another size than it says")
        member.seek(0)
        found: NDArray[Any] = np.lib.format.read_array(member, allow_pickle=False)
    return found


def _declared_bytes(member: IO[bytes]) -> int:
    """How long the npy file is by its own header, so that no array is made that the file can't fill."""
    from numpy.lib import format as npy

    version = npy.read_magic(member)
    read = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
    shape, _, dtype = read(member)
    count = 1
    for length in shape:
        count *= length
    return member.tell() + count * dtype.itemsize


def _checked(logits: NDArray[Any], labels: NDArray[Any]) -> Predictions:
    import numpy as np

    if logits.dtype.kind != "f" or logits.ndim != 2 or logits.shape[0] < 1 or logits.shape[1] < 2:
        raise PredictionsError("holds logits of a wrong shape or type")
    if labels.dtype.kind not in "iu" or labels.shape != logits.shape[:1]:
        raise PredictionsError("holds labels that don't fit its logits")
    if not np.isfinite(logits).all():
        raise PredictionsError("holds logits that are not numbers")
    if labels.min() < 0 or labels.max() >= logits.shape[1]:
        raise PredictionsError("holds labels of classes that it has no logits for")
    return Predictions(np.asarray(logits, dtype=np.float32), labels.astype(np.int64))
