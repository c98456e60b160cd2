"""The test images on which two networks disagree, drawn in half blocks, or in glyphs without colours."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from tui_attn import data
from tui_attn.compare.predictions import PredictionsError, class_names, disagreements, load_predictions
from tui_attn.system.text import safe_text
from tui_attn.system.textfit import wrap
from tui_attn.ui.charts.palette import ramp_glyph
from tui_attn.ui.charts.ramp import GREYS16
from tui_attn.ui.comparison.parts import MARGIN, Page, heading, text
from tui_attn.ui.drawing import EMPTY, Piece, Row, fit

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from tui_attn.experiment.follower import Follower
    from tui_attn.experiment.manifest import Manifest

LARGEST = 32
"""Pixels a side of a drawn image; larger ones are made smaller."""
SHORT = 14
"""Lines of a picture that a page has room for in 24, beside all that stands around it."""
GROUPS = ("only the first is right", "only the second is right", "both are wrong")


Picture: TypeAlias = "NDArray[np.uint8] | str"
"""Pixels [C, H, W], or why this one can't be shown."""
OTHERS = "the test images here are not those that the runs were evaluated on"


@dataclass(frozen=True, slots=True)
class TestImages:
    """The test images of a data set: their labels, and how to get their pictures."""

    __test__ = False  # no class of tests

    labels: NDArray[np.int64] | None
    read: Callable[[Sequence[int]], Mapping[int, Picture]] | None
    problem: str = ""

    def pictures(self, indices: Sequence[int], labels: NDArray[np.int64]) -> tuple[Mapping[int, Picture] | None, str]:
        """The pictures of `indices`, in a test set with these `labels`; or None, and why."""
        if self.read is None or self.labels is None:
            return None, self.problem
        if len(self.labels) != len(labels) or (self.labels != labels).any():
            return None, OTHERS
        try:
            return self.read(indices), ""
        except data.DataError as error:
            return None, safe_text(error, one_line=True)


def find_test_images(manifest: Manifest) -> TestImages:
    """Find the test set that an experiment was evaluated on. Errors are returned, not raised."""
    name, given = manifest.config.dataset, manifest.config.data_dir
    shown = safe_text(name, one_line=True)
    if manifest.config.validation:
        return TestImages(None, None, "the runs were evaluated on training images that were held out: not drawn")
    try:
        located = data.find(name, Path(given) if given else None)
        if located is None:
            return TestImages(None, None, f"{shown} is not on this machine: 'tui-attn data {shown}' fetches it")
        if located.version != manifest.data.get("version"):
            return TestImages(None, None, f"{shown} has changed since the experiment began: its images are not drawn")
        if name.startswith(data.FOLDER):
            return _of_folder(located, manifest.config.test_limit)
        arrays = data.load(located, train_limit=1, test_limit=manifest.config.test_limit)
    except data.DataError as error:
        return TestImages(None, None, safe_text(error, one_line=True))
    pixels = arrays.test_images
    return TestImages(arrays.test_labels, lambda indices: {index: pixels[index] for index in indices})


def _of_folder(located: data.Located, limit: int | None) -> TestImages:
    """A folder's pictures are decoded as they are asked for: there may be many, and large ones."""
    import numpy as np

    from tui_attn.data.folder_content import folder_test_images, folder_test_labels

    labels = np.array(folder_test_labels(located, limit), dtype=np.int64)
    return TestImages(labels, lambda indices: folder_test_images(located, indices, limit))


# ---- two networks


@dataclass(frozen=True, slots=True)
class Disagreement:
    """Two runs of one seed on the same images. Made once, never changed."""

    first: str
    second: str
    images: int
    groups: tuple[NDArray[np.int64], ...]
    """Indices by `GROUPS`."""
    labels: NDArray[np.int64]
    taken: tuple[NDArray[np.int64], NDArray[np.int64]]
    """The class that each network takes an image for."""
    names: Sequence[str]
    pictures: Mapping[int, Picture] | None
    """By index, of those that are drawn."""
    problem: str
    """Why there are no pictures."""


