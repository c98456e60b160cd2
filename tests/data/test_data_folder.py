"""A folder of images."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from tests.data.pictures import labelled, picture
from tui_attn.data import (
    DataError,
    Located,
    check_images,
    dataset_info,
    ensure,
    find,
    folder_status,
    folder_walk,
    parse_dataset,
    verify,
)
from tui_attn.data import folder as folder_module
from tui_attn.data.base import counts_text
from tui_attn.data.folder import Cancelled, glance
from tui_attn.data.folder_content import FolderImages

LONG = 600.0
"""Seconds, so that no slow machine ends a quick look early."""


def lay_out(root: Path, *names: str) -> Path:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(f"image {name}".encode())
    return root


def flowers(root: Path) -> str:
    """20 images of two classes, and things that are no images."""
    names = [f"{kind}/{n}.jpg" for kind in ("rose", "lily") for n in range(10)]
    lay_out(root, *names, "rose/readme.txt", ".cache/x.jpg", "notes.md", "lily/.hidden.png")
    return f"folder:{root}"


def split(root: Path) -> str:
    lay_out(root, "train/a/1.png", "train/a/deep/2.PNG", "train/b/3.jpeg", "test/a/4.png", "test/b/5.webp")
    return f"folder:{root}"


def folder_images(name: str) -> FolderImages:
    images = ensure(name).images
    assert images is not None
    return images


def test_train_and_test_as_they_are_laid_out(tmp_path: Path) -> None:
    images = folder_images(split(tmp_path))
    assert images.class_names == ("a", "b")
    assert images.train == (("train/a/1.png", 0), ("train/a/deep/2.PNG", 0), ("train/b/3.jpeg", 1))
    assert images.test == (("test/a/4.png", 0), ("test/b/5.webp", 1))


def test_a_fifth_of_each_class_is_held_out_by_name(tmp_path: Path) -> None:
    images = folder_images(flowers(tmp_path / "one"))
    assert images.class_names == ("lily", "rose")
    assert [label for _, label in images.test] == [0, 0, 1, 1]
    assert len(images.train) == 16
    assert not {path for path, _ in images.train} & {path for path, _ in images.test}
    elsewhere = folder_images(flowers(tmp_path / "two"))
    assert images.test == elsewhere.test


def test_what_is_known_of_it(tmp_path: Path) -> None:
    name = parse_dataset(split(tmp_path))
    info = dataset_info(name)
    assert info.name == name
    assert info.class_names == ("a", "b")
    assert (info.train_size, info.test_size) == (3, 2)
    assert info.image_size % 4 == 0
    where = ensure(name, offline=True)
    assert where == find(name)
    assert where.root == tmp_path
    assert where.source == "folder"
    assert where.files == ()
    assert where.counts == {"train": {"a": 2, "b": 1}, "test": {"a": 1, "b": 1}}


def test_the_version_is_of_names_and_contents(tmp_path: Path) -> None:
    name = split(tmp_path / "one")
    where = ensure(name)
    assert ensure(split(tmp_path / "two")).version == where.version
    assert verify(where) == []
    (tmp_path / "one" / "test" / "a" / "4.png").write_bytes(b"another image")
    assert ensure(name).version != where.version
    assert [problem.text for problem in verify(where)] == ["has changed"]
    (tmp_path / "two" / "train" / "b" / "3.jpeg").rename(tmp_path / "two" / "train" / "a" / "3.jpeg")
    lay_out(tmp_path / "two", "train/b/6.png")
    assert ensure(f"folder:{tmp_path / 'two'}").version != where.version


def test_a_relative_path_is_made_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    flowers(tmp_path / "flowers")
    monkeypatch.chdir(tmp_path)
    assert parse_dataset("folder:./flowers") == f"folder:{tmp_path / 'flowers'}"
    monkeypatch.setenv("HOME", str(tmp_path))
    assert parse_dataset("folder:~/flowers") == f"folder:{tmp_path / 'flowers'}"


def test_links_to_images_and_classes_are_followed_but_not_in_circles(tmp_path: Path) -> None:
    flowers(tmp_path / "flowers")
    (tmp_path / "linked").mkdir()
    for kind in ("rose", "lily"):
        (tmp_path / "linked" / kind).symlink_to(tmp_path / "flowers" / kind)
    (tmp_path / "flowers" / "rose" / "loop").symlink_to(tmp_path / "flowers")
    assert len(folder_images(f"folder:{tmp_path / 'linked'}").train) == 16


@pytest.mark.parametrize(
    ("names", "why"),
    [
        (["rose/1.jpg"], "holds 1 class folder, and at least two are needed"),
        (["1.jpg", "2.jpg"], "holds 0 class folders"),
        (["rose/1.jpg", "rose/2.jpg", "lily/readme.txt"], "lily holds no images"),
        (["rose/1.jpg", "rose/2.jpg", "lily/1.jpg"], "lily holds one image"),
        (
            ["train/a/1.jpg", "train/b/1.jpg", "test/a/1.jpg", "test/c/1.jpg"],
            "b only in train, c only in test",
        ),
        (["a\x1b[2J/1.jpg", "a\x1b[2J/2.jpg", "b/1.jpg", "b/2.jpg"], "class names are printable"),
        ([f"{'x' * 101}/1.jpg", "b/1.jpg"], "at most 100 characters"),
    ],
)
def test_a_folder_that_is_laid_out_otherwise_is_refused(names: list[str], why: str, tmp_path: Path) -> None:
    lay_out(tmp_path, *names)
    for ask in (ensure, find, dataset_info):
        with pytest.raises(DataError, match=why) as caught:
            ask(f"folder:{tmp_path}")
        assert len(str(caught.value).splitlines()) <= 2
        assert "\x1b" not in str(caught.value)


def test_a_folder_that_is_not_there_is_refused(tmp_path: Path) -> None:
    lay_out(tmp_path, "file")
    with pytest.raises(DataError, match="nowhere can't be read: no such file or directory"):
        ensure(f"folder:{tmp_path / 'nowhere'}")
    with pytest.raises(DataError, match="file can't be read: not a directory"):
        ensure(f"folder:{tmp_path / 'file'}")


def test_progress_counts_bytes(tmp_path: Path) -> None:
    steps: list[tuple[str, int, int | None]] = []
    where = ensure(split(tmp_path), progress=lambda *step: steps.append(step))
    images = where.images
    assert images is not None
    assert steps[-1][1] == sum((tmp_path / path).stat().st_size for path, _ in (*images.train, *images.test))


# ---- splits and classes


@pytest.mark.parametrize(
    ("train", "test"),
    [
        ("train", "val"),
        ("train", "valid"),
        ("Train", "Test"),
        ("training", "testing"),
        ("TRAIN", "validation"),
        ("train", "test"),
    ],
)
def test_splits_are_known_by_their_usual_names(train: str, test: str, tmp_path: Path) -> None:
    labelled(tmp_path / train, each=2)
    labelled(tmp_path / test, each=1)
    where = ensure(f"folder:{tmp_path}")
    assert where.counts == {"train": {"a": 2, "b": 2}, "test": {"a": 1, "b": 1}}


def test_of_three_splits_train_and_test_are_used_and_the_third_is_told(tmp_path: Path) -> None:
    for split_name, each in (("train", 3), ("valid", 2), ("test", 1), ("extra", 1)):
        labelled(tmp_path / split_name, each=each)
    where = ensure(f"folder:{tmp_path}")
    assert where.counts == {"train": {"a": 3, "b": 3}, "test": {"a": 1, "b": 1}}
    assert any("extra, valid" in note for note in where.notes)


def test_a_class_may_be_called_like_a_split(tmp_path: Path) -> None:
    labelled(tmp_path, ("train", "tram"))
    assert folder_images(f"folder:{tmp_path}").class_names == ("train", "tram")
    labelled(tmp_path / "other", ("exam", "test"))
    assert folder_images(f"folder:{tmp_path / 'other'}").class_names == ("exam", "test")


@pytest.mark.parametrize(
    ("names", "why"),
    [
        (["train/a/1.png", "train/b/1.png"], "has train, and neither test nor val: add one"),
        (["test/a/1.png", "test/b/1.png"], "has test, and no train"),
        (["val/a/1.png", "val/b/1.png", "test/a/1.png", "test/b/1.png"], "has test, and no train"),
        (["train/a/1.png", "Train/a/1.png", "test/a/1.png"], "has Train, train: keep or rename all but one"),
        (["one/a/1.png", "one/b/1.png", "two/a/1.png", "two/b/2.png"], "one, two all hold the same folders .a, b."),
        (["train/a/1.png", "train/B/1.png", "test/a/1.png", "test/b/1.png"], "B only in train, b only in test"),
        (["train/a/1.png", "train/b/x.txt", "test/a/1.png", "test/b/y", "test/c/.h.png"], "c only in test"),
        (["train/a/1.png", "train/b/x.txt", "test/a/1.png", "test/b/y"], "train/b, test/b hold no images"),
        (["flowers/a/1.png", "flowers/b/1.png"], "holds 1 class folder, and at least two are needed"),
        (["a/1.png", "a/2.png", "b/x.gif", "c/x.gif", "d/1.png", "d/2.png"], "b, c hold no images"),
    ],
)
def test_what_is_no_layout_is_refused_in_one_message(names: list[str], why: str, tmp_path: Path) -> None:
    lay_out(tmp_path, *names)
    with pytest.raises(DataError, match=why) as caught:
        ensure(f"folder:{tmp_path}")
    assert len(str(caught.value).splitlines()) <= 2
    assert glance(tmp_path).problem == str(caught.value).splitlines()[0]
    if "flowers" in names[0]:
        assert f"give folder:{tmp_path}/flowers" in str(caught.value)


def test_a_folder_between_class_and_images_is_no_split(tmp_path: Path) -> None:
    lay_out(tmp_path, *(f"{label}/images/{n}.png" for label in ("a", "b") for n in range(5)))
    assert folder_images(f"folder:{tmp_path}").class_names == ("a", "b")


# ---- what is passed over


def test_hidden_and_system_folders_are_skipped_at_every_depth(tmp_path: Path) -> None:
    labelled(tmp_path)
    for folder in (".ipynb_checkpoints", "@eaDir", "__MACOSX", ".git"):
        for above in (tmp_path, tmp_path / "a", tmp_path / "a" / "deep"):
            picture(above / folder / "0.png")
    picture(tmp_path / "a" / "deep" / "._0.png")
    where = ensure(f"folder:{tmp_path}")
    assert where.counts == {"train": {"a": 4, "b": 4}, "test": {"a": 1, "b": 1}}
    assert "passed over hidden and system folders (12)" in where.notes
    assert "passed over hidden images (1)" in where.notes


def test_what_this_program_wrote_is_left_out(tmp_path: Path) -> None:
    labelled(tmp_path)
    for folder, mark, of in (
        ("runs/one", "experiment.json", "tui-attn"),
        ("a/runs/two", "experiment.json", "tui-attn"),
        ("report", "report.json", "tui-attn-report"),
        ("b/out", "tui-attn-export.json", "tui-attn-export"),
    ):
        picture(tmp_path / folder / "pictures" / "0.png")
        (tmp_path / folder / mark).write_text(f'{{"format": "{of}"}}')
    labelled(tmp_path, ("more",))
    (tmp_path / "more" / "experiment.json").write_text('{"format": "another program"}')
    where = ensure(f"folder:{tmp_path}")
    assert where.counts["train"] == {"a": 4, "b": 4, "more": 4}
    assert "passed over folders of tui-attn's own (4)" in where.notes


def test_an_empty_runs_folder_is_no_class(tmp_path: Path) -> None:
    labelled(tmp_path)
    (tmp_path / "runs").mkdir()
    assert list(ensure(f"folder:{tmp_path}").counts["train"]) == ["a", "b"]


def test_what_is_passed_over_is_told_by_kind(tmp_path: Path) -> None:
    labelled(tmp_path)
    lay_out(tmp_path, *(f"a/{n}.gif" for n in range(3)), "a/1.JFIF", "b/2.avif", "b/noted", "loose.png")
    notes = ensure(f"folder:{tmp_path}").notes
    assert (
        "passed over files that are no images by their names (3 .gif, 1 .jfif, 1 .avif, 1 without an extension)"
        in notes
    )
    assert "passed over images outside of the class folders (1)" in notes


def test_links_to_folders_are_followed_at_every_depth_and_each_folder_once(tmp_path: Path) -> None:
    labelled(tmp_path / "set")
    labelled(tmp_path / "elsewhere", ("more",), each=3)
    (tmp_path / "set" / "a" / "deep").mkdir()
    (tmp_path / "set" / "a" / "deep" / "linked").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "set" / "a" / "again").symlink_to(tmp_path / "elsewhere" / "more")
    (tmp_path / "set" / "a" / "up").symlink_to(tmp_path)
    (tmp_path / "set" / "a" / "self").symlink_to(tmp_path / "set" / "a")
    (tmp_path / "elsewhere" / "more" / "back").symlink_to(tmp_path / "elsewhere")
    where = ensure(f"folder:{tmp_path / 'set'}")
    assert sum(counts["a"] for counts in where.counts.values()) == 8
    assert any(note.startswith("passed over links that lead in a circle") for note in where.notes)


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
    assert not any("copies" in note for note in where.notes)
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


def test_names_of_classes_that_differ_by_case_only_are_told(tmp_path: Path) -> None:
    notes = ensure(labelled(tmp_path, ("Rose", "rose"))).notes
    assert "warning: names of classes differ by upper and lower case only" in notes


def test_classes_that_a_limit_leaves_without_images_are_told_in_one_message(tmp_path: Path) -> None:
    where = ensure(labelled(tmp_path, ("a", "b", "c")))
    assert check_images(where) == ()
    assert check_images(where, test_limit=1) == ("warning: no test images of b, c",)


def test_foreign_marks_are_no_fault(tmp_path: Path) -> None:
    labelled(tmp_path)
    os.mkfifo(tmp_path / "a" / "experiment.json")
    (tmp_path / "b" / "experiment.json").write_bytes(b"[" * 1_000_000)
    assert ensure(f"folder:{tmp_path}").counts["train"] == {"a": 4, "b": 4}
