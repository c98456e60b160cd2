"""Notes for the user on the images in a folder."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING

from tui_attn.data.decode import ImageFacts, Scales
from tui_attn.data.folder_walk import folded, shortened

if TYPE_CHECKING:
    from tui_attn.data.folder_content import FolderImages

_FAINT = 16
"""Images with less contrast are nearly blank, or use few of 16 bits."""


def contrast(facts: ImageFacts, scales: Scales) -> float:
    """The largest difference of two values of an image that was examined thoroughly, scaled to 0 to 255."""
    low, high = scales.get(facts.kind, (0.0, 0.0))
    return (facts.high - facts.low) * 255 / (high - low) if high > low else facts.contrast


def of_used(
    images: FolderImages, labels: tuple[Collection[int], Collection[int]], contrasts: Sequence[float]
) -> tuple[str, ...]:
    """Notes on the images that an experiment uses: their `labels` in both splits, and the contrast of each."""
    notes = []
    if faint := sum(its < _FAINT for its in contrasts):
        few = "1 image has" if faint == 1 else f"{faint:,} of {len(contrasts):,} images have"
        notes.append(f"warning: {few} almost no contrast: all values differ by less than {_FAINT} of 255")
    for word, there in zip(("training", "test"), labels, strict=True):
        if without := [name for label, name in enumerate(images.class_names) if label not in there]:
            notes.append(f"warning: no {word} images of {shortened(without)}")
    return tuple(notes)


def of_copies(images: FolderImages) -> list[str]:
    """Notes on images that occur several times."""
    notes = []
    labels: dict[bytes, set[int]] = defaultdict(set)
    for path, label in (*images.train, *images.test):
        if path in images.digests:
            labels[images.digests[path]].add(label)
    known = [images.digests[path] for path, _ in images.train if path in images.digests]
    train = set(known)
    if leaked := sum(images.digests.get(path) in train for path, _ in images.test):
        which = "each of" if leaked == len(images.test) else f"{leaked:,} of"
        one = leaked in {1, len(images.test)}
        are = "is a copy of a training image" if one else "are copies of training images"
        notes.append(f"warning: {which} the {len(images.test):,} test images {are}: accuracy is overrated")
    if twice := sum(len(its) > 1 for its in labels.values()):
        pictures = "1 picture is" if twice == 1 else f"{twice:,} pictures are"
        notes.append(f"warning: {pictures} in more than one class")
    if copies := len(known) - len(train):
        are = "is a copy" if copies == 1 else "are copies"
        notes.append(f"{copies:,} of the {len(images.train):,} training images {are} of others")
    if len(set(map(folded, images.class_names))) < len(images.class_names):
        notes.append("warning: names of classes differ by upper and lower case or by the coding of accents only")
    return notes


def of_kinds(scales: Scales, facts: Sequence[ImageFacts]) -> list[str]:
    """Notes on how images of certain kinds are read."""
    notes = []
    kinds = Counter(its.kind for its in facts)
    for kind, (low, high) in scales.items():
        plural = "" if kinds[kind] == 1 else "s"
        notes.append(f"{kinds[kind]:,} {kind} image{plural}: values {low:,.6g} to {high:,.6g} become 0 to 255")
    for count, what in (
        (sum(its.transparent for its in facts), "with transparency, composed over mid-grey"),
        (sum(its.rotated for its in facts), "turned as the EXIF orientation says"),
        (sum(its.several for its in facts), "with several pictures, of which the first is used"),
    ):
        if count:
            notes.append(f"{count:,} image{'' if count == 1 else 's'} {what}")
    return notes