def read_disagreement(follower: Follower, first: str, second: str, images: TestImages) -> Disagreement | str:
    """What two runs disagree on, the surest mistakes first; or in words why that can't be told."""
    saved = []
    for run in (first, second):
        try:
            saved.append(load_predictions(follower.folder.run(run).predictions))
        except PredictionsError as error:
            return f"{safe_text(run, one_line=True)}/predictions.npz {error}"
    one, two = saved
    if one.logits.shape != two.logits.shape or (one.labels != two.labels).any():
        return f"the predictions of {first} and {second} are on different test images: not compared"
    found = disagreements(one.logits, two.logits, one.labels)
    doubt = [_certainty(item.logits) for item in saved]
    order = [(found.first_right, doubt[1]), (found.second_right, doubt[0]), (found.both_wrong, doubt[0] + doubt[1])]
    groups = tuple(indices[(-sure[indices]).argsort(kind="stable")] for indices, sure in order)
    pictures, problem = images.pictures([at for indices in groups for at in indices[:MOST].tolist()], one.labels)
    names = class_names(follower.state.runs[first], one.logits.shape[1])
    taken = (one.logits.argmax(axis=1), two.logits.argmax(axis=1))
    return Disagreement(first, second, len(one.labels), groups, one.labels, taken, names, pictures, problem)


def _certainty(logits: NDArray[np.float32]) -> NDArray[np.float64]:
    """[N], the probability that a network gives the class it chooses."""
    import numpy as np

    scaled = np.exp(logits - logits.max(axis=1, keepdims=True), dtype=np.float64)
    found: NDArray[np.float64] = scaled.max(axis=1) / scaled.sum(axis=1)
    return found


# ---- rows


def rows(found: Disagreement, group: int, page: Page) -> list[Row]:
    """How many images are in each group, and the pictures of one of them, as many in a row as fit."""
    counts = [len(indices) for indices in found.groups]
    first, second = (safe_text(run, one_line=True) for run in (found.first, found.second))
    narrow = page.width < 100
    one, many = ("", "") if narrow else (" is", " are")
    words = (f"only {first}{one} right", f"only {second}{one} right", f"both{many} wrong")
    pieces: list[Piece] = [(MARGIN, "normal")]
    for at, (count, word) in enumerate(zip(counts, words, strict=True)):
        pieces += [(f"{count:,} ", "title" if at == group else "muted")]
        pieces += [(word + "  ", "focused" if at == group else "muted")]
    total = sum(counts)
    images = "images" if narrow else "test images"
    share = f"they disagree on {total:,} of {found.images:,} {images} ({100 * total / found.images:.1f} %)"
    # No blank lines between tall pictures: the predictions of the first ones must be visible in 24 lines.
    blank = [] if found.pictures and _size(found.pictures)[1] > SHORT else [EMPTY]
    head = [*blank, heading(f"{first} and {second}", share), Row(tuple(pieces)), *blank]
    chosen = found.groups[group]
    if not len(chosen):
        return [*head, *text(page, "no image here", "muted")]
    if found.pictures is None:
        return [*head, *text(page, found.problem, "warning"), EMPTY, *_list(found, chosen, page)]
    return [*head, *_pictures(found, found.pictures, chosen, page)]


MOST = 60
"""Pictures of a group that are drawn; the surest mistakes come first."""


def _captions(found: Disagreement, index: int) -> list[str]:
    """What the image is, and what each network takes it for."""
    return [found.names[int(values[index])] for values in (found.labels, *found.taken)]


def _list(found: Disagreement, chosen: NDArray[np.int64], page: Page) -> list[Row]:
    """In words, where there are no pictures."""
    lines = []
    for index in chosen[:MOST].tolist():
        true, one, two = _captions(found, index)
        lines.append(f"image {index}: {true}; {found.first} says {one}, {found.second} says {two}")
    return [row for line in lines for row in text(page, line, "normal", hanging="  ")]


