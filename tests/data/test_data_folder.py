"""A folder of images."""

from __future__ import annotations

from pathlib import Path

import pytest

from tui_attn.data import DataError, dataset_info, ensure, find, folder_images, load, parse_dataset, verify


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


def test_train_and_test_as_they_are_laid_out(tmp_path: Path) -> None:
    images = folder_images(split(tmp_path))
    assert images.class_names == ("a", "b")
    assert [(path.name, label) for path, label in images.train] == [("1.png", 0), ("2.PNG", 0), ("3.jpeg", 1)]
    assert [(path.name, label) for path, label in images.test] == [("4.png", 0), ("5.webp", 1)]


def test_a_fifth_of_each_class_is_held_out_by_name(tmp_path: Path) -> None:
    images = folder_images(flowers(tmp_path / "one"))
    assert images.class_names == ("lily", "rose")
    assert [label for _, label in images.test] == [0, 0, 1, 1]
    assert len(images.train) == 16
    assert not {path for path, _ in images.train} & {path for path, _ in images.test}
    elsewhere = folder_images(flowers(tmp_path / "two"))
    assert [path.name for path, _ in images.test] == [path.name for path, _ in elsewhere.test]


def test_what_is_known_of_it(tmp_path: Path) -> None:
    name = parse_dataset(split(tmp_path))
    info = dataset_info(name)
    assert info.name == name
    assert info.class_names == ("a", "b")
    assert (info.train_size, info.test_size) == (3, 2)
    assert info.reader == "torchvision"
    assert info.image_size % 4 == 0
    where = ensure(name, offline=True)
    assert where == find(name)
    assert where.root == tmp_path
    assert where.source == "folder"
    assert len(where.files) == 5
    with pytest.raises(DataError, match="read by torchvision"):
        load(where)


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
        (["rose/1.jpg"], "holds 1 class folders, and at least two are needed"),
        (["1.jpg", "2.jpg"], "holds 0 class folders"),
        (["rose/1.jpg", "rose/2.jpg", "lily/readme.txt"], "lily holds no images"),
        (["rose/1.jpg", "rose/2.jpg", "lily/1.jpg"], "lily holds one image"),
        (
            ["train/a/1.jpg", "train/b/1.jpg", "test/a/1.jpg", "test/c/1.jpg"],
            "the class b is in only one of train and test",
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
    with pytest.raises(DataError, match="nowhere cannot be read: no such file or directory"):
        ensure(f"folder:{tmp_path / 'nowhere'}")
    with pytest.raises(DataError, match="file cannot be read: not a directory"):
        ensure(f"folder:{tmp_path / 'file'}")


def test_progress_counts_bytes(tmp_path: Path) -> None:
    steps: list[tuple[str, int, int | None]] = []
    where = ensure(split(tmp_path), progress=lambda *step: steps.append(step))
    assert steps[-1][1] == sum(path.stat().st_size for path in where.files)
