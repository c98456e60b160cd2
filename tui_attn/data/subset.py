"""Stratified subsets and validation splits of the training images, one for each seed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_STREAM = 0x5EED_5E75
"""Makes these draws independent of other draws from the same seed."""


def stratified(labels: Sequence[int] | NDArray[np.int64], limit: int, seed: int) -> NDArray[np.int64]:
    """Indices, ascending, of `limit` of the images with these labels [N], drawn without replacement from `seed`.

    Each class keeps its share of all images, rounded by largest remainders with ties drawn. With fewer images than
    classes the draw ignores the classes. All indices where `limit` is N or more. The draws are those of NumPy's
    `RandomState`, whose stream is frozen (NEP 19), so a resumed run has the same images under a later NumPy.
    """
    import numpy as np

    known = np.asarray(labels, dtype=np.int64)
    if limit >= len(known):
        return np.arange(len(known))
    rng = np.random.RandomState([seed & 0xFFFF_FFFF, seed >> 32, _STREAM])
    classes, counts = np.unique(known, return_counts=True)
    if limit < len(classes):
        return np.sort(rng.permutation(len(known))[:limit])
    exact = counts * limit / len(known)
    shares = np.floor(exact).astype(np.int64)
    tied = rng.permutation(len(classes))
    order = tied[np.argsort(-(exact - shares)[tied], kind="stable")]
    shares[order[: limit - shares.sum()]] += 1
    drawn = [
        rng.permutation(np.flatnonzero(known == label))[:share] for label, share in zip(classes, shares, strict=True)
    ]
    return np.sort(np.concatenate(drawn))


def draw_split(
    labels: Sequence[int] | NDArray[np.int64], limit: int | None, validation: int | None, seed: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Indices, ascending, of the images that `seed` trains on and of those that it holds out for validation.

    The `limit` images to train on are those that are drawn without validation; the others are drawn from the rest.
    Without a limit, the rest is trained on.
    """
    import numpy as np

    known = np.asarray(labels, dtype=np.int64)
    train = stratified(known, len(known) if limit is None else limit, seed)
    if not validation:
        return train, np.zeros(0, dtype=np.int64)
    if limit is None:
        held_out = stratified(known, validation, seed)
        return np.setdiff1d(train, held_out), held_out
    rest = np.setdiff1d(np.arange(len(known)), train)
    return train, rest[stratified(known[rest], validation, seed)]
