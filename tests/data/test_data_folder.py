"""A folder of images."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.data.folders import flowers, folder_images, lay_out, split
from tests.data.pictures import labelled, picture
from tui_attn.data import (
    DataError,
    dataset_info,
    ensure,
    find,
    parse_dataset,
    verify,
)
from tui_attn.data.folder import glance


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
