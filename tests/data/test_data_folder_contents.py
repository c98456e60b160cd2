"""Copies, versions and quick looks of a folder of images, and hostile folders."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from tests.data.folders import flowers, lay_out, split
from tests.data.pictures import labelled, picture
from tui_attn.data import (
    DataError,
    Located,
    ensure,
    folder_walk,
)
from tui_attn.data import folder as folder_module
from tui_attn.data.base import counts_text
from tui_attn.data.folder import Cancelled, glance
from tui_attn.data.folder_content import check_images, folder_status

LONG = 600.0
"""Seconds, so that no slow machine ends a quick look early."""


# ---- copies


def test_test_images_that_are_copies_of_training_images_are_told(tmp_path: Path) -> None:
    labelled(tmp_path / "train", each=4)
    labelled(tmp_path / "test", each=4)
    where = ensure(f"folder:{tmp_path}")
    assert where.notes[1:] == (
        "warning: each of the 8 test images is a copy of a training image: accuracy is overrated",
    )
    picture(tmp_path / "test" / "a" / "0.png", seed=77)
    assert ensure(f"folder:{tmp_path}").notes[1].startswith("warning: 7 of the 8 test images are copies")


def test_one_picture_in_two_classes_is_told(tmp_path: Path) -> None:
    labelled(tmp_path)
    picture(tmp_path / "b" / "other.png", seed=0)
    assert "warning: 1 picture is in more than one class" in ensure(f"folder:{tmp_path}").notes


def test_a_split_of_our_own_keeps_copies_on_one_side(tmp_path: Path) -> None:
    for label in ("a", "b"):
        for index in range(30):
            picture(tmp_path / label / f"{index}.png", seed=index % 7 + 10 * (label == "b"))
    where = ensure(f"folder:{tmp_path}")
    images = where.images
    assert images is not None
    train, test = ({images.digests[path] for path, _ in items} for items in (images.train, images.test))
    assert train
    assert test
    assert not train & test
    assert not any("accuracy is overrated" in note for note in where.notes)
    assert (
        f"{len(images.train) - len(train)} of the {len(images.train)} training images are copies of others"
        in where.notes
    )
    assert 4 <= where.counts["test"]["a"] <= 6


def test_a_class_of_copies_cannot_be_split(tmp_path: Path) -> None:
    labelled(tmp_path)
    for index in range(5):
        picture(tmp_path / "b" / f"{index}.png", seed=1)
    with pytest.raises(DataError, match="holds 5 copies of one image"):
        ensure(f"folder:{tmp_path}")


# ---- versions, manifests, quick looks


def test_the_version_is_that_of_0_1_0(tmp_path: Path) -> None:
    """Recorded with the code of 0.1.0: experiments go on only with data of the same version."""
    assert ensure(split(tmp_path / "split")).version == "e5a024c5cfc8"
    assert ensure(flowers(tmp_path / "flat")).version == "fa933fdb763c"


def test_a_manifest_holds_counts_instead_of_files(tmp_path: Path) -> None:
    where = ensure(labelled(tmp_path, each=100))
    kept = where.to_json()
    assert len(str(kept)) < 500
    assert kept["counts"] == {"train": {"a": 80, "b": 80}, "test": {"a": 20, "b": 20}}
    again = Located.from_json(where.name, kept)
    assert (again.root, again.version) == (where.root, where.version)
    with pytest.raises(DataError, match="doesn't say where the data is"):
        Located.from_json(where.name, {"root": 3})


def test_images_are_counted_by_split_and_class(tmp_path: Path) -> None:
    where = ensure(labelled(tmp_path / "pets", ("cats", "dogs"), each=10))
    assert where.notes == ("pets: 16 training images (cats 8, dogs 8), 4 test images (cats 2, dogs 2)",)
    many = ensure(labelled(tmp_path / "many", tuple(f"{number:02}" for number in range(13)), each=2))
    assert counts_text(many.counts) == (
        "13 training images (13 classes, 1 in each), 13 test images (13 classes, 1 in each)"
    )
    damaged: object
    for damaged in (None, [], {}, {"train": {}, "test": {}}, {"train": {"a": "x"}, "test": {"a": 1}}):
        assert counts_text(damaged) == ""


def test_data_tells_what_is_in_a_folder(tmp_path: Path) -> None:
    name = labelled(tmp_path, each=10)
    assert folder_status(name).state == "ready"
    for number in range(60):
        (tmp_path / "a" / f"bad{number}.png").write_bytes(b"x%d" % number)
    found = folder_status(name)
    assert (found.state, len(found.problems), found.sizes) == ("damaged", 60, (64, 16))
    with pytest.raises(DataError, match="and 20 more, which 'tui-attn data") as caught:
        check_images(ensure(name))
    assert len(str(caught.value).splitlines()) == 2


def test_a_quick_look_counts(tmp_path: Path) -> None:
    labelled(tmp_path, each=10)
    seen = glance(tmp_path, seconds=LONG)
    assert (seen.classes, seen.images, seen.complete, seen.problem, seen.sizes) == (2, 20, True, None, (16, 4))


def test_a_quick_look_has_bounds(tmp_path: Path) -> None:
    lay_out(tmp_path, *(f"{label}/{n}.png" for label in "abc" for n in range(400)))
    seen = glance(tmp_path, limit=600, seconds=LONG)
    assert not seen.complete
    assert seen.images < 1200
    assert not glance(tmp_path, folders=2, seconds=LONG).complete
    assert not glance(tmp_path, seconds=-1.0).complete
    with pytest.raises(Cancelled):
        glance(tmp_path, cancelled=lambda: True)
    assert glance(tmp_path / "nowhere").problem is not None
    assert glance(Path("~nobody-of-that-name/x")).problem is not None


def test_folders_in_folders_1500_deep_are_no_fault(tmp_path: Path) -> None:
    labelled(tmp_path)
    home = os.open(".", os.O_RDONLY)
    try:
        os.chdir(tmp_path / "a")
        for _ in range(1500):
            Path("d").mkdir()
            os.chdir("d")
        picture(Path("last.png"), seed=99)
        os.fchdir(home)
        where = ensure(f"folder:{tmp_path}")
        assert glance(tmp_path, seconds=LONG).classes == 2
        assert sum(counts["a"] for counts in where.counts.values()) == 6
    finally:
        os.fchdir(home)
        os.close(home)
        subprocess.run(["rm", "-rf", str(tmp_path / "a")], check=True)  # Python's own would recurse


# ---- hostile folders


def test_a_class_that_is_a_link_upwards_is_left_out(tmp_path: Path) -> None:
    labelled(tmp_path)
    (tmp_path / "up").symlink_to("/")
    (tmp_path / "self").symlink_to(tmp_path)
    assert list(ensure(f"folder:{tmp_path}").counts["train"]) == ["a", "b"]
    assert glance(tmp_path, seconds=LONG).classes == 2


def test_links_that_multiply_are_walked_once(tmp_path: Path) -> None:
    labelled(tmp_path / "set")
    before = tmp_path / "far"
    picture(before / "deep.png", seed=77)
    for number in range(30):
        folder = tmp_path / f"d{number}"
        folder.mkdir()
        (folder / "p").symlink_to(before)
        (folder / "q").symlink_to(before)
        before = folder
    (tmp_path / "set" / "a" / "in").symlink_to(before)
    assert sum(counts["a"] for counts in ensure(f"folder:{tmp_path / 'set'}").counts.values()) == 6


def test_names_of_any_bytes_are_read_and_shown_safely(tmp_path: Path) -> None:
    labelled(tmp_path)
    content = picture(tmp_path / "a" / "0.png", seed=55).read_bytes()
    for name in (b"\xff\xfe.png", b"new\nline.png", b"n" * 251 + b".png", "\u202egnp.png".encode()):
        Path(os.fsdecode(os.fsencode(tmp_path / "a") + b"/" + name)).write_bytes(content + name)
        Path(os.fsdecode(os.fsencode(tmp_path / "b") + b"/bad" + name[-200:])).write_bytes(name)
    with pytest.raises(DataError, match="4 images can't be read") as caught:
        check_images(ensure(f"folder:{tmp_path}"))
    assert len(str(caught.value).splitlines()) == 2
    assert "\u202e" not in str(caught.value)


def test_a_thousand_classes_are_no_fault_and_too_many_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lay_out(tmp_path, *(f"c{number}/{n}.png" for number in range(1001) for n in range(2)))
    assert len(ensure(f"folder:{tmp_path}").counts["train"]) == 1001
    monkeypatch.setattr(folder_module, "MAX_CLASSES", 1000)
    with pytest.raises(DataError, match="1,001 class folders, and at most 1,000"):
        ensure(f"folder:{tmp_path}")
    monkeypatch.setattr(folder_walk, "MAX_FILES", 100)
    with pytest.raises(DataError, match="more than 100 files"):
        ensure(f"folder:{tmp_path}")


def test_a_folder_that_goes_away_while_it_is_read_is_told(tmp_path: Path) -> None:
    labelled(tmp_path)
    gone = tmp_path / "b"

    def take_away(phase: str, done: int, total: int | None) -> None:
        if phase.startswith("listing") and gone.exists() and len(list(gone.iterdir())) > 0:
            for path in gone.iterdir():
                path.unlink()

    with pytest.raises(DataError, match=r"b holds no images|can't be read"):
        check_images(ensure(f"folder:{tmp_path}", progress=take_away))


@pytest.mark.parametrize("names", [("Rose", "rose"), ("caf\u00e9", "cafe\u0301")])
def test_names_of_classes_that_look_alike_are_told(names: tuple[str, str], tmp_path: Path) -> None:
    notes = ensure(labelled(tmp_path, names)).notes
    assert "warning: names of classes differ by upper and lower case or by the coding of accents only" in notes


def test_a_class_whose_name_is_coded_in_two_ways_is_told_as_that(tmp_path: Path) -> None:
    labelled(tmp_path / "train", ("a", "caf\u00e9"))
    labelled(tmp_path / "test", ("a", "cafe\u0301"))
    with pytest.raises(DataError, match=r"the coding of accents \(NFC or NFD\), count: add"):
        ensure(f"folder:{tmp_path}")


def test_classes_that_a_limit_leaves_without_images_are_told_in_one_message(tmp_path: Path) -> None:
    where = ensure(labelled(tmp_path, ("a", "b", "c")))
    assert check_images(where) == ()
    assert check_images(where, test_limit=1) == ("warning: no test images of b, c",)


def test_foreign_marks_are_no_fault(tmp_path: Path) -> None:
    labelled(tmp_path)
    os.mkfifo(tmp_path / "a" / "experiment.json")
    (tmp_path / "b" / "experiment.json").write_bytes(b"[" * 1_000_000)
    assert ensure(f"folder:{tmp_path}").counts["train"] == {"a": 4, "b": 4}