def _pictures(found: Disagreement, pictures: Mapping[int, Picture], chosen: NDArray[np.int64], page: Page) -> list[Row]:
    wide, high = _size(pictures)
    across = max((page.room + 2) // (wide + 2), 1)
    rows: list[Row] = []
    shown = chosen[:MOST].tolist()
    for start in range(0, len(shown), across):
        some = shown[start : start + across]
        drawn = [_drawn(pictures[index], wide, high, page) for index in some]
        for line in zip(*drawn, strict=True):
            pieces: list[Piece] = [(MARGIN, "normal")]
            for cells in line:
                pieces += [*cells, ("  ", "normal")]
            rows.append(Row(tuple(pieces)))
        rows += _labels(found, some, wide)
        rows.append(EMPTY)
    if len(chosen) > len(shown):
        rows += text(page, f"the {len(shown)} of {len(chosen):,} that the networks are surest of", "muted")
    return rows


def _size(pictures: Mapping[int, Picture]) -> tuple[int, int]:
    """Columns and lines that a picture takes; all have one size."""
    shapes = (picture.shape[1:] for picture in pictures.values() if not isinstance(picture, str))
    height, width = next(shapes, (LARGEST, LARGEST))
    factor = -(-max(height, width) // LARGEST)
    return width // factor, -(-(height // factor) // 2)


def _drawn(picture: Picture, wide: int, high: int, page: Page) -> list[list[Piece]]:
    """A picture's lines, or in its place why it can't be shown."""
    if not isinstance(picture, str):
        return picture_rows(picture, page)
    said = wrap(f"this image {picture}", wide - 2)[: high - 2]
    lines = ["", *said, *[""] * (high - 1 - len(said))]
    return [[(fit(f" {line}", wide), "warning")] for line in lines]


def _labels(found: Disagreement, some: Sequence[int], wide: int) -> list[Row]:
    """Below each picture: what it is, and what each network takes it for."""
    lines: list[list[Piece]] = [[(MARGIN, "normal")] for _ in range(3)]
    models = [run.rsplit("-s", 1)[0] for run in (found.first, found.second)]
    for index in some:
        true, one, two = _captions(found, index)
        lines[0].append((fit(f"{true}", wide - 7) + fit(f"#{index}", 7, right=True) + "  ", "bold"))
        for line, model, said in zip(lines[1:], models, (one, two), strict=True):
            mark = "✓" if said == true else "✗"
            line += [(f"{mark} ", f"model:{model}"), (fit(f"{model}: {said}", wide - 2) + "  ", "normal")]
    return [Row(tuple(line)) for line in lines]


def picture_rows(pixels: NDArray[np.uint8], page: Page) -> list[list[Piece]]:
    """A picture [C, H, W] as lines of cells, two pixels one above the other in each."""
    import numpy as np

    small = _smaller(pixels)
    channels, height = small.shape[:2]
    colors = small if channels == 3 else np.repeat(small[:1], 3, axis=0)
    if height % 2:
        colors = np.concatenate([colors, colors[:, -1:]], axis=1)
    if page.mode.ascii or page.mode.colors == "none":
        grey = colors.mean(axis=0) / 255  # [H, W]
        lines = (grey[0::2] + grey[1::2]) / 2
        return [[("".join(ramp_glyph(value, page.mode.ascii) for value in line), "normal")] for line in lines.tolist()]
    if page.mode.shades:
        colors = (colors // 8) * 8  # 32 grades a channel: the eye sees no more of them in so few pixels
    else:
        grey = colors.mean(axis=0).astype(np.uint8)
        colors = np.repeat(np.array(GREYS16, dtype=np.uint8)[grey // 64][None], 3, axis=0)
    upper, lower = colors[:, 0::2].transpose(1, 2, 0), colors[:, 1::2].transpose(1, 2, 0)
    pairs = (
        zip(*(map(tuple, line.tolist()) for line in lines), strict=True) for lines in zip(upper, lower, strict=True)
    )
    return [[("▀", page.styles.pixels(*pair)) for pair in line] for line in pairs]


def _smaller(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Means of equal squares, so that no side is longer than `LARGEST`."""
    factor = -(-max(pixels.shape[1:]) // LARGEST)
    if factor == 1:
        return pixels
    channels, height, width = pixels.shape
    height, width = height // factor * factor, width // factor * factor
    squares = pixels[:, :height, :width].reshape(channels, height // factor, factor, width // factor, factor)
    found: NDArray[np.uint8] = squares.mean(axis=(2, 4)).astype("uint8")
    return found
