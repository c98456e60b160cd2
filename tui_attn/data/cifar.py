"""Reads CIFAR's batches, which are pickles of Python 2, without running code that they name.

The pinned digest already fixes the content of a batch. This reader is a second line of defence: it resolves three names
to stand-ins that only store their arguments, so that no code runs and NumPy never sees the pickle's state.
"""

from __future__ import annotations

import io
import pickle
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tui_attn.data.base import DatasetInfo
from tui_attn.data.files import DamagedError


class _Kind:
    """A stand-in for a class or function in a batch; immutable, so that no pickle can change it."""

    __slots__ = ()


class _NdArray(_Kind):
    """`numpy.ndarray`, only used as an argument of `_reconstruct`."""

    __slots__ = ()


class _DType:
    """Stands for a `numpy.dtype`: its code."""

    __slots__ = ("code",)

    def __init__(self, code: object) -> None:
        self.code = code

    def __setstate__(self, state: object) -> None:
        """Ignore byte order and the like, which don't matter for single bytes."""


class _MakeDType(_Kind):
    """`numpy.dtype(code, align, copy)`."""

    __slots__ = ()

    def __call__(self, code: object, *_: object) -> _DType:
        return _DType(code)


class _Array:
    """Stands for a `numpy.ndarray`: its shape and its bytes."""

    __slots__ = ("data", "shape")

    def __init__(self) -> None:
        self.shape = (0, 0)
        self.data = b""

    def __setstate__(self, state: object) -> None:
        """Take (version, shape, dtype, is Fortran order, bytes). Raises `UnpicklingError` for anything else."""
        match state:
            case (1, (int() as count, int() as width), _DType(code=b"u1"), False, bytes() as data):
                self.shape, self.data = (count, width), data
            case _:
                raise pickle.UnpicklingError("holds an array that is not of two dimensions and unsigned bytes")


class _Reconstruct(_Kind):
    """`numpy.core.multiarray._reconstruct(ndarray, shape, code)`."""

    __slots__ = ()

    def __call__(self, kind: object, *_: object) -> _Array:
        if not isinstance(kind, _NdArray):
            raise pickle.UnpicklingError("holds an array of an unknown kind")
        return _Array()


_KNOWN: dict[tuple[str, str], _Kind] = {
    ("numpy.core.multiarray", "_reconstruct"): _Reconstruct(),
    ("numpy._core.multiarray", "_reconstruct"): _Reconstruct(),
    ("numpy", "ndarray"): _NdArray(),
    ("numpy", "dtype"): _MakeDType(),
}


class _BatchUnpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        try:
            return _KNOWN[module, name]
        except KeyError:
            raise pickle.UnpicklingError(f"names {module}.{name}, which no batch has") from None


def loads(content: bytes) -> Any:
    """The content of a pickle, made of dicts, lists, tuples, strings, numbers and `_Array` only.

    Strings of Python 2 become bytes. Raises `DamagedError` for anything else; no code is run.
    """
    try:
        return _BatchUnpickler(io.BytesIO(content), encoding="bytes").load()
    except Exception as error:
        raise DamagedError(f"is not a batch of CIFAR: {str(error)[:100] or type(error).__name__}") from None


def decode_batch(batch: Any, info: DatasetInfo) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """The images and labels of an unpickled batch. Raises `DamagedError` where they don't match `info`."""
    match batch:
        case {b"data": _Array() as array, **rest}:
            labels = rest.get(info.label_key.encode())
        case _:
            raise DamagedError("has no images")
    count, width = array.shape
    shape = (info.channels, info.image_size, info.image_size)
    if width != shape[0] * shape[1] * shape[2] or len(array.data) != count * width:
        raise DamagedError(f"has images of {width} bytes, {len(array.data):,} in all")
    classes = len(info.class_names)
    if not isinstance(labels, list) or len(labels) != count:
        raise DamagedError(f"has no label for each of its {count:,} images")
    if not all(type(label) is int and 0 <= label < classes for label in labels):
        raise DamagedError(f"has labels that are not 0 to {classes - 1}")
    images = np.frombuffer(array.data, dtype=np.uint8).reshape(count, *shape)
    return images, np.array(labels, dtype=np.int64)
